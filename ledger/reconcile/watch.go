package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// The defaults of WatchConfig; its comments say why.
const (
	defaultEvery   = time.Minute
	defaultWindow  = time.Hour
	defaultOverlap = 2 * time.Minute
	defaultKeep    = 15 * time.Minute
	// learnAfter is how long a fee may be on its way with its capture before it is
	// learnt from the processor's list. Less than the grace, so that what heals by
	// itself does not alarm.
	learnAfter = time.Minute
	// learnMax bounds what is learnt in one pass, and so one transaction.
	learnMax = 500
)

// Place is how far a journal was read: the last entry's number by slot.
type Place = map[int32]int64

// News is a book's journal as it grows.
type News interface {
	// News calls each with every entry beyond place, each once, and moves place along
	// as each returns nil. Slots that place does not have begin with what was booked
	// at or after since.
	News(ctx context.Context, since time.Time, place Place, each func(*journal.Entry) error) error
}

// WatchConfig bounds a Watch. Zero fields take the default named with them.
type WatchConfig struct {
	// Every is the pace of passes. 1 minute.
	Every time.Duration
	// Window is how far back a watch begins. 1 hour.
	Window time.Duration
	// Keep is how long what agrees is remembered: longer than Overlap, in which the
	// processor may show it again. It bounds the memory, 1 KB a gift. 15 minutes.
	Keep time.Duration
	// Overlap is how much of the processor's list is read again each time: what was
	// made in the second of the last pass may have come after it. 2 minutes.
	Overlap time.Duration
	// Grace, Slack and Zone are Config's.
	Grace, Slack time.Duration
	Zone         *time.Location
}

// WatchDeps is what a Watch works with.
type WatchDeps struct {
	// Books are all that are charged at the processor.
	Books     []News
	Processor Processor
	// Learn applies fees that no event told, and books what names no gift; both do
	// nothing when they are known already, and both may be about what is not ours. A
	// fact has no donation yet: Fee.Charge names it. nil learns nothing.
	Learn      func(ctx context.Context, facts []payments.Fact, entries []journal.Entry) error
	Registerer prometheus.Registerer // nil for no metrics
	Log        *slog.Logger          // slog.Default when nil
	Now        func() time.Time      // time.Now when nil
}

// Watch compares without end what has moved since an hour before it began. What
// agrees is forgotten after Keep; a difference stays until it is explained.
//
// Goroutines: none but Run's caller.
type Watch struct {
	config     WatchConfig
	deps       WatchDeps
	comparison *Comparison
	places     []Place
	read       time.Time // the processor's list was read up to here
	metrics    watchMetrics
}

// NewWatch makes a watch that begins now. Errors: bounds that are negative.
func NewWatch(config WatchConfig, deps WatchDeps) (*Watch, error) {
	for d, or := range map[*time.Duration]time.Duration{&config.Every: defaultEvery, &config.Window: defaultWindow, &config.Overlap: defaultOverlap, &config.Keep: defaultKeep} {
		switch {
		case *d < 0:
			return nil, errors.New("reconcile: a watch's times cannot be negative")
		case *d == 0:
			*d = or
		}
	}
	if config.Keep <= config.Overlap {
		return nil, errors.New("reconcile: a watch keeps what agrees for longer than its overlap")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	now := deps.Now()
	c, err := New(Config{Since: now.Add(-config.Window), Until: now, Now: now, Zone: config.Zone, Grace: config.Grace, Slack: config.Slack})
	if err != nil {
		return nil, err
	}
	w := &Watch{config: config, deps: deps, comparison: c, metrics: newWatchMetrics(deps.Registerer)}
	w.read = c.config.Since.Add(-c.config.Slack).Add(config.Overlap)
	for range deps.Books {
		w.places = append(w.places, Place{})
	}
	return w, nil
}

// Run passes until ctx ends, and returns nil then. It survives the absence of
// database and processor, and says so in the metrics.
func (w *Watch) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		r, err := w.Pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if w.metrics.failures.Inc(); !failing {
				w.deps.Log.Warn("journal and processor not compared", "error", err)
			}
		case !r.OK():
			d := &r.Differences[0]
			w.deps.Log.Error("journal and processor differ", "differences", len(r.Differences), "oldest", d.ID, "class", string(d.Class), "kind", d.Kind(), "since", d.Since)
		}
		failing = err != nil
		timer.Reset(w.config.Every)
	}
}

// Pass reads what is new on both sides, learns what no event told, and reports.
// Errors: those of reading and learning; the next pass goes on where this one ended.
func (w *Watch) Pass(ctx context.Context) (*Report, error) {
	c, now := w.comparison, w.deps.Now()
	c.config.Now, c.config.Until = now, now
	until := now.Add(c.config.Slack)
	if err := c.readMovements(ctx, w.deps.Processor, w.read.Add(-w.config.Overlap), until); err != nil {
		return nil, err
	}
	w.read = now
	for i, book := range w.deps.Books {
		if err := book.News(ctx, c.config.Since.Add(-c.config.Slack), w.places[i], c.Entry); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
	}
	r := c.Report()
	c.forget(now.Add(-w.config.Keep))
	w.metrics.show(r, now)
	return r, w.learn(ctx, now)
}

// learn hands on what the processor's list tells and the journal does not have.
func (w *Watch) learn(ctx context.Context, now time.Time) error {
	if w.deps.Learn == nil {
		return nil
	}
	var facts []payments.Fact
	var entries []journal.Entry
	for of, p := range w.comparison.objects {
		if len(p.journal.names) > 0 || p.tells == nil || now.Sub(p.processor.first) < learnAfter || len(facts)+len(entries) == learnMax {
			continue
		}
		switch of.class {
		case Fee:
			if f, ok := FeeOf(p.tells); ok {
				facts = append(facts, f)
			}
		case Other:
			if e, ok := OtherOf(p.tells); ok {
				entries = append(entries, e)
			}
		}
	}
	if len(facts)+len(entries) == 0 {
		return nil
	}
	if err := w.deps.Learn(ctx, facts, entries); err != nil {
		return fmt.Errorf("learn from the processor's list: %w", err)
	}
	return nil
}

// watchMetrics are what alarms on a single cent.
type watchMetrics struct {
	off                *prometheus.GaugeVec
	differences, young prometheus.Gauge
	passed             prometheus.Gauge
	failures           prometheus.Counter
}

func newWatchMetrics(reg prometheus.Registerer) watchMetrics {
	m := watchMetrics{
		off: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "reconcile_off_minor", Help: "Minor units by which journal and processor differ, all differences without their sign.",
		}, []string{"currency"}),
		differences: prometheus.NewGauge(prometheus.GaugeOpts{Name: "reconcile_differences", Help: "Objects that differ between journal and processor."}),
		young:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "reconcile_young_differences", Help: "Differences that may still be on their way."}),
		passed:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "reconcile_passed_timestamp_seconds", Help: "When journal and processor were last compared."}),
		failures:    prometheus.NewCounter(prometheus.CounterOpts{Name: "reconcile_failures_total", Help: "Passes in which one side could not be read."}),
	}
	if reg != nil {
		reg.MustRegister(m.off, m.differences, m.young, m.passed, m.failures)
	}
	return m
}

func (m *watchMetrics) show(r *Report, now time.Time) {
	m.off.Reset()
	for currency, minor := range r.OffMinor() {
		m.off.WithLabelValues(string(currency)).Set(float64(minor)) // shown, never counted with
	}
	m.differences.Set(float64(len(r.Differences)))
	m.young.Set(float64(len(r.Young)))
	m.passed.Set(float64(now.Unix()))
}
