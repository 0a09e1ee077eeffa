package visit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/loadtest/conn"
)

// Bounds of streams.
const (
	// silenceMost is how long a stream may say nothing: three heartbeats.
	silenceMost = 15 * time.Second
	// reconnectLeast and reconnectSpread are a browser's pause before it opens a lost
	// stream again, as front-ends ask for.
	reconnectLeast  = time.Second
	reconnectSpread = 4 * time.Second
)

// work sends pages and polls over one connection until ctx ends.
func (v *Visitors) work(ctx context.Context) {
	c := conn.New(v.endpoint)
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	var request []byte
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-v.jobs:
			waited := time.Since(v.start) - s.at
			request = v.request(request[:0], s)
			before := c.Received()
			deadline := time.Now().Add(requestTimeout)
			answer, err := c.Exchange(ctx, request, deadline)
			if errors.Is(err, conn.ErrStale) { // a browser asks again, too
				answer, err = c.Exchange(ctx, request, deadline)
			}
			if ctx.Err() != nil {
				return
			}
			v.answered(s, answer, err, waited, c.Received()-before)
		}
	}
}

// request renders the reading of a page, or of totals.
func (v *Visitors) request(into []byte, s step) []byte {
	e := v.endpoint
	into = append(append(into, "GET "...), e.Prefix...)
	switch day := s.visitor.campaign == day; {
	case s.watches && day:
		into = append(into, "/v1/day"...)
	case s.watches:
		into = fmt.Appendf(into, "/v1/campaigns/%s/totals", v.cfg.Slugs[s.visitor.campaign])
	case day:
		into = append(into, '/')
	default:
		into = append(append(into, "/c/"...), v.cfg.Slugs[s.visitor.campaign]...)
	}
	into = fmt.Appendf(into, " HTTP/1.1\r\nHost: %s\r\n", e.Host)
	if !s.watches {
		return append(into, "Accept: text/html\r\nAccept-Encoding: gzip\r\n\r\n"...)
	}
	if s.visitor.etag != "" {
		into = fmt.Appendf(into, "If-None-Match: %s\r\n", s.visitor.etag)
	}
	return append(into, "\r\n"...)
}

// answered counts one answer, and says what its visitor does next: at the time planned,
// or now when the answer took longer than that. What comes late for that is the target's
// doing; the lateness of the generator begins here.
func (v *Visitors) answered(s step, answer *fasthttp.Response, err error, waited time.Duration, received int64) {
	now := time.Now()
	who := s.visitor
	status := 0
	if err == nil {
		status = answer.StatusCode()
	}
	v.log.request(s.watches, status, now.Sub(v.start)-s.at, waited, received)
	if status != fasthttp.StatusOK && status != fasthttp.StatusNotModified {
		v.schedule.left() // people do not wait for a page that failed
		return
	}
	at := max(s.at+who.think, now.Sub(v.start)) // nobody watches before the page is there
	if s.watches {
		if asOf, ok := shownAsOf(answer); ok {
			v.log.age(now.Sub(asOf))
		}
		who.etag = string(answer.Header.Peek(fasthttp.HeaderETag))
		at = max(s.at+v.cfg.PollEvery, now.Sub(v.start)) // a tick that was missed is not made up for
	} else {
		who.until = at + who.stay
	}
	if who.way == leaves || at > who.until {
		v.schedule.left()
		return
	}
	v.schedule.next(at, who)
}

var asOfMember = []byte(`"as_of":"`)

// shownAsOf is the age of what an answer shows: in the head of a 304, else in the body.
func shownAsOf(answer *fasthttp.Response) (time.Time, bool) {
	if text := answer.Header.Peek("Spillway-As-Of"); len(text) > 0 {
		t, err := time.Parse(time.RFC3339, string(text))
		return t, err == nil
	}
	return asOf(answer.Body())
}

// asOf finds as_of in a document, without reading the rest of it: there are many.
func asOf(data []byte) (time.Time, bool) {
	_, rest, found := bytes.Cut(data, asOfMember)
	text, _, closed := bytes.Cut(rest, []byte{'"'})
	if !found || !closed {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, string(text))
	return t, err == nil
}

var (
	totalsEvent = []byte("totals")
	beatEvent   = []byte("heartbeat")
)

func reconnectPause() time.Duration { return reconnectLeast + rand.N(reconnectSpread) }

// stream holds the live stream as long as its visitor stays, and opens it again when it
// is lost.
func (v *Visitors) stream(ctx context.Context, s step) {
	ctx, leave := context.WithDeadline(ctx, v.start.Add(s.visitor.until))
	defer leave()
	for planned := v.start.Add(s.at); ; planned = time.Now() {
		if !v.follow(ctx, s.visitor, planned) || ctx.Err() != nil {
			return
		}
		v.log.lost()
		pause := time.NewTimer(v.pause())
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// follow reads one stream to its end, and tells whether it was open.
func (v *Visitors) follow(ctx context.Context, who *visitor, planned time.Time) bool {
	c := conn.New(v.endpoint)
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	topic := "day=1"
	if who.campaign != day {
		topic = "campaign=" + v.cfg.Slugs[who.campaign]
	}
	request := fmt.Appendf(nil, "GET %s/v1/live?%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", v.endpoint.Prefix, topic, v.endpoint.Host)
	status, err := c.Stream(ctx, request, time.Now().Add(requestTimeout))
	if err != nil && ctx.Err() != nil {
		return false
	}
	v.log.opened(status, time.Since(planned))
	if err != nil || status != fasthttp.StatusOK {
		return false
	}
	events := int64(0)
	_ = c.Events(silenceMost, func(event, data []byte) error { // it always ends; whether too early is for the caller to see
		events++
		if bytes.Equal(event, totalsEvent) || bytes.Equal(event, beatEvent) {
			if asOf, ok := asOf(data); ok {
				v.log.age(time.Since(asOf))
			}
		}
		return nil
	})
	v.log.streamed(events, c.Received())
	return true
}
