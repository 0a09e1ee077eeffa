package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentspostgres "spillway/ledger/payments/postgres"
	ledgerpostgres "spillway/ledger/postgres"
	"spillway/ledger/verify"
)

// captures makes a database with so many captured gifts, booked the way they are
// booked, and returns the last link that the slot would tell the world.
func captures(t *testing.T, gifts int) (database string, told *campaigns.Snapshot) {
	t.Helper()
	database = migrated(t)
	record, err := ledgerpostgres.Open(ledgerpostgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	paid, err := paymentspostgres.Open(paymentspostgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer paid.Close()
	lease, err := record.Book(ledger.Live).Acquire(t.Context(), "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range gifts {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		d := &envelope.Donation{
			ID: ingest.DeriveID([]byte(fmt.Sprint("captured gift ", i))), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour), Currency: "USD", AmountMinor: 100,
			ConfirmationToken: "ctoken_card_visa", Lines: []ingest.Line{{Campaign: "school", AmountMinor: 100}},
		}
		if _, _, err := record.Book(ledger.Live).Record(t.Context(), lease, []*envelope.Donation{d}, nil); err != nil {
			t.Fatal(err)
		}
		fact := payments.Fact{Donation: d.ID, Source: payments.FromCall, At: now, Intent: &payments.IntentSeen{
			AttemptNo: 1, ID: fmt.Sprint("pi_", i), Status: payments.IntentSucceeded, AmountMinor: 100, Currency: "USD", Charge: fmt.Sprint("ch_", i),
		}}
		if _, _, err := paid.Book(ledger.Live).Apply(t.Context(), lease, []payments.Fact{fact}); err != nil {
			t.Fatal(err)
		}
	}
	told = &campaigns.Snapshot{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: lease.Slot}}
	if told.Rows, told.Chain, err = record.Book(ledger.Live).Slots(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	return database, told
}

// broker is a broker that holds nothing but snapshots.
type broker struct{ snapshots []*campaigns.Snapshot }

func (broker) Shards() int { return 1 }
func (broker) State(context.Context, ledger.Book, int) (verify.StreamState, error) {
	return verify.StreamState{First: 1}, nil
}
func (broker) Read(context.Context, ledger.Book, int, uint64, uint64, func(uint64, []byte) error) error {
	return nil
}
func (broker) Durable(context.Context) (string, error) { return "", nil }
func (b broker) Snapshots(context.Context) ([]*campaigns.Snapshot, error) {
	return b.snapshots, nil
}

// What somebody does to the journal behind its triggers, as the superuser, is found.
func TestVerify_FindsWhatWasDoneBehindTheTriggers(t *testing.T) {
	template, told := captures(t, 5)
	const off, on = `SET search_path = spillway; ALTER TABLE entries DISABLE TRIGGER entries_only_grow; `, `; ALTER TABLE entries ENABLE TRIGGER entries_only_grow`
	slot := func(n int) string { return fmt.Sprintf("slot %d entry %d", told.Slot, n) }
	for _, c := range []struct {
		name, damage string
		want         map[string]string
	}{
		{"nothing", `SELECT 1`, nil},
		{"an edited row that still balances", `UPDATE entries SET amounts = '{101,-101}' WHERE n = 3`,
			map[string]string{"chain": slot(3), "raised": "school USD", "payment-booked": "*", "rebuild": "school USD"}},
		{"money moved to another campaign", `UPDATE entries SET accounts = '{processor:stripe,gifts:river}' WHERE n = 3`,
			map[string]string{"chain": slot(3), "raised": "river USD", "payment-booked": "*", "rebuild": "river USD"}},
		{"a time", `UPDATE entries SET occurred_at = occurred_at + interval '1 microsecond' WHERE n = 3`,
			map[string]string{"chain": slot(3)}},
		{"a removed middle", `DELETE FROM entries WHERE n = 3`,
			map[string]string{"chain": slot(4), "raised": "school USD", "payment-booked": "*", "rebuild": "school USD"}},
		{"a cut tail", `DELETE FROM entries WHERE n = 5; UPDATE chain_heads SET n = 4, hash = (SELECT hash FROM entries WHERE n = 4)`,
			map[string]string{"chain-told": slot(5), "raised": "school USD", "payment-booked": "*", "rebuild": "school USD"}},
		{"a cut tail, and everything made to fit", `DELETE FROM entries WHERE n = 5; UPDATE chain_heads SET n = 4, hash = (SELECT hash FROM entries WHERE n = 4);
			UPDATE slots SET raised_minor = raised_minor - 100 WHERE campaign = 'school' AND raised_minor = 500;
			UPDATE payments SET charge = '', captured_minor = 0, status = 'accepted' WHERE charge = 'ch_4'; UPDATE attempts SET state = 1 WHERE charge = 'ch_4'`,
			map[string]string{"chain-told": slot(5), "published": fmt.Sprintf("slot %d school USD", told.Slot)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			database := copyOf(t, template)
			execute(t, database, off+c.damage+on)
			report, err := verify.Run(t.Context(), verify.Config{Rebuild: true}, verify.Deps{
				Open:    func(ctx context.Context) (verify.Database, error) { return Open(ctx, database) },
				Streams: broker{[]*campaigns.Snapshot{told}},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range report.Results {
				id, expected := c.want[res.Check]
				expected = expected && res.Scope == "live"
				if res.Check == "waiting" || res.Check == "sent" || res.Check == "recorded" || res.Check == "requested" { // the broker holds no donations
					continue
				}
				if expected != (res.Verdict == verify.Broken) {
					t.Errorf("%s %s: %s %v %s", res.Check, res.Scope, res.Verdict, res.Findings, res.Reason)
				}
				if expected && id != "*" && res.Findings[0].ID != id {
					t.Errorf("%s names %v, not %s", res.Check, res.Findings, id)
				}
			}
		})
	}
}
