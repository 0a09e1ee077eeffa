//go:build linux

package mutants

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/keyring"
	"spillway/ledger"
	"spillway/ledger/postgres"
	"spillway/loadtest"
	"spillway/loadtest/audit"
	auditdb "spillway/loadtest/audit/postgres"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

var million = flag.Bool("million", false, "lose one donation in a million instead of one in ten thousand: minutes")

// How many donations the books have, always and with -million.
const (
	booksSmall = 10_000
	booksLarge = 1_000_000
)

// Of a million donations one is gone, in one place: it is found, by its ID, and no
// other is named. The books are made, and are read as those of a rehearsal: a record
// on file, Postgres, the processor's books over HTTP.
func TestMillion_OneLossIsNamed(t *testing.T) {
	count := int64(booksSmall)
	if *million {
		count = booksLarge
	}
	began := time.Now()
	b := newBooks(t, count)
	t.Logf("books of %d donations were made in %v", count, time.Since(began).Round(time.Millisecond))

	b.judge("nothing is lost", b.record, nil)

	lost := b.charged(count / 2)
	b.unpaid = lost
	b.judge("the processor lost one", b.record, b.make(lost))
	b.unpaid = 0

	b.judge("the broker lost one", b.recordOfOneMore(), b.make(count+1))

	lost = b.charged(count / 3)
	b.lose(lost)
	b.judge("the ledger lost one", b.record, b.make(lost))
}

// books are those of one run, as it would have left them.
type books struct {
	t         *testing.T
	count     int64
	run       *gift.Run
	header    record.Header
	keys      *keyring.Keyring
	slugs     []string
	totals    []audit.Total
	url       string // of the database
	record    string // path
	processor *httptest.Server
	unpaid    int64 // the donation whose charge the processor has lost; 0 for none
}

const (
	booksCampaigns = 20
	// booksFee is every charge's, in minor units; one gift in booksDeclined is declined.
	booksFee      = 37
	booksDeclined = 12
	// booksEvery is the time between two gifts, booksTrip what each takes.
	booksEvery = 200 * time.Microsecond
	booksTrip  = 4 * time.Millisecond
	// booksLooks is how often the first campaign's total was read.
	booksLooks = 50
)

// booksBegin is when the first was given; booksEnd when the last card had been declined.
var (
	booksBegin = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	booksEnd   = booksBegin.Add(2 * time.Hour)
)

func newBooks(t *testing.T, count int64) *books {
	t.Helper()
	b := &books{t: t, count: count, url: pgtest.URL(t), record: filepath.Join(t.TempDir(), "record")}
	hash := [32]byte{1}
	b.header = record.Header{Run: "million", Source: "made", Hash: hex.EncodeToString(hash[:]), Copies: 1}
	var err error
	b.run, err = gift.NewRun(b.header.Run, b.header.Source, hash)
	b.must(err)
	b.keys, err = keyring.Generate(bytes.NewReader(bytes.Repeat([]byte("made"), 64)))
	b.must(err)
	for n := range booksCampaigns {
		b.slugs = append(b.slugs, b.run.Slug(fmt.Sprintf("campaign-%d", n)))
	}
	b.writeRecord()
	b.writeLedger()
	b.processor = httptest.NewServer(http.HandlerFunc(b.serveBooks))
	t.Cleanup(b.processor.Close)
	return b
}

func (b *books) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// made is the n-th donation, from 1.
type made struct {
	gift.Gift
	n, campaign, linesMinor int64
	sent, received          time.Time
	declined                bool
}

func (b *books) make(n int64) *made {
	m := &made{n: n, campaign: n * 7 % booksCampaigns, linesMinor: 500 + n%4999, sent: booksBegin.Add(time.Duration(n) * booksEvery), declined: n*31%booksDeclined == 0}
	m.received = m.sent.Add(booksTrip / 2).Truncate(time.Microsecond)
	m.Gift = b.run.Make(gift.Ref{Kind: gift.Row, Number: n}, "USD", []ingest.Line{{Campaign: b.slugs[m.campaign], AmountMinor: m.linesMinor}})
	return m
}

// charged is the first donation from n on that was not declined.
func (b *books) charged(n int64) int64 {
	for b.make(n).declined {
		n++
	}
	return n
}

