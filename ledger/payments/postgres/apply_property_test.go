package postgres_test

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// reference is what the books are to be: payments.Next over the facts, in memory,
// with a set of events and one of requests that were dealt with.
type reference struct {
	paid    map[ingest.ID]payments.Payment
	first   map[ingest.ID]payments.Payment
	seen    map[string]bool
	entries []journal.Entry
}

func (r *reference) apply(facts []payments.Fact) []payments.Outcome {
	outcomes := make([]payments.Outcome, len(facts))
	var marks []string
	for i, f := range facts {
		out := &outcomes[i]
		out.Donation = f.Donation
		var mark string
		switch {
		case f.EventID != "":
			mark = "event " + f.EventID
		case f.Card != nil:
			mark = "request " + hex.EncodeToString(f.Card.Request[:])
		case f.Cancel != nil:
			mark = "request " + hex.EncodeToString(f.Cancel.Request[:])
		}
		p, recorded := r.paid[f.Donation]
		switch {
		case !recorded:
			out.Verdict = payments.NotYet
			continue
		case mark != "" && r.seen[mark]:
			out.Verdict = payments.Duplicate
			continue
		}
		next, effects := payments.Next(p, f)
		r.paid[f.Donation] = next
		r.entries = append(r.entries, effects.Entries...)
		status, _ := payments.Status(next)
		out.Verdict, out.Status, out.Changed, out.Alarm = effects.Verdict, status, effects.Changed, effects.Alarm
		marks = append(marks, mark)
	}
	for _, m := range marks { // marks are committed with the batch
		if m != "" {
			r.seen[m] = true
		}
	}
	return outcomes
}

// drawFact draws something that may be learnt about a donation.
func drawFact(t *rapid.T, donations []*envelope.Donation, events *int) payments.Fact {
	d := rapid.SampledFrom(donations).Draw(t, "donation")
	name := hex.EncodeToString(d.ID[:6])
	f := payments.Fact{Donation: d.ID, Source: payments.FromCall, At: noon.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "at")) * time.Second)}
	if rapid.Bool().Draw(t, "webhook") {
		f.Source = payments.FromWebhook
		if rapid.IntRange(0, 3).Draw(t, "new event") == 0 && *events > 0 {
			f.EventID = fmt.Sprint("evt_", name, rapid.IntRange(1, *events).Draw(t, "event"))
		} else {
			*events++
			f.EventID = fmt.Sprint("evt_", name, *events)
		}
	}
	charge := fmt.Sprint("ch_", name, rapid.SampledFrom([]string{"", "", "", "_2"}).Draw(t, "charge"))
	minor := func(label string) int64 { return rapid.Int64Range(1, d.AmountMinor).Draw(t, label) }
	request := func() (id [16]byte) {
		copy(id[:], name)
		id[15] = byte(rapid.IntRange(1, 4).Draw(t, "request"))
		return id
	}
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); kind {
	case 0, 1, 2, 3:
		status := rapid.SampledFrom([]payments.IntentStatus{
			payments.IntentSucceeded, payments.IntentSucceeded, payments.IntentRequiresAction, payments.IntentProcessing, payments.IntentRequiresPaymentMethod, payments.IntentCanceled,
		}).Draw(t, "status")
		f.Intent = &payments.IntentSeen{AttemptNo: rapid.IntRange(0, 2).Draw(t, "attempt"), ID: "pi_" + name, Status: status, Currency: d.Currency}
		switch status {
		case payments.IntentSucceeded:
			f.Intent.Charge, f.Intent.AmountMinor = charge, d.AmountMinor
			if rapid.IntRange(0, 9).Draw(t, "other amount") == 0 {
				f.Intent.AmountMinor = minor("amount")
			}
			if rapid.Bool().Draw(t, "with its fee") {
				f.Intent.Fee = &payments.FeeSeen{Charge: charge, BalanceTransaction: "txn_" + charge, FeeMinor: 59, Currency: d.Currency}
			}
		case payments.IntentRequiresAction:
			f.Intent.ClientSecret = "secret"
		case payments.IntentRequiresPaymentMethod:
			f.Intent.Decline, f.Intent.Charge = payments.DeclineFunds, "ch_declined_"+name
		}
	case 4:
		f.Fee = &payments.FeeSeen{Charge: charge, BalanceTransaction: "txn_" + charge, FeeMinor: 59, Currency: d.Currency}
	case 5:
		f.Refund = &payments.RefundSeen{
			ID: fmt.Sprint("re_", name, rapid.IntRange(1, 2).Draw(t, "refund")), Charge: charge, Currency: d.Currency,
			Status: rapid.SampledFrom([]payments.RefundStatus{payments.RefundPending, payments.RefundSucceeded, payments.RefundFailed}).Draw(t, "refund's status"),
		}
		f.Refund.AmountMinor = d.AmountMinor / 3 // one refund is of one amount
	case 6:
		f.Dispute = &payments.DisputeSeen{
			ID: fmt.Sprint("dp_", name), Charge: charge, Currency: d.Currency, AmountMinor: d.AmountMinor / 2,
			Status:   rapid.SampledFrom([]payments.DisputeStatus{payments.DisputeOpen, payments.DisputeWon, payments.DisputeLost}).Draw(t, "dispute's status"),
			FeeMinor: 1500,
		}
	case 7:
		f.Source, f.EventID = payments.FromDonor, ""
		f.Card = &payments.CardOffered{Request: request(), Token: "ctoken_other", ExpiresAt: noon.Add(time.Hour)}
	case 8:
		f.Source, f.EventID = payments.FromDonor, ""
		f.Cancel = &payments.CancelAsked{Request: request()}
	case 9:
		f.Source, f.EventID = payments.FromClock, ""
		f.Overtime = &payments.Overtime{
			AttemptNo: rapid.IntRange(1, 2).Draw(t, "attempt"),
			Kind:      rapid.SampledFrom([]payments.OvertimeKind{payments.TokenExpired, payments.ActionExpired, payments.KeyForgotten}).Draw(t, "overtime"),
		}
	}
	if f.EventID != "" && (f.Card != nil || f.Cancel != nil || f.Overtime != nil) {
		f.EventID = ""
	}
	return f
}

