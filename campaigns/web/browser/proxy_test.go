package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fate is what a proxy does with one request.
type fate int

const (
	pass    fate = iota
	cut          // the service carries it out, and its answer is lost: the connection ends
	busy         // the proxy answers 503 itself, once, and asks to come back
	hold         // the answer waits until the proxy is told to let go
	refused      // 429
	deny         // the service carries it out, and the donor is told that it was refused
)

// proxy stands between a browser and the service, on a port of its own, and treats the
// POSTs to /v1/donations in order as its fates say; all else passes.
type proxy struct {
	url   string
	posts atomic.Int64 // to /v1/donations, as they came
	keys  sync.Map     // Idempotency-Key of those
	free  chan struct{}
	held  chan struct{} // closed when the first answer is being held

	noStreams atomic.Bool // live streams are answered 503
	dead      atomic.Bool // every connection ends at once

	// rewrite changes pages on their way, and policy their Content-Security-Policy's
	// script-src, both before the first request.
	rewrite func(path, body string) string
	policy  string

	mu      sync.Mutex
	streams map[net.Conn]bool
}

func newProxy(t *testing.T, fates ...fate) *proxy {
	t.Helper()
	service := strings.TrimPrefix(visit(t).url, "http://")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "http://" + ln.Addr().String(), free: make(chan struct{}), held: make(chan struct{}), streams: map[net.Conn]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(ctx, conn, service, fates) })
		}
	})
	return p
}

// serve passes the requests of one connection on, each over a connection of its own.
func (p *proxy) serve(ctx context.Context, client net.Conn, service string, fates []fate) {
	defer client.Close()
	end := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer end()
	in := bufio.NewReader(client)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		if p.dead.Load() {
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		does := pass
		if req.URL.Path == "/v1/live" && p.noStreams.Load() {
			does = busy
		}
		if req.Method == http.MethodPost && req.URL.Path == "/v1/donations" {
			p.keys.Store(req.Header.Get("Idempotency-Key"), true)
			if n := int(p.posts.Add(1)); n <= len(fates) {
				does = fates[n-1]
			}
		}
		if does == busy || does == refused {
			status := map[fate]string{busy: "503 Service Unavailable", refused: "429 Too Many Requests"}[does]
			if _, err := fmt.Fprintf(client, "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", status); err != nil {
				return
			}
			continue
		}
		if err := p.pass(ctx, client, service, req, does); err != nil {
			return
		}
	}
}

var errCut = errors.New("the answer is lost")

func (p *proxy) pass(ctx context.Context, client net.Conn, service string, req *http.Request, does fate) error {
	up, err := net.Dial("tcp", service)
	if err != nil {
		return err
	}
	defer up.Close()
	end := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer end()
	req.Host = service // its own origin, as behind any proxy
	if p.rewrite != nil {
		req.Header.Del("Accept-Encoding") // pages that can be read on their way
		req.Header.Del("If-None-Match")   // and are sent whole, also to a second tab
	}
	if err := req.Write(up); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(up), req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch does {
	case cut:
		return errCut
	case deny:
		var said struct{ ID, Token string }
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
			return err
		}
		body := fmt.Sprintf(`{"title":"The campaign is not open","detail":"It has ended.","status":409,"code":"campaign_not_open","donation_id":%q,"token":%q}`, said.ID, said.Token)
		_, err := fmt.Fprintf(client, "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return err
	case hold:
		close(p.held)
		select {
		case <-p.free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		p.opened(client, true)
		defer p.opened(client, false)
		// As it comes, until either side ends it.
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = client.Read(make([]byte, 1))
			_ = up.Close()
		}()
		err := stream(client, res)
		_ = client.Close()
		<-gone
		return errors.Join(err, io.EOF)
	}
	if p.rewrite != nil && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		changed := p.rewrite(req.URL.Path, string(body))
		res.Body, res.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
		res.Header.Set("Content-Security-Policy", strings.Replace(res.Header.Get("Content-Security-Policy"), "script-src 'self'", p.policy, 1))
	}
	return res.Write(client)
}

func (p *proxy) opened(client net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.streams[client] = true
	} else {
		delete(p.streams, client)
	}
}

// endStreams ends the live streams that are open.
func (p *proxy) endStreams() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.streams {
		_ = client.Close()
	}
}

// oneStream waits until one live stream is open, for all pages together.
func (p *proxy) oneStream(t *testing.T) {
	t.Helper()
	err := eventually(func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.streams) != 1 {
			return fmt.Errorf("%d live streams are open, want one for all pages", len(p.streams))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func stream(client net.Conn, res *http.Response) error {
	if _, err := fmt.Fprintf(client, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.Copy(client, res.Body)
	return err
}

// sameKey fails the test unless all tries had one idempotency key.
func (p *proxy) sameKey(t *testing.T, leastPosts int64) {
	t.Helper()
	keys := 0
	p.keys.Range(func(any, any) bool { keys++; return true })
	if posts := p.posts.Load(); posts < leastPosts || keys != 1 {
		t.Errorf("%d tries with %d idempotency keys, want at least %d with one", posts, keys, leastPosts)
	}
}
