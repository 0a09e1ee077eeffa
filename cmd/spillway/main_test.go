package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spillway/deploy/onebox"
	"spillway/deploy/onebox/pgtest"
	"spillway/deploy/onebox/postgres"
)

// asSpillway makes the test binary the program itself, so that what is tested is
// what is built, with the race detector when that is on.
const asSpillway = "TEST_BINARY_IS_SPILLWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asSpillway) != "" {
		main()
	}
	// These tests wait for processes more than they compute. -parallel overrules it.
	if err := flag.Set("test.parallel", strconv.Itoa(max(runtime.GOMAXPROCS(0), atOnce))); err != nil {
		panic(err)
	}
	os.Exit(pgtest.Main(m))
}

// atOnce is how many installations at least are tested at a time: each takes some
// 300 MB of memory, and half a core.
const atOnce = 4

// long leaves a test of many processes out of -short, such as under the race detector, where
// each costs half a minute: shorter ones lead through the same code.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("many processes: runs without -short")
	}
}

// patience is ample for a busy machine with the race detector: nothing here is a
// matter of speed.
const patience = 4 * time.Minute

// child is a process of the program.
type child struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{} // closed when it has ended
}

// output is what a process has said so far, which may be read while it says more.
type output struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(p)
}

func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.said.Bytes())
}

func (o *output) String() string { return string(o.Bytes()) }

// launch starts the program. Whatever the test forgets is killed at its end.
func launch(t *testing.T, args ...string) *child {
	t.Helper()
	return start(t, nil, nil, args...)
}

// start is launch with more of an environment, and with somebody who reads along what
// it says; nil for nobody.
func start(t *testing.T, environment []string, along io.Writer, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SPILLWAY_") {
			c.cmd.Env = append(c.cmd.Env, kv)
		}
	}
	// What it keeps for its user, such as the pages of rehearsals, goes when the test goes.
	c.cmd.Env = append(c.cmd.Env, asSpillway+"=yes", "XDG_CACHE_HOME="+t.TempDir())
	c.cmd.Env = append(c.cmd.Env, environment...) // the last of a name counts
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	if along != nil {
		c.cmd.Stderr = io.MultiWriter(along, &c.stderr)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState says it all
		close(c.done)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
		if t.Failed() {
			t.Logf("%s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), &c.stdout, &c.stderr)
		}
	})
	return c
}

// wait returns the exit status.
func (c *child) wait() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("%v does not end", c.cmd.Args[1:])
	}
	return c.cmd.ProcessState.ExitCode()
}

// stop asks the process to end, as Ctrl-C does, and wants it to say that all was well.
func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		c.t.Fatal(err)
	}
	if status := c.wait(); status != 0 {
		c.t.Fatalf("%v: exit status %d\n%s", c.cmd.Args[1:], status, &c.stderr)
	}
}

// dataFolder is a place for a data folder that the database's user can reach: for
// root, t.TempDir is closed to it.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spillway-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The Postgres of a process that the test killed may be on its way out.
		err := postgres.EndLeftover(context.Background(), filepath.Join(dir, "data", "postgres"))
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// eventually repeats check until it returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// upArgs starts `up` on any free ports, and never installs anything.
func upArgs(dir string) []string {
	return []string{"up", "--data", dir, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--no-install"}
}

// startUp starts `up` on any free ports and waits until it takes donations.
func startUp(t *testing.T, dir string, args ...string) (*child, onebox.Run) {
	t.Helper()
	c := launch(t, append(upArgs(dir), args...)...)
	var run onebox.Run
	eventually(t, func() (err error) {
		select {
		case <-c.done:
			t.Fatalf("up ended: %s", &c.stderr)
		default:
		}
		if run, err = onebox.ReadRun(dir); err != nil {
			return err
		}
		if !strings.Contains(c.stdout.String(), "Spillway is ready") { // all of it: run.json is there before
			return errors.New("it still starts")
		}
		return ready(run.HTTPURL)
	})
	return c, run
}

func ready(url string) error {
	status, body, err := get(url + "/readyz")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("not ready: %s", body)
	}
	return err
}

