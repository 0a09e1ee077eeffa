// Package bare is a target that does nothing but answer: what a generator reaches
// against it is the generator's own limit, or somebody else's work, never a front-end's.
//
// The one invariant: a request costs as little as a valid 202 can cost. Nothing is parsed beyond what the answer
// repeats, nothing is kept, and the token in the answer belongs to no content.
//
// Goroutines: fasthttp's, started by Serve and ended before it returns.
package bare

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
)

// shutdownMost bounds the wait for connections that are still busy.
const shutdownMost = 5 * time.Second

// Serve answers on ln until ctx ends.
func Serve(ctx context.Context, ln net.Listener) error {
	server := &fasthttp.Server{Handler: Answer, NoDefaultServerHeader: true, NoDefaultDate: true, CloseOnShutdown: true, Logger: silent{}}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownMost)
	defer done()
	err := server.ShutdownWithContext(closing)
	_ = ln.Close() // Shutdown does nothing where Serve has not begun yet
	if served := <-ended; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// silent drops what fasthttp logs: connections that a generator closed.
type silent struct{}

func (silent) Printf(string, ...any) {}

// token is of the right length and kind, and of no content.
const token = "YQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

var (
	amountMark   = []byte(`_minor":`) // amount_minor of each line, fee_cover_minor
	currencyMark = []byte(`"currency":"`)
)

// Answer answers every donation with 202, with the ID of its key and the sum and currency
// of its body; a GET with an empty 200.
func Answer(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		return
	}
	body := ctx.PostBody()
	var sum int64
	for rest := body; ; {
		_, after, found := bytes.Cut(rest, amountMark)
		if !found {
			break
		}
		var n int64
		for len(after) > 0 && after[0] >= '0' && after[0] <= '9' {
			n, after = n*10+int64(after[0]-'0'), after[1:]
		}
		sum, rest = sum+n, after
	}
	currency := "USD"
	if _, after, found := bytes.Cut(body, currencyMark); found && len(after) >= len(currency) {
		currency = string(after[:len(currency)])
	}
	id := ingest.DeriveID(ctx.Request.Header.Peek("Idempotency-Key")).String()
	var room [320]byte
	b := append(room[:0], `{"id":"`...)
	b = append(b, id...)
	b = append(b, `","token":"`+token+`","status":"accepted","accepted_at":"`...)
	b = time.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","amount_minor":`...)
	b = strconv.AppendInt(b, sum, 10)
	b = append(b, `,"currency":"`...)
	b = append(b, currency...)
	b = append(b, `","status_url":"/v1/donations/`...)
	b = append(b, id...)
	b = append(b, `"}`...)
	ctx.SetContentType("application/json")
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	ctx.SetBody(b)
}
