//go:build linux

package rig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests; a passing one takes milliseconds.
const patience = time.Minute

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Command{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProcess_EndsWithItsStatusAndItsLog(t *testing.T) {
	p := shell(t, "echo last words; exit 7")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Wait(ctx); err == nil || p.ExitCode() != 7 {
		t.Errorf("wait: %v, status %d, want 7", err, p.ExitCode())
	}
	if !strings.Contains(p.Tail(), "last words") {
		t.Errorf("log ends %q", p.Tail())
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing one that ended: %v", err)
	}
	if err := p.Pause(); err != nil {
		t.Errorf("pausing one that ended stands still already: %v", err)
	}
}

func TestProcess_PausedStandsStillUntilResumed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ticks")
	p := shell(t, "while :; do echo tick >> "+file+"; done")
	grows := func(from int64) bool { return size(file) > from }
	await(t, "the first tick", func() bool { return grows(0) })
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	stood := size(file)
	if state, err := processState(p.PID()); state != 'T' || err != nil {
		t.Errorf("state %c, %v", state, err)
	}
	if grows(stood) {
		t.Error("a paused process writes")
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, "ticks after the pause", func() bool { return grows(stood) })
}

func TestProcess_StopKillsWhoDoesNotEnd(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	p := shell(t, "trap '' TERM; touch "+ready+"; while :; do sleep 1; done")
	await(t, "the trap", func() bool { return size(ready) >= 0 })
	if orderly, err := p.Stop(10 * time.Millisecond); orderly || err != nil {
		t.Errorf("orderly %v, %v", orderly, err)
	}
	if p.ExitCode() != -1 {
		t.Errorf("status %d, want a signal's", p.ExitCode())
	}
}

// What a killed role leaves behind is found by the rig's folder and ended.
func TestFamily_FindsOrphansAndNobodyElse(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	stranger := shell(t, "exec sleep 100")
	p, err := Start(Command{Name: "parent", Path: "/bin/sh", Dir: dir, Log: filepath.Join(t.TempDir(), "log"),
		Args: []string{"-c", "setsid sleep 100 & echo $! > pid; wait"}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the child", func() bool { return size(pid) > 0 })
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	family, err := Family(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(family) != 1 {
		t.Fatalf("family %v, want the orphan alone", family)
	}
	if err := KillAll(family...); err != nil {
		t.Fatal(err)
	}
	if left, err := Family(dir); len(left) != 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	if !stranger.Running() {
		t.Error("a stranger was killed")
	}
}

func TestProcess_NoSuchProgram(t *testing.T) {
	_, err := Start(Command{Name: "none", Path: filepath.Join(t.TempDir(), "none"), Log: filepath.Join(t.TempDir(), "log")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// size of a file, -1 when there is none.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// await polls for an outcome that has no signal of its own.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s never came", what)
		}
		time.Sleep(time.Millisecond)
	}
}
