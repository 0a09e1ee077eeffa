package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
	"spillway/ledger/search/postgres"
)

// checks is how many tries a property gets where nobody says otherwise: each is some
// hundred statements.
const checks = "40"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	os.Exit(pgtest.Main(m))
}

// fataler is a test, or a property's try.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig is a database of the test's own: a ledger that records and is paid, and the
// projection of its live book.
type rig struct {
	url    string
	ledger *ledgerdb.DB
	record *ledgerdb.Book
	pay    *paymentsdb.Book
	lease  ledger.Lease
	keys   *keyring.Keyring
	db     *postgres.DB
	*postgres.Store
	conn *pgx.Conn // a person's, on the projection's tables
	n    int       // gifts so far
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{url: pgtest.URL(t)}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.keys, err = keyring.Generate(rand.Reader)
	check(err)
	r.ledger, err = ledgerdb.Open(ledgerdb.Config{URL: r.url})
	check(err)
	t.Cleanup(r.ledger.Close)
	check(r.ledger.Migrate(t.Context()))
	r.record = r.ledger.Book(ledger.Live)
	r.lease, err = r.record.Acquire(t.Context(), "test", time.Hour)
	check(err)
	db, err := paymentsdb.Open(paymentsdb.Config{URL: r.url})
	check(err)
	t.Cleanup(db.Close)
	r.pay = db.Book(ledger.Live)
	r.db, err = postgres.Open(postgres.Config{URL: r.url, Keys: r.keys})
	check(err)
	t.Cleanup(r.db.Close)
	check(r.db.Migrate(t.Context()))
	r.Store = r.db.Store(ledger.Live)
	_, err = r.Begin(t.Context())
	check(err)
	r.conn, err = pgx.Connect(t.Context(), r.url+"&search_path=search")
	check(err)
	t.Cleanup(func() { _ = r.conn.Close(context.Background()) })
	return r
}

// noon is when the first gift of a rig is given; each further one a second later.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// gift is one that give records. Lines are 10.00 each.
type gift struct {
	personal              ingest.Personal
	anonymous, hideAmount bool
	campaigns             []string
	minor                 int64 // of the first line; 1000 when 0
	currency              string
}

// give records a gift and returns its ID.
func (r *rig) give(t fataler, g gift) ingest.ID {
	t.Helper()
	return r.giveAll(t, g)[0]
}

