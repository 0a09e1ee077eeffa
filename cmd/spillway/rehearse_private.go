package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
)

// Bounds of a private `up`.
const (
	// privateStart allows for installing Postgres with the package manager.
	privateStart = 10 * time.Minute
	// privateStop is the drain's and Postgres' own time, and some.
	privateStop = 2 * time.Minute
	privatePoll = 50 * time.Millisecond
	// tailBytes is how much of a failed start's output is told.
	tailBytes = 4 << 10
)

// private is an `up` of our own: this same program as a child process, in a folder
// that goes when the proof holds.
type private struct {
	dir, data, log string
	logs           string // pattern of the files that it logs to
	cmd            *exec.Cmd
	ended          chan struct{} // closed when the child has
	waited         error
	screen         *screen
}

// startPrivate starts it, with further arguments, and waits until it takes donations.
func startPrivate(p *process, s *screen, args ...string) (*private, error) {
	dir, err := os.MkdirTemp("", "spillway-rehearsal-")
	if err != nil {
		return nil, err
	}
	// Postgres of a root user runs as another one, who has to pass through.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see above
		return nil, err
	}
	u := &private{dir: dir, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "up.log"), logs: filepath.Join(dir, "*.log"), ended: make(chan struct{}), screen: s}
	s.say("starting a private spillway in " + dir)
	if err := u.start(p, args); err != nil {
		return nil, errors.Join(err, u.end(false))
	}
	return u, nil
}

func (u *private) start(p *process, args []string) error {
	self, err := os.Executable()
	if err != nil {
		close(u.ended)
		return err
	}
	log, err := os.Create(u.log)
	if err != nil {
		close(u.ended)
		return err
	}
	u.cmd = exec.Command(self, append([]string{"up", "--data", u.data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--log-level", "info"}, args...)...)
	u.cmd.Stdout, u.cmd.Stderr = log, log
	u.cmd.SysProcAttr = privateAttributes()
	for _, kv := range os.Environ() { // what was set for us is not meant for it
		if !strings.HasPrefix(kv, config.Prefix+"_") {
			u.cmd.Env = append(u.cmd.Env, kv)
		}
	}
	started := make(chan error, 1)
	go u.child(log, started)
	if err := <-started; err != nil {
		return err
	}
	return u.await(p.ctx)
}

// run is the child's whole life.
func (u *private) run(log *os.File, started chan<- error) {
	defer close(u.ended)
	defer log.Close() // the child wrote it
	if err := u.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	u.waited = u.cmd.Wait()
}

// await waits until it is ready.
func (u *private) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, privateStart)
	defer cancel()
	tick := time.NewTicker(privatePoll)
	defer tick.Stop()
	for {
		select {
		case <-u.ended:
			return fmt.Errorf("the private spillway did not start; its output ends:\n%s", tail(u.log))
		case <-ctx.Done():
			return fmt.Errorf("the private spillway: %w; its output ends:\n%s", ctx.Err(), tail(u.log))
		case <-tick.C:
		}
		if run, err := onebox.ReadRun(u.data); err == nil && isReady(ctx, run.HTTPURL) {
			return nil
		}
	}
}

func isReady(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // only the status counts
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// end stops the child, drained; and removes its folder, unless it is evidence.
func (u *private) end(remove bool) error {
	if u.cmd != nil && u.cmd.Process != nil {
		u.screen.say("stopping the private spillway")
		_ = u.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		late := time.NewTimer(privateStop)
		defer late.Stop()
		select {
		case <-u.ended:
		case <-late.C:
			_ = u.cmd.Process.Kill()
		}
	}
	<-u.ended
	u.screen.end()
	if !remove {
		u.screen.line("The private spillway's data and output are kept in " + u.dir)
		return nil
	}
	if u.waited != nil {
		return fmt.Errorf("the private spillway ended with %w; its output ends:\n%s", u.waited, tail(u.log))
	}
	return os.RemoveAll(u.dir)
}

// tail is the end of a file.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-tailBytes):])
}
