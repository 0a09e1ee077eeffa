package reconcile

import (
	"encoding/csv"
	"io"
	"strings"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// table writes rows of CSV (RFC 4180) whose amounts are plain decimals, never
// negative: what comes in and what goes out have columns of their own.
type table struct {
	csv  *csv.Writer
	zone *time.Location
}

func newTable(w io.Writer, zone *time.Location, columns ...string) *table {
	if zone == nil {
		zone = time.UTC
	}
	t := &table{csv: csv.NewWriter(w), zone: zone}
	_ = t.csv.Write(columns) // an error stays, and Flush returns it
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = neutral(cell)
	}
	_ = t.csv.Write(cells)
}

func (t *table) flush() error {
	t.csv.Flush()
	return t.csv.Error()
}

// neutral keeps a spreadsheet from reading a cell as a formula: people chose some of
// these texts (owasp.org, "CSV Injection").
func neutral(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// day and clock write a time in the event's zone.
func (t *table) day(at time.Time) string   { return at.In(t.zone).Format(time.DateOnly) }
func (t *table) clock(at time.Time) string { return at.In(t.zone).Format("15:04:05-07:00") }

// apart writes minor under one of two headings.
func apart(minor int64, currency money.Currency) (in, out string) {
	switch {
	case minor > 0:
		return decimal(minor, currency), ""
	case minor < 0:
		return "", decimal(-minor, currency)
	}
	return "", ""
}

func donationCell(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return uuid(id)
}

// CampaignStatement writes what a campaign was given, and gave back, entry by entry.
type CampaignStatement struct {
	table    *table
	campaign string
	raised   map[money.Currency]int64
}

// NewCampaignStatement starts a statement with its heading. campaign "" is all of
// them; days are those of zone, UTC when nil.
func NewCampaignStatement(w io.Writer, campaign string, zone *time.Location) *CampaignStatement {
	return &CampaignStatement{
		table:    newTable(w, zone, "day", "time", "campaign", "what", "reference", "donation_id", "currency", "received", "given_back", "actor", "reason"),
		campaign: campaign, raised: map[money.Currency]int64{},
	}
}

// Entry adds the rows of an entry, none when it is not the campaign's. They stand in
// the order given.
func (s *CampaignStatement) Entry(e *journal.Entry) error {
	for _, p := range e.Postings {
		campaign, ok := journal.CampaignOf(p.Account)
		if !ok || s.campaign != "" && campaign != s.campaign {
			continue
		}
		sum, err := money.Add(s.raised[p.Currency], -p.AmountMinor)
		if err != nil {
			return err
		}
		s.raised[p.Currency] = sum
		received, givenBack := apart(-p.AmountMinor, p.Currency)
		s.table.row(s.table.day(e.OccurredAt), s.table.clock(e.OccurredAt), campaign, string(e.Kind), e.Ref,
			donationCell(e.Donation), string(p.Currency), received, givenBack, e.Actor, e.Reason)
	}
	return nil
}

// Close writes what is still held and returns what was raised in all, by currency,
// in minor units: received less given back.
func (s *CampaignStatement) Close() (raised map[money.Currency]int64, err error) {
	return s.raised, s.table.flush()
}

// PayoutStatement leads from each payout to the gifts that are in it: a row for each
// campaign's part of each balance transaction.
type PayoutStatement struct{ table *table }

// NewPayoutStatement starts a statement with its heading.
func NewPayoutStatement(w io.Writer, zone *time.Location) *PayoutStatement {
	return &PayoutStatement{newTable(w, zone, "payout", "arrives", "payout_amount", "day", "time", "transaction", "what", "source",
		"donation_id", "campaign", "currency", "received", "given_back", "fee", "fee_returned")}
}

// What stands in the column campaign for money that is no campaign's.
const (
	coveredFee  = "(covered fee)"
	unexplained = "(unexplained)"
)

// Payout adds a payout and the balance transactions that it pays out. entryOf finds a
// journal entry by its ref, nil when there is none. It returns what is left of the
// payout's amount when all rows are taken off, in minor units: 0 when they explain it.
func (s *PayoutStatement) Payout(p *payments.PayoutSeen, movements []payments.Movement, entryOf func(ref string) *journal.Entry) (leftMinor int64, err error) {
	leftMinor = p.AmountMinor
	amount := decimal(p.AmountMinor, p.Currency)
	for i := range movements {
		m := &movements[i]
		if m.Source == p.ID && classOf(m) == Payout {
			continue // the payout itself
		}
		if m.Currency == p.Currency {
			if leftMinor, err = money.Add(leftMinor, m.FeeMinor-m.AmountMinor); err != nil {
				return 0, err
			}
		}
		feeTaken, feeReturned := apart(m.FeeMinor, m.Currency)
		e, parts := partsOf(m, entryOf)
		for k, part := range parts {
			if k > 0 {
				feeTaken, feeReturned = "", ""
			}
			in, out := apart(part.minor, m.Currency)
			donation := ""
			if e != nil {
				donation = donationCell(e.Donation)
			}
			s.table.row(p.ID, s.table.day(p.ArrivesAt), amount, s.table.day(m.CreatedAt), s.table.clock(m.CreatedAt), m.ID, m.Type, m.Source,
				donation, part.campaign, string(m.Currency), in, out, feeTaken, feeReturned)
		}
	}
	return leftMinor, nil
}

// Close writes what is still held.
func (s *PayoutStatement) Close() error { return s.table.flush() }

// part is a campaign's part of a balance transaction.
type part struct {
	campaign string
	minor    int64
}

// partsOf says whose a balance transaction's money is: the parts sum to its amount.
func partsOf(m *payments.Movement, entryOf func(string) *journal.Entry) (*journal.Entry, []part) {
	whole := []part{{"", m.AmountMinor}}
	ref := refOf(m)
	if ref == "" {
		return nil, whole
	}
	e := entryOf(ref)
	if e == nil {
		return nil, []part{{unexplained, m.AmountMinor}}
	}
	var parts []part
	left := m.AmountMinor
	for _, p := range e.Postings {
		if p.Account == journal.Processor || p.Account == journal.DisputesHeld || p.Currency != m.Currency {
			continue
		}
		campaign, ok := journal.CampaignOf(p.Account)
		switch {
		case ok:
		case p.Account == journal.FeesCovered:
			campaign = coveredFee
		default:
			campaign = unexplained
		}
		parts = append(parts, part{campaign, -p.AmountMinor})
		left += p.AmountMinor
	}
	switch {
	case len(parts) == 0: // a dispute under way, which is no campaign's yet
		return e, whole
	case left != 0:
		parts = append(parts, part{unexplained, left})
	}
	return e, parts
}

// Refs are the refs of the entries that movements were booked as: what entryOf of
// PayoutStatement.Payout is asked for.
func Refs(movements []payments.Movement) []string {
	var refs []string
	for i := range movements {
		if ref := refOf(&movements[i]); ref != "" {
			refs = append(refs, ref)
		}
	}
	return refs
}

// refOf is the ref of the entry that a balance transaction was booked as, "" for what
// names no gift.
func refOf(m *payments.Movement) string {
	switch classOf(m) {
	case Charge:
		return "capture:" + m.Source
	case Refund:
		if m.AmountMinor > 0 {
			return "refund_failed:" + m.Source
		}
		return "refund:" + m.Source
	case Dispute:
		if m.AmountMinor > 0 {
			return "dispute_won:" + m.Source
		}
		return "dispute_opened:" + m.Source
	}
	return ""
}