func (m *made) charge() string { return fmt.Sprintf("ch_%d", m.n) }
func (m *made) intent() string { return fmt.Sprintf("pi_%d", m.n) }

// write appends what the generator saw of a donation.
func (m *made) write(w *record.Writer) {
	ref := gift.Ref{Kind: gift.Row, Number: m.n}
	w.Attempt(&record.Attempt{Ref: ref, Try: 1, Sent: m.sent, Lines: []record.Line{{Campaign: int32(m.campaign), AmountMinor: m.linesMinor}}})
	w.Answer(&record.Answer{Ref: ref, Try: 1, Code: http.StatusAccepted, Outcome: record.Accepted, At: m.sent.Add(booksTrip), AcceptedAt: m.received})
}

// writeRecord makes the record, and sums up the totals as they are in the end.
func (b *books) writeRecord() {
	campaigns := make([]record.Campaign, booksCampaigns)
	b.totals = make([]audit.Total, booksCampaigns)
	for n := range campaigns {
		campaigns[n] = record.Campaign{Slug: b.slugs[n], Name: fmt.Sprintf("campaign-%d", n), Currency: "USD", StartsAt: booksBegin.Add(-time.Hour)}
		b.totals[n] = audit.Total{Currency: "USD", Epoch: 1, Version: 1, AsOf: booksEnd}
	}
	for n := int64(1); n <= b.count; n++ {
		m := b.make(n)
		c, t := &campaigns[m.campaign], &b.totals[m.campaign]
		c.Rows++
		c.SumMinor += m.linesMinor
		if !m.declined {
			t.Donations++
			t.PledgedMinor += m.linesMinor
			t.RaisedMinor += m.linesMinor
		}
	}
	w, err := record.Open(b.record, b.header, record.Visitor{})
	b.must(err)
	_, err = w.Campaigns(campaigns)
	b.must(err)
	b.must(w.Session(record.Session{StartedAt: booksBegin}))
	var seen record.Observation // of the first campaign, all still pledged
	for n := int64(1); n <= b.count; n++ {
		m := b.make(n)
		m.write(w)
		if m.campaign == 0 {
			seen.Donations++
			seen.PledgedMinor += m.linesMinor
		}
		if n%(b.count/booksLooks) == 0 {
			o := seen
			o.Connection, o.Epoch, o.Version, o.At, o.AsOf = 1, 1, n, m.sent.Add(booksTrip), m.sent.Add(booksTrip)
			w.Observation(&o)
		}
	}
	b.must(w.End(record.End{At: booksEnd}))
	b.must(w.Close())
}

// recordOfOneMore is the record with one more donation, which is nowhere else.
func (b *books) recordOfOneMore() string {
	content, err := os.ReadFile(b.record)
	b.must(err)
	path := filepath.Join(b.t.TempDir(), "one-more")
	b.must(os.WriteFile(path, content, 0o600))
	w, err := record.Open(path, b.header, record.Visitor{})
	b.must(err)
	b.make(b.count + 1).write(w)
	b.must(w.Close())
	return path
}

// connect opens the rehearsal book.
func (b *books) connect(ctx context.Context) *pgx.Conn {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.url)
	b.must(err)
	config.RuntimeParams["search_path"] = ledger.Rehearsal.Schema()
	conn, err := pgx.ConnectConfig(ctx, config)
	b.must(err)
	return conn
}

