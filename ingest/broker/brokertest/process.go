package brokertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"spillway/ingest/broker"
)

// serveEnv makes a test binary serve as the broker of another one: a process that
// can be killed without a program to be built first.
const serveEnv = "SPILLWAY_BROKERTEST_SERVE"

func init() {
	path := os.Getenv(serveEnv)
	if path == "" {
		return
	}
	opts, err := server.ProcessConfigFile(path)
	if err == nil {
		opts.NoLog = true
		var srv *server.Server
		if srv, err = server.NewServer(opts); err == nil {
			srv.Start()
			srv.WaitForShutdown()
			os.Exit(0)
		}
	}
	fmt.Fprintln(os.Stderr, "brokertest:", err)
	os.Exit(1)
}

// Process is a broker as a process of its own, reached by a socket.
type Process struct {
	server *Server // its settings, store and address; never started in this process
	cmd    *exec.Cmd
}

// StartProcess runs a broker process until the test ends.
func StartProcess(t testing.TB, opts ...Option) *Process {
	t.Helper()
	p := &Process{server: newServer(t, append(opts, WithTCP()))}
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// URL is the process's address with the roles' credentials.
func (p *Process) URL() string { return p.server.URL() }

// Connect returns another connection, closed when the test ends.
func (p *Process) Connect() *broker.Broker {
	p.server.t.Helper()
	return p.server.Connect()
}

// New returns a connection to the process with all streams created.
func (p *Process) New() *broker.Broker {
	p.server.t.Helper()
	b := p.Connect()
	if err := b.EnsureTopology(p.server.t.Context()); err != nil {
		p.server.t.Fatal(err)
	}
	return b
}

// Start starts the process on the store it had and waits until it listens.
func (p *Process) Start() {
	t := p.server.t
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, "-test.run=^$")
	p.cmd.Env = append(os.Environ(), serveEnv+"="+p.server.write())
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", p.server.address, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("broker process does not listen: %v", err)
		}
	}
}

// Signal sends a signal to the process: SIGSTOP freezes it, SIGCONT thaws it.
func (p *Process) Signal(sig os.Signal) {
	p.server.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.server.t.Fatal(err)
	}
	if sig == syscall.SIGSTOP {
		p.awaitStopped()
	}
}

// awaitStopped returns when every thread has stopped: a signal is on its way for a
// moment, and a broker that goes on for so long may still answer. Where there is no
// /proc that moment is hoped to be over.
func (p *Process) awaitStopped() {
	p.server.t.Helper()
	for deadline := time.Now().Add(stopWait); ; {
		states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil {
			p.server.t.Fatal(err)
		}
		running := slices.ContainsFunc(states, func(path string) bool {
			stat, err := os.ReadFile(path)
			_, after, ok := strings.Cut(string(stat), ") ") // the state follows the name in brackets
			return err == nil && ok && !strings.HasPrefix(after, "T")
		})
		if !running {
			return
		}
		if time.Now().After(deadline) {
			p.server.t.Fatalf("the broker has not stopped in %v", stopWait)
		}
		time.Sleep(time.Millisecond)
	}
}

// stopWait is generous: stopping takes microseconds on a machine that is not busy.
const stopWait = 20 * time.Second

// Kill ends the process as kill -9 does; a dead one stays dead.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be dead already
	_ = p.cmd.Wait()         // says "killed"
	p.cmd = nil
}
