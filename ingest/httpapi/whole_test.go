package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Whatever its size, an answer arrives whole and at once: around every boundary of
// the server's buffer, one after the other, several asked for at a time, and before
// the connection is closed.
func TestConn_AnswersOfAllSizesArrive(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Pointer[conn]
	bounded := newListener(ln, 100, nil, func() {})
	server := &fasthttp.Server{WriteBufferSize: writeBufferBytes, NoDefaultServerHeader: true, NoDefaultDate: true, IdleTimeout: time.Minute,
		Handler: func(ctx *fasthttp.RequestCtx) {
			accepted.Store(ctx.Conn().(*conn))
			n := ctx.QueryArgs().GetUintOrZero("n")
			body := bytes.Repeat([]byte{'a' + byte(n%26)}, n)
			ctx.SetBody(body)
			if ctx.QueryArgs().Has("last") {
				ctx.SetConnectionClose()
			}
		}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(bounded) }()
	defer func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()

	// The head's size is found by asking once, so that answers of exactly a buffer are
	// among those that follow.
	sizes := []int{0, 1, 100}
	for head := 60; head < 140; head++ {
		for _, whole := range []int{writeBufferBytes, 2 * writeBufferBytes} {
			sizes = append(sizes, whole-head)
		}
	}
	sizes = append(sizes, writeBufferBytes, 14_000, 100_000)

	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	ask := func(c net.Conn, n int, last bool) {
		t.Helper()
		query := "?n=" + strconv.Itoa(n)
		if last {
			query += "&last"
		}
		if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", query); err != nil {
			t.Fatal(err)
		}
	}
	read := func(r *bufio.Reader, n int) {
		t.Helper()
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || !bytes.Equal(body, bytes.Repeat([]byte{'a' + byte(n%26)}, n)) {
			t.Fatalf("%d bytes: got %d, %v", n, len(body), err)
		}
	}

	c, r := dial()
	for _, n := range sizes { // each must be there before the next is asked for
		ask(c, n, false)
		read(r, n)
	}
	c, r = dial()
	go func() {
		for _, n := range sizes {
			_, _ = fmt.Fprintf(c, "GET /?n=%d HTTP/1.1\r\nHost: h\r\n\r\n", n) // the reader fails without it
		}
	}()
	for _, n := range sizes {
		read(r, n)
	}
	for _, n := range sizes {
		c, r := dial()
		ask(c, n, true)
		read(r, n)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Fatalf("after the last answer of %d bytes: %v", n, err)
		}
		_ = c.Close()
	}
	own := accepted.Load()
	own.answers.mu.Lock()
	defer own.answers.mu.Unlock()
	if own.answers.held != nil {
		t.Error("something was held back for ever")
	}
}

// countedConn counts writes, and takes no vectors, as a connection of TLS does not.
type countedConn struct {
	net.Conn
	wrote [][]byte
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.wrote = append(c.wrote, bytes.Clone(p))
	return len(p), nil
}

func TestWhole_HoldsBackOnlyTheBeginningOfAnAnswer(t *testing.T) {
	full := append([]byte("HTTP/1.1 200 OK\r\n"), make([]byte, writeBufferBytes)...)[:writeBufferBytes]
	event := append([]byte("event: wall\n"), make([]byte, writeBufferBytes)...)[:writeBufferBytes]
	var w whole
	below := &countedConn{}
	say := func(p []byte, writes int) {
		t.Helper()
		if n, err := w.write(below, p); n != len(p) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(p), err)
		}
		if len(below.wrote) != writes {
			t.Errorf("%d writes, want %d", len(below.wrote), writes)
		}
	}
	say([]byte("HTTP/1.1 202 Accepted\r\n"), 1)
	say(event, 2) // a stream's event waits for nothing
	say(full, 2)
	say([]byte("the rest"), 4) // both, in order
	if !bytes.Equal(below.wrote[2], full) || string(below.wrote[3]) != "the rest" {
		t.Error("out of order")
	}
	say(full, 4)
	if err := w.release(below); err != nil || len(below.wrote) != 5 {
		t.Errorf("%d writes after release, %v", len(below.wrote), err)
	}
	if err := w.release(below); err != nil || len(below.wrote) != 5 {
		t.Errorf("released twice: %d writes, %v", len(below.wrote), err)
	}
}
