package bluegreen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rig is a real HAProxy before two front-ends, with donors coming.
type rig struct {
	proxy       Proxy
	blue, green *frontEnd
	donors      atomic.Int64 // answers that were no 200
}

// frontEnd answers as it is told to.
type frontEnd struct {
	served atomic.Int64
	status atomic.Int64
	delay  atomic.Int64 // nanoseconds
}

func (f *frontEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		return
	}
	f.served.Add(1)
	time.Sleep(time.Duration(f.delay.Load())) // the answer's own time
	w.WriteHeader(int(f.status.Load()))
}

func haproxy(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{os.Getenv("HAPROXY_PROGRAM"), "haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(candidate); candidate != "" && err == nil {
			return path
		}
	}
	t.Skip("haproxy is not installed; HAPROXY_PROGRAM names it")
	return ""
}

func newRig(t *testing.T) *rig {
	t.Helper()
	program := haproxy(t)
	r := &rig{blue: &frontEnd{}, green: &frontEnd{}}
	r.blue.status.Store(http.StatusOK)
	r.green.status.Store(http.StatusOK)
	blue, green := httptest.NewServer(r.blue), httptest.NewServer(r.green)
	t.Cleanup(blue.Close)
	t.Cleanup(green.Close)
	dir, err := os.MkdirTemp("", "bg") // a test's name in it would not do: HAProxy minds commas
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // in the system's temporary folder
	r.proxy = Proxy{Address: filepath.Join(dir, "s")}
	front := freePort(t)
	config := fmt.Sprintf(`global
    stats socket %s level admin
defaults
    mode http
    timeout connect 1s
    timeout server 10s
    timeout client 10s
frontend donors
    bind %s
    default_backend front_ends
backend front_ends
    option httpchk GET /readyz
    default-server check inter 50ms fall 2 rise 1
    server blue-1 %s weight 100
    server green-1 %s weight 0
`, r.proxy.Address, front, strings.TrimPrefix(blue.URL, "http://"), strings.TrimPrefix(green.URL, "http://"))
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-db", "-f", path) //nolint:gosec // found above
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // ended is ended
		_ = command.Wait()         // killed
	})
	eventually(t, "the proxy answers", func() bool {
		servers, err := r.proxy.Servers(t.Context())
		return err == nil && len(servers) == 2 && servers[0].Up && servers[1].Up
	})
	// Donors, until the test ends.
	ctx, cancel := context.WithCancel(context.Background())
	var donors sync.WaitGroup
	for range 4 {
		donors.Go(func() {
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+front+"/give", nil)
				if err != nil {
					return
				}
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					continue
				}
				_ = response.Body.Close() // read or not, the donor has gone
				if response.StatusCode != http.StatusOK {
					r.donors.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); donors.Wait() })
	return r
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (r *rig) weights(t *testing.T) (blue, green int) {
	t.Helper()
	servers, err := r.proxy.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return servers[0].Weight, servers[1].Weight
}

func (r *rig) config(t *testing.T) Config {
	return Config{From: "blue", To: "green", Steps: []int{10, 50, 100}, Every: 300 * time.Millisecond, Requests: 5, Slower: 20, Say: t.Logf}
}

func TestMove_ToOneThatIsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := Move(t.Context(), r.proxy, r.config(t)); err != nil {
		t.Fatal(err)
	}
	if blue, green := r.weights(t); blue != 0 || green != 100 {
		t.Errorf("weights %d and %d", blue, green)
	}
	settled := r.blue.served.Load()
	more := r.green.served.Load() + 50
	eventually(t, "green serves", func() bool { return r.green.served.Load() > more })
	if after := r.blue.served.Load(); after > settled+8 { // what was under way
		t.Errorf("blue still serves: %d, then %d", settled, after)
	}
	if n := r.donors.Load(); n != 0 {
		t.Errorf("%d donors were not served", n)
	}
}

func TestMove_ReturnsByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(r *rig, c *Config) context.CancelFunc
		says  string
	}{
		"erring": {func(r *rig, _ *Config) context.CancelFunc { r.green.status.Store(500); return nil }, "failed"},
		"slow": {func(r *rig, c *Config) context.CancelFunc {
			r.green.delay.Store(int64(150 * time.Millisecond))
			c.Slower = 0.5
			r.blue.delay.Store(int64(time.Millisecond))
			return nil
		}, "in the mean"},
		"losing, says the check": {func(_ *rig, c *Config) context.CancelFunc {
			c.Check = func(context.Context) error { return errors.New("the books do not agree") }
			return nil
		}, "the books do not agree"},
		"not confirmed": {func(_ *rig, c *Config) context.CancelFunc {
			c.Confirm = func(context.Context, int) error { return errors.New("somebody said no") }
			return nil
		}, "somebody said no"},
		"nobody comes": {func(_ *rig, c *Config) context.CancelFunc {
			c.Requests, c.Every = 1<<40, 20*time.Millisecond
			return nil
		}, "are needed to judge it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			config := r.config(t)
			c.spoil(r, &config)
			err := Move(t.Context(), r.proxy, config)
			if !errors.Is(err, ErrReturned) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want one that says %q", err, c.says)
			}
			if blue, green := r.weights(t); blue != 100 || green != 0 {
				t.Errorf("weights %d and %d", blue, green)
			}
		})
	}
}

func TestMove_AbortReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := r.config(t)
	config.Every = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for deadline := time.Now().Add(30 * time.Second); r.green.served.Load() == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := Move(ctx, r.proxy, config); !errors.Is(err, ErrReturned) || !strings.Contains(err.Error(), "aborted") {
		t.Error(err)
	}
	if blue, green := r.weights(t); blue != 100 || green != 0 || r.green.served.Load() == 0 {
		t.Errorf("weights %d and %d, green served %d", blue, green, r.green.served.Load())
	}
}

func TestMove_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"one colour":    {From: "blue", To: "blue"},
		"steps fall":    {From: "blue", To: "green", Steps: []int{50, 10, 100}},
		"steps repeat":  {From: "blue", To: "green", Steps: []int{50, 50, 100}},
		"not to 100":    {From: "blue", To: "green", Steps: []int{10, 50}},
		"errors over 1": {From: "blue", To: "green", Errors: 2},
	} {
		if err := Move(t.Context(), Proxy{Address: "/nowhere"}, c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Move(t.Context(), Proxy{Address: "/nowhere"}, Config{From: "blue", To: "green"}); !errors.Is(err, ErrProxy) {
		t.Errorf("no proxy: %v", err)
	}
}

func TestParseServers_Rubbish(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Permission denied\n", "# pxname,svname\na,b\n", "# pxname,svname,status,weight,econ,eresp,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,rtime\na,b,UP,x,,,,,,,,\n",
		"# pxname,svname,status,weight,econ,eresp,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,rtime\na,b,UP\n"} {
		if servers, err := parseServers(text); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: %v, %v", text, servers, err)
		}
	}
}
