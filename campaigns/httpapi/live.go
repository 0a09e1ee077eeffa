package httpapi

import (
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/render"
	"spillway/ledger"
)

const (
	// retryLeast and retrySpread tell a browser how long to wait before it connects
	// again: spread out, so that the viewers of a server that stops do not arrive at
	// the next one together.
	retryLeast  = time.Second
	retrySpread = 4 * time.Second
	// sendBufferBytes bounds what the kernel keeps for a viewer that does not read:
	// forty events, then it skips to the latest. Left alone the kernel would keep
	// megabytes of old totals.
	sendBufferBytes = 16 << 10
	// strayBytesMax is how much a viewer may send on a stream that has only one
	// direction; more is not a browser.
	strayBytesMax = 4 << 10
)

// live answers GET /v1/campaigns/{slug}/live with server-sent events (WHATWG HTML,
// section 9.2). The connection is taken from fasthttp: its own streaming needs a
// pipe and a goroutine more, and one write deadline for the whole stream.
func (a *API) live(ctx *fasthttp.RequestCtx, slug []byte) {
	if !ctx.IsGet() {
		a.refuseMethod(ctx, "GET")
		return
	}
	c, err := a.find(slug)
	if err == nil {
		_, err = a.deps.Totals.Get(slug) // what would end the stream at once is said in an answer
	}
	if err != nil {
		a.refuseError(ctx, err)
		return
	}
	var after *render.Position
	if p, ok := render.ParsePosition(ctx.Request.Header.Peek("Last-Event-ID")); ok {
		after = &p
	}
	a.begin(ctx, func(gone <-chan struct{}, send func([]byte) error) error {
		return a.deps.Hub.Watch(c.Book(), c.Slug, after, gone, send)
	})
}

// topicsMax is how many campaigns one stream may bring: what a page shows at a time.
const topicsMax = 20

// liveMany answers GET /v1/live?campaign=&campaign=&day=1.
func (a *API) liveMany(ctx *fasthttp.RequestCtx) {
	if !ctx.IsGet() {
		a.refuseMethod(ctx, "GET")
		return
	}
	if err := a.deps.Directory.Ready(); err != nil {
		a.refuseError(ctx, err)
		return
	}
	query := ctx.QueryArgs()
	day := string(query.Peek("day"))
	named := query.PeekMulti("campaign")
	if day != "" && day != "0" && day != "1" || len(named) > topicsMax || len(named) == 0 && day != "1" {
		a.refuse(ctx, badTopics)
		return
	}
	book := ledger.Live
	slugs := make([]string, 0, len(named))
	for _, slug := range named {
		c, err := a.find(slug)
		if err == nil {
			_, err = a.deps.Totals.Get(slug) // what would end the stream at once is said in an answer
		}
		if err != nil {
			a.refuseError(ctx, err)
			return
		}
		if len(slugs) == 0 {
			book = c.Book()
		}
		// One stream has one age, so its campaigns are of one book; the day's is the live one.
		if c.Book() != book || book != ledger.Live && day == "1" {
			a.refuse(ctx, badTopics)
			return
		}
		if !slices.Contains(slugs, c.Slug) {
			slugs = append(slugs, c.Slug)
		}
	}
	a.begin(ctx, func(gone <-chan struct{}, send func([]byte) error) error {
		return a.deps.Hub.WatchMany(book, slugs, day == "1", gone, send)
	})
}

// watch brings a stream's events, as a Hub does.
type watch func(gone <-chan struct{}, send func([]byte) error) error

// begin turns the request into a stream, or refuses it. The place itself is taken by
// the stream: a connection that breaks before fasthttp hands it over must not keep one.
func (a *API) begin(ctx *fasthttp.RequestCtx, events watch) {
	if a.switches().LiveOff {
		a.refuse(ctx, switchedOff)
		return
	}
	if full, closed := a.streams.full(); closed {
		a.refuse(ctx, draining)
		return
	} else if full {
		a.refuse(ctx, tooManyViewers)
		return
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) { a.stream(conn, events) })
}

// stream serves one viewer until either side ends it. It keeps nothing of the request.
func (a *API) stream(conn net.Conn, events watch) {
	raw := bare(conn)
	if !a.streams.add(raw) {
		_ = raw.SetWriteDeadline(time.Now().Add(a.cfg.WriteTimeout))
		_, _ = raw.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		return
	}
	defer a.streams.remove(raw)
	boundSendBuffer(raw)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		waitForEnd(conn)
	}()
	// fasthttp takes conn back when this function returns: nobody may be reading then.
	defer func() {
		_ = raw.Close()
		<-gone
	}()

	head := streamHead()
	err := events(gone, func(event []byte) error {
		if head != nil {
			event, head = append(head, event...), nil
		}
		if err := raw.SetWriteDeadline(time.Now().Add(a.cfg.WriteTimeout)); err != nil {
			return err
		}
		_, err := raw.Write(event)
		return err
	})
	_, closing := a.streams.full()
	a.metrics.streamEnded(err == nil && !closing)
}

// bare returns the connection below fasthttp's, whose Close does nothing.
func bare(conn net.Conn) net.Conn {
	if u, ok := conn.(interface{ UnsafeConn() net.Conn }); ok {
		return u.UnsafeConn()
	}
	return conn
}

// boundSendBuffer sets the kernel's send buffer to sendBufferBytes, where the
// connection, or one that it says it wraps (as tls.Conn does), has such a thing. It
// is thrift, not correctness: the kernel's own choice works too.
func boundSendBuffer(conn net.Conn) {
	for {
		switch c := conn.(type) {
		case interface{ SetWriteBuffer(bytes int) error }:
			_ = c.SetWriteBuffer(sendBufferBytes)
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return
		}
	}
}

// waitForEnd reads until the viewer ends the connection, it is closed here, or the
// viewer says more than there is to say.
func waitForEnd(conn net.Conn) {
	var stray [256]byte
	for total := 0; total <= strayBytesMax; {
		n, err := conn.Read(stray[:])
		if err != nil {
			return
		}
		total += n
	}
}

// streamHead is the answer's head and the reconnection hint. The stream ends with
// the connection; X-Accel-Buffering keeps nginx from holding events back.
func streamHead() []byte {
	head := append(make([]byte, 0, 768), "HTTP/1.1 200 OK\r\n"+
		"Content-Type: text/event-stream\r\n"+
		"Cache-Control: no-cache, no-transform\r\n"+
		"X-Accel-Buffering: no\r\n"+
		"Connection: close\r\n\r\n"+
		"retry: "...)
	head = strconv.AppendInt(head, (retryLeast + rand.N(retrySpread)).Milliseconds(), 10)
	return append(head, '\n')
}
