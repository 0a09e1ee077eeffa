package stripe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	// dialTimeout and handshakeTimeout are well below a call's bound, so that a
	// processor that cannot be reached is known as that, and not as a timeout with
	// an unknown outcome.
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	// idleTimeout is below what Stripe's edge and usual firewalls keep a silent
	// connection for; a call on one that the other side has dropped is an unknown outcome.
	idleTimeout = 50 * time.Second
	// answerBytesMax bounds an answer; a page of a hundred expanded intents is about
	// a megabyte.
	answerBytesMax = 8 << 20
	// headerBytesMax bounds an answer's head; Stripe's is about two kilobytes.
	headerBytesMax = 64 << 10
)

// newTransport makes the road to the processor. HTTP/1.1 on purpose: with a
// connection for each call, one that breaks makes one outcome unknown and not all.
func newTransport(cfg Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    handshakeTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConns:           cfg.ConnsMax,
		MaxIdleConnsPerHost:    cfg.ConnsMax,
		MaxConnsPerHost:        cfg.ConnsMax,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerBytesMax,
	}
}

// exchange is what one call came to, as seen on the wire. The library's own
// reading of it is not asked: it forgets the status of an answer that is no JSON.
type exchange struct {
	// connected is set once the call had a connection: from then on nobody can say
	// that nothing was sent.
	connected atomic.Bool

	status int // 0 when no answer's head came
	header http.Header
	body   []byte
	// whole says that the answer came to its end.
	whole bool
}

type exchangeKey struct{}

// withExchange has the call made under ctx written down in x.
func withExchange(ctx context.Context, x *exchange) context.Context {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	})
	return context.WithValue(ctx, exchangeKey{}, x)
}

// recorder writes answers down as they pass to the library.
type recorder struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	x, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if err != nil || x == nil {
		return resp, err
	}
	x.status, x.header = resp.StatusCode, resp.Header
	resp.Body = &recordedBody{ReadCloser: resp.Body, into: x}
	return resp, nil
}

// errAnswerTooLong ends an answer beyond answerBytesMax.
var errAnswerTooLong = errors.New("answer of the processor is too long")

// recordedBody copies what is read of an answer. It is read by the goroutine that
// made the call.
type recordedBody struct {
	io.ReadCloser
	into *exchange
}

// Read implements io.Reader.
func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.into.body = append(b.into.body, p[:n]...)
	if len(b.into.body) > answerBytesMax {
		return n, errAnswerTooLong
	}
	if err == io.EOF {
		b.into.whole = true
	}
	return n, err
}
