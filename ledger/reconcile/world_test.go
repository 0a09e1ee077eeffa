package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a processor and our journal of it, each written by its own hand: the
// journal by the machine of payments.
type world struct {
	t         *testing.T
	entries   []journal.Entry
	movements []payments.Movement
	paid      map[string]payments.Payment // by charge
	now       time.Time
}

func newWorld(t *testing.T) *world {
	return &world{t: t, paid: map[string]payments.Payment{}, now: noon}
}

// hear gives the machine a fact about a charge's payment.
func (w *world) hear(charge string, f payments.Fact) {
	w.t.Helper()
	p, fx := payments.Next(w.paid[charge], f)
	if fx.Alarm != "" {
		w.t.Fatalf("%s: %s", charge, fx.Alarm)
	}
	w.paid[charge] = p
	w.entries = append(w.entries, fx.Entries...)
}

// moved adds a balance transaction, named after its number.
func (w *world) moved(category, kind, source string, minor, fee int64, currency money.Currency) string {
	id := fmt.Sprintf("txn_%d", len(w.movements)+1)
	w.movements = append(w.movements, payments.Movement{
		ID: id, Type: kind, Category: category, Source: source, AmountMinor: minor, FeeMinor: fee, NetMinor: minor - fee, Currency: currency, CreatedAt: w.now,
	})
	return id
}

func (w *world) give(charge string, currency money.Currency, fee int64, lines ...payments.Line) {
	w.now = w.now.Add(time.Second)
	p := payments.Payment{
		Donation: [16]byte{0xd0, byte(len(w.paid) + 1)}, Currency: currency, Lines: lines, FeeCoverMinor: 25,
		Attempts: []payments.Attempt{{No: 1, State: payments.Calling, FirstCalledAt: w.now, ChangedAt: w.now}},
	}
	p.AmountMinor = p.FeeCoverMinor
	for _, l := range lines {
		p.AmountMinor += l.AmountMinor
	}
	w.paid[charge] = p
	txn := w.moved("charge", "charge", charge, p.AmountMinor, fee, currency)
	// Our clock is a second behind.
	w.hear(charge, payments.Fact{At: w.now.Add(-time.Second), Intent: &payments.IntentSeen{
		AttemptNo: 1, ID: "pi_" + charge, Status: payments.IntentSucceeded, AmountMinor: p.AmountMinor, Currency: currency, Charge: charge,
		Fee: &payments.FeeSeen{BalanceTransaction: txn, FeeMinor: fee, Currency: currency},
	}})
}

func (w *world) giveBack(charge, refund string, minor int64, fails bool) {
	w.now = w.now.Add(time.Second)
	currency := w.paid[charge].Currency
	seen := payments.RefundSeen{ID: refund, Charge: charge, AmountMinor: minor, Status: payments.RefundSucceeded, CreatedAt: w.now}
	w.moved("refund", "refund", refund, -minor, 0, currency)
	w.hear(charge, payments.Fact{At: w.now, Refund: &seen})
	if fails {
		w.now = w.now.Add(time.Second)
		seen.Status = payments.RefundFailed
		w.moved("refund_failure", "refund_failure", refund, minor, 0, currency)
		w.hear(charge, payments.Fact{At: w.now, Refund: &seen})
	}
}

func (w *world) dispute(charge, dispute string, outcome payments.DisputeStatus) {
	w.now = w.now.Add(time.Second)
	p := w.paid[charge]
	seen := payments.DisputeSeen{ID: dispute, Charge: charge, AmountMinor: p.AmountMinor, Status: payments.DisputeOpen, FeeMinor: 1500, CreatedAt: w.now}
	w.moved("dispute", "adjustment", dispute, -p.AmountMinor, 1500, p.Currency)
	w.hear(charge, payments.Fact{At: w.now, Dispute: &seen})
	if outcome == payments.DisputeOpen {
		return
	}
	w.now = w.now.Add(time.Second)
	seen.Status = outcome
	if outcome == payments.DisputeWon {
		seen.FeeReturnedMinor = 1500
		w.moved("dispute_reversal", "adjustment", dispute, p.AmountMinor, -1500, p.Currency)
	}
	w.hear(charge, payments.Fact{At: w.now, Dispute: &seen})
}

func (w *world) payOut(id string, minor int64, currency money.Currency, fails bool) {
	w.now = w.now.Add(time.Second)
	w.moved("payout", "payout", id, -minor, 0, currency)
	w.entries = append(w.entries, journal.NewPayout(id, minor, currency, w.now))
	if fails {
		w.now = w.now.Add(time.Second)
		w.moved("payout_reversal", "payout_failure", id, minor, 0, currency)
		w.entries = append(w.entries, journal.NewPayoutFailed(id, minor, currency, w.now))
	}
}

func (w *world) takeFee(minor int64) {
	w.now = w.now.Add(time.Second)
	w.moved("fee", "stripe_fee", "", -minor, 0, "USD")
	e, ok := OtherOf(&w.movements[len(w.movements)-1])
	if !ok {
		w.t.Fatal("the processor's own fee is no entry")
	}
	w.entries = append(w.entries, e)
}

// aDay is a giving day on which everything happens.
func aDay(t *testing.T) *world {
	w := newWorld(t)
	w.give("ch_1", "USD", 175, payments.Line{Campaign: "river-school", AmountMinor: 5000}, payments.Line{Campaign: "food-bank", AmountMinor: 125})
	w.give("ch_2", "USD", 60, payments.Line{Campaign: "food-bank", AmountMinor: 1000})
	w.give("ch_3", "JPY", 18, payments.Line{Campaign: "shelter", AmountMinor: 500})
	w.give("ch_4", "USD", 0, payments.Line{Campaign: "river-school", AmountMinor: 777})
	w.give("ch_5", "USD", 90, payments.Line{Campaign: "food-bank", AmountMinor: 2000})
	w.giveBack("ch_1", "re_1", 2501, false)
	w.giveBack("ch_2", "re_2", 1025, true)
	w.dispute("ch_4", "dp_1", payments.DisputeWon)
	w.dispute("ch_5", "dp_2", payments.DisputeLost)
	w.takeFee(200)
	w.payOut("po_1", 5000, "USD", false)
	w.payOut("po_2", 100, "JPY", true)
	return w
}

// Entries implements Journal.
func (w *world) Entries(_ context.Context, since, until time.Time, each func(*journal.Entry) error) error {
	for i := range w.entries {
		if e := w.entries[i]; !e.OccurredAt.Before(since) && e.OccurredAt.Before(until) {
			if err := each(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

// BalanceTransactions implements Processor: three to a page, newest first.
func (w *world) BalanceTransactions(_ context.Context, since, until time.Time, cursor string) (payments.Page[payments.Movement], error) {
	var page payments.Page[payments.Movement]
	skip := cursor != ""
	for _, m := range slices.Backward(w.movements) {
		switch {
		case skip:
			skip = m.ID != cursor
		case m.CreatedAt.Before(since) || !m.CreatedAt.Before(until):
		case len(page.Rows) == 3:
			page.Next = page.Rows[2].ID
			return page, nil
		default:
			page.Rows = append(page.Rows, m)
		}
	}
	return page, nil
}

// today is a comparison of the whole day, an hour later.
func (w *world) today() Config {
	return Config{Since: noon.Add(-time.Minute), Until: noon.Add(time.Hour), Now: noon.Add(2 * time.Hour)}
}

func (w *world) run(config Config) *Report {
	w.t.Helper()
	r, err := Run(context.Background(), config, []Journal{w}, w)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func printed(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
