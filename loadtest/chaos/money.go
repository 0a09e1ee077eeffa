//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	"spillway/loadtest/rig"
	"spillway/loadtest/stripesim"
)

// errMoney says that two books do not agree.
var errMoney = errors.New("the books do not agree")

// drainWait bounds the wait for the last donation's final state: a claim that died
// with its process lapses after 45 s, an event that was lost and a fee that nobody
// told are asked for after two to three minutes, and the queue is worked off at the
// pace: six minutes of kills at 150/s needed six more.
const drainWait = 15 * time.Minute

// moneyNote is where the trial leaves what the books come to.
const moneyNote = "money"

// drainPoll is how often the books are asked whether all of it is final.
const drainPoll = 200 * time.Millisecond

// final are the states that a donation stays in when nobody does anything more.
var final = []string{"succeeded", "failed", "canceled", "refunded", "disputed"}

// Drained waits until every donation is in a final state and every fee is known, and
// then holds the simulator's books against the journal.
func (t *Trial) Drained(ctx context.Context) error { return t.drained(ctx, nil) }

// DrainedButFees is Drained without the wait for fees that nobody told: events name a
// charge's balance transaction and do not show it, and the watch that asks for it
// looks once a minute at those that are a minute old.
func (t *Trial) DrainedButFees(ctx context.Context) error { return t.drained(ctx, final) }

// drained takes the states in which a fee may still be unknown.
func (t *Trial) drained(ctx context.Context, feeless []string) error {
	began := time.Now()
	left, err := awaitFinal(ctx, t.Rig, feeless)
	if err != nil {
		return err
	}
	if left != "" {
		return fmt.Errorf("%w: after %v some donations have no final state: %s", errBroken, drainWait, left)
	}
	t.Notes["drain_seconds"] = time.Since(began).Seconds()
	t.Logf("every donation is final after %v", time.Since(began).Round(time.Millisecond))
	sums, err := readMoney(ctx, t.Rig, feeless != nil)
	if sums != nil {
		t.Notes[moneyNote] = sums
		t.Logf("money: %+v", *sums)
	}
	if errors.Is(err, errMoney) {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}

// awaitFinal waits until no donation of the rehearsal waits for anything, a fee
// included but for those in a state of feeless. It returns what is left when drainWait
// is over, "" for nothing.
func awaitFinal(ctx context.Context, r *rig.Rig, feeless []string) (left string, err error) {
	bounded, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	conn, err := rehearsalBook(ctx, r)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		rows, err := conn.Query(ctx, `
			SELECT coalesce(p.status, 'without an attempt') || ': ' || count(*) || ', such as ' || min(d.id::text)
			FROM donations d LEFT JOIN payments p ON p.donation_id = d.id
			WHERE p.status IS NULL OR p.status <> ALL ($1)
			   OR p.charge <> '' AND p.fee_minor IS NULL AND p.status <> ALL (coalesce($2::text[], '{}'))
			GROUP BY p.status ORDER BY 1`, final, feeless)
		if err != nil {
			return "", err
		}
		waiting, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(waiting) == 0 {
			return "", err
		}
		select {
		case <-bounded.Done():
			return strings.Join(waiting, "; "), ctx.Err()
		case <-tick.C:
		}
	}
}

func rehearsalBook(ctx context.Context, r *rig.Rig) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(r.DatabaseURL())
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["search_path"] = ledger.Rehearsal.Schema()
	return pgx.ConnectConfig(ctx, config)
}

// Money is what the two books come to; amounts in minor units, over all currencies.
type Money struct {
	Donations    int64 `json:"donations"`
	Succeeded    int64 `json:"succeeded"`
	Failed       int64 `json:"failed"`
	Charges      int64 `json:"charges"` // that succeeded, by the processor
	ChargedMinor int64 `json:"charged_minor"`
	FeesMinor    int64 `json:"fees_minor"`
	FeesUnknown  int64 `json:"fees_unknown"` // to the journal
	BookedMinor  int64 `json:"booked_minor"` // captures, by the journal
	RaisedMinor  int64 `json:"raised_minor"`
	Entries      int64 `json:"entries"`
	Repeated     int64 `json:"repeated"` // attempts whose call was made more than once
}

// disagreementsMost bounds how many are listed.
const disagreementsMost = 20

// disagreements collects what does not agree.
type disagreements struct {
	listed []string
	more   int
}

