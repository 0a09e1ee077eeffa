// Package viewers measures what watching costs: thousands of live streams in a
// process of their own, the age of what each of them shows, the server's memory for
// each, and what donors feel of them.
//
// The one invariant: a viewer's age is taken from what stands on its page at a moment,
// whether an event came then or not, by the clock of this machine, which has to be the
// server's.
//
// Goroutines: one per viewer, one that samples the ages; Watch waits for all of them.
package viewers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Bounds of an audience.
const (
	// dialsMost is how many viewers connect side by side: a listener's backlog is short.
	dialsMost = 128
	// perSource is how many connections leave from one loopback address; each address
	// has 28,000 ports, some still held by connections that ended.
	perSource = 8_000
	// sourcesMost is how many addresses of 127.0.0.0/24 are used.
	sourcesMost = 250
	// answerTimeout bounds connecting and the first event.
	answerTimeout = 30 * time.Second
	// bufferBytes holds several events with a wall.
	bufferBytes = 4 << 10
	// sampleEvery is how often every viewer's age is looked at.
	sampleEvery = 200 * time.Millisecond
)

// Config says who watches what.
type Config struct {
	Target    string   // the front-end's address, http://host:port
	Viewers   int      // streams
	Campaigns []string // each viewer watches one, in turn
	Day       bool     // and the whole day
	Single    bool     // by the stream of one campaign instead of the one for several topics
}

// Ages is a spread of ages in milliseconds.
type Ages struct {
	P50  int64 `json:"p50_ms"`
	P99  int64 `json:"p99_ms"`
	Most int64 `json:"most_ms"`
}

// Seen is what an audience saw.
type Seen struct {
	Viewers int     `json:"viewers"`
	Seconds float64 `json:"seconds"`
	// Events and Bytes came to all viewers together.
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`
	// Age is the age of the total that each viewer had, sampled over all viewers and
	// the whole time; Arrival that of totals when they came.
	Age     Ages `json:"age"`
	Arrival Ages `json:"arrival"`
	// Lost counts streams that ended early, Silent viewers that never had a total.
	Lost   int64 `json:"lost"`
	Silent int64 `json:"silent"`
}

// Audience is a number of connected viewers.
type Audience struct {
	cfg     Config
	host    string
	viewers []viewer
	sampled *hdrhistogram.Histogram // by the sampling goroutine
	mu      sync.Mutex
	arrived *hdrhistogram.Histogram
	events  atomic.Int64
	bytes   atomic.Int64
	lost    atomic.Int64
	rounds  atomic.Int64 // of samples
	leaving atomic.Bool
	record  atomic.Bool // ages count
}

type viewer struct {
	conn net.Conn
	read *bufio.Reader
	asOf atomic.Int64 // Unix microseconds of what is shown; 0 for nothing yet
}

// ageMost is the longest age that is told apart, in milliseconds.
const ageMost = 10 * 60 * 1000

func newAges() *hdrhistogram.Histogram { return hdrhistogram.New(1, ageMost, 3) }

func spread(h *hdrhistogram.Histogram) Ages {
	return Ages{P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), Most: h.Max()}
}

// Connect connects all viewers and returns when each has had its answer's head. The
// caller calls Watch or Close.
func Connect(ctx context.Context, cfg Config) (*Audience, error) {
	u, err := url.Parse(cfg.Target)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if u.Scheme != "http" || u.Port() == "" || len(cfg.Campaigns) == 0 || cfg.Viewers < 1 {
		return nil, errors.New("viewers need a target http://host:port, and campaigns to watch")
	}
	a := &Audience{cfg: cfg, host: u.Host, viewers: make([]viewer, cfg.Viewers), sampled: newAges(), arrived: newAges()}
	first := rand.IntN(sourcesMost) // ports of an earlier run may still be held
	loopback := runtime.GOOS == "linux" && strings.HasPrefix(u.Hostname(), "127.")
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialsMost)
	for i := range a.viewers {
		group.Go(func() error {
			dialer := net.Dialer{Timeout: answerTimeout}
			if loopback {
				dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+(first+i/perSource)%sourcesMost))}
			}
			return a.viewers[i].connect(ctx, &dialer, a.host, a.path(i))
		})
	}
	if err := group.Wait(); err != nil {
		a.Close()
		return nil, fmt.Errorf("connect %d viewers: %w", cfg.Viewers, err)
	}
	return a, nil
}

// path is what the i-th viewer asks for.
func (a *Audience) path(i int) string {
	slug := a.cfg.Campaigns[i%len(a.cfg.Campaigns)]
	if a.cfg.Single {
		return "/v1/campaigns/" + slug + "/live"
	}
	path := "/v1/live?campaign=" + slug
	if a.cfg.Day {
		path += "&day=1"
	}
	return path
}

func (v *viewer) connect(ctx context.Context, dialer *net.Dialer, host, path string) (err error) {
	if v.conn, err = dialer.DialContext(ctx, "tcp", host); err != nil {
		return err
	}
	if err := v.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(v.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host); err != nil {
		return err
	}
	v.read = bufio.NewReaderSize(v.conn, bufferBytes)
	answer, err := http.ReadResponse(v.read, nil) // the stream is what follows it
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return fmt.Errorf("GET %s: status %d", path, answer.StatusCode)
	}
	return v.conn.SetDeadline(time.Time{})
}

// Progress tells, while Watch goes on, how many events came, how many streams were
// lost, and how often everybody's age was looked at.
func (a *Audience) Progress() (events, lost, rounds int64) {
	return a.events.Load(), a.lost.Load(), a.rounds.Load()
}

// Close ends all streams.
func (a *Audience) Close() {
	a.leaving.Store(true)
	for i := range a.viewers {
		if c := a.viewers[i].conn; c != nil {
			_ = c.Close()
		}
	}
}

// Watch reads every stream until ctx ends, then ends them and tells what was seen.
// Ages count from begin on.
func (a *Audience) Watch(ctx context.Context, begin <-chan struct{}) *Seen {
	var readers, sampler sync.WaitGroup
	for i := range a.viewers {
		readers.Go(func() { a.follow(&a.viewers[i]) })
	}
	begun := time.Now()
	sampler.Go(func() { a.sample(ctx, begin) })
	<-ctx.Done()
	sampler.Wait()
	seen := &Seen{Viewers: a.cfg.Viewers, Seconds: time.Since(begun).Seconds(), Events: a.events.Load(), Bytes: a.bytes.Load(), Lost: a.lost.Load()}
	for i := range a.viewers {
		if a.viewers[i].asOf.Load() == 0 {
			seen.Silent++
		}
	}
	a.Close()
	readers.Wait()
	seen.Age, seen.Arrival = spread(a.sampled), spread(a.arrived)
	return seen
}

var (
	eventPrefix  = []byte("event: ")
	totalsEvent  = []byte("event: totals")
	beatEvent    = []byte("event: heartbeat")
	dataPrefix   = []byte("data: ")
	asOfMember   = []byte(`"as_of":"`)
	asOfBytes    = len("2006-01-02T15:04:05.000000Z")
	asOfTemplate = "2006-01-02T15:04:05.000000Z"
)