// writeLedger copies rows, payments, entries and slots into the rehearsal book.
func (b *books) writeLedger() {
	ctx := b.t.Context()
	db, err := postgres.Open(postgres.Config{URL: b.url})
	b.must(err)
	err = db.Migrate(ctx)
	db.Close()
	b.must(err)
	conn := b.connect(ctx)
	defer conn.Close(ctx)
	table := func(name, columns string, rows func(m *made) [][]any) {
		b.t.Helper()
		var ready [][]any
		n := int64(0)
		_, err := conn.CopyFrom(ctx, pgx.Identifier{name}, strings.Fields(columns), pgx.CopyFromFunc(func() ([]any, error) {
			for len(ready) == 0 {
				if n++; n > b.count {
					return nil, nil
				}
				ready = rows(b.make(n))
			}
			row := ready[0]
			ready = ready[1:]
			return row, nil
		}))
		b.must(err)
	}
	table("donations", "seq id fingerprint received_at token_expires_at amount_minor lines_minor fee_cover_minor source seal_key anonymous hide_amount currency confirmation_token sealed",
		func(m *made) [][]any {
			d := &m.Donation
			sealed, key := b.keys.Seal([]byte{}, m.ID, &d.Personal)
			return [][]any{{m.n, [16]byte(m.ID), [16]byte(d.Fingerprint()), m.received, m.received.Add(ingest.TokenLife), m.AmountMinor(), m.linesMinor,
				d.FeeCoverMinor, int64(1), int64(key), d.Anonymous, d.HideAmount, "USD", d.Payment.ConfirmationToken, sealed}}
		})
	table("lines", "donation_seq line_no amount_minor campaign", func(m *made) [][]any {
		return [][]any{{m.n, int16(1), m.linesMinor, b.slugs[m.campaign]}}
	})
	table("payments", "donation_id intent charge captured_minor captured_at fee_minor fee_currency attempt_no status reason", func(m *made) [][]any {
		if m.declined {
			return [][]any{{[16]byte(m.ID), m.intent(), "", int64(0), nil, nil, nil, 1, "failed", "declined"}}
		}
		return [][]any{{[16]byte(m.ID), m.intent(), m.charge(), m.AmountMinor(), booksEnd, int64(booksFee), "USD", 1, "succeeded", ""}}
	})
	table("attempts", "donation_id attempt_no state source token token_expires_at not_before changed_at", func(m *made) [][]any {
		if !m.declined {
			return nil // the audit reads those that failed
		}
		return [][]any{{[16]byte(m.ID), 1, int16(5), int64(1), "t", booksEnd, booksEnd, booksEnd}}
	})
	const usd = "USD"
	table("entries", "n slot occurred_at donation_id kind ref accounts currencies amounts prev hash", func(m *made) [][]any {
		if m.declined {
			return nil
		}
		link := make([]byte, 32) // the chain is verify's matter
		accounts, amounts := []string{"processor:stripe", "gifts:" + b.slugs[m.campaign]}, []int64{m.AmountMinor(), -m.linesMinor}
		if fee := m.Donation.FeeCoverMinor; fee > 0 {
			accounts, amounts = append(accounts, "fees:covered"), append(amounts, -fee)
		}
		return [][]any{
			{2 * m.n, int32(1), booksEnd, [16]byte(m.ID), "capture", "capture:" + m.charge(), accounts, slices.Repeat([]string{usd}, len(accounts)), amounts, link, link},
			{2*m.n + 1, int32(1), booksEnd, [16]byte(m.ID), "processing_fee", "fee:" + m.charge(), []string{"fees:processing", "processor:stripe"}, []string{usd, usd},
				[]int64{booksFee, -booksFee}, link, link},
		}
	})
	for n, t := range b.totals {
		_, err := conn.Exec(ctx, "INSERT INTO slots (slot, campaign, currency, pledged_minor, raised_minor, donations, version) VALUES (1, $1, 'USD', $2, $3, $4, 1)",
			b.slugs[n], t.PledgedMinor, t.RaisedMinor, t.Donations)
		b.must(err)
	}
	_, err = conn.Exec(ctx, "ANALYZE donations, lines, payments, attempts, entries")
	b.must(err)
}

// lose takes a donation's rows away behind the ledger's back, and out of its totals:
// the ledger agrees with itself that there never was one.
func (b *books) lose(n int64) {
	ctx, m := b.t.Context(), b.make(n)
	conn := b.connect(ctx)
	defer conn.Close(ctx)
	for _, statement := range []string{
		"SET session_replication_role = replica", // the tables refuse it otherwise
		fmt.Sprintf("DELETE FROM lines WHERE donation_seq = %d", n),
		fmt.Sprintf("DELETE FROM donations WHERE id = '%s'", m.ID),
		fmt.Sprintf("UPDATE slots SET donations = donations - 1, pledged_minor = pledged_minor - %d, raised_minor = raised_minor - %[1]d WHERE campaign = '%s'", m.linesMinor, b.slugs[m.campaign]),
	} {
		tag, err := conn.Exec(ctx, statement)
		b.must(err)
		if tag.RowsAffected() > 1 {
			b.t.Fatalf("%s: %d rows", statement, tag.RowsAffected())
		}
	}
	t := &b.totals[m.campaign]
	t.Donations, t.PledgedMinor, t.RaisedMinor = t.Donations-1, t.PledgedMinor-m.linesMinor, t.RaisedMinor-m.linesMinor
}

