// Package haproxytest runs a real HAProxy for tests, with the configuration that operators
// get: other addresses, one server for each colour, no TLS.
//
// The one invariant: it runs as services run it, a master and its worker, and is read anew
// as `systemctl reload` does it: the listener stays, and no donor is turned away.
//
// Goroutines: one for each process, until it has ended; the test's end waits for it.
package haproxytest

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/deploy/haproxy"
)

// within is how long anything here may take on a machine that is busy with other work.
const within = 30 * time.Second

// Program finds HAProxy: where HAPROXY_PROGRAM says, on the PATH, or where Debian keeps
// it. Without one the test is skipped by name.
func Program(t testing.TB) string {
	t.Helper()
	for _, candidate := range []string{os.Getenv("HAPROXY_PROGRAM"), "haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(candidate); candidate != "" && err == nil {
			return path
		}
	}
	t.Skip("haproxy is not installed; HAPROXY_PROGRAM names it")
	return ""
}

// Shipped is a file of deploy/haproxy as operators get it.
func Shipped(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "deploy", "haproxy", name)) //nolint:gosec // of this tree
		switch up := filepath.Dir(dir); {
		case err == nil:
			return string(b)
		case !errors.Is(err, fs.ErrNotExist) || up == dir:
			t.Fatal(err)
		default:
			dir = up
		}
	}
}

// Options say what stands behind the proxy, as host:port.
type Options struct {
	Blue, Green string
	// OldSystem is an older system; "" leaves strangler.cfg out.
	OldSystem string
	// OldHost is the name that it knows itself by, "" for donors' own.
	OldHost string
	// Maps is the folder of another proxy's maps; "" gives it maps of its own.
	Maps string
}

// Proxy is a running HAProxy.
type Proxy struct {
	// Front is host:port that donors reach.
	Front string
	// Socket is the administrators'.
	Socket haproxy.Socket
	// Maps is the folder of strangler.cfg's maps, as they are shipped to begin with.
	Maps string

	master *exec.Cmd
	ended  chan struct{}
}

// portsMost is how many free ports are tried: between finding one and using it somebody
// else may take it.
const portsMost = 10

// Start starts one, which ends with the test.
func Start(t testing.TB, o Options) *Proxy {
	t.Helper()
	program := Program(t)
	for range portsMost {
		if p := try(t, program, o); p != nil {
			return p
		}
	}
	t.Fatalf("haproxy ended %d times at its start", portsMost)
	return nil
}

// try returns nil when the process ended at its start.
func try(t testing.TB, program string, o Options) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "hp") // a test's name in it would not do: HAProxy minds commas
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // in the system's temporary folder
	p := &Proxy{Front: freeAddress(t), Maps: filepath.Join(dir, "route"), ended: make(chan struct{})}
	p.Socket.Address = filepath.Join(dir, "s")
	if o.Maps != "" {
		p.Maps = o.Maps
	}
	config := Shipped(t, "haproxy.cfg")
	for _, line := range []string{`(?m)^    bind :443 .*\n`, `(?m)^    http-request redirect scheme https .*\n`, `(?m)^    server (blue|green)-2 .*\n`} {
		config = regexp.MustCompile(line).ReplaceAllString(config, "")
	}
	elsewhere := strings.NewReplacer("bind :80\n", "bind "+p.Front+"\n", "/run/haproxy/admin.sock", p.Socket.Address, "bind 127.0.0.1:8404", "bind "+filepath.Join(dir, "o"),
		"10.0.0.11:8080", o.Blue, "10.0.0.21:8080", o.Green, "maxconn 100000", "maxconn 1000", "inter 1s", "inter 200ms", "inter 2s", "inter 200ms",
		"timeout queue 5s\n", "timeout queue 5s\n    timeout check 10s\n", "log stdout", "log 127.0.0.1:9",
		"/etc/haproxy/route", p.Maps, "abns@spillway_old", "abns@"+dir)
	args := []string{"-W"}
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".cfg") {
			args = append(args, "-f", path)
		}
	}
	write("haproxy.cfg", elsewhere.Replace(config))
	env := os.Environ()
	if o.OldSystem != "" {
		write("strangler.cfg", elsewhere.Replace(Shipped(t, "strangler.cfg")))
		if o.Maps == "" {
			if err := os.Mkdir(p.Maps, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"campaigns.map", "links.map", "paths.map"} {
				write("route/"+name, Shipped(t, "route/"+name))
			}
		}
		env = append(env, "OLD_SYSTEM="+o.OldSystem)
		if o.OldHost != "" {
			env = append(env, "OLD_HOST="+o.OldHost)
		}
	}
	p.master = exec.Command(program, args...) //nolint:gosec // found by Program
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	p.master.Env, p.master.Stdout, p.master.Stderr = env, log, log
	p.master.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its workers go with it
	if err := p.master.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.master.Wait() // how it ended is seen by who needs it
	}()
	t.Cleanup(func() {
		p.end()
		_ = log.Close() // written by others
		if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("haproxy:\n%s", said)
		}
	})
	gone := false
	Eventually(t, "the proxy answers", func() bool {
		select {
		case <-p.ended:
			gone = true
		default:
		}
		return gone || p.worker(t) != ""
	})
	if gone {
		return nil
	}
	return p
}

func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

var pidLine = regexp.MustCompile(`(?m)^Pid: (\d+)$`)

// worker is the process that answers on the socket now, "" for none.
func (p *Proxy) worker(t testing.TB) string {
	t.Helper()
	answer, err := p.Socket.Ask(t.Context(), "show info")
	if m := pidLine.FindStringSubmatch(answer); err == nil && m != nil {
		return m[1]
	}
	return ""
}

// end ends all of its processes and waits for the master.
func (p *Proxy) end() {
	_ = syscall.Kill(-p.master.Process.Pid, syscall.SIGTERM) // ended is ended
	select {
	case <-p.ended:
	case <-time.After(within):
	}
	_ = syscall.Kill(-p.master.Process.Pid, syscall.SIGKILL) // as above
	<-p.ended
}

// Reload makes it read its files anew: another worker takes over, and the one before
// finishes what it has begun.
func (p *Proxy) Reload(t testing.TB) {
	t.Helper()
	before := p.worker(t)
	if err := p.master.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the next worker answers", func() bool {
		now := p.worker(t)
		return now != "" && now != before
	})
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}