func (d *disagreements) addf(format string, args ...any) {
	if len(d.listed) < disagreementsMost {
		d.listed = append(d.listed, fmt.Sprintf(format, args...))
		return
	}
	d.more++
}

func (d *disagreements) err() error {
	if len(d.listed) == 0 {
		return nil
	}
	slices.Sort(d.listed)
	if d.more > 0 {
		d.listed = append(d.listed, fmt.Sprintf("and %d more", d.more))
	}
	return fmt.Errorf("%w: %s", errMoney, strings.Join(d.listed, "\n"))
}

// readMoney holds the simulator's books against the rehearsal's journal, charge by
// charge and to the minor unit, and the journal against payments and totals. All of
// it is plain SQL of its own: the judge shares no code with the judged. With feesLater
// a fee that the journal does not have yet is counted, and no disagreement.
//
// Errors: errMoney with what does not agree; those of the connections.
func readMoney(ctx context.Context, r *rig.Rig, feesLater bool) (*Money, error) {
	books, err := r.Books(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := rehearsalBook(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	j, err := readJournal(ctx, conn)
	if err != nil {
		return nil, err
	}
	sums, wrong := j.compare(books, feesLater)
	if err := journalAgainstTotals(ctx, conn, wrong); err != nil {
		return nil, err
	}
	return sums, wrong.err()
}

// journalSide is our side of what the processor did.
type journalSide struct {
	paid     map[string]paid    // by donation
	entries  map[string]booking // at the processor's account, by ref
	currency map[string]int64   // the processor's account, by currency
	sums     Money
}

// paid is what became of a donation.
type paid struct {
	status, intent, charge string
	minor                  int64 // of the donation
}

// booking is one entry's posting to the processor's account.
type booking struct {
	currency string
	minor    int64
	donation string
}

func readJournal(ctx context.Context, conn *pgx.Conn) (*journalSide, error) {
	j := &journalSide{paid: map[string]paid{}, entries: map[string]booking{}, currency: map[string]int64{}}
	var donation string
	var p paid
	rows, err := conn.Query(ctx, `
		SELECT d.id::text, p.status, p.intent, p.charge, d.amount_minor FROM donations d JOIN payments p ON p.donation_id = d.id`)
	if err != nil {
		return nil, err
	}
	if _, err := pgx.ForEachRow(rows, []any{&donation, &p.status, &p.intent, &p.charge, &p.minor}, func() error {
		j.paid[donation] = p
		return nil
	}); err != nil {
		return nil, err
	}
	var ref string
	var b booking
	rows, err = conn.Query(ctx, `
		SELECT ref, currency, amount_minor, coalesce(donation_id::text, '') FROM postings WHERE account = 'processor:stripe'`)
	if err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&ref, &b.currency, &b.minor, &b.donation}, func() error {
		j.entries[ref] = b
		j.currency[strings.ToLower(b.currency)] += b.minor
		if strings.HasPrefix(ref, "capture:") {
			j.sums.BookedMinor += b.minor
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = conn.QueryRow(ctx, `SELECT (SELECT coalesce(sum(raised_minor), 0)::bigint FROM slots), (SELECT count(*) FROM entries),
		(SELECT count(*) FROM attempts WHERE calls > 1)`).Scan(&j.sums.RaisedMinor, &j.sums.Entries, &j.sums.Repeated)
	return j, err
}

// compare holds it against the processor's books, both ways.
func (j *journalSide) compare(books *stripesim.Books, feesLater bool) (*Money, *disagreements) {
	wrong, sums := &disagreements{}, j.sums
	charged := books.Charged()
	for donation, charges := range charged {
		if len(charges) > 1 {
			wrong.addf("donation %s was charged %d times", donation, len(charges))
		}
		for _, c := range charges {
			sums.Charges++
			sums.ChargedMinor += c.Amount
			if b, ok := j.entries["capture:"+c.ID]; !ok {
				wrong.addf("donation %s: charge %s of %d is not in the journal", donation, c.ID, c.Amount)
			} else if b.minor != c.Amount || !strings.EqualFold(b.currency, c.Currency) || b.donation != donation {
				wrong.addf("donation %s: charge %s of %d %s is booked as %d %s of %s", donation, c.ID, c.Amount, c.Currency, b.minor, b.currency, b.donation)
			}
			p, ok := j.paid[donation]
			switch {
			case !ok:
				wrong.addf("charge %s is of a donation that nobody recorded: %q", c.ID, donation)
			case p.status != "succeeded" || p.charge != c.ID || p.intent != c.Intent || p.minor != c.Amount:
				wrong.addf("donation %s is %s with charge %q of intent %q over %d; the processor charged %d by %s of %s",
					donation, p.status, p.charge, p.intent, p.minor, c.Amount, c.ID, c.Intent)
			}
		}
	}
	for donation, p := range j.paid {
		sums.Donations++
		switch p.status {
		case "succeeded":
			sums.Succeeded++
		case "failed":
			sums.Failed++
		}
		if _, ok := charged[donation]; !ok && (p.status == "succeeded" || p.charge != "") {
			wrong.addf("donation %s is %s with charge %q, which the processor does not know", donation, p.status, p.charge)
		}
	}
	net := map[string]int64{}
	for _, t := range books.Transactions {
		net[t.Currency] += t.Net
		if t.Type != "charge" {
			continue
		}
		sums.FeesMinor += t.Fee
		b, ok := j.entries["fee:"+t.ID]
		switch {
		case !ok && feesLater:
			sums.FeesUnknown++
			net[t.Currency] += t.Fee
		case -b.minor != t.Fee:
			wrong.addf("the fee %s of charge %s is %d, booked as %d", t.ID, t.Source, t.Fee, -b.minor)
		}
	}
	for currency, minor := range j.currency {
		if net[currency] != minor {
			wrong.addf("%s: the processor holds %d, by the journal %d", currency, net[currency], minor)
		}
	}
	for currency, minor := range net {
		if _, ok := j.currency[currency]; !ok {
			wrong.addf("%s: the processor holds %d, and the journal has none", currency, minor)
		}
	}
	if want := sums.Charges; int64(countPrefix(j.entries, "capture:")) != want {
		wrong.addf("%d captures in the journal, %d charges", countPrefix(j.entries, "capture:"), want)
	}
	return &sums, wrong
}

func countPrefix(entries map[string]booking, prefix string) (n int) {
	for ref := range entries {
		if strings.HasPrefix(ref, prefix) {
			n++
		}
	}
	return n
}

// journalAgainstTotals checks what must hold without asking the processor: each of
// the queries returns what does not.
func journalAgainstTotals(ctx context.Context, conn *pgx.Conn, wrong *disagreements) error {
	for _, check := range []struct{ what, sql string }{
		{"an entry that does not balance", `
			SELECT ref FROM postings GROUP BY ref, currency HAVING sum(amount_minor) <> 0`},
		{"a donation booked more than once", `
			SELECT donation_id::text FROM entries WHERE kind = 'capture' GROUP BY 1 HAVING count(*) > 1`},
		{"raised is not what the journal owes the campaign", `
			SELECT coalesce(s.campaign, g.campaign) || ': raised ' || coalesce(s.raised, 0) || ', owed ' || coalesce(g.owed, 0)
			FROM (SELECT campaign, sum(raised_minor) AS raised FROM slots GROUP BY 1) s
			FULL JOIN (SELECT substr(account, 7) AS campaign, -sum(amount_minor) AS owed FROM postings WHERE account LIKE 'gifts:%' GROUP BY 1) g
			USING (campaign) WHERE coalesce(s.raised, 0) <> coalesce(g.owed, 0)`},
		{"pledged is not what was neither failed nor canceled", `
			SELECT coalesce(s.campaign, n.campaign) || ': pledged ' || coalesce(s.pledged, 0) || ', by its lines ' || coalesce(n.pledged, 0)
			FROM (SELECT campaign, sum(pledged_minor) AS pledged FROM slots GROUP BY 1) s
			FULL JOIN (SELECT l.campaign, sum(l.amount_minor) AS pledged
			           FROM lines l JOIN donations d ON d.seq = l.donation_seq JOIN payments p ON p.donation_id = d.id
			           WHERE p.status NOT IN ('failed', 'canceled') GROUP BY 1) n
			USING (campaign) WHERE coalesce(s.pledged, 0) <> coalesce(n.pledged, 0)`},
		{"a donation set aside", `SELECT left(reason, 200) FROM quarantine`},
		{"an event whose donation never came", `SELECT event_id FROM processor_events WHERE parked IS NOT NULL`},
	} {
		rows, err := conn.Query(ctx, check.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
		for _, f := range found {
			wrong.addf("%s: %s", check.what, f)
		}
	}
	return nil
}
