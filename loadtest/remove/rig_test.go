package remove

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	accessdb "spillway/campaigns/access/postgres"
	managedb "spillway/campaigns/console/manage/postgres"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	ledgerdb "spillway/ledger/postgres"
	searchdb "spillway/ledger/search/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// rig is an installation without its processes.
type rig struct {
	*testing.T
	url    string
	ledger *ledgerdb.DB
	store  *campaignsdb.Store
	broker *broker.Broker
	js     jetstream.JetStream
	conn   *pgx.Conn
	fills  *int // so often something was put in
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, url: pgtest.URL(t), fills: new(int)}
	var err error
	r.ledger, err = ledgerdb.Open(ledgerdb.Config{URL: r.url})
	r.must(err)
	t.Cleanup(r.ledger.Close)
	r.store, err = campaignsdb.Open(campaignsdb.Config{URL: r.url})
	r.must(err)
	t.Cleanup(r.store.Close)
	lists, err := searchdb.Open(searchdb.Config{URL: r.url})
	r.must(err)
	t.Cleanup(lists.Close)
	users, err := accessdb.Open(accessdb.Config{URL: r.url})
	r.must(err)
	t.Cleanup(users.Close)
	imports, err := managedb.Open(r.url)
	r.must(err)
	t.Cleanup(imports.Close)
	for _, migrate := range []func(context.Context) error{r.ledger.Migrate, r.store.Migrate, users.Migrate, imports.Migrate, lists.Migrate} {
		r.must(migrate(t.Context()))
	}
	server := brokertest.Start(t, brokertest.WithTCP())
	r.broker = server.Connect()
	r.must(r.broker.EnsureTopology(t.Context()))
	plain, err := nats.Connect(server.URL())
	r.must(err)
	t.Cleanup(plain.Close)
	r.js, err = jetstream.New(plain)
	r.must(err)
	r.conn, err = pgx.Connect(t.Context(), r.url)
	r.must(err)
	t.Cleanup(func() { _ = r.conn.Close(context.Background()) })
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) exec(sql string, args ...any) {
	r.Helper()
	_, err := r.conn.Exec(r.Context(), sql, args...)
	if err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
}

func (r *rig) count(sql string, args ...any) (n int64) {
	r.Helper()
	r.must(r.conn.QueryRow(r.Context(), sql, args...).Scan(&n))
	return n
}

