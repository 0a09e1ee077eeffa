package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// supervise runs the server until Stop, again and again if need be. The first
// attempt to start it is reported to first.
func (c *Cluster) supervise(first chan<- error) {
	runtime.LockOSThread() // the parent-death signal follows the thread that forks
	defer close(c.done)
	delay := restartDelayMin
	for n := 0; ; n++ {
		began := time.Now()
		exited, err := c.launch()
		if n == 0 {
			first <- err
			if err != nil {
				return
			}
		}
		if err == nil {
			select {
			case <-c.stop:
				c.end(exited)
				return
			case err = <-exited:
			}
		}
		if !c.answered.Load() && n+1 >= startAttempts {
			return
		}
		if time.Since(began) > calmAfter {
			delay = restartDelayMin
		}
		c.log.Error("the private Postgres ended; starting it again", "reason", err, "in", delay)
		select {
		case <-c.stop:
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, restartDelayMax)
	}
}

// launch starts one server process. exited receives why it ended.
//
// The fork happens on the caller's thread; waiting does not need it.
func (c *Cluster) launch() (exited chan error, err error) {
	argv := []string{"-D", c.cfg.Dir}
	for _, s := range append(common(c.socketDir), c.cfg.Settings...) {
		argv = append(argv, "-c", s.Name+"="+s.Value)
	}
	cmd := exec.Command(c.cfg.Binaries.Program("postgres"), argv...)
	cmd.Dir = c.cfg.Dir
	cmd.Env = childEnvironment()
	cmd.Stdout, cmd.Stderr = c.cfg.Output, c.cfg.Output
	cmd.SysProcAttr = attributes(c.id)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	favour(cmd.Process.Pid) // before it has children, who inherit it
	c.mu.Lock()
	c.child = cmd.Process
	c.mu.Unlock()
	exited = make(chan error, 1)
	go func() {
		err := cmd.Wait()
		c.mu.Lock()
		c.child = nil
		c.mu.Unlock()
		if err == nil {
			err = fmt.Errorf("it was shut down by somebody else")
		}
		exited <- err
	}()
	return exited, nil
}

// end shuts the running server down: fast, immediately, by force.
func (c *Cluster) end(exited <-chan error) {
	for _, step := range []struct {
		signal os.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStopTimeout}, {syscall.SIGQUIT, quitTimeout}} {
		c.signal(step.signal)
		select {
		case <-exited:
			return
		case <-time.After(step.wait):
			c.log.Warn("the private Postgres is slow to stop", "waited", step.wait)
		}
	}
	c.signal(syscall.SIGKILL)
	<-exited
}

// childEnvironment is ours without what would redirect the server or tell it a secret.
func childEnvironment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "PG") || strings.HasPrefix(kv, "SPILLWAY_") || strings.HasPrefix(kv, "LC_") || strings.HasPrefix(kv, "LANG") {
			continue
		}
		env = append(env, kv)
	}
	return append(env, "LC_ALL=C")
}
