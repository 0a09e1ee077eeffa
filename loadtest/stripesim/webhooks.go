package stripesim

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// giveUpAfter is how long Stripe tries to deliver an event.
	giveUpAfter = 3 * 24 * time.Hour
	// retryMax ends the doubling of pauses between tries.
	retryMax = time.Hour
	// receiptMax is how much of a receiver's answer is read, bytes.
	receiptMax = 4 << 10
)

// courier delivers events: each at least once, unless it is lost on purpose, in
// whatever order. What is on its way when the process dies is sent again.
type courier struct {
	s      *Server
	client *http.Client

	mu    sync.Mutex
	items deliveryHeap
	woken chan struct{}
}

// delivery is an event on its way.
type delivery struct {
	at    int64 // when to send it, Unix milliseconds of the real clock
	n     uint32
	fails uint16 // tries so far
	again bool   // a duplicate: nothing depends on it
}

type deliveryHeap []delivery

func (h deliveryHeap) Len() int { return len(h) }
func (h deliveryHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].n < h[j].n
}
func (h deliveryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *deliveryHeap) Push(x any)   { *h = append(*h, x.(delivery)) }
func (h *deliveryHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newCourier(s *Server) *courier {
	return &courier{
		s: s, woken: make(chan struct{}, 1),
		client: &http.Client{
			Timeout: s.cfg.WebhookTimeout,
			Transport: &http.Transport{
				MaxIdleConnsPerHost: s.cfg.WebhookSenders, MaxConnsPerHost: s.cfg.WebhookSenders, IdleConnTimeout: time.Minute,
			},
			// Stripe does not follow: a redirect is a failure.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// subscribed tells whether the endpoint, if there is one, is told of such events.
func (s *Server) subscribed(t eventType) bool {
	return s.cfg.WebhookURL != "" && (len(s.cfg.WebhookEvents) == 0 || slices.Contains(s.cfg.WebhookEvents, eventWords[t].word))
}

// add takes an event to deliver, as the faults of now will have it.
func (h *courier) add(n uint32, e *event) {
	if !h.s.subscribed(e.kind) {
		return
	}
	draw := e.draw
	faults := h.s.Faults().Webhooks
	delay := time.Duration(draw.of("delay") * 2 * float64(faults.Delay))
	if draw.hits("reorder", faults.ReorderRate) {
		delay += time.Duration(draw.of("reorder by") * float64(faults.ReorderBy))
		h.s.counted.held.Add(1)
	}
	h.put(delivery{at: time.Now().Add(delay).UnixMilli(), n: n})
}

func (h *courier) put(d delivery) {
	h.mu.Lock()
	heap.Push(&h.items, d)
	first := h.items[0] == d
	h.mu.Unlock()
	if first {
		h.wake()
	}
}

func (h *courier) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// next takes a delivery whose time has come, or says how long to wait.
func (h *courier) next() (d delivery, due bool, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.items) == 0 || h.s.Faults().Webhooks.Paused {
		return delivery{}, false, time.Minute
	}
	if wait = time.Until(time.UnixMilli(h.items[0].at)); wait > 0 {
		return delivery{}, false, max(wait, time.Millisecond)
	}
	return heap.Pop(&h.items).(delivery), true, 0
}

// pending is how many deliveries wait.
func (h *courier) pending() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.items)
}

// run delivers until ctx ends, and returns when nothing is on its way any more.
func (h *courier) run(ctx context.Context) {
	defer h.client.CloseIdleConnections()
	queue := make(chan delivery)
	var senders sync.WaitGroup
	for range h.s.cfg.WebhookSenders {
		senders.Go(func() {
			for d := range queue {
				h.deliver(ctx, d)
			}
		})
	}
	defer senders.Wait()
	defer close(queue)
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for {
		d, due, wait := h.next()
		if due {
			select {
			case queue <- d:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-h.woken:
		}
	}
}

// deliver sends one event, and settles what becomes of it.
func (h *courier) deliver(ctx context.Context, d delivery) {
	s := h.s
	if s.settle() != nil {
		return // Run is being stopped
	}
	s.mu.RLock()
	e := *s.events.at(d.n)
	s.mu.RUnlock()
	faults := s.Faults().Webhooks
	if d.fails == 0 && !d.again && e.draw.hits("loss", faults.LossRate) {
		s.counted.lost.Add(1)
		h.through(d.n)
		return
	}
	out := renderer{ids: s.ids}
	if err := s.renderEvent(&out, d.n, e); err != nil {
		s.cfg.Log.Error("render event", "event", s.ids.id(eventKind, d.n), "error", err)
		h.through(d.n)
		return
	}
	if err := h.send(ctx, out.b); err != nil {
		if ctx.Err() == nil && !d.again {
			h.retry(d, e, err)
		}
		return
	}
	s.counted.delivered.Add(1)
	if d.again {
		return
	}
	h.through(d.n)
	if e.draw.hits("duplicate", faults.DuplicateRate) {
		s.counted.duplicated.Add(1)
		delay := time.Duration(e.draw.of("duplicate after") * float64(max(faults.ReorderBy, Span(time.Second))))
		h.put(delivery{at: time.Now().Add(delay).UnixMilli(), n: d.n, again: true})
	}
}

// through notes that an event needs no more delivery. The note need not be in the
// file at once: losing it repeats a webhook, no more.
func (h *courier) through(n uint32) {
	s := h.s
	s.mu.Lock()
	s.commit(&change{at: s.now().UnixMilli(), sent: []uint32{n}})
	s.mu.Unlock()
}

// retry comes back later, or gives up.
func (h *courier) retry(d delivery, e event, err error) {
	s := h.s
	s.counted.refused.Add(1)
	if s.Now().Sub(time.Unix(e.created, 0)) > giveUpAfter {
		s.counted.gaveUp.Add(1)
		s.cfg.Log.Warn("webhook given up", "event", s.ids.id(eventKind, d.n), "error", err)
		h.through(d.n)
		return
	}
	pause := retryMax
	if d.fails < 16 {
		pause = min(retryMax, s.cfg.WebhookRetry<<d.fails)
	}
	d.fails = min(d.fails+1, 1<<15)
	d.at = time.Now().Add(pause).UnixMilli()
	h.put(d)
}

// send posts an event; only 2xx is a receipt.
func (h *courier) send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.s.cfg.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	req.Header.Set("Stripe-Signature", sign(h.s.cfg.WebhookSecret, h.s.cfg.Now(), body))
	res, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("send webhook: %w", err)
	}
	_, err = io.CopyN(io.Discard, res.Body, receiptMax)
	if err == io.EOF {
		err = nil
	}
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("webhook was answered %d", res.StatusCode)
	}
	return err
}

// sign is the Stripe-Signature header of a body (docs.stripe.com/webhooks, "verify
// manually"): the time is Config.Now's, without what Advance moved.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t))
	mac.Write([]byte("."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
