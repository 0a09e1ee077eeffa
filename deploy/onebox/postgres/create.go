package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// create runs initdb when there is no cluster. initdb writes into a folder beside
// the data folder that is renamed when all is well, so that a start killed in the
// middle leaves nothing that looks like a cluster.
func (c *Cluster) create(ctx context.Context) error {
	version, err := os.ReadFile(filepath.Join(c.cfg.Dir, "PG_VERSION"))
	if err == nil {
		return c.checkVersion(strings.TrimSpace(string(version)))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	alone, err := c.creator(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = alone.Close() }() // a folder: there is nothing to flush
	fresh := filepath.Join(c.cfg.Dir, "new")
	if err := c.emptyExcept(fresh); err != nil {
		return err
	}
	args := []string{
		"-D", fresh, "-U", superuser, "-E", "UTF8",
		"-A", "trust", // see superuser
		"--data-checksums",
	}
	args = append(args, localeArgs(c.cfg.Binaries.Major)...)
	if c.disposable() {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.Program("initdb"), args...)
	cmd.Dir = c.cfg.Dir
	cmd.Env = childEnvironment()
	cmd.Stdout, cmd.Stderr = c.cfg.Output, c.cfg.Output
	cmd.SysProcAttr = attributes(c.id)
	cmd.ExtraFiles = []*os.File{alone} // see creator
	runtime.LockOSThread()             // see supervise
	err = cmd.Run()
	runtime.UnlockOSThread()
	if err != nil {
		return withTail(fmt.Errorf("initdb: %w", err), c.cfg.Output)
	}
	return c.adopt(fresh)
}

const (
	// creatorTimeout bounds the wait for the initdb of a killed process: it is told
	// to end and takes the time to remove what it wrote.
	creatorTimeout = 30 * time.Second
	creatorPoll    = 20 * time.Millisecond
)

// creator opens the data folder and locks it for whoever creates a cluster there.
// initdb inherits the descriptor, and with it the lock, and so do the servers that
// it starts: when this process is killed, the next one waits until the last of
// them has ended, whose hand would otherwise still be in the folder.
func (c *Cluster) creator(ctx context.Context) (*os.File, error) {
	folder, err := os.Open(c.cfg.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, creatorTimeout, fmt.Errorf("an earlier initdb still works in %s after %v", c.cfg.Dir, creatorTimeout))
	defer cancel()
	tick := time.NewTicker(creatorPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return folder, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", c.cfg.Dir, err), folder.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("create cluster: %w", context.Cause(ctx)), folder.Close())
		case <-tick.C:
		}
	}
}

// adopt moves what initdb made into the data folder, PG_VERSION last: it is what
// says that a cluster is there.
func (c *Cluster) adopt(fresh string) error {
	entries, err := os.ReadDir(fresh)
	if err != nil {
		return err
	}
	move := func(name string) error {
		return os.Rename(filepath.Join(fresh, name), filepath.Join(c.cfg.Dir, name))
	}
	for _, e := range entries {
		if e.Name() == "PG_VERSION" {
			continue
		}
		if err := move(e.Name()); err != nil {
			return err
		}
	}
	if err := move("PG_VERSION"); err != nil {
		return err
	}
	return os.Remove(fresh)
}

// emptyExcept clears the leftovers of an interrupted create, and refuses a folder
// with anything else in it: it is somebody's data, not ours.
func (c *Cluster) emptyExcept(fresh string) error {
	entries, err := os.ReadDir(c.cfg.Dir)
	if err != nil {
		return err
	}
	_, err = os.Stat(fresh)
	interrupted := err == nil
	for _, e := range entries {
		if !interrupted {
			return fmt.Errorf("%s holds %s and no Postgres cluster; choose an empty folder", c.cfg.Dir, e.Name())
		}
		if err := os.RemoveAll(filepath.Join(c.cfg.Dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion compares the cluster's major version with the server's: Postgres
// cannot start on another's data folder.
func (c *Cluster) checkVersion(cluster string) error {
	if cluster == strconv.Itoa(c.cfg.Binaries.Major) {
		return nil
	}
	return fmt.Errorf("%w: %s was made by Postgres %s and the server found is %s in %s",
		ErrOtherVersion, c.cfg.Dir, cluster, c.cfg.Binaries.Version, c.cfg.Binaries.Dir)
}

// ErrOtherVersion says that the data folder belongs to another major version.
var ErrOtherVersion = errors.New("the data folder needs another major version of Postgres")

// ClusterMajor is the major version that made the cluster in dir, 0 when there is none.
func ClusterMajor(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return major
}

// localeArgs chooses byte order for sorting: the fastest, the same on every
// system, and unharmed by an upgrade of the C library. From 17 on the built-in
// provider adds full Unicode character classes.
func localeArgs(major int) []string {
	if major >= 17 {
		return []string{"--locale-provider=builtin", "--locale=C.UTF-8"}
	}
	return []string{"--locale=C"}
}

// disposable tells whether the cluster need not survive a power cut.
func (c *Cluster) disposable() bool {
	for _, s := range c.cfg.Settings {
		if s.Name == "fsync" {
			return s.Value == "off"
		}
	}
	return false
}