var client = &http.Client{Timeout: 30 * time.Second}

func get(url string) (status int, body []byte, err error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// accepted is the answer to a donation that was taken.
type accepted struct {
	ID          string `json:"id"`
	Token       string `json:"token"`
	Status      string `json:"status"`
	StatusURL   string `json:"status_url"`
	AmountMinor int64  `json:"amount_minor"`
}

// give gives 50 dollars to the demo campaign.
func give(t *testing.T, url, key string) accepted {
	t.Helper()
	body := `{"currency":"USD","lines":[{"campaign":"` + demoCampaign + `","amount_minor":5000}],"payment":{"confirmation_token":"ctoken_card_visa"}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/donations", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a accepted
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("give: %s, %v", res.Status, err)
	}
	return a
}

// wantTotal waits until the demo campaign has so many donations of 50 dollars.
func wantTotal(t *testing.T, url string, donations int64) {
	t.Helper()
	eventually(t, func() error {
		_, body, err := get(url + "/v1/campaigns/" + demoCampaign + "/totals")
		if err != nil {
			return err
		}
		var total struct {
			PledgedMinor int64 `json:"pledged_minor"`
			Donations    int64 `json:"donations"`
		}
		if err := json.Unmarshal(body, &total); err != nil {
			return fmt.Errorf("%s: %w", body, err)
		}
		if total.Donations > donations {
			t.Fatalf("counted more than once: %s", body)
		}
		if total.Donations != donations || total.PledgedMinor != 5000*donations {
			return fmt.Errorf("total is %s, want %d donations", body, donations)
		}
		return nil
	})
}

func TestUp_ADonationIsRecordedOnceAndSurvivesEverything(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)
	first := give(t, run.HTTPURL, "an-idempotency-key-of-a-test")
	if again := give(t, run.HTTPURL, "an-idempotency-key-of-a-test"); again != first {
		t.Errorf("the same key and content again: %+v, want %+v", again, first)
	}
	wantTotal(t, run.HTTPURL, 1)
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/cmdline"} {
		if status, body, err := get(run.OpsURL + path); err != nil || status != http.StatusOK {
			t.Errorf("operators' %s: %d, %v: %.200s", path, status, err, body)
		}
	}

	up.stop()
	if !strings.Contains(up.stdout.String(), run.HTTPURL+"/v1/donations") {
		t.Errorf("the banner does not say how to give:\n%s", &up.stdout)
	}
	if _, err := onebox.ReadRun(dir); !errors.Is(err, onebox.ErrNotRunning) {
		t.Errorf("run.json after the stop: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "socket", ".s.PGSQL*")); err != nil || len(left) > 0 {
		t.Errorf("Postgres' socket is still there: %v, %v", left, err)
	}

	up, run = startUp(t, dir)
	wantTotal(t, run.HTTPURL, 1)
	give(t, run.HTTPURL, "another-idempotency-key-of-it")
	if err := up.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-up.done

	_, run = startUp(t, dir) // at once: Postgres may still be on its way out
	wantTotal(t, run.HTTPURL, 2)
	eventually(t, func() error {
		status, body, err := get(run.HTTPURL + first.StatusURL)
		if err == nil && (status != http.StatusOK || !bytes.Contains(body, []byte(`"succeeded"`))) {
			err = fmt.Errorf("state of a recorded donation: %d %s", status, body)
		}
		return err
	})
	wantDay(t, run.HTTPURL, 2, 2*5000)
}

func TestUp_PostgresDiesAndDonorsNoticeNothing(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)
	give(t, run.HTTPURL, "before-the-database-died")
	wantTotal(t, run.HTTPURL, 1)
	line, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(line), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	give(t, run.HTTPURL, "while-the-database-is-away")
	wantTotal(t, run.HTTPURL, 2)
	up.stop()
}

func TestUp_RefusesAFolderInUseAndABusyPort(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)

	second := launch(t, upArgs(dir)...)
	if status := second.wait(); status != exitFailed || !strings.Contains(second.stderr.String(), fmt.Sprint(up.cmd.Process.Pid)) {
		t.Errorf("the same folder: exit status %d, %s", status, &second.stderr)
	}
	if err := ready(run.HTTPURL); err != nil {
		t.Errorf("the second one disturbed the first: %v", err)
	}

	busy := strings.TrimPrefix(run.HTTPURL, "http://")
	third := launch(t, append(upArgs(dataFolder(t)), "--listen", busy)...)
	if status := third.wait(); status != exitFailed || !strings.Contains(third.stderr.String(), busy) || !strings.Contains(third.stderr.String(), "--listen") {
		t.Errorf("the same port: exit status %d, %s", status, &third.stderr)
	}
	up.stop()
}

func TestUp_ASignalWhileStartingLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up := launch(t, upArgs(dir)...)
	eventually(t, func() error { // somewhere in the middle
		_, err := os.Stat(filepath.Join(dir, "postgres"))
		return err
	})
	if err := up.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	up.wait()
	if out, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		t.Errorf("Postgres was left behind: %s", out)
	}
	again, run := startUp(t, dir)
	give(t, run.HTTPURL, "after-an-interrupted-first-start")
	wantTotal(t, run.HTTPURL, 1)
	again.stop()
}

func TestUp_DrainsAtTheFirstSignalAndObeysTheSecond(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir, "--drain-wait", "1h")
	if err := up.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		status, body, err := get(run.HTTPURL + "/readyz")
		if err == nil && status != http.StatusServiceUnavailable {
			err = fmt.Errorf("still ready while draining: %d %s", status, body)
		}
		return err
	})
	give(t, run.HTTPURL, "given-while-the-front-end-drains") // whoever comes all the same is served
	wantTotal(t, run.HTTPURL, 1)
	time.Sleep(sameSignal) // a second signal is one that comes later than this
	if err := up.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := up.wait(); status != exitForced {
		t.Errorf("exit status %d after the second signal, want %d", status, exitForced)
	}
	up, run = startUp(t, dir)
	wantTotal(t, run.HTTPURL, 1)

	// timeout(1) signals the process and then its group: the same signal twice.
	for range 2 {
		if err := up.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if status := up.wait(); status != 0 {
		t.Errorf("exit status %d after a signal that came twice at once, want a drain", status)
	}
}

func TestRoles_AsProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	engines, run := startUp(t, dir, "--no-ledger")
	ledger := launch(t, "ledger", "--nats-url", run.NATSURL, "--database-url", run.DatabaseURL)
	address := freeAddress(t)
	ingest := launch(t, "ingest", "--nats-url", run.NATSURL, "--secrets", run.SecretsFile, "--listen", address, "--ops-listen", "127.0.0.1:0")
	eventually(t, func() error { return ready("http://" + address) })

	a := give(t, "http://"+address, "given-to-a-front-end-of-its-own")
	if b := give(t, run.HTTPURL, "given-to-a-front-end-of-its-own"); b.ID != a.ID || b.Token != a.Token {
		t.Errorf("two front-ends, the same key: %+v and %+v", a, b)
	}
	for _, url := range []string{"http://" + address, run.HTTPURL} {
		wantTotal(t, url, 1)
	}
	// Everything on one machine, but with the engines of somebody else.
	other, elsewhere := startUp(t, dataFolder(t), "--nats-url", run.NATSURL, "--database-url", run.DatabaseURL, "--secrets", run.SecretsFile)
	wantTotal(t, elsewhere.HTTPURL, 1)
	other.stop()

	ledger.stop()
	give(t, "http://"+address, "given-while-no-ledger-is-there") // a front-end needs the broker only
	again := launch(t, "ledger", "--nats-url", run.NATSURL, "--database-url", run.DatabaseURL)
	wantTotal(t, run.HTTPURL, 2)
	again.stop()
	ingest.stop()
	engines.stop()
}

// freeAddress asks the system for a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := listen("127.0.0.1:0", "--listen")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestRun_SaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		args        []string
		environment []string
		status      int
		says        string
	}{
		"no broker":      {args: []string{"ingest"}, status: exitFailed, says: "--nats-url"},
		"no secrets":     {args: []string{"ingest", "--nats-url", "nats://x"}, status: exitFailed, says: "--secrets"},
		"no database":    {args: []string{"ledger", "--nats-url", "nats://x"}, status: exitFailed, says: "--database-url"},
		"nobody charges": {args: []string{"payments", "--nats-url", "nats://x", "--database-url", "postgres://x"}, status: exitFailed, says: "SPILLWAY_STRIPE_KEY"},
		"no webhook secret": {args: []string{"payments", "--nats-url", "nats://x", "--database-url", "postgres://x", "--stripe-key", "sk_live_hunter2"},
			status: exitFailed, says: "SPILLWAY_STRIPE_WEBHOOK_SECRETS"},
		"no webhook secret for up": {args: []string{"up", "--stripe-key", "sk_live_hunter2"}, status: exitFailed, says: "SPILLWAY_STRIPE_WEBHOOK_SECRETS"},
		"a live key for a simulator": {args: []string{"payments", "--nats-url", "nats://x", "--database-url", "postgres://x", "--stripe-key", "sk_live_hunter2", "--simulator", "http://127.0.0.1:1"},
			status: exitFailed, says: "Stripe alone"},
		"unknown flag":     {args: []string{"up", "--lisen", "x"}, status: exitUsage, says: "--lisen"},
		"unknown command":  {args: []string{"upp"}, status: exitUsage, says: "upp"},
		"misspelt setting": {args: []string{"migrate"}, environment: []string{"SPILLWAY_DATABSE_URL=postgres://u:hunter2@h/d"}, status: exitUsage, says: "SPILLWAY_DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(c.args, c.environment, &stdout, &stderr)
			if status != c.status || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit status %d, want %d; said %q, want %q in it", status, c.status, &stderr, c.says)
			}
			if strings.Contains(stderr.String(), "hunter2") {
				t.Errorf("a secret was printed: %s", &stderr)
			}
		})
	}
}

func TestRun_EveryCommandHasHelp(t *testing.T) {
	for _, command := range [][]string{{}, {"--help"}, {"up", "--help"}, {"ingest", "--help"}, {"ledger", "--help"}, {"migrate", "--help"}, {"secrets", "--help"},
		{"verify", "--help"}, {"rehearse", "--help"}, {"bench", "--help"}, {"payments", "--help"}, {"stripesim", "--help"},
		{"refund", "--help"}, {"gift", "--help"}, {"correct", "--help"}, {"reconcile", "compare", "--help"}} {
		var stdout, stderr bytes.Buffer
		if status := run(command, nil, &stdout, &stderr); status != 0 {
			t.Errorf("%v: exit status %d: %s", command, status, &stderr)
		}
		if len(command) == 2 && !strings.Contains(stdout.String(), "Example") {
			t.Errorf("%v shows no example:\n%s", command, &stdout)
		}
		if len(command) == 2 && !strings.Contains(stdout.String(), "SPILLWAY_") {
			t.Errorf("%v names no environment variables:\n%s", command, &stdout)
		}
	}
}

func TestSecrets_WritesAFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	var stdout, stderr bytes.Buffer
	if status := run([]string{"secrets", "--out", path}, nil, &stdout, &stderr); status != 0 {
		t.Fatal(&stderr)
	}
	if _, err := readSecrets(path); err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if status := run([]string{"secrets", "--out", path}, nil, &stdout, &stderr); status != exitFailed {
		t.Errorf("a second time: exit status %d", status)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the keys were replaced: %v", err)
	}
}

func TestMigrate_TwiceIsOnce(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := migrate(ctx, run.DatabaseURL); err != nil {
		t.Errorf("on a running installation: %v", err)
	}
	up.stop()
}