// normal makes two equal payments deeply equal: nothing is nothing, and the queue's
// turn is not the payment's.
func normal(p payments.Payment) payments.Payment {
	for i := range p.Attempts {
		a := &p.Attempts[i]
		a.NotBefore = time.Time{}
		a.ChangedAt, a.ActionBy, a.FirstCalledAt = a.ChangedAt.UTC(), a.ActionBy.UTC(), a.FirstCalledAt.UTC()
	}
	if len(p.Others) == 0 {
		p.Others = nil
	}
	if len(p.Refunds) == 0 {
		p.Refunds = nil
	}
	if len(p.Disputes) == 0 {
		p.Disputes = nil
	}
	for i := range p.Refunds {
		if len(p.Refunds[i].Lines) == 0 {
			p.Refunds[i].Lines = nil
		}
	}
	slices.SortFunc(p.Refunds, func(a, b payments.Refund) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(p.Disputes, func(a, b payments.Dispute) int { return cmp.Compare(a.ID, b.ID) })
	return p
}

// Random facts, in random batches, through the database and through the reference:
// the same outcomes, payments, entries and totals. Every batch is applied twice: the
// second time nothing moves.
func TestApply_EqualsTheReference(t *testing.T) {
	b := openBooks(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		river, hill := fmt.Sprint("river-", round), fmt.Sprint("hill-", round)
		donations := []*envelope.Donation{
			given(0, ingest.Line{Campaign: river, AmountMinor: 1001}),
			given(31, ingest.Line{Campaign: river, AmountMinor: 700}, ingest.Line{Campaign: hill, AmountMinor: 301}),
			given(7, ingest.Line{Campaign: hill, AmountMinor: 50}),
		}
		b.record(t, donations...)
		b.expand(t)
		ref := reference{paid: map[ingest.ID]payments.Payment{}, first: map[ingest.ID]payments.Payment{}, seen: map[string]bool{}}
		for i, d := range donations {
			if i > 0 { // called already, or not
				b.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = $2, changed_at = $2 WHERE donation_id = $1", d.ID, noon)
			}
			ref.paid[d.ID] = b.load(t, d.ID)
			ref.first[d.ID] = ref.paid[d.ID]
		}
		stranger := given(0, ingest.Line{Campaign: river, AmountMinor: 5})
		booked := b.number(t, "SELECT count(*) FROM entries")
		events := 0
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			facts := make([]payments.Fact, rapid.IntRange(1, 12).Draw(rt, "facts"))
			for i := range facts {
				facts[i] = drawFact(rt, append(donations, stranger), &events)
			}
			for i := range facts {
				b.ask(t, &facts[i])
			}
			want := ref.apply(facts)
			_, got := b.apply(t, facts...)
			if !slices.Equal(got, want) {
				rt.Fatalf("outcomes\n%+v, want\n%+v", got, want)
			}
			ref.apply(facts) // again, as the database
			b.apply(t, facts...)
		}
		entries := b.entries(t)[booked:]
		for i := range ref.entries {
			if i >= len(entries) || !reflect.DeepEqual(entries[i], ref.entries[i]) {
				rt.Fatalf("entry %d of %d: want %+v of %d, got %+v", i, len(entries), ref.entries[i], len(ref.entries), entries[min(i, len(entries)-1)])
			}
		}
		if len(entries) != len(ref.entries) {
			rt.Fatalf("%d entries, want %d", len(entries), len(ref.entries))
		}
		want := map[string]total{}
		for _, d := range donations {
			p := ref.paid[d.ID]
			if got := b.load(t, d.ID); !reflect.DeepEqual(normal(got), normal(p)) {
				rt.Fatalf("payment\n%+v, want\n%+v", normal(got), normal(p))
			}
			for i, l := range p.Lines {
				sum := want[l.Campaign]
				sum.Pledged += payments.Pledged(p, i)
				sum.Raised += payments.Raised(p, i)
				sum.Donations += payments.Counted(p)
				want[l.Campaign] = sum
			}
		}
		for campaign, sum := range want {
			if got := b.total(t, campaign); got != sum || b.owed(t, campaign) != sum.Raised {
				rt.Fatalf("%s: total %+v, want %+v; the journal owes %d", campaign, got, sum, b.owed(t, campaign))
			}
		}
	})
}
