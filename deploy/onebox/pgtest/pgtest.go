// Package pgtest gives tests a real Postgres: a private cluster that the test
// binary's tests share, and an empty database for each of them.
//
// The one invariant: nothing outlives the test binary. Main stops the cluster
// and removes its folder; when the binary panics or is killed, the server ends by
// itself (Linux) and the next run removes the folder.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/postgres"
)

const (
	// startTimeout bounds finding, creating and starting a cluster: 2 s when the
	// machine is idle.
	startTimeout = 2 * time.Minute
	// statementTimeout bounds creating or dropping a database.
	statementTimeout = time.Minute
	// prefix names our folders under the system's temporary one.
	prefix = "spillway-pgtest-"
)

// Cluster is a private cluster for tests.
type Cluster struct {
	*postgres.Cluster
	config postgres.Config
	folder string
	lock   *os.File
	count  atomic.Int64
}

var (
	sharedOnce    sync.Once
	sharedCluster *Cluster
	errShared     error
)

// Main runs the tests of a package and then stops the cluster they shared:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// Without an installed Postgres the whole package fails in one line that names the
// command to run; nothing is installed. A package that does without Main fails test
// by test, and still leaves no server behind on Linux.
func Main(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := find(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if sharedCluster != nil {
			sharedCluster.Close()
		}
	}()
	return m.Run()
}

// URL creates an empty database in the shared cluster and returns its address. It
// is dropped when the test ends. The cluster does not sync: it forgets everything
// at a power cut and is many times faster.
func URL(t testing.TB) string {
	t.Helper()
	sharedOnce.Do(func() { sharedCluster, errShared = start(postgres.Disposable) })
	if errShared != nil {
		t.Fatal(errShared)
	}
	return sharedCluster.Database(t)
}

// Durable starts a cluster of the test's own that syncs like that of `spillway
// up`, to be killed, stopped and started at will.
func Durable(t testing.TB) *Cluster { return private(t, nil) }

// Private starts a cluster of the test's own that does not sync.
func Private(t testing.TB) *Cluster { return private(t, postgres.Disposable) }

func private(t testing.TB, settings []postgres.Setting) *Cluster {
	t.Helper()
	c, err := start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Database creates an empty database and returns its address; it is dropped when
// the test ends, with whatever is still connected to it.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", c.count.Add(1))
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Logf("drop %s: %v", name, err) // the cluster may have been stopped by the test
		}
	})
	return c.URL(name)
}

func (c *Cluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// Restart starts the server again after Stop, on the same data and under the same addresses.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again, err := postgres.Start(ctx, c.config)
	if err != nil {
		t.Fatal(err)
	}
	c.Cluster = again
}

// Close stops the server and removes everything.
func (c *Cluster) Close() {
	if c.Cluster != nil {
		c.Stop()
	}
	_ = c.config.Output.Close()
	_ = os.RemoveAll(c.folder) // what stays is removed by the next run
	_ = c.lock.Close()
}

// find is the finder of `spillway up`, and its variable.
func find(ctx context.Context) (postgres.Binaries, error) {
	host := postgres.ThisHost()
	b, err := host.Find(ctx, os.Getenv("SPILLWAY_POSTGRES_BIN"), 0)
	if err != nil {
		return b, fmt.Errorf("%w; run: %s", err, host.Hint())
	}
	return b, nil
}

// start prepares a cluster and starts it.
func start(settings []postgres.Setting) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := prepare(settings)
	if err != nil {
		return nil, err
	}
	if c.Cluster, err = postgres.Start(ctx, c.config); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare makes a folder and finds Postgres; nothing runs yet.
func prepare(settings []postgres.Setting) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	binaries, err := find(ctx)
	if err != nil {
		return nil, err
	}
	sweep()
	folder, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder}
	if err := os.Chmod(folder, 0o711); err != nil { // for root: the server is another user
		return nil, err
	}
	// Locked before it has the name that sweep looks for.
	if c.lock, err = lock(filepath.Join(folder, "locking")); err != nil {
		return nil, err
	}
	if err := os.Rename(c.lock.Name(), filepath.Join(folder, "lock")); err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(folder, "postgres.log"))
	if err != nil {
		return nil, err
	}
	c.config = postgres.Config{
		Binaries: binaries, Settings: settings, Output: output,
		Dir: filepath.Join(folder, "postgres"), SocketDir: filepath.Join(folder, "s"),
	}
	return c, nil
}

// sweep removes the folders of test binaries that were killed: those whose lock
// nobody holds.
func sweep() {
	stale, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", "lock")) // the pattern is well formed
	for _, path := range stale {
		f, err := lock(path)
		if err != nil {
			continue // in use, or another user's
		}
		_ = postgres.EndLeftover(context.Background(), filepath.Join(filepath.Dir(path), "postgres"))
		if dir := filepath.Dir(path); strings.HasPrefix(filepath.Base(dir), prefix) {
			_ = os.RemoveAll(dir) // the next run tries again
		}
		_ = f.Close()
	}
}
