package viewers

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// Bounds of the donors.
const (
	donorsAtOnce  = 256             // connections; at 2,000 a second that is 128 ms of patience
	donateTimeout = 5 * time.Second // for one answer
	latencyMost   = 60_000_000      // microseconds that are told apart
)

// Donors give at a steady rate, whatever the answers take: each gift's time is
// counted from the moment that it was due.
type Donors struct {
	Target     string
	Credential string // of rehearsals
	Campaigns  []string
	PerSecond  int
	For        time.Duration
	// Settle is how much of the beginning is not counted.
	Settle time.Duration
}

// Given is how donors fared.
type Given struct {
	Accepted  int64   `json:"accepted"`
	Refused   int64   `json:"refused"` // anything but 202
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// Cores is how many cores the server was using meanwhile, where it was asked.
	Cores float64 `json:"server_cores"`
}

// Give gives until the time is over or ctx ends.
func (d *Donors) Give(ctx context.Context, run string) (*Given, error) {
	client := &fasthttp.Client{MaxConnsPerHost: donorsAtOnce, ReadTimeout: donateTimeout, WriteTimeout: donateTimeout}
	defer client.CloseIdleConnections()
	var next, accepted, refused, counted atomic.Int64
	total := int64(d.For.Seconds() * float64(d.PerSecond))
	var mu sync.Mutex
	latency := hdrhistogram.New(1, latencyMost, 3)
	begun := time.Now()
	var all sync.WaitGroup
	for range donorsAtOnce {
		all.Go(func() {
			request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(request)
			defer fasthttp.ReleaseResponse(answer)
			request.SetRequestURI(d.Target + "/v1/donations")
			request.Header.SetMethod(fasthttp.MethodPost)
			request.Header.SetContentType("application/json")
			request.Header.Set("Spillway-Rehearsal", d.Credential)
			for {
				i := next.Add(1) - 1
				if i >= total || ctx.Err() != nil {
					return
				}
				due := begun.Add(time.Duration(i) * time.Second / time.Duration(d.PerSecond))
				time.Sleep(time.Until(due))
				request.Header.Set("Idempotency-Key", fmt.Sprintf("viewers-%s-%d", run, i))
				request.SetBodyString(fmt.Sprintf(`{"currency":"USD","lines":[{"campaign":%q,"amount_minor":2500}],"donor":{"name":"Ada Example"},"payment":{"confirmation_token":"ctoken_card_visa"}}`,
					d.Campaigns[i%int64(len(d.Campaigns))]))
				err := client.DoTimeout(request, answer, donateTimeout)
				took := time.Since(due)
				if err != nil || answer.StatusCode() != fasthttp.StatusAccepted {
					refused.Add(1)
					continue
				}
				accepted.Add(1)
				if due.Sub(begun) < d.Settle {
					continue
				}
				counted.Add(1)
				mu.Lock()
				_ = latency.RecordValue(min(max(took.Microseconds(), 1), latencyMost)) // between the bounds
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ms := func(q float64) float64 { return float64(latency.ValueAtQuantile(q)) / 1000 }
	return &Given{Accepted: accepted.Load(), Refused: refused.Load(), PerSecond: float64(accepted.Load()) / time.Since(begun).Seconds(), P50: ms(50), P99: ms(99)}, nil
}
