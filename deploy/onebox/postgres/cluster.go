package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds the wait for a child to accept connections: redo of
	// max_wal_size after a crash takes well under a minute on any disk we know.
	startTimeout = 3 * time.Minute
	// probeEvery is how often a starting child is asked whether it answers.
	probeEvery = 20 * time.Millisecond
	// probeTimeout bounds one such question.
	probeTimeout = 2 * time.Second
	// fastStopTimeout is how long a fast shutdown (SIGINT: sessions are ended, a
	// checkpoint is written) may take before an immediate one (SIGQUIT), which
	// leaves the next start to redo the log.
	fastStopTimeout = 30 * time.Second
	// quitTimeout is what remains after SIGQUIT; Postgres kills its own children
	// after 5 s, then the kernel gets the word.
	quitTimeout = 10 * time.Second
	// A child that dies is started again after restartDelayMin, twice that, and
	// so on up to restartDelayMax; one that lived for calmAfter begins anew.
	restartDelayMin = 100 * time.Millisecond
	restartDelayMax = 10 * time.Second
	calmAfter       = time.Minute
	// startAttempts is how many children may die before the first one answered:
	// the orphans of a killed server hold its shared memory for a moment, anything
	// that lasts longer is an error for a person.
	startAttempts = 5
)

// superuser owns every database of the cluster. The socket's folder is the lock
// on the door: whoever can enter it is this user or root.
const superuser = "spillway"

// Config says what to run and where.
type Config struct {
	Binaries Binaries
	// Dir is the data folder; created with its missing parents when absent.
	Dir string
	// SocketDir is where the socket goes when its path is short enough, otherwise,
	// or when empty, a short private folder under the system's temporary one.
	SocketDir string
	// Settings are given to the server after the common ones.
	Settings []Setting
	// Output receives what initdb and the server print; a file, so that the server
	// may go on printing while this process dies. Required.
	Output *os.File
	// Log receives the supervisor's decisions; default: none.
	Log *slog.Logger
}

// Cluster is a running private cluster.
type Cluster struct {
	cfg       Config
	id        Identity
	socketDir string
	ownSocket bool // socketDir is a temporary folder of ours
	log       *slog.Logger

	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{} // closed when supervise has ended
	answered atomic.Bool   // a child has accepted a connection

	mu    sync.Mutex
	child *os.Process // nil between two children
}

// Start creates the cluster if there is none, ends what an earlier process left
// running on it, starts the server and returns when it accepts connections. From
// then on a server that dies is started again, until Stop.
//
// A cancelled ctx ends the start; it does not end a cluster that has started.
// Errors: *ClosedFolderError; ErrInUse; anything initdb or the server said, with
// the tail of their output.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	id, err := ServerIdentity()
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, id: id, log: cfg.Log, stop: make(chan struct{}), done: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if err := c.prepareFolders(ctx); err != nil {
		return nil, err
	}
	if err := endLeftover(ctx, c.cfg.Dir, c.log); err != nil {
		c.removeSocketDir()
		return nil, err
	}
	if err := c.create(ctx); err != nil {
		c.removeSocketDir()
		return nil, err
	}
	first := make(chan error, 1)
	go c.supervise(first)
	if err = <-first; err == nil {
		err = c.await(ctx)
	}
	if err != nil {
		err = withTail(err, c.cfg.Output)
		c.Stop()
		return nil, err
	}
	return c, nil
}

// URL is the address of a database of the cluster.
func (c *Cluster) URL(database string) string {
	q := url.Values{"host": {c.socketDir}, "user": {superuser}}
	return "postgres:///" + url.PathEscape(database) + "?" + q.Encode()
}

// SocketDir is where the server's socket is.
func (c *Cluster) SocketDir() string { return c.socketDir }

// PID is the postmaster's process id, 0 while there is none.
func (c *Cluster) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == nil {
		return 0
	}
	return c.child.Pid
}

// Stop shuts the server down, fast first and harder when that takes too long,
// and returns when it has ended. It may be called more than once.
func (c *Cluster) Stop() {
	c.stopOnce.Do(func() { close(c.stop) })
	<-c.done
	c.removeSocketDir()
}

// await returns when the server accepts a connection, and an error when ctx or
// the start's own deadline ends, or the supervisor gives up.
func (c *Cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("Postgres did not accept connections within %v", startTimeout))
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := c.probe(ctx)
		if err == nil {
			c.answered.Store(true)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start postgres: %w", context.Cause(ctx))
		case <-c.done:
			return errors.New("start postgres: the server ended")
		case <-tick.C:
		}
	}
}

func (c *Cluster) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// CreateDatabase creates an empty database unless it is there.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&there); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// signal sends the child a signal, if there is one.
func (c *Cluster) signal(sig os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child != nil {
		_ = c.child.Signal(sig) // gone already: what the signal was for
	}
}

// Kill ends the postmaster as a crash would; the supervisor starts another. For tests of those who must survive it.
func (c *Cluster) Kill() { c.signal(syscall.SIGKILL) }

// tailBytes is how much of the server's last words an error quotes.
const tailBytes = 2 << 10

// withTail adds what the server printed last.
func withTail(err error, output *os.File) error {
	fi, serr := output.Stat()
	if serr != nil || fi.Size() == 0 {
		return err
	}
	tail := make([]byte, min(fi.Size(), tailBytes))
	n, rerr := output.ReadAt(tail, fi.Size()-int64(len(tail)))
	if n == 0 || (rerr != nil && !errors.Is(rerr, io.EOF)) {
		return err
	}
	return fmt.Errorf("%w\nlast lines of %s:\n%s", err, output.Name(), tail[:n])
}
