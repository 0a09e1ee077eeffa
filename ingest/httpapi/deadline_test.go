package httpapi

import (
	"net"
	"testing"
	"time"
)

// timedConn notes the times that are really set.
type timedConn struct {
	net.Conn
	read, written []time.Time
}

func (c *timedConn) SetReadDeadline(t time.Time) error  { c.read = append(c.read, t); return nil }
func (c *timedConn) SetWriteDeadline(t time.Time) error { c.written = append(c.written, t); return nil }
func (c *timedConn) SetDeadline(t time.Time) error {
	c.read, c.written = append(c.read, t), append(c.written, t)
	return nil
}
func (*timedConn) Read(p []byte) (int, error) { return len(p), nil }

func TestConn_SetsFewTimers(t *testing.T) {
	const timeout, idle, early = 10 * time.Second, 75 * time.Second, 600 * time.Millisecond
	under := &timedConn{}
	c := &conn{Conn: under, listener: &listener{max: 8}}
	c.read.early, c.written.early = early, early
	request := func(now time.Time, readsBody bool) {
		t.Helper()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(c.SetReadDeadline(now.Add(idle)))
		_, err := c.Read(make([]byte, 1))
		must(err)
		must(c.SetReadDeadline(now.Add(timeout)))
		if readsBody {
			_, err = c.Read(make([]byte, 1))
			must(err)
		}
		must(c.SetWriteDeadline(now.Add(timeout)))
	}
	begun := time.Now()
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }

	for ms := range 600 { // one every millisecond, whole at once
		request(at(ms), false)
	}
	if len(under.read) != 1 || len(under.written) != 1 {
		t.Errorf("%d and %d timers for 600 requests in 0.6 s", len(under.read), len(under.written))
	}
	request(at(700), false)
	if len(under.read) != 2 || !under.read[1].Equal(at(700).Add(idle)) || len(under.written) != 2 {
		t.Errorf("after a while: %v, %v", under.read, under.written)
	}
	request(at(701), true) // the rest of a slow request has its own, shorter time
	if len(under.read) != 3 || !under.read[2].Equal(at(701).Add(timeout)) {
		t.Errorf("a body that comes late: %v", under.read)
	}
	request(at(702), false) // and the wait for another is long again
	if len(under.read) != 4 || !under.read[3].Equal(at(702).Add(idle)) {
		t.Errorf("after it: %v", under.read)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil || len(under.read) != 5 || !under.read[4].IsZero() {
		t.Errorf("none: %v, %v", under.read, err)
	}

	if err := c.SetDeadline(time.Time{}); err != nil { // to a hijacker
		t.Fatal(err)
	}
	under.written = nil
	for ms := range 3 {
		if err := c.SetWriteDeadline(at(ms)); err != nil {
			t.Fatal(err)
		}
	}
	if len(under.written) != 3 {
		t.Errorf("a hijacker's times: %v", under.written)
	}
}
