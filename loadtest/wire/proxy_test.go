package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that comes; a passing test takes milliseconds.
const patience = time.Minute

// echo answers every byte with itself, until the test is over.
func echo(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var under sync.WaitGroup
	under.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			under.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // ends with the connection, however it does
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); under.Wait() })
	return listener
}

func proxyTo(t *testing.T, network, address string) *Proxy {
	t.Helper()
	p, err := Listen(Config{Listen: "127.0.0.1:0", Network: network, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// says sends and wants the same back.
func says(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	hears(t, conn, text)
}

func hears(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("%q, %v, want %q", got, err, text)
	}
}

// silent wants nothing to be heard for a moment: a wire that passes something fails it,
// one that is merely late does not.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, and nothing should be heard", n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// resets wants the connection to end by a reset.
func resets(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("it ended with %v, want a reset", err)
	}
}

// refuses wants a new connection to end by a reset, which may come before it is one.
func refuses(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	resets(t, conn)
}

func TestProxy_PassesBothWaysAndTheEndOfEach(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		conn := dial(t, proxyTo(t, network, echo(t, network, address).Addr().String()))
		content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		var writing sync.WaitGroup
		writing.Go(func() {
			if _, err := conn.Write(content); err != nil {
				t.Error(err)
			}
			if err := conn.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		got, err := io.ReadAll(conn)
		writing.Wait()
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes of %d, %v", network, len(got), len(content), err)
		}
	}
}

func TestProxy_WeatherOnAnOpenConnection(t *testing.T) {
	for _, c := range []struct {
		name string
		kind Kind
		then func(t *testing.T, p *Proxy, old *net.TCPConn)
	}{
		{"cut: nothing passes, and all of it later", Cut, func(t *testing.T, p *Proxy, old *net.TCPConn) {
			if _, err := io.WriteString(old, "held"); err != nil {
				t.Fatal(err)
			}
			fresh := dial(t, p)
			if _, err := io.WriteString(fresh, "new"); err != nil {
				t.Fatal(err)
			}
			silent(t, old)
			silent(t, fresh)
			p.Set(Weather{})
			hears(t, old, "held")
			hears(t, fresh, "new")
			says(t, old, "again")
		}},
		{"half-open: nothing is heard, and a reset when it is over", HalfOpen, func(t *testing.T, p *Proxy, old *net.TCPConn) {
			fresh := dial(t, p)
			for _, conn := range []*net.TCPConn{old, fresh} {
				if _, err := io.WriteString(conn, "into the void"); err != nil {
					t.Fatal(err)
				}
				silent(t, conn)
			}
			p.Set(Weather{})
			resets(t, old)
			resets(t, fresh)
			says(t, dial(t, p), "again")
		}},
		{"reset: at once, and new ones too", Reset, func(t *testing.T, p *Proxy, old *net.TCPConn) {
			resets(t, old)
			refuses(t, p)
			p.Set(Weather{})
			says(t, dial(t, p), "again")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := proxyTo(t, "tcp", echo(t, "tcp", "127.0.0.1:0").Addr().String())
			old := dial(t, p)
			says(t, old, "hello")
			p.Set(Weather{Kind: c.kind})
			c.then(t, p, old)
		})
	}
}

// Half-open drops the far end: who was called does not keep it. Some rounds, because the
// weather may turn at any step of reaching the far end.
func TestProxy_HalfOpenDropsTheFarEnd(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for range 20 {
		p := proxyTo(t, "tcp", far.Addr().String())
		near := dial(t, p)
		called, err := far.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer called.Close()
		if err := called.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		p.Set(Weather{Kind: HalfOpen})
		p.Set(Weather{Kind: HalfOpen}) // said twice is as said once
		resets(t, called)
		silent(t, near)
	}
}

// Lower bounds alone: a machine that is busy makes a slow wire slower.
func TestProxy_SlowTakesItsTime(t *testing.T) {
	for _, c := range []struct {
		weather Weather
		bytes   int
		least   time.Duration
	}{
		{Weather{Kind: Slow, Latency: 40 * time.Millisecond}, 1, 80 * time.Millisecond},
		{Weather{Kind: Slow, BytesPerSecond: 1 << 20}, 100 << 10, 60 * time.Millisecond}, // 84 KiB wait at least
	} {
		p := proxyTo(t, "tcp", echo(t, "tcp", "127.0.0.1:0").Addr().String())
		conn := dial(t, p)
		says(t, conn, "hello")
		p.Set(c.weather)
		content := string(bytes.Repeat([]byte("x"), c.bytes))
		began := time.Now()
		says(t, conn, content)
		if took := time.Since(began); took < c.least {
			t.Errorf("%+v: %d bytes there and back after %v, want %v at least", c.weather, c.bytes, took, c.least)
		}
	}
}

func TestProxy_NobodyBehindIsAReset(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, proxyTo(t, "tcp", gone.Addr().String()))
}

func TestListen_AnAddressInUse(t *testing.T) {
	p := proxyTo(t, "tcp", "127.0.0.1:1")
	if _, err := Listen(Config{Listen: p.Address(), Network: "tcp", Address: "127.0.0.1:1"}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
}