// giveAll records gifts in one transaction.
func (r *rig) giveAll(t fataler, gifts ...gift) []ingest.ID {
	t.Helper()
	var all []*envelope.Donation
	var ids []ingest.ID
	for _, g := range gifts {
		d := r.donation(g)
		all, ids = append(all, d), append(ids, d.ID)
	}
	slices.SortFunc(all, func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if _, _, err := r.record.Record(context.Background(), r.lease, all, nil); err != nil {
		t.Fatal(err)
	}
	return ids
}

// recordOne records a donation, which may be a repeat or lose.
func (r *rig) recordOne(t fataler, d *envelope.Donation) {
	t.Helper()
	if _, _, err := r.record.Record(context.Background(), r.lease, []*envelope.Donation{d}, nil); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) donation(g gift) *envelope.Donation {
	r.n++
	at := noon.Add(time.Duration(r.n) * time.Second)
	d := &envelope.Donation{
		ID: ingest.DeriveID(fmt.Appendf(nil, "a donor's key, number %d", r.n)), ReceivedAt: at, TokenExpiresAt: at.Add(12 * time.Hour),
		Currency: "USD", ConfirmationToken: "ctoken_card_visa", Anonymous: g.anonymous, HideAmount: g.hideAmount,
	}
	if g.currency != "" {
		d.Currency = currencyOf(g.currency)
	}
	if g.campaigns == nil {
		g.campaigns = []string{"river"}
	}
	for i, c := range g.campaigns {
		minor := int64(1000)
		if i == 0 && g.minor != 0 {
			minor = g.minor
		}
		d.Lines = append(d.Lines, ingest.Line{Campaign: c, AmountMinor: minor})
		d.AmountMinor += minor
	}
	hash := sha256.Sum256(fmt.Append(nil, r.n))
	copy(d.Fingerprint[:], hash[:])
	d.Sealed, d.SealKey = r.keys.Seal(nil, d.ID, &g.personal)
	return d
}

// become brings a payment to where the words say, by facts as they reach the service.
func (r *rig) become(t fataler, id ingest.ID, status string) {
	t.Helper()
	short := strings.ReplaceAll(id.String(), "-", "")[:12]
	at := time.Now().UTC().Truncate(time.Microsecond)
	intent := payments.IntentSeen{AttemptNo: 1, ID: "pi_" + short, Currency: "USD"}
	fact := payments.Fact{Donation: id, Source: payments.FromCall, At: at}
	story, err := r.Story(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(story.Attempts); n > 0 {
		intent.AttemptNo = story.Attempts[n-1].No
	}
	switch status {
	case payments.StatusSucceeded:
		intent.Status, intent.Charge, intent.AmountMinor, intent.Currency = payments.IntentSucceeded, "ch_"+short, story.AmountMinor, story.Currency
		fact.Intent = &intent
	case payments.StatusRequiresAction:
		intent.Status = payments.IntentRequiresAction
		fact.Intent = &intent
	case payments.StatusFailed:
		intent.Status, intent.Decline = payments.IntentRequiresPaymentMethod, payments.DeclineFunds
		fact.Intent = &intent
	case payments.StatusCanceled:
		fact.Source, fact.Cancel = payments.FromDonor, &payments.CancelAsked{Request: id}
	case payments.StatusAccepted: // another card
		fact.Source = payments.FromDonor
		fact.Card = &payments.CardOffered{Request: [16]byte(sha256.New().Sum(fmt.Append(nil, short, len(story.Attempts)))), Token: "ctoken_card_visa", ExpiresAt: at.Add(time.Hour)}
	case payments.StatusRefunded, "part":
		minor := story.AmountMinor - story.RefundedMinor
		if status == "part" {
			minor = min(minor, 100)
		}
		fact.Source = payments.FromSweep
		fact.Refund = &payments.RefundSeen{ID: fmt.Sprintf("re_%s_%d", short, len(story.Refunds)), Charge: "ch_" + short, AmountMinor: minor, Currency: story.Currency, Status: payments.RefundSucceeded}
	case payments.StatusDisputed, "won":
		fact.Source = payments.FromWebhook
		fact.EventID = "evt_" + short + status
		fact.Dispute = &payments.DisputeSeen{ID: "dp_" + short, Charge: "ch_" + short, AmountMinor: story.AmountMinor, Currency: story.Currency, Status: payments.DisputeOpen}
		if status == "won" {
			fact.Dispute.Status = payments.DisputeWon
		}
	default:
		t.Fatalf("nothing leads to %q", status)
	}
	if _, _, err := r.pay.Apply(context.Background(), r.lease, []payments.Fact{fact}); err != nil {
		t.Fatal(err)
	}
}

// look refreshes donations.
func (r *rig) look(t fataler, ids ...ingest.ID) {
	t.Helper()
	if _, err := r.Refresh(context.Background(), ids); err != nil {
		t.Fatal(err)
	}
}

// follow reads the journal to its end.
func (r *rig) follow(t fataler, most int) {
	t.Helper()
	for more := true; more; {
		var err error
		if _, more, err = r.FollowJournal(context.Background(), most); err != nil {
			t.Fatal(err)
		}
	}
}

// sweep looks again at everything that is not settled.
func (r *rig) sweep(t fataler, most int) {
	t.Helper()
	r.exec(t, "UPDATE search_states SET look_at = now() - interval '1 s' WHERE look_at IS NOT NULL")
	for {
		_, n, err := r.Sweep(context.Background(), most)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// walk makes a projection that was thrown away anew.
func (r *rig) walk(t fataler, most int) {
	t.Helper()
	for done := false; !done; {
		var err error
		if _, done, err = r.Walk(context.Background(), most); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) exec(t fataler, sql string, args ...any) {
	t.Helper()
	if _, err := r.conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// dump is the projection as text, without when things are looked at and how often a
// wall has changed.
func (r *rig) dump(t fataler) string {
	t.Helper()
	var b strings.Builder
	for table, what := range map[string]string{
		"search_donations": "t::text", "search_words": "t::text", "search_lines": "t::text", "search_feed": "t::text", "search_donors": "t::text", "search_entries": "t::text", "search_slots": "t::text",
		"search_states":    "(seq, received_at, refunded_minor, look_at IS NULL, status, reason, intent, charge)::text",
		"search_campaigns": "(campaign, donors)::text", "search_progress": "(rows)::text",
	} {
		rows, err := r.conn.Query(context.Background(), "SELECT "+what+" FROM "+table+" t ORDER BY 1")
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if table == "search_campaigns" && strings.HasSuffix(line, ",0)") {
				continue // a wall on which nothing counts is as good as none
			}
			b.WriteString(table + line + "\n")
		}
	}
	sorted := strings.Split(b.String(), "\n")
	slices.Sort(sorted)
	return strings.Join(sorted, "\n")
}
