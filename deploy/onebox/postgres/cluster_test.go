package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is ample for a busy machine: nothing here is a matter of speed.
const patience = 90 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// config is that of a cluster in dir; the folder is open to the server's user.
func config(t testing.TB, dir string) Config {
	t.Helper()
	b, err := ThisHost().Find(context.Background(), "", 0)
	if err != nil {
		t.Fatalf("%v; run: %s", err, ThisHost().Hint())
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	output, err := os.OpenFile(filepath.Join(dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Binaries: b, Dir: filepath.Join(dir, "postgres"), SocketDir: filepath.Join(dir, "socket"), Settings: Disposable, Output: output}
}

// openTemp is a folder that the server's user can reach: t.TempDir's is closed to
// all but its owner, which for root is not the server's user.
func openTemp(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spillway-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// ask runs one query that returns one value.
func ask[T any](ctx context.Context, c *Cluster, sql string) (v T, err error) {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return v, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, sql).Scan(&v)
	return v, err
}

func must[T any](t *testing.T, c *Cluster, sql string) T {
	t.Helper()
	v, err := ask[T](within(t), c, sql)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually repeats check until it holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := within(t); !check(); {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

func TestStart_CreatesACluster(t *testing.T) {
	dir := openTemp(t)
	c := start(t, config(t, dir))
	for setting, want := range map[string]string{
		"listen_addresses": "", "server_encoding": "UTF8", "data_checksums": "on", "timezone": "UTC", "fsync": "off",
		"unix_socket_permissions": "0700", "log_error_verbosity": "terse",
	} {
		if got := must[string](t, c, "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	for _, private := range []string{c.cfg.Dir, c.SocketDir()} {
		fi, err := os.Stat(private)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", private, fi.Mode())
		}
	}
	// A terminal's Ctrl-C goes to a whole process group, and must not reach the
	// server before the drain does.
	if group, err := syscall.Getpgid(c.PID()); err != nil || group == syscall.Getpgrp() {
		t.Errorf("the server is in our process group: %d, %v", group, err)
	}
	if err := c.CreateDatabase(within(t), "spillway"); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateDatabase(within(t), "spillway"); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestStart_ContinuesWhereItWas(t *testing.T) {
	cfg := config(t, openTemp(t))
	c := start(t, cfg)
	conn, err := pgx.Connect(within(t), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(within(t), `CREATE TABLE gifts AS SELECT 7 AS n`); err != nil {
		t.Fatal(err)
	}
	pid := c.PID()
	c.Stop() // with a session open
	if alive(pid) {
		t.Errorf("postmaster %d outlived Stop", pid)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file after an orderly stop: %v", err)
	}
	c = start(t, cfg)
	if got := must[int](t, c, `SELECT n FROM gifts`); got != 7 {
		t.Errorf("found %d", got)
	}
}

func TestSupervise_StartsADeadServerAgain(t *testing.T) {
	c := start(t, config(t, openTemp(t)))
	first := c.PID()
	c.Kill()
	eventually(t, "another server that answers", func() bool {
		one, err := ask[int](within(t), c, `SELECT 1`)
		return err == nil && one == 1 && c.PID() != first && c.PID() != 0
	})
	c.Stop()
	if pid := c.PID(); pid != 0 {
		t.Errorf("still running after Stop: %d", pid)
	}
}

func TestStart_AWrongSettingIsAnErrorWithTheServersWords(t *testing.T) {
	cfg := config(t, openTemp(t))
	cfg.Settings = []Setting{{"shared_buffers", "many"}}
	ctx := within(t)
	c, err := Start(ctx, cfg)
	if err == nil {
		c.Stop()
		t.Fatal("started")
	}
	if !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("the server's reason is missing: %v", err)
	}
}

func TestStart_RefusesAFolderOfSomebodyElse(t *testing.T) {
	cfg := config(t, openTemp(t))
	if err := os.Mkdir(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(cfg.Dir, "thesis.txt")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Start(within(t), cfg); err == nil {
		c.Stop()
		t.Error("started in a folder with other things in it")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("somebody's file: %v", err)
	}
}

func TestStart_BeginsAgainAfterAnInterruptedCreation(t *testing.T) {
	cfg := config(t, openTemp(t))
	half := filepath.Join(cfg.Dir, "new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PG_VERSION", "base"} { // one of each side of adopt
		if err := os.WriteFile(filepath.Join(half, name), []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(cfg.Dir, "global"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := start(t, cfg)
	must[int](t, c, `SELECT 1`)
}

// The initdb of a process that was killed may still be writing, or removing what it
// wrote: its successor must not share the folder with it.
func TestStart_WaitsForTheInitdbOfAKilledProcess(t *testing.T) {
	cfg := config(t, openTemp(t))
	half := filepath.Join(cfg.Dir, "new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	leftover := &Cluster{cfg: cfg}
	folder, err := leftover.creator(within(t))
	if err != nil {
		t.Fatal(err)
	}
	initdb := exec.Command("cat") // until its input ends
	initdb.ExtraFiles = []*os.File{folder}
	input, err := initdb.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(initdb.Start(), folder.Close()); err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := Start(impatient, cfg); err == nil {
		c.Stop()
		t.Error("a cluster was created beside an initdb that still runs")
	}
	if _, err := os.Stat(half); err != nil {
		t.Errorf("what the earlier initdb works in: %v", err)
	}
	if err := errors.Join(input.Close(), initdb.Wait()); err != nil {
		t.Fatal(err)
	}
	must[int](t, start(t, cfg), `SELECT 1`)
}

func TestStart_ALongFolderGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(openTemp(t), strings.Repeat("long", 25))
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	c := start(t, config(t, dir))
	if strings.HasPrefix(c.SocketDir(), dir) {
		t.Fatalf("socket in %s", c.SocketDir())
	}
	must[int](t, c, `SELECT 1`)
	c.Stop()
	if _, err := os.Stat(c.SocketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder stays behind: %v", err)
	}
}

func TestStart_NamesTheClosedFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	closed := filepath.Join(openTemp(t), "closed")
	dir := filepath.Join(closed, "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(closed), 0o711); err != nil {
		t.Fatal(err)
	}
	c, err := Start(within(t), config(t, dir))
	if err == nil {
		c.Stop()
		t.Fatal("started below a closed folder")
	}
	var fault *ClosedFolderError
	if !errors.As(err, &fault) || fault.Folder != closed {
		t.Errorf("%v; want the folder %s named", err, closed)
	}
}

// helperEnv makes the test binary a parent of a cluster in the named folder, to be killed.
const helperEnv = "SPILLWAY_TEST_CLUSTER_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		parent(dir)
	}
	os.Exit(m.Run())
}

// parent starts a cluster, says so, and waits to be killed.
func parent(dir string) {
	b, err := ThisHost().Find(context.Background(), "", 0)
	if err == nil {
		_, err = Start(context.Background(), Config{Binaries: b, Dir: filepath.Join(dir, "postgres"),
			SocketDir: filepath.Join(dir, "socket"), Settings: Disposable, Output: os.Stderr})
	}
	fmt.Println("started", err)
	select {}
}

// abandoned runs a parent in dir, kills it when its cluster is up, and returns the
// postmaster's number.
func abandoned(t *testing.T, dir string, before func(postmaster int)) int {
	t.Helper()
	output, err := os.Create(filepath.Join(dir, "parent.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a cluster under the helper", func() bool {
		said, err := os.ReadFile(output.Name())
		return err == nil && strings.Contains(string(said), "started <nil>")
	})
	pid, _, err := readPidFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	before(pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed: that is its error
	return pid
}

func TestStart_AfterTheParentWasKilled(t *testing.T) {
	dir := openTemp(t)
	cfg := config(t, dir)
	pid := abandoned(t, dir, func(int) {})
	c := start(t, cfg) // whatever the old one is doing by now
	if c.PID() == pid {
		t.Fatal("the old server was adopted")
	}
	if alive(pid) && servesFolder(pid, cfg.Dir) {
		t.Error("two servers on one folder")
	}
	must[int](t, c, `SELECT 1`)
}

func TestStart_EndsAServerThatIsStuck(t *testing.T) {
	dir := openTemp(t)
	cfg := config(t, dir)
	// Frozen, it cannot follow the parent-death signal, as one whose disk hangs could not.
	pid := abandoned(t, dir, func(postmaster int) {
		if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	})
	if !alive(pid) {
		t.Fatal("the frozen server is gone: nothing is tested")
	}
	ended := make(chan error, 1)
	go func() { ended <- EndLeftover(within(t), cfg.Dir) }()
	eventually(t, "a pending signal or the end", func() bool { return !alive(pid) || pending(pid) })
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("the old server is still there")
	}
}

// pending tells whether a signal waits for the process.
func pending(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true // no /proc here: nothing to wait for
	}
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "ShdPnd:"); ok {
			return strings.Trim(strings.TrimSpace(mask), "0") != ""
		}
	}
	return true
}

func TestEndLeftover_LeavesStrangersAlone(t *testing.T) {
	dir := openTemp(t)
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	// What is left of a server whose number the system has given to somebody else.
	pidFile := filepath.Join(dir, "postmaster.pid")
	content := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n", stranger.Process.Pid, dir, dir)
	if err := os.WriteFile(pidFile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := EndLeftover(within(t), dir); err != nil {
		t.Fatal(err)
	}
	if !alive(stranger.Process.Pid) {
		t.Error("a stranger was ended")
	}
	if _, err := os.Stat(pidFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file stays, and Postgres would never start: %v", err)
	}
}

func TestReadPidFile(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		pid     int
		socket  string
	}{
		"whole":       {"4711\n/data\n1700000000\n5432\n/sock\n\n 1 2\nready   \n", 4711, "/sock"},
		"half":        {"4711\n/da", 4711, ""},
		"empty":       {"", 0, ""},
		"no number":   {"x\n", 0, ""},
		"stand-alone": {"-4711\n/data\n", 4711, ""},
	} {
		path := filepath.Join(t.TempDir(), "postmaster.pid")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		pid, socket, err := readPidFile(path)
		if err != nil || pid != c.pid || socket != c.socket {
			t.Errorf("%s: %d, %q, %v", name, pid, socket, err)
		}
	}
}

func TestLedger_TheServerAcceptsTheSettings(t *testing.T) {
	dir := openTemp(t)
	cfg := config(t, dir)
	cfg.Settings = Ledger(within(t), cfg.Binaries, dir)
	c := start(t, cfg)
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} {
		if got := must[string](t, c, "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
}
