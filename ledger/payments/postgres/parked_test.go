package postgres_test

import (
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ledger/payments"
)

func TestPark_UntilTheDonationIsThere(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	early := payments.ParkedEvent{EventID: "evt_1", Type: "charge.refunded", Created: noon, Body: []byte(`{"id":"evt_1"}`), Donation: d.ID}
	nobody := payments.ParkedEvent{EventID: "evt_2", Type: "charge.dispute.created", Created: noon, Body: []byte("{}")}
	for range 2 {
		for _, e := range []payments.ParkedEvent{early, nobody} {
			if err := b.pay.Park(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func() (ids []string) {
		t.Helper()
		b.exec(t, "UPDATE processor_events SET look_at = '-infinity' WHERE parked IS NOT NULL")
		events, err := b.pay.Parked(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			want := early
			if e.EventID == nobody.EventID {
				want = nobody
			}
			if e.Type != want.Type || string(e.Body) != string(want.Body) || e.Donation != want.Donation || !e.Created.Equal(noon) {
				t.Errorf("parked %+v", e)
			}
			ids = append(ids, e.EventID)
		}
		return ids
	}
	if ids := look(); len(ids) != 1 || ids[0] != "evt_2" {
		t.Errorf("before the donation: %v", ids)
	}
	b.record(t, d)
	if ids := look(); len(ids) != 2 {
		t.Errorf("with the donation: %v", ids)
	}
	if events, err := b.pay.Parked(t.Context(), 10); err != nil || len(events) != 0 {
		t.Errorf("at once again: %v, %v", events, err)
	}
	b.apply(t, captured(d, noon))
	fact := refunded(d, "re_1", 10, noon)
	fact.EventID = early.EventID
	if _, outcomes := b.apply(t, fact); outcomes[0].Verdict != payments.Applied {
		t.Errorf("a parked event is no duplicate: %+v", outcomes[0])
	}
	if _, outcomes := b.apply(t, fact); outcomes[0].Verdict != payments.Duplicate {
		t.Errorf("now it is: %+v", outcomes[0])
	}
	if err := b.pay.Park(t.Context(), early); err != nil {
		t.Fatal(err)
	}
	if ids := look(); len(ids) != 1 || ids[0] != "evt_2" {
		t.Errorf("dealt with: %v", ids)
	}
	if n := b.number(t, "SELECT count(*) FROM processor_events WHERE event_id = 'evt_1' AND type = 'charge.refunded' AND parked IS NULL AND donation_id = $1", d.ID); n != 1 {
		t.Error("the mark is not the event's")
	}
}

func TestFindDonation_ByEveryChargeThatMovedMoney(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	second := captured(d, noon)
	intent := *second.Intent
	intent.Charge, intent.Fee = "ch_second", nil
	second.Intent = &intent
	if _, outcomes := b.apply(t, captured(d, noon), second); outcomes[1].Alarm != payments.AlarmSecondCharge {
		t.Errorf("outcomes %+v", outcomes)
	}
	found, err := b.pay.FindDonation(t.Context(), []string{"ch_second", captured(d, noon).Intent.Charge, "ch_unknown", intent.ID})
	if err != nil || len(found) != 2 || found["ch_second"] != d.ID || found[captured(d, noon).Intent.Charge] != d.ID {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestRequests_AreDoneOnce(t *testing.T) {
	b := openBooks(t)
	d, absent := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000}), given(0, ingest.Line{Campaign: "river", AmountMinor: 1})
	b.record(t, d)
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: noon, Outcome: &payments.CallOutcome{AttemptNo: 1, Kind: payments.Definite, Reason: payments.Refused}})
	card := payments.Fact{Donation: d.ID, Source: payments.FromDonor, At: noon, Card: &payments.CardOffered{Request: [16]byte{1}, Token: "ctoken_2", ExpiresAt: noon.Add(time.Hour)}}
	cancel := payments.Fact{Donation: d.ID, Source: payments.FromDonor, At: noon.Add(time.Minute), Cancel: &payments.CancelAsked{Request: [16]byte{2}}}
	waits := payments.Fact{Donation: absent.ID, Source: payments.FromDonor, At: noon, Cancel: &payments.CancelAsked{Request: [16]byte{3}}}
	for _, f := range []payments.Fact{card, cancel, waits} {
		b.ask(t, &f)
	}
	open, err := b.pay.Requests(t.Context(), 10)
	if err != nil || len(open) != 2 || *open[0].Card != *card.Card || *open[1].Cancel != *cancel.Cancel || open[0].Donation != d.ID || !open[0].At.Equal(noon) {
		t.Fatalf("open %+v, %v", open, err)
	}
	if got := b.total(t, "river"); got != (total{0, 0, 0}) {
		t.Errorf("total of a failed gift: %+v", got)
	}
	if _, outcomes := b.apply(t, open[0]); outcomes[0].Status != payments.StatusAccepted {
		t.Errorf("outcome %+v", outcomes[0])
	}
	if p := b.load(t, d.ID); len(p.Attempts) != 2 || p.Attempts[1].Token != "ctoken_2" || p.Attempts[1].State != payments.Due {
		t.Errorf("payment %+v", p)
	}
	if n := b.number(t, "SELECT count(*) FROM attempts WHERE attempt_no = 2 AND source = $1 AND tier = 0 AND params IS NULL", int64(d.Source)); n != 1 {
		t.Error("the new attempt stands in no line")
	}
	if got := b.total(t, "river"); got != (total{1000, 0, 1}) {
		t.Errorf("total of a gift with another card: %+v", got)
	}
	_, outcomes := b.apply(t, open[1], open[0])
	if outcomes[0].Status != payments.StatusCanceled || outcomes[1].Verdict != payments.Duplicate {
		t.Errorf("outcomes %+v", outcomes)
	}
	if again, err := b.pay.Requests(t.Context(), 10); err != nil || len(again) != 0 {
		t.Errorf("open again %+v, %v", again, err)
	}
}

func TestToCancel_OneProcessAtATime(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	acts := payments.Fact{Donation: d.ID, Source: payments.FromCall, At: noon, Intent: &payments.IntentSeen{AttemptNo: 1, ID: "pi_1", Status: payments.IntentRequiresAction, ClientSecret: "s"}}
	b.apply(t, acts)
	none := func(when string) {
		t.Helper()
		if all, err := b.pay.ToCancel(t.Context(), 10); err != nil || len(all) != 0 {
			t.Errorf("%s: %+v, %v", when, all, err)
		}
	}
	none("nobody wants it")
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromDonor, At: noon, Cancel: &payments.CancelAsked{Request: [16]byte{1}}})
	all, err := b.pay.ToCancel(t.Context(), 10)
	if err != nil || len(all) != 1 || all[0] != (payments.Cancellation{Donation: d.ID, AttemptNo: 1, Intent: "pi_1", Reason: payments.CancelByDonor}) {
		t.Fatalf("to cancel %+v, %v", all, err)
	}
	none("another process has it")
	b.exec(t, "UPDATE attempts SET not_before = '-infinity'")
	if all, err := b.pay.ToCancel(t.Context(), 10); err != nil || len(all) != 1 {
		t.Errorf("after a lapse: %+v, %v", all, err)
	}
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: noon.Add(time.Minute), Intent: &payments.IntentSeen{ID: "pi_1", Status: payments.IntentCanceled}})
	b.exec(t, "UPDATE attempts SET not_before = '-infinity'")
	none("it is canceled")
	if p := b.load(t, d.ID); p.Attempts[0].State != payments.Canceled || p.Intent != "" {
		t.Errorf("payment %+v", p)
	}
}

// What the processor tells again of the time before a book was emptied has no donation
// any more, and none will come.
func TestPark_NothingOfWhatWasRemoved(t *testing.T) {
	b := openBooks(t)
	b.exec(t, "UPDATE installation SET emptied_at = $1", noon)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	for id, at := range map[string]time.Time{"evt_before": noon.Add(-time.Hour), "evt_then": noon, "evt_after": noon.Add(time.Second)} {
		if err := b.pay.Park(t.Context(), payments.ParkedEvent{EventID: id, Type: "charge.succeeded", Created: at, Body: []byte("{}"), Donation: d.ID}); err != nil {
			t.Fatal(err)
		}
	}
	b.record(t, d)
	events, err := b.pay.Parked(t.Context(), 10)
	if err != nil || len(events) != 1 || events[0].EventID != "evt_after" {
		t.Errorf("parked: %+v, %v", events, err)
	}
}
