// Package conn is a client's side of one kept connection: whole requests out, answers
// or a stream of server-sent events in.
//
// The one invariant: a request is sent once. Whether one that was not answered may be
// sent again is for the caller to say.
//
// No goroutines.
package conn

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Bounds of one connection.
const (
	readBufferBytes  = 8 << 10   // an answer with its header fits
	answerBytesMax   = 256 << 10 // no answer of the contract comes near
	redialLeast      = 100 * time.Millisecond
	redialMost       = time.Second
	dialTimeoutLeast = time.Second
)

// Endpoint is where connections lead to.
type Endpoint struct {
	Host    string // as the Host header says it
	Prefix  string // of every path
	address string // host:port
	tls     *tls.Config
}

// NewEndpoint reads the base URL of a front-end, or of a proxy before many.
func NewEndpoint(target string) (*Endpoint, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{address: u.Host, Host: u.Host}
	for len(u.Path) > 0 && u.Path[len(u.Path)-1] == '/' {
		u.Path = u.Path[:len(u.Path)-1]
	}
	e.Prefix = u.EscapedPath()
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		e.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	if u.Port() == "" {
		e.address = net.JoinHostPort(u.Hostname(), port)
	}
	return e, nil
}

// ErrStale says that a kept connection had been closed by the other side before
// the request was read; the same happens to any client and is repeated at once.
var ErrStale = errors.New("kept connection was closed")

// Conn is one keep-alive connection, used by one goroutine; Close and Interrupt may
// come from another.
type Conn struct {
	endpoint *Endpoint
	mu       sync.Mutex // guards raw against Close
	raw      net.Conn
	closed   bool
	reader   *bufio.Reader
	used     int // requests on raw
	received int64
	response fasthttp.Response
}

// New makes a connection that is dialled when it is needed.
func New(e *Endpoint) *Conn {
	return &Conn{endpoint: e, reader: bufio.NewReaderSize(nil, readBufferBytes)}
}

// Exchange sends a whole request and reads the answer, which is valid until the
// next one. A target that refuses connections is dialled again until the deadline:
// nothing was sent yet. Errors: ErrStale, those of the network.
func (c *Conn) Exchange(ctx context.Context, request []byte, deadline time.Time) (*fasthttp.Response, error) {
	if err := c.open(ctx, deadline); err != nil {
		return nil, err
	}
	if err := c.raw.SetDeadline(deadline); err != nil {
		c.drop()
		return nil, err
	}
	kept := c.used > 0
	c.used++
	if _, err := c.raw.Write(request); err != nil {
		c.drop()
		if kept {
			return nil, errors.Join(ErrStale, err)
		}
		return nil, err
	}
	if _, err := c.reader.Peek(1); err != nil {
		c.drop()
		var timeout net.Error
		if kept && !(errors.As(err, &timeout) && timeout.Timeout()) {
			return nil, errors.Join(ErrStale, err)
		}
		return nil, err
	}
	c.response.Reset()
	if err := c.response.ReadLimitBody(c.reader, answerBytesMax); err != nil {
		c.drop()
		return nil, err
	}
	if c.response.ConnectionClose() {
		c.drop()
	}
	return &c.response, nil
}

// open dials unless there is a connection.
func (c *Conn) open(ctx context.Context, deadline time.Time) error {
	if c.raw != nil {
		return nil
	}
	for pause := redialLeast; ; pause = min(2*pause, redialMost) {
		raw, err := c.dial(ctx, deadline)
		if err == nil {
			return c.keep(raw)
		}
		wait := pause/2 + time.Duration(rand.Float64()*float64(pause/2))
		if time.Until(deadline) <= wait {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *Conn) dial(ctx context.Context, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline, Timeout: max(dialTimeoutLeast, time.Until(deadline)/2)}
	raw, err := dialer.DialContext(ctx, "tcp", c.endpoint.address)
	if err != nil || c.endpoint.tls == nil {
		return raw, err
	}
	secure := tls.Client(raw, c.endpoint.tls)
	if err := secure.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return secure, nil
}

func (c *Conn) keep(raw net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(net.ErrClosed, raw.Close())
	}
	c.raw, c.used = raw, 0
	c.reader.Reset(tap{raw, &c.received})
	return nil
}

// tap counts what is read.
type tap struct {
	from  net.Conn
	count *int64
}

// Read reads and counts.
func (t tap) Read(into []byte) (int, error) {
	n, err := t.from.Read(into)
	*t.count += int64(n)
	return n, err
}

// Connected tells whether there is a connection to go on with.
func (c *Conn) Connected() bool { return c.raw != nil }

// Received counts the bytes that came, of all connections so far.
func (c *Conn) Received() int64 { return c.received }

// drop closes the connection; the next exchange dials again.
func (c *Conn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		_ = c.raw.Close() // it is given up
		c.raw = nil
	}
}

// Interrupt ends whatever the connection does; the next exchange dials again. It
// may be called by another goroutine.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		_ = c.raw.Close() // whoever uses it notices
	}
}

// Close ends whatever the connection does, for good.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.raw != nil {
		_ = c.raw.Close() // it is given up
	}
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
