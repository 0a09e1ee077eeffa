//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command says how a process of the rig is started.
type Command struct {
	Name string // of the role, as logs and reports show it
	Path string // the program
	Args []string
	Env  []string // in addition to this process's own, without what is set for a spillway
	Dir  string   // working directory; "" for this process's own
	Log  string   // file that gets stdout and stderr, appended to
	// Credential runs the program as another user; nil keeps this process's own.
	Credential *syscall.Credential
}

// Process is one child of the rig, in a process group of its own.
type Process struct {
	Command
	cmd  *exec.Cmd
	done chan struct{} // closed once the child has been reaped
	err  error         // of cmd.Wait; valid after done
}

// stateWait is how long a signalled process may take to stop or end. A killed
// process ends once its system calls do; 30 s is a disk that has gone away.
const stateWait = 30 * time.Second

// Start starts the command and returns at once.
func Start(c Command) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	for _, kv := range os.Environ() { // what was set for us is not meant for it
		if !strings.HasPrefix(kv, "SPILLWAY_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	bindToParent(cmd.SysProcAttr)
	err = spawn(cmd)
	log.Close() // the child has its own descriptor
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Command: c, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// spawner starts every process from one thread that lives as long as the test
// binary: the parent-death signal follows the thread that forked, not the process.
var spawner = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

func spawn(cmd *exec.Cmd) error {
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }
	return <-result
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ExitCode is the status the process ended with, -1 when a signal ended it. It
// waits for the end.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Wait waits for the end of the process. Errors: the context's, or how it ended
// when that is not status 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.Name, p.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", p.Name, ctx.Err())
	}
}

// Signal sends a signal to the process alone, not to its children.
func (p *Process) Signal(sig syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("%s: %w", p.Name, os.ErrProcessDone)
	}
	return p.cmd.Process.Signal(sig)
}

// Kill is kill -9 of the process alone; it returns once the process is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.gone()
}

// Stop asks for an orderly end, waits for it as long as grace, and then kills.
// It tells whether the end was orderly.
func (p *Process) Stop(grace time.Duration) (orderly bool, err error) {
	return p.end(syscall.SIGTERM, grace)
}

// Interrupt is Stop by SIGINT, which is Postgres' fast shutdown.
func (p *Process) Interrupt(grace time.Duration) (orderly bool, err error) {
	return p.end(syscall.SIGINT, grace)
}

func (p *Process) end(ask syscall.Signal, grace time.Duration) (orderly bool, err error) {
	if err := p.Signal(ask); errors.Is(err, os.ErrProcessDone) {
		return true, nil
	}
	select {
	case <-p.done:
		return true, nil
	case <-time.After(grace):
		return false, p.Kill()
	}
}

// Pause freezes the process and returns once every thread of it stands still.
func (p *Process) Pause() error { return Freeze(p.PID()) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

func (p *Process) gone() error {
	select {
	case <-p.done:
		return nil
	case <-time.After(stateWait):
		return fmt.Errorf("%s (pid %d) survives SIGKILL", p.Name, p.PID())
	}
}

// Tail returns the end of the process's log, for messages of failure.
func (p *Process) Tail() string { return tail(p.Log, 4<<10) }

func tail(path string, bytesMax int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(info.Size(), bytesMax))
	n, _ := f.ReadAt(b, info.Size()-int64(len(b)))
	return string(b[:n])
}
