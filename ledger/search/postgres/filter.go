package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/search"
)

// filter is what a row must fit, as conditions on sql/rows.sql.
type filter struct {
	conditions []condition
	// only, when set, are the donations that the text names: nothing else is looked at.
	only []int64
	none bool // the text names what does not exist
}

// condition is a piece of SQL with %s for each argument, in their order.
type condition struct {
	text string
	args []any
	// probe, when set, finds the donations that fit by an index of their own.
	probe string
}

func (f *filter) add(text, probe string, args ...any) {
	f.conditions = append(f.conditions, condition{text, args, probe})
}

// sql is the rest of a WHERE; it adds its arguments.
func (f *filter) sql(args *[]any) string {
	var b strings.Builder
	for i := range f.conditions {
		b.WriteString("\n  AND ")
		b.WriteString(f.conditions[i].sql(f.conditions[i].text, args))
	}
	return b.String()
}

// sql numbers the condition's arguments behind those that are there.
func (c *condition) sql(text string, args *[]any) string {
	places := make([]any, len(c.args))
	for i, a := range c.args {
		*args = append(*args, a)
		places[i] = fmt.Sprintf("$%d", len(*args))
	}
	return fmt.Sprintf(text, places...)
}

// Pieces of conditions.
const (
	amountsText = "(d.currency = ANY (%s::text[]) AND d.amount_minor BETWEEN %s AND %s)"
	wordText    = "EXISTS (SELECT FROM unnest(d.words) AS w (word) WHERE starts_with(w.word, %s::text))"
	wordProbe   = "FROM search_words d WHERE d.word >= %[1]s::text AND d.word < %[1]s::text || U&'\\+10FFFF'"
)

func newFilter(ctx context.Context, s *Store, conn *pgx.Conn, q *search.Query) (f filter, err error) {
	terms := search.ParseText(q.Text)
	if strings.TrimSpace(q.Text) != "" && terms.Empty() {
		f.none = true // signs that no name holds
		return f, nil
	}
	if q.Campaigns != nil && q.Campaign != "" && !slices.Contains(q.Campaigns, q.Campaign) {
		f.none = true // not theirs to ask for, not even of a donation that they may see
		return f, nil
	}
	if err := f.names(ctx, s, conn, &terms); err != nil {
		return f, err
	}
	if q.Campaign != "" {
		f.add("%s::text = ANY (d.campaigns)", "FROM search_lines d WHERE d.campaign = %s::text", q.Campaign)
	}
	if q.Refunded {
		f.add("s.refunded_minor > 0", "FROM search_states s WHERE s.refunded_minor > 0")
	}
	if q.Hidden {
		f.add("h.what IS NOT NULL", "FROM search_hidden h JOIN search_donations d ON d.seq = h.seq WHERE true")
	}
	if !q.From.IsZero() {
		f.add("d.received_at >= %s", "", q.From)
	}
	if !q.To.IsZero() {
		f.add("d.received_at < %s", "", q.To)
	}
	if len(q.Status) > 0 {
		f.add("s.status = ANY (%s::text[])", "FROM search_states s WHERE s.status = ANY (%s::text[])", q.Status)
	}
	if q.Campaigns != nil {
		f.add("d.campaigns && %s::text[]", "", q.Campaigns)
	}
	if q.MinMinor > 0 || q.MaxMinor > 0 || q.Currency != "" {
		most := q.MaxMinor
		if most == 0 {
			most = 1<<63 - 1
		}
		f.amounts([]string{string(q.Currency)}, q.MinMinor, most)
	}
	return f, nil
}

// amounts adds a range of amounts in some currencies; "" is all of them.
func (f *filter) amounts(currencies []string, least, most int64) {
	if currencies[0] == "" {
		currencies = allCurrencies
	}
	f.add(amountsText, "FROM search_donations d WHERE "+amountsText, currencies, least, most)
}

var allCurrencies = currencyCodes()

// names adds what the text means.
func (f *filter) names(ctx context.Context, s *Store, conn *pgx.Conn, t *search.Terms) (err error) {
	switch {
	case t.ID != nil:
		return f.one(ctx, conn, fmt.Sprintf("SELECT d.seq FROM %s.donations d WHERE d.id = $1", s.schema()), pgtype.UUID{Bytes: *t.ID, Valid: true})
	case t.Processor != "":
		return f.processor(ctx, s, conn, t.Processor)
	case t.Amounts != nil:
		texts, probes, args := make([]string, len(t.Amounts)), make([]string, len(t.Amounts)), []any{}
		for i, a := range t.Amounts {
			texts[i] = amountsText
			probes[i] = "SELECT d.received_at, d.seq FROM search_donations d WHERE " + amountsText
			args = append(args, a.Currencies, a.Minor, a.Minor)
		}
		f.add("("+strings.Join(texts, " OR ")+")", "FROM ("+strings.Join(probes, " UNION ALL ")+") AS d", args...)
	default:
		// The longest first: it is the most likely to be of few.
		slices.SortStableFunc(t.Words, func(a, b string) int { return len(b) - len(a) })
		for _, w := range t.Words {
			f.add(wordText, wordProbe, w)
		}
	}
	return nil
}

// processor finds what the processor's ID is of: a payment or charge by our own
// indexes, a refund or dispute by the ledger's keys.
func (f *filter) processor(ctx context.Context, s *Store, conn *pgx.Conn, id string) error {
	switch {
	case strings.HasPrefix(id, "pi_"):
		return f.one(ctx, conn, "SELECT s.seq FROM search_states s WHERE s.intent = $1 AND s.intent <> ''", id)
	case strings.HasPrefix(id, "re_"), strings.HasPrefix(id, "pyr_"):
		return f.one(ctx, conn, fmt.Sprintf("SELECT d.seq FROM %[1]s.refunds r JOIN %[1]s.donations d ON d.id = r.donation_id WHERE r.processor_id = $1", s.schema()), id)
	case strings.HasPrefix(id, "dp_"), strings.HasPrefix(id, "du_"):
		return f.one(ctx, conn, fmt.Sprintf("SELECT d.seq FROM %[1]s.disputes t JOIN %[1]s.donations d ON d.id = t.donation_id WHERE t.dispute = $1", s.schema()), id)
	}
	return f.one(ctx, conn, "SELECT s.seq FROM search_states s WHERE s.charge = $1 AND s.charge <> ''", id)
}

// one leaves the donation that the query finds.
func (f *filter) one(ctx context.Context, conn *pgx.Conn, sql string, arg any) error {
	var seq int64
	err := conn.QueryRow(ctx, sql, arg).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		f.none = true
		return nil
	}
	f.only = []int64{seq}
	return err
}

func (s *Store) schema() string { return pgx.Identifier{s.book.Schema()}.Sanitize() }
