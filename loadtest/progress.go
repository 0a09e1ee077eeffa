package loadtest

import (
	"context"
	"sync"
	"time"

	"spillway/loadtest/audit"
	"spillway/loadtest/hdr"
)

// showEvery is how often people are told how it goes.
const showEvery = 500 * time.Millisecond

// Progress is the state of a rehearsal at a moment.
type Progress struct {
	// Phase says in words what is done now; the numbers belong to the sending.
	Phase   string
	Sending bool
	// Elapsed counts from the schedule's start, Left is what remains of it.
	Elapsed, Left time.Duration
	Planned, Sent int64
	Accepted      int64
	Refused       int64
	Unknown       int64 // attempts so far
	Waiting       int64 // requests that left and have no answer yet
	// SentRate and AckRate are per second, P99 the latency, since the last time.
	SentRate, AckRate float64
	P99               time.Duration
	Lag               time.Duration // newest lag_ms that a watcher read
	Backlog           int64         // envelopes, while draining; -1 when not known
	Behind            time.Duration // how far as_of is behind the last 202, while draining; -1 when it cannot be read
	// Charging is how far that has come, in the phase of that name; ChargeRate is how
	// many donations came to their end per second since the time before.
	Charging   *audit.Charging
	ChargeRate float64
	// Recent is the latency since the last time, as hdr writes it; of a share only.
	Recent string
}

// display gathers the state of things and shows it from time to time.
type display struct {
	show func(Progress)

	mu    sync.Mutex
	state Progress
	r     *rehearsal
	begun time.Time
	span  time.Duration
	// the counts when it was last shown
	at       time.Time
	sent     int64
	accepted int64
	// lastBehind is how far the totals were behind when they could last be read.
	lastBehind time.Duration
}

func newDisplay(show func(Progress)) *display { return &display{show: show} }

// start shows the state until the function it returns is called.
func (d *display) start(ctx context.Context) (end func()) {
	if d.show == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(showEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.show(d.now())
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// phase says what is done now.
func (d *display) phase(text string) {
	d.mu.Lock()
	d.state.Phase, d.state.Sending = text, false
	d.mu.Unlock()
}

// say tells at once, for phases after the ticking has ended.
func (d *display) say(text string) {
	d.phase(text)
	if d.show != nil {
		d.show(d.now())
	}
}

// sending begins the numbers.
func (d *display) sending(r *rehearsal, planned int64, left time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = Progress{Phase: "sending", Sending: true, Planned: planned, Backlog: -1}
	d.r, d.begun, d.at = r, r.engine.start, r.engine.start
	d.span = left
}

// drained notes how the drain goes and tells whether it has moved on. The zero asOf
// is a total that could not be read: no progress.
func (d *display) drained(backlog int64, asOf, need time.Time) (moved bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	moved = backlog != d.state.Backlog
	d.state.Backlog, d.state.Behind = backlog, -1
	if !asOf.IsZero() {
		behind := max(0, need.Sub(asOf))
		moved = moved || behind != d.lastBehind
		d.state.Behind, d.lastBehind = behind, behind
	}
	return moved
}

// charging notes how the charging goes.
func (d *display) charging(now *audit.Charging) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.state.Charging; before != nil && now.At.After(before.At) {
		d.state.ChargeRate = float64(before.Left()-now.Left()) / now.At.Sub(before.At).Seconds()
	}
	d.state.Phase, d.state.Charging = "charging", now
}

func (d *display) now() Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.state
	if d.r == nil {
		return *p
	}
	now := time.Now()
	m := d.r.engine.meter
	m.mu.Lock()
	p.Sent, p.Accepted, p.Unknown = m.sent, m.accepted, m.unknown
	p.Refused = 0
	for _, n := range m.refused {
		p.Refused += n
	}
	p.Recent = ""
	if d.r.cfg.Share.Index > 0 {
		p.Recent, _ = hdr.Encode(m.recent) // for people: then they see fewer samples
	}
	p.Waiting = max(0, d.r.engine.open.Load()-int64(d.r.engine.agenda.len()))
	if d.r.deps.Fleet != nil {
		others := d.r.deps.Fleet.Counts()
		p.Sent, p.Accepted, p.Unknown = p.Sent+others.Sent, p.Accepted+others.Accepted, p.Unknown+others.Unknown
		p.Refused, p.Waiting = p.Refused+others.Refused, p.Waiting+others.Waiting
		for _, text := range others.Recent {
			_ = hdr.Merge(m.recent, text, histogramDigits) // likewise
		}
	}
	p.P99 = time.Duration(m.recent.ValueAtQuantile(99)) * time.Microsecond
	m.recent.Reset()
	m.mu.Unlock()
	p.Lag = time.Duration(d.r.watch.lag.Load())
	p.Elapsed = now.Sub(d.begun)
	p.Left = max(0, d.span-p.Elapsed)
	if since := now.Sub(d.at).Seconds(); since > 0 {
		p.SentRate, p.AckRate = float64(p.Sent-d.sent)/since, float64(p.Accepted-d.accepted)/since
	}
	d.at, d.sent, d.accepted = now, p.Sent, p.Accepted
	return *p
}