// serveBooks is the processor's GET /sim/books, as the simulator writes it.
func (b *books) serveBooks(w http.ResponseWriter, _ *http.Request) {
	out := bufio.NewWriterSize(w, 64<<10)
	for n := int64(1); n <= b.count; n++ {
		m := b.make(n)
		status := "succeeded"
		switch {
		case n == b.unpaid:
			continue
		case m.declined:
			status = "failed"
		default:
			fmt.Fprintf(out, `{"object":"transaction","id":"txn_%d","type":"charge","source":"%s","amount":%d,"fee":%d,"net":%d,"currency":"usd"}`+"\n",
				n, m.charge(), m.AmountMinor(), booksFee, m.AmountMinor()-booksFee)
		}
		fmt.Fprintf(out, `{"object":"charge","id":"%s","payment_intent":"%s","donation":"%s","amount":%d,"currency":"usd","status":"%s","refunded":0}`+"\n",
			m.charge(), m.intent(), m.ID, m.AmountMinor(), status)
	}
	fmt.Fprintln(out, `{"object":"end"}`)
	_ = out.Flush() // a reader that has gone sees that it is cut
}

// Total is what the public is shown.
func (b *books) Total(_ context.Context, slug string) (audit.Total, error) {
	i := slices.Index(b.slugs, slug)
	if i < 0 {
		return audit.Total{}, audit.ErrTotalUnknown
	}
	return b.totals[i], nil
}

// judge audits the books and wants exactly the lost donation named, or nothing found.
func (b *books) judge(what, path string, lost *made) {
	t := b.t
	t.Helper()
	began, heap := time.Now(), watchHeap()
	r, err := audit.Run(t.Context(), audit.Config{
		Record: path, Totals: b, Keys: b.keys, Charged: true, Alone: true,
		Open:      func(ctx context.Context) (audit.Ledger, func(), error) { return auditdb.Begin(ctx, b.url) },
		Processor: &loadtest.Simulator{URL: func() (string, error) { return b.processor.URL, nil }},
	})
	took, most := time.Since(began), heap()
	b.must(err)
	named := map[string][]string{} // by ID: the invariants
	for _, c := range r.Checks {
		for _, v := range c.Violations {
			if v.ID != "" && !slices.Contains(named[v.ID], c.Invariant) {
				named[v.ID] = append(named[v.ID], c.Invariant)
			}
		}
	}
	t.Logf("%s: audit of %d donations in %v, %d MiB of heap at most; named %v", what, r.Counts.Keys, took.Round(time.Millisecond), most>>20, named)
	switch {
	case lost == nil && !r.Holds():
		t.Errorf("%s: a false alarm: %v", what, brokenOf(r))
	case lost != nil && (r.Holds() || !slices.Equal(slices.Collect(maps.Keys(named)), []string{lost.ID.String()})):
		t.Errorf("%s: named %v, want %s alone: %v", what, named, lost.ID, brokenOf(r))
	}
}

// brokenOf lists what was found, for people.
func brokenOf(r *audit.Result) (all []string) {
	for _, c := range r.Checks {
		if c.Broken > 0 {
			all = append(all, fmt.Sprintf("%s %s: %d, %+v", c.Invariant, c.Claim, c.Broken, c.Violations[:min(3, len(c.Violations))]))
		}
	}
	return all
}

// heapEvery is how often the heap is looked at.
const heapEvery = 10 * time.Millisecond

// watchHeap looks at the heap until the function that it returns is called, which
// returns the most that was in use, in bytes.
func watchHeap() (stop func() uint64) {
	runtime.GC()
	ended, most := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(heapEvery)
		defer tick.Stop()
		var top uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			top = max(top, now.HeapInuse)
			select {
			case <-ended:
				most <- top
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(ended)
		return <-most
	}
}
