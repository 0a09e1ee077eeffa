package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrInUse says that another server runs on the data folder and did not end.
var ErrInUse = errors.New("another Postgres is running on the data folder")

// leftoverPoll is how often a process that is asked to end is looked at: it is
// not our child, so that nobody tells us.
const leftoverPoll = 20 * time.Millisecond

// endLeftover sees to it that no server runs on dir: one that a killed process of
// ours left behind is asked to stop, then told to. A pid file whose process is
// something else entirely (the machine was restarted and the number reused), or
// that names none (a start killed while writing it), is removed, because Postgres
// itself would refuse to start for ever.
func endLeftover(ctx context.Context, dir string, log *slog.Logger) error {
	pidFile := filepath.Join(dir, "postmaster.pid")
	pid, socketDir, err := readPidFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer removeTemporary(socketDir)
	if pid != 0 && !alive(pid) {
		return nil // Postgres removes the file, and checks for orphans of its own
	}
	if pid == 0 || !servesFolder(pid, dir) {
		log.Warn("removing the pid file of a server that is gone", "file", pidFile, "pid", pid)
		if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	log.Info("a Postgres that was left behind is still running; stopping it", "pid", pid)
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStopTimeout}, {syscall.SIGQUIT, quitTimeout}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%w: %s, pid %d: %w", ErrInUse, dir, pid, err)
		}
		if ended, err := awaitEnd(ctx, pid, step.wait); ended || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s, pid %d", ErrInUse, dir, pid)
}

// awaitEnd polls until the process has gone, or wait is over.
func awaitEnd(ctx context.Context, pid int, wait time.Duration) (ended bool, err error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(leftoverPoll)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-deadline.C:
			return false, nil
		case <-tick.C:
		}
	}
	return true, nil
}

// alive tells whether a process of this number exists, ours to signal or not.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// readPidFile reads the first and the fifth line of postmaster.pid: the
// postmaster's number and its socket's folder (miscadmin.h, LOCK_FILE_LINE_*).
func readPidFile(path string) (pid int, socketDir string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; n <= 5 && lines.Scan(); n++ {
		switch text := strings.TrimSpace(lines.Text()); n {
		case 1:
			// A half-written file of a start that was killed at once holds no number.
			if pid, err = strconv.Atoi(text); err != nil {
				return 0, "", nil
			}
		case 5:
			socketDir = text
		}
	}
	if pid < 0 { // a stand-alone backend writes its number negated
		pid = -pid
	}
	return pid, socketDir, lines.Err()
}

// EndLeftover stops a server that a process which is gone left running on dir.
func EndLeftover(ctx context.Context, dir string) error {
	return endLeftover(ctx, dir, slog.New(slog.DiscardHandler))
}
