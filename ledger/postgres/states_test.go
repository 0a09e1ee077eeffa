package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/postgres"
)

// paid writes a payment and its last attempt as payments would.
func paid(t testing.TB, url string, id ingest.ID, payment, attempt string) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "INSERT INTO payments (donation_id, attempt_no, status, reason, charge) SELECT $1, "+payment, id); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO attempts (donation_id, attempt_no, source, token, token_expires_at, not_before, changed_at, params,
		state, first_called_at, client_secret, decline) SELECT $1, p.attempt_no, 1, 'ctoken', now(), now(), now(), 'p', `+attempt+` FROM payments p WHERE p.donation_id = $1`, id); err != nil {
		t.Fatal(err)
	}
}

func TestStates_SayWhatBecameOfThePayment(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	for name, c := range map[string]struct {
		payment, attempt string
		more             []string
		want             ledger.State
	}{
		"due":              {"1, 'accepted', '', ''", "1, NULL, '', ''", nil, ledger.State{Status: "accepted", AttemptNo: 1}},
		"claimed":          {"1, 'accepted', '', ''", "2, now(), '', ''", nil, ledger.State{Status: "charging", AttemptNo: 1}},
		"requires action":  {"1, 'requires_action', '', ''", "3, now(), 'pi_1_secret_2', ''", nil, ledger.State{Status: "requires_action", AttemptNo: 1, ClientSecret: "pi_1_secret_2"}},
		"secret of a past": {"1, 'charging', '', ''", "4, now(), 'pi_1_secret_2', ''", nil, ledger.State{Status: "charging", AttemptNo: 1}},
		"declined":         {"2, 'failed', 'declined', ''", "5, now(), '', 'insufficient_funds'", nil, ledger.State{Status: "failed", AttemptNo: 2, Reason: "declined", Decline: "insufficient_funds"}},
		"canceled":         {"1, 'canceled', '', ''", "6, now(), '', ''", nil, ledger.State{Status: "canceled", AttemptNo: 1}},
		"succeeded":        {"3, 'succeeded', '', 'ch_1'", "7, now(), '', ''", nil, ledger.State{Status: "succeeded", AttemptNo: 3}},
		"given back in part": {"1, 'succeeded', '', 'ch_1'", "7, now(), '', ''", []string{
			"INSERT INTO refunds (refund, donation_id, processor_id, amount_minor, lines, charge, status) SELECT gen_random_uuid(), $1::text::uuid, r.id, r.amount, '{}', r.charge, r.status FROM (VALUES ('re_1' || $1::text, 300, '', 'succeeded'), ('re_2' || $1::text, 40, 'ch_1', 'pending'), ('re_3' || $1::text, 1000, '', 'failed'), ('re_4' || $1::text, 1000, '', 'canceled'), ('re_5' || $1::text, 500, 'ch_other', 'succeeded'), (NULL, 600, '', 'requested')) AS r (id, amount, charge, status)",
		}, ledger.State{Status: "succeeded", AttemptNo: 1, RefundedMinor: 340}},
		"disputed": {"1, 'disputed', '', 'ch_1'", "7, now(), '', ''", []string{
			"INSERT INTO disputes (dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency) SELECT d.id, $1::text::uuid, d.charge, 100, d.status, false, 0, 0, '' FROM (VALUES ('dp_1' || $1::text, '', 'won'), ('dp_2' || $1::text, 'ch_1', 'open'), ('dp_3' || $1::text, 'ch_other', 'lost')) AS d (id, charge, status)",
		}, ledger.State{Status: "disputed", AttemptNo: 1, Dispute: "open"}},
		"lost after all": {"1, 'disputed', '', 'ch_1'", "7, now(), '', ''", []string{
			"INSERT INTO disputes (dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency) SELECT d.id, $1::text::uuid, '', 100, d.status, false, 0, 0, '' FROM (VALUES ('dp_4' || $1::text, 'open'), ('dp_5' || $1::text, 'lost'), ('dp_6' || $1::text, 'won')) AS d (id, status)",
		}, ledger.State{Status: "disputed", AttemptNo: 1, Dispute: "lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := gift("donor who is "+name, "harbour", "school")
			if _, _, err := book.Record(t.Context(), lease, []*envelope.Donation{d}, nil); err != nil {
				t.Fatal(err)
			}
			paid(t, url, d.ID, c.payment, c.attempt)
			for _, sql := range c.more {
				if _, err := connect(t, url).Exec(t.Context(), sql, d.ID.String()); err != nil {
					t.Fatal(err)
				}
			}
			states, err := db.States(t.Context(), [][16]byte{d.ID})
			if err != nil {
				t.Fatal(err)
			}
			got := states[d.ID]
			if !got.Found || got.AmountMinor != 2030 || len(got.Lines) != 2 {
				t.Errorf("what was recorded came back as %+v", got)
			}
			paidPart := ledger.State{
				Status: got.Status, Reason: got.Reason, Decline: got.Decline, ClientSecret: got.ClientSecret, AttemptNo: got.AttemptNo,
				RefundedMinor: got.RefundedMinor, Dispute: got.Dispute, ExpectedWait: got.ExpectedWait,
			}
			if fmt.Sprintf("%+v", paidPart) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got %+v, want %+v", paidPart, c.want)
			}
		})
	}
}

func TestStates_ExpectedWaitByTheQueueAsItWasCounted(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	all := gifts("donor", 3, "harbour")
	if _, _, err := book.Record(t.Context(), lease, all, nil); err != nil {
		t.Fatal(err)
	}
	unmade, due, charged := all[0].ID, all[1].ID, all[2].ID
	paid(t, url, due, "1, 'accepted', '', ''", "1, NULL, '', ''")
	paid(t, url, charged, "1, 'accepted', '', ''", "2, now(), '', ''")
	waits := func() (w [3]time.Duration) {
		t.Helper()
		states, err := db.States(t.Context(), [][16]byte{unmade, due, charged})
		if err != nil || len(states) != 3 {
			t.Fatalf("%d states, %v", len(states), err)
		}
		return [3]time.Duration{states[unmade].ExpectedWait, states[due].ExpectedWait, states[charged].ExpectedWait}
	}
	if w := waits(); w != [3]time.Duration{} {
		t.Errorf("before anybody counted: %v", w)
	}
	// What was read is believed for a second; another process has not read anything.
	var err error
	if db, err = postgres.Open(postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := connect(t, url).Exec(t.Context(), "INSERT INTO queue_figures (counted_at, oldest_at, due, per_second) VALUES (clock_timestamp(), clock_timestamp() - interval '1 hour', 90000, 25)"); err != nil {
		t.Fatal(err)
	}
	w := waits()
	for i := range 2 { // recorded a moment ago, an hour of 25/s in front
		if w[i] < 55*time.Minute || w[i] > time.Hour {
			t.Errorf("donation %d is told %v", i, w[i])
		}
	}
	if w[2] != 0 {
		t.Errorf("one that is being charged is told to wait %v", w[2])
	}
}

// BenchmarkStates asks for twenty donations at once, half of them with a payment.
func BenchmarkStates(b *testing.B) {
	db, url := open(b)
	book, lease := leased(b, db)
	all := gifts("donor", 10_000, "harbour")
	if _, _, err := book.Record(context.Background(), lease, all, nil); err != nil {
		b.Fatal(err)
	}
	conn := connect(b, url)
	for _, sql := range []string{
		"INSERT INTO payments (donation_id, attempt_no, status) SELECT id, 1, 'accepted' FROM donations WHERE seq % 2 = 0",
		"INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, not_before, changed_at) SELECT id, 1, 1, source, 'ctoken', now(), now(), now() FROM donations WHERE seq % 2 = 0",
	} {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	ids := make([][16]byte, 20)
	for i := 0; b.Loop(); i++ {
		for k := range ids {
			ids[k] = all[(i*len(ids)+k)*7919%len(all)].ID
		}
		if states, err := db.States(context.Background(), ids); err != nil || len(states) != len(ids) {
			b.Fatal(len(states), err)
		}
	}
	b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "donations/s")
}
