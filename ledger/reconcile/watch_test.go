package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// News implements News: one slot, its entries in the order of booking.
func (w *world) News(_ context.Context, _ time.Time, place Place, each func(*journal.Entry) error) error {
	for place[1] < int64(len(w.entries)) {
		e := w.entries[place[1]]
		if err := each(&e); err != nil {
			return err
		}
		place[1]++
	}
	return nil
}

// learn applies what a watch learnt, as the payments role would.
func (w *world) learn(_ context.Context, facts []payments.Fact, entries []journal.Entry) error {
	for _, f := range facts {
		w.hear(f.Fee.Charge, f)
	}
	w.entries = append(w.entries, entries...)
	return nil
}

func watchOf(t *testing.T, w *world, change ...func(*WatchDeps)) (*Watch, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	deps := WatchDeps{Books: []News{w}, Processor: w, Registerer: reg, Now: func() time.Time { return w.now }}
	for _, c := range change {
		c(&deps)
	}
	watch, err := NewWatch(WatchConfig{}, deps)
	if err != nil {
		t.Fatal(err)
	}
	return watch, reg
}

// figure is a metric's number of series and the sum of their values.
func figure(t *testing.T, reg *prometheus.Registry, name string) (series int, value float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			series++
			value += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return series, value
}

func pass(t *testing.T, w *Watch) *Report {
	t.Helper()
	r, err := w.Pass(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lose takes an entry out of the journal before anybody read it.
func (w *world) lose(ref string) journal.Entry {
	w.t.Helper()
	i := slices.IndexFunc(w.entries, func(e journal.Entry) bool { return e.Ref == ref })
	if i < 0 {
		w.t.Fatalf("no entry %s", ref)
	}
	e := w.entries[i]
	w.entries = slices.Delete(w.entries, i, i+1)
	return e
}

// TestWatch_ADifferenceStaysUntilItIsExplained, by a single cent and for longer than
// what agrees is kept.
func TestWatch_ADifferenceStaysUntilItIsExplained(t *testing.T) {
	w := newWorld(t)
	watch, reg := watchOf(t, w)
	w.give("ch_1", "USD", 1, payments.Line{Campaign: "a", AmountMinor: 1000})
	w.give("ch_2", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000})
	fee := w.lose("fee:txn_1")

	if r := pass(t, watch); len(r.Young) != 1 || !r.OK() {
		t.Fatal(printed(t, r))
	}
	for range 3 {
		w.now = w.now.Add(50 * time.Minute)
		r := pass(t, watch)
		if len(r.Differences) != 1 || r.Differences[0].ID != "txn_1" {
			t.Fatal(printed(t, r))
		}
		if currencies, minor := figure(t, reg, "reconcile_off_minor"); currencies != 1 || minor != 1 {
			t.Fatalf("%d currencies are off, by %v", currencies, minor)
		}
	}
	if len(watch.comparison.objects) != 1 || len(watch.comparison.seen) != 0 {
		t.Errorf("%d objects and %d balance transactions are kept, want the difference alone", len(watch.comparison.objects), len(watch.comparison.seen))
	}
	w.entries = append(w.entries, fee) // found after all
	if r := pass(t, watch); !r.OK() {
		t.Fatal(printed(t, r))
	}
	for _, name := range []string{"reconcile_off_minor", "reconcile_differences"} {
		if _, value := figure(t, reg, name); value != 0 {
			t.Errorf("%s is %v with nothing left to explain", name, value)
		}
	}
}

// TestWatch_LearnsFeesAndWhatNamesNoGift before anything alarms.
func TestWatch_LearnsFeesAndWhatNamesNoGift(t *testing.T) {
	w := newWorld(t)
	watch, _ := watchOf(t, w, func(d *WatchDeps) { d.Learn = w.learn })
	w.give("ch_1", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000})
	w.lose("fee:txn_1")
	p := w.paid["ch_1"]
	p.FeeKnown, p.FeeMinor, p.FeeCurrency = false, 0, ""
	w.paid["ch_1"] = p
	w.moved("fee", "stripe_fee", "", -200, 0, "USD")
	w.now = w.now.Add(time.Second)

	if r := pass(t, watch); len(r.Young) != 2 || len(w.entries) != 1 {
		t.Fatalf("learnt at once, before an event could tell: %s", printed(t, r))
	}
	w.now = w.now.Add(2 * time.Minute)
	pass(t, watch)
	if r := pass(t, watch); len(r.Young) != 0 || !r.OK() || len(w.entries) != 3 {
		t.Fatalf("%s%+v", printed(t, r), w.entries)
	}
}