// gifts are n donations in the order of their IDs.
func gifts(prefix, campaign string, n int, rehearsal bool) []*envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	var all []*envelope.Donation
	for i := range n {
		all = append(all, &envelope.Donation{
			ID: ingest.DeriveID(fmt.Appendf(nil, "%s number %d of the gifts", prefix, i)), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour), Rehearsal: rehearsal,
			Source: 7, Currency: "USD", AmountMinor: 1000, Lines: []ingest.Line{{Campaign: campaign, AmountMinor: 1000}}, ConfirmationToken: "ctoken_card_visa",
		})
	}
	return slices.SortedFunc(slices.Values(all), func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// record writes gifts as the ledger does, under a lease that it gives back.
func (r *rig) record(in ledger.Book, all []*envelope.Donation) {
	r.Helper()
	book := r.ledger.Book(in)
	lease, err := book.Acquire(r.Context(), "test", time.Minute)
	r.must(err)
	_, _, err = book.Record(r.Context(), lease, all, nil)
	r.must(err)
	r.must(book.Release(r.Context(), lease))
}

// Something in every table of a book that the recorder does not write to, about its
// donations; %[1]s is the ledger's schema, %[2]s the projection's.
const filling = `
INSERT INTO %[1]s.payments (donation_id, attempt_no, status) SELECT id, 1, 'accepted' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[1]s.attempts (donation_id, attempt_no, state, source, token, token_expires_at, not_before, changed_at)
    SELECT id, 1, 1, 1, 'ctoken', now(), now(), now() FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[1]s.requests (request, donation_id, kind, token, received_at) VALUES (gen_random_uuid(), gen_random_uuid(), 'cancellation', '', now());
INSERT INTO %[1]s.refunds (refund, donation_id, amount_minor, lines, status) VALUES (gen_random_uuid(), gen_random_uuid(), 5, '{}', 'succeeded');
INSERT INTO %[1]s.disputes (dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency)
    VALUES (gen_random_uuid()::text, gen_random_uuid(), '', 5, 'open', false, 0, 0, '');
INSERT INTO %[1]s.processor_events (event_id, type, created_at, verdict) VALUES (gen_random_uuid()::text, 'charge.succeeded', now(), 1);
INSERT INTO %[1]s.pace (account, endpoint, per_second, current, tokens, filled_at) VALUES (gen_random_uuid()::text, '*', 1, 1, 1, now());
INSERT INTO %[1]s.queue_figures (counted_at, due, per_second) VALUES (now(), 1, 1) ON CONFLICT DO NOTHING;
INSERT INTO %[1]s.entries (slot, n, occurred_at, kind, ref, accounts, currencies, amounts, prev, hash)
    SELECT 1, coalesce(max(n), 0) + 1, now(), 'offline_gift', gen_random_uuid()::text, '{offline:received,gifts:a}', '{USD,USD}', '{5,-5}', sha256('x'), sha256('x') FROM %[1]s.entries;
INSERT INTO %[1]s.chain_heads (slot, n, hash) VALUES (1, 1, sha256('x')) ON CONFLICT DO NOTHING;
INSERT INTO %[1]s.commands (command, kind, asked_at, actor, reason, outcome) VALUES (gen_random_uuid(), 'refund', now(), 'ann', 'why', 'done');
INSERT INTO %[1]s.conflicts (id, fingerprint, received_at, record) VALUES (gen_random_uuid(), gen_random_uuid(), now(), 'x');
INSERT INTO %[1]s.quarantine (sequence, stored_at, record_index, stream, reason, detail, payload_hash, payload) VALUES (1, now(), 0, 'x', 'version', 'x', sha256(gen_random_uuid()::text::bytea), 'x');
INSERT INTO %[2]s.search_donations (seq, received_at, amount_minor, fee_cover_minor, id, anonymous, hide_amount, currency, name, email, message, dedication, words, campaigns, amounts)
    SELECT seq, received_at, amount_minor, 0, id, false, false, currency, 'Ann', 'ann@example.org', '', '', '{ann}', '{a}', '{1000}' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_words (received_at, seq, word) SELECT received_at, seq, 'ann' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_states (seq, received_at, refunded_minor, status, reason, intent, charge) SELECT seq, received_at, 0, 'accepted', '', '', '' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_lines (received_at, seq, campaign) SELECT received_at, seq, 'a' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_feed (received_at, seq, campaign) SELECT received_at, seq, 'a' FROM %[1]s.donations ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_donors (donor, gifts, campaign) VALUES (gen_random_uuid(), 1, 'a');
INSERT INTO %[2]s.search_campaigns (donors, version, campaign) VALUES (1, 1, 'a') ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_entries (donation_id, n, slot) VALUES (gen_random_uuid(), 1, 1);
INSERT INTO %[2]s.search_slots (n, slot) VALUES (1, 1) ON CONFLICT DO NOTHING;
INSERT INTO %[2]s.search_hidden (seq, id, what, actor) SELECT seq, id, 1, 'ann' FROM %[1]s.donations ON CONFLICT DO NOTHING;
`

// fill puts something of both books everywhere. The gifts of both have the same IDs, but
// for the campaigns' names.
func (r *rig) fill() {
	r.Helper()
	*r.fills++
	drill := fmt.Sprintf("friday-%d", *r.fills)
	_, err := r.store.Put(r.Context(),
		&campaigns.Campaign{Slug: "school", Name: "School", Organisation: "School Trust", Event: "day", Currency: "USD"},
		&campaigns.Campaign{Slug: drill, Name: "Rehearsal friday: school", Organisation: "Rehearsal", Currency: "USD", Rehearsal: true})
	r.must(err)
	for in, slug := range map[ledger.Book]string{ledger.Live: "school", ledger.Rehearsal: drill} {
		r.record(in, gifts(fmt.Sprint("fill ", *r.fills), slug, 20, in == ledger.Rehearsal))
		search := "search"
		subject := "donations.v1.0"
		if in == ledger.Rehearsal {
			search, subject = searchSchema, "rehearsals.v1.0"
		}
		r.exec(fmt.Sprintf(filling, in.Schema(), search))
		_, err := r.js.Publish(r.Context(), subject, []byte("an envelope"))
		r.must(err)
		r.must(r.broker.PublishCommand(r.Context(), in, fmt.Sprint("c-", *r.fills), []byte("a command")))
		c, err := r.store.Get(r.Context(), slug)
		r.must(err)
		r.must(r.broker.PublishCampaign(r.Context(), c))
		r.must(r.broker.PublishWalls(r.Context(), []*campaigns.Wall{{Campaign: slug, Version: int64(*r.fills)}}))
		var slot int32
		r.must(r.conn.QueryRow(r.Context(), "SELECT max(slot) FROM "+in.Schema()+".slots").Scan(&slot))
		head := campaigns.FrameHead{Book: in, Slot: slot, Epoch: int64(*r.fills), Term: 1, Number: 1, CountedThrough: time.Now()}
		rows := []campaigns.SlotRow{{Campaign: slug, Currency: "USD", PledgedMinor: 20_000, Donations: 20, Version: 1}}
		r.must(r.broker.PublishSnapshot(r.Context(), &campaigns.Snapshot{FrameHead: head, Rows: rows}))
		r.must(r.broker.PublishFrame(r.Context(), &campaigns.Frame{FrameHead: head, Rows: rows}))
	}
}

// dump is every row of every table that is no rehearsal's, as text: a reading of our own.
func (r *rig) dump() string {
	r.Helper()
	rows, err := r.conn.Query(r.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables
		WHERE schemaname IN ('spillway', 'search', 'campaigns', 'access', 'manage') ORDER BY 1`)
	r.must(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	r.must(err)
	var out strings.Builder
	for _, name := range names {
		where := ""
		switch name {
		case "campaigns.campaigns":
			where = " WHERE NOT rehearsal"
		case "campaigns.organisations":
			where = " WHERE name <> 'Rehearsal'"
		}
		rows, err := r.conn.Query(r.Context(), "SELECT t::text FROM "+name+" t"+where+" ORDER BY 1")
		r.must(err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		r.must(err)
		fmt.Fprintf(&out, "%s\n%s\n", name, strings.Join(lines, "\n"))
	}
	return out.String()
}

func (r *rig) deps() Deps {
	db, err := Open(r.url)
	r.must(err)
	return Deps{Database: db, Broker: r.broker, Log: slog.New(slog.DiscardHandler), patience: 50 * time.Millisecond}
}

// remove removes all, and wants it proven.
func (r *rig) remove() *Report {
	r.Helper()
	report, err := Run(r.Context(), Config{}, r.deps())
	if err != nil || !report.Proven || report.Left != (Left{}) {
		r.Fatalf("%+v, %v", report, err)
	}
	return report
}

// nothing wants nothing to be left of rehearsals, by a look of our own.
func (r *rig) nothing() {
	r.Helper()
	rows, err := r.conn.Query(r.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('rehearsal', 'search_rehearsal')
		AND tablename NOT IN ('goose_db_version', 'installation', 'search_progress', 'restores', 'replays')`)
	r.must(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	r.must(err)
	if len(names) < 20 {
		r.Fatalf("tables %q", names)
	}
	for _, name := range names {
		if n := r.count("SELECT count(*) FROM " + name); n > 0 {
			r.Errorf("%s has %d rows", name, n)
		}
	}
	if n := r.count("SELECT count(*) FROM campaigns.campaigns WHERE rehearsal"); n > 0 {
		r.Errorf("%d campaigns", n)
	}
	if n := r.count("SELECT count(*) FROM campaigns.organisations WHERE name = 'Rehearsal'"); n > 0 {
		r.Error("the rehearsals' organisation")
	}
	for stream, filter := range map[string]string{
		"REHEARSALS_0": ">", "REHEARSAL_COMMANDS": ">", "CAMPAIGNS": "campaigns.v1.friday-*", "WALLS": "walls.v1.>",
	} {
		s, err := r.js.Stream(r.Context(), stream)
		r.must(err)
		info, err := s.Info(r.Context(), jetstream.WithSubjectFilter(filter))
		r.must(err)
		for subject := range info.State.Subjects {
			if subject != "walls.v1.school" && !strings.HasPrefix(subject, "campaigns.v1.school") {
				r.Errorf("%s has %s", stream, subject)
			}
		}
	}
}