// follow reads one stream until it ends.
func (a *Audience) follow(v *viewer) {
	counts := false // the event's age is that of this viewer's total
	for {
		line, err := v.read.ReadSlice('\n')
		a.bytes.Add(int64(len(line)))
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // the rest of a wall
			continue
		case err != nil:
			if !a.leaving.Load() {
				a.lost.Add(1)
			}
			return
		case bytes.HasPrefix(line, eventPrefix):
			a.events.Add(1)
			counts = bytes.HasPrefix(line, totalsEvent) || bytes.HasPrefix(line, beatEvent)
		case counts && bytes.HasPrefix(line, dataPrefix):
			if asOf, ok := asOf(line); ok {
				v.asOf.Store(asOf.UnixMicro())
				if a.record.Load() {
					a.mu.Lock()
					_ = a.arrived.RecordValue(age(asOf, time.Now())) // out of range cannot be: see age
					a.mu.Unlock()
				}
			}
		}
	}
}

// asOf finds as_of in an event's data.
func asOf(data []byte) (time.Time, bool) {
	i := bytes.Index(data, asOfMember)
	if i < 0 || len(data) < i+len(asOfMember)+asOfBytes {
		return time.Time{}, false
	}
	text := data[i+len(asOfMember):][:asOfBytes]
	t, err := time.Parse(asOfTemplate, string(text))
	return t, err == nil
}

// age is between the bounds of a histogram.
func age(asOf, now time.Time) int64 {
	return min(max(now.Sub(asOf).Milliseconds(), 0), ageMost)
}

// sample looks at every viewer again and again, from begin on.
func (a *Audience) sample(ctx context.Context, begin <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-begin:
	}
	a.record.Store(true)
	defer a.record.Store(false)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range a.viewers {
			if micros := a.viewers[i].asOf.Load(); micros > 0 {
				_ = a.sampled.RecordValue(age(time.UnixMicro(micros), time.Now())) // in range, as above
			}
		}
		a.rounds.Add(1)
	}
}