// TestWatch_ALateEventOfSomethingForgotten compares on its own.
func TestWatch_ALateEventOfSomethingForgotten(t *testing.T) {
	w := newWorld(t)
	watch, _ := watchOf(t, w)
	w.give("ch_1", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000})
	w.giveBack("ch_1", "re_1", 500, false)
	pass(t, watch)
	w.now = w.now.Add(24 * time.Hour)
	pass(t, watch)
	if n := len(watch.comparison.objects); n != 0 {
		t.Fatalf("%d objects that agree are kept for a day", n)
	}
	w.moved("refund_failure", "refund_failure", "re_1", 500, 0, "USD")
	w.hear("ch_1", payments.Fact{At: w.now, Refund: &payments.RefundSeen{ID: "re_1", Charge: "ch_1", AmountMinor: 500, Status: payments.RefundFailed}})
	w.now = w.now.Add(30 * time.Minute)
	if r := pass(t, watch); !r.OK() || r.Objects != 1 {
		t.Fatal(printed(t, r))
	}
}

// away is a processor that cannot be asked.
type away struct{ *world }

var errAway = errors.New("no connection")

func (away) BalanceTransactions(context.Context, time.Time, time.Time, string) (payments.Page[payments.Movement], error) {
	return payments.Page[payments.Movement]{}, errAway
}

// TestWatch_GoesOnWhereItWasCutOff: what moved while the processor could not be asked
// is read by the next pass.
func TestWatch_GoesOnWhereItWasCutOff(t *testing.T) {
	w := newWorld(t)
	watch, _ := watchOf(t, w)
	pass(t, watch)
	w.give("ch_1", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000})
	watch.deps.Processor = away{w}
	w.now = w.now.Add(20 * time.Minute)
	if _, err := watch.Pass(context.Background()); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	watch.deps.Processor = w
	if r := pass(t, watch); !r.OK() || len(r.Young) != 0 || r.Objects != 2 {
		t.Fatal(printed(t, r))
	}
}

// TestWatch_RunEndsWithItsContext, and counts what it could not read.
func TestWatch_RunEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{})
	watch, reg := watchOf(t, w, func(d *WatchDeps) { d.Processor, d.Log = asking{asked}, slog.New(slog.DiscardHandler) })
	watch.config.Every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- watch.Run(ctx) }()
	for range 3 { // the third is asked after two that failed
		select {
		case asked <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatal("passes end after one that failed")
		}
	}
	if _, failures := figure(t, reg, "reconcile_failures_total"); failures < 2 {
		t.Errorf("%v passes that failed are counted, want 2", failures)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// asking is a processor that cannot be asked, and says that it was.
type asking struct{ asked chan struct{} }

func (a asking) BalanceTransactions(ctx context.Context, _, _ time.Time, _ string) (payments.Page[payments.Movement], error) {
	select {
	case <-a.asked:
	case <-ctx.Done():
	}
	return payments.Page[payments.Movement]{}, errAway
}

func TestNewWatch_RefusesNegativeTimes(t *testing.T) {
	for _, c := range []WatchConfig{{Every: -1}, {Window: -1}, {Overlap: -1}, {Grace: -1}, {Slack: -1}} {
		if _, err := NewWatch(c, WatchDeps{}); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
