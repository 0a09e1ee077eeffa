package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"spillway/loadtest/conn"
	"spillway/loadtest/hdr"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
)

// Bounds of watching.
const (
	// pollEvery is how often a polling watcher reads its total.
	pollEvery = 100 * time.Millisecond
	// silenceMost is how long a stream may say nothing: three heartbeats.
	silenceMost = 15 * time.Second
	// reconnectPause is between two tries of a watcher that lost its connection.
	reconnectPause = 250 * time.Millisecond
)

// watchers read totals beside the rows, as pages of donors do.
type watchers struct {
	endpoint    *conn.Endpoint
	campaigns   []record.Campaign
	writer      *record.Writer
	line        *timeline.Recorder
	connections atomic.Int64
	// lag is the newest lag_ms that any of them read, in nanoseconds; asOf the
	// newest as_of, in nanoseconds of Unix time.
	lag, asOf atomic.Int64

	mu      sync.Mutex
	lags    *hdrhistogram.Histogram // lag_ms as read
	ages    *hdrhistogram.Histogram // time of reading - as_of
	read    int64
	refused int64 // connections and readings that failed
}

func newWatchers(e *conn.Endpoint, campaigns []record.Campaign, w *record.Writer, line *timeline.Recorder) *watchers {
	return &watchers{endpoint: e, campaigns: campaigns, writer: w, line: line, lags: newHistogram(), ages: newHistogram()}
}

// watched chooses the campaigns for n watchers: half of them the hottest, the
// others spread over all.
func watched(source []trace.Campaign, n int) []int32 {
	order := make([]int32, len(source))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(source[b].Rows, source[a].Rows) })
	chosen := make([]int32, n)
	for i := range chosen {
		// Watchers 0 and 1, 4 and 5, ... take the hottest, one by polling and one by stream.
		if i%4 < 2 {
			chosen[i] = order[(i/4)%len(order)]
			continue
		}
		k, others := i/4*2+i%4-2, (n+1)/2
		chosen[i] = order[(2*k+1)*len(order)/(2*others)%len(order)]
	}
	return chosen
}

// run watches until ctx ends.
func (w *watchers) run(ctx context.Context, chosen []int32) {
	var all sync.WaitGroup
	for i, campaign := range chosen {
		follow := w.poll
		if i%2 == 1 {
			follow = w.stream
		}
		all.Go(func() {
			for ctx.Err() == nil {
				err := follow(ctx, campaign, w.connections.Add(1))
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					w.mu.Lock()
					w.refused++
					w.mu.Unlock()
				}
				if sleep(ctx, reconnectPause) != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

// observe puts a reading on file.
func (w *watchers) observe(o record.Observation) {
	w.writer.Observation(&o)
	if o.AsOf.IsZero() {
		return
	}
	w.lag.Store(int64(o.Lag))
	if at := o.AsOf.UnixNano(); at > w.asOf.Load() {
		w.asOf.Store(at) // readers of many lines; a moment's older value does no harm
	}
	w.line.Lag(o.At, o.Lag)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read++
	hdr.Note(w.lags, o.Lag)
	hdr.Note(w.ages, o.At.Sub(o.AsOf))
}

func (w *watchers) full(campaign int32, connection int64, t *totals) record.Observation {
	return record.Observation{Connection: connection, Campaign: campaign, At: time.Now(), AsOf: t.AsOf, Lag: time.Duration(t.LagMillis) * time.Millisecond,
		Epoch: t.Epoch, Version: t.Version, Donations: t.Donations, PledgedMinor: t.PledgedMinor}
}

func (w *watchers) request(campaign int32, what, more string) []byte {
	return fmt.Appendf(nil, "GET %s/v1/campaigns/%s/%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", w.endpoint.Prefix, w.campaigns[campaign].Slug, what, w.endpoint.Host, more)
}

// poll reads a total again and again over one connection, with the tag of the
// last one, as a page without streams does.
func (w *watchers) poll(ctx context.Context, campaign int32, connection int64) error {
	c := conn.New(w.endpoint)
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	request := w.request(campaign, "totals", "")
	for first := true; ; first = false {
		if !c.Connected() && !first {
			return nil // another connection is another line
		}
		answer, err := c.Exchange(ctx, request, time.Now().Add(readTimeout))
		if err != nil {
			return err
		}
		switch answer.StatusCode() {
		case fasthttp.StatusOK:
			var t totals
			if err := json.Unmarshal(answer.Body(), &t); err != nil {
				return err
			}
			w.observe(w.full(campaign, connection, &t))
			request = w.request(campaign, "totals", fmt.Sprintf("If-None-Match: %s\r\n", answer.Header.Peek(fasthttp.HeaderETag)))
		case fasthttp.StatusNotModified:
			asOf, lag, ok := agesOf(answer)
			if !ok {
				return fmt.Errorf("a 304 without its age: %w", ErrTarget)
			}
			w.observe(record.Observation{Connection: connection, Campaign: campaign, At: time.Now(), AsOf: asOf, Lag: lag, AgesOnly: true})
		default:
			return fmt.Errorf("GET totals: status %d: %w", answer.StatusCode(), ErrTarget)
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// stream reads server-sent events over one connection (WHATWG HTML, section 9.2).
func (w *watchers) stream(ctx context.Context, campaign int32, connection int64) error {
	c := conn.New(w.endpoint)
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	status, err := c.Stream(ctx, w.request(campaign, "live", "Accept: text/event-stream\r\n"), time.Now().Add(silenceMost))
	if err != nil {
		return err
	}
	if status != fasthttp.StatusOK {
		return fmt.Errorf("GET live: status %d: %w", status, ErrTarget)
	}
	return c.Events(silenceMost, func(event, data []byte) error { return w.event(campaign, connection, string(event), data) })
}

func (w *watchers) event(campaign int32, connection int64, event string, data []byte) error {
	if event != "totals" && event != "heartbeat" {
		return nil
	}
	var t totals
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("event %s: %w", event, err)
	}
	o := w.full(campaign, connection, &t)
	o.AgesOnly = event == "heartbeat"
	w.observe(o)
	return nil
}

// Watching is what watchers read.
type Watching struct {
	Watchers    int   `json:"watchers"`
	Connections int64 `json:"connections"`
	Readings    int64 `json:"readings"`
	Failures    int64 `json:"failures"`
	// Lag is lag_ms as the target said it, Age the time of reading minus as_of.
	Lag Distribution `json:"lag"`
	Age Distribution `json:"age"`
}

func (w *watchers) report(n int) Watching {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Watching{Watchers: n, Connections: w.connections.Load(), Readings: w.read, Failures: w.refused, Lag: distribution(w.lags), Age: distribution(w.ages)}
}
