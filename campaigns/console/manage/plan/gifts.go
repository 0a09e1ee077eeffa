package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

// GiftColumns are what a spreadsheet of offline gifts may have.
func GiftColumns() []sheet.Column {
	return []sheet.Column{
		{Key: "campaign", Title: "Campaign", Names: []string{"slug", "campaign slug", "fund"}, Required: true, Example: "river-school",
			Help: "The slug of the campaign that it is for."},
		{Key: "amount", Title: "Amount", Names: []string{"gift", "gift amount", "total", "value"}, Required: true, Example: "250.00",
			Help: "In whole units of the campaign's currency, such as 250 or 250.00."},
		{Key: "currency", Title: "Currency", Names: []string{"ccy"}, Example: "USD",
			Help: "The campaign's currency, for a check. Blank: it is the campaign's."},
		{Key: "kind", Title: "Kind", Names: []string{"type", "method", "payment method", "paid by", "channel"}, Required: true, Example: "cheque",
			Help: "cash, cheque, bank transfer or other."},
		{Key: "reference", Title: "Reference", Names: []string{"number", "cheque number", "check number", "ref", "transfer reference"}, Example: "100231",
			Help: "A cheque's number or a transfer's reference. It tells the same gift from another."},
		{Key: "received", Title: "Received", Names: []string{"date", "received on", "date received", "day"}, Example: "2026-11-20",
			Help: "The day it came in. Blank: today."},
		{Key: "name", Title: "Donor", Names: []string{"name", "donor name", "from", "given by"}, Example: "",
			Help: "Looked for among the online gifts, so that no gift is counted twice. It is not kept."},
		{Key: "note", Title: "Note", Names: []string{"comment", "remark", "memo"}, Example: "handed in at the desk",
			Help: "Written into the books for ever: no names of donors. At most 160 characters."},
	}
}

// oldDays is the age beyond which a gift's day is likelier a slip than a gift.
const oldDays = 400

// GiftGround is what a plan of offline gifts stands on.
type GiftGround struct {
	Campaigns map[string]*campaigns.Campaign
	// Allowed tells whether whoever asks may book gifts for a campaign.
	Allowed func(slug string) bool
	// Today is the day on which it is asked, in the giving day's zone: midnight, UTC.
	Today time.Time
}

// Gifts is what becomes of a spreadsheet of offline gifts.
type Gifts struct {
	Rows []Row `json:"rows"`
	// Book are the gifts to book, and Of the place of each one's row; nil when a row is
	// refused: all or none.
	Book []*Offline `json:"book"`
	Of   []int      `json:"of"`
	Sums Sums       `json:"sums"` // of Book
	// Names are the donors' names, by row; they are looked for and never kept.
	Names []string `json:"-"`
}

// PlanGifts reads each row. Whether a gift is booked already is not known here: see
// Known and Warn.
func PlanGifts(r *sheet.Reading, g *GiftGround) *Gifts {
	columns := GiftColumns()
	decimal, order := sheet.GuessDecimal(r.Column("amount")), sheet.GuessOrder(r.Column("received"))
	p := &Gifts{Rows: make([]Row, len(r.Rows)), Names: make([]string, len(r.Rows))}
	occurrences := map[[16]byte]int{}
	byReference := map[string][]int{}
	for i := range r.Rows {
		row := &reader{Reading: r, columns: columns, row: &r.Rows[i]}
		o := row.gift(g, decimal, order)
		p.Names[i], _, _ = row.text("name", campaigns.NameCharsMax)
		out := &p.Rows[i]
		*out = Row{Number: r.Rows[i].Number, Subject: o.Campaign, Title: o.title(), Faults: row.faults, Outcome: New}
		if len(row.faults) > 0 {
			out.Outcome = Refused
			continue
		}
		first := rowID(o, 0)
		o.ID = rowID(o, occurrences[first])
		if occurrences[first]++; occurrences[first] > 1 {
			out.Warnings = append(out.Warnings, "a row above says the same")
		}
		if o.Reference != "" {
			key := string(o.Kind) + " " + PlainReference(o.Reference)
			byReference[key] = append(byReference[key], i)
		}
		if day, err := time.Parse(time.DateOnly, o.Received); err == nil && g.Today.Sub(day) > oldDays*24*time.Hour {
			out.Warnings = append(out.Warnings, "it came in more than a year ago")
		}
		sums, err := p.Sums.Add(o.Currency, o.AmountMinor)
		if err != nil {
			row.fault("amount", "all amounts together are too large")
			out.Faults, out.Outcome = row.faults, Refused
			continue
		}
		p.Sums = sums
		p.Book, p.Of = append(p.Book, o), append(p.Of, i)
	}
	for _, rows := range byReference {
		for _, i := range rows[min(1, len(rows)):] {
			p.Warn(i, fmt.Sprintf("row %d has the same reference", p.Rows[rows[0]].Number))
		}
	}
	if Count(p.Rows).Refused > 0 {
		p.Book, p.Of, p.Sums = nil, nil, nil
	}
	return p
}

// Warn adds a warning to a row, once.
func (p *Gifts) Warn(row int, text string) {
	if !slices.Contains(p.Rows[row].Warnings, text) {
		p.Rows[row].Warnings = append(p.Rows[row].Warnings, text)
	}
}

// Known takes the gifts that are booked already out of what is to be booked.
func (p *Gifts) Known(booked func(id [16]byte) bool) error {
	book, of := p.Book, p.Of
	p.Book, p.Of, p.Sums = nil, nil, nil
	for i, o := range book {
		if booked(o.ID) {
			p.Rows[of[i]].Outcome, p.Rows[of[i]].Warnings = Unchanged, nil
			continue
		}
		sums, err := p.Sums.Add(o.Currency, o.AmountMinor)
		if err != nil {
			return err
		}
		p.Sums, p.Book, p.Of = sums, append(p.Book, o), append(p.Of, of[i])
	}
	return nil
}

// Unwarned are the gifts of rows without a warning.
func (p *Gifts) Unwarned() (book []*Offline, sums Sums, err error) {
	for i, o := range p.Book {
		if len(p.Rows[p.Of[i]].Warnings) > 0 {
			continue
		}
		if sums, err = sums.Add(o.Currency, o.AmountMinor); err != nil {
			return nil, nil, err
		}
		book = append(book, o)
	}
	return book, sums, nil
}

// gift reads a row; what is wrong is in the reader's faults.
func (r *reader) gift(g *GiftGround, decimal sheet.Decimal, order sheet.Order) *Offline {
	o := &Offline{Received: g.Today.Format(time.DateOnly)}
	slug, set, _ := r.text("campaign", campaigns.SlugBytesMax)
	o.Campaign = strings.ToLower(slug)
	c := g.Campaigns[o.Campaign]
	switch {
	case !set && len(r.faults) == 0:
		r.fault("campaign", "a gift needs a campaign")
	case c == nil:
		r.fault("campaign", "there is no campaign %q", slug)
	case c.Rehearsal:
		r.fault("campaign", "%q is a rehearsal's, which takes no real money", slug)
		c = nil
	case !g.Allowed(o.Campaign):
		r.fault("campaign", "you may not book gifts for %q", slug)
		c = nil
	}
	if kind, set, _ := r.text("kind", campaigns.NameCharsMax); !set {
		r.fault("kind", "write cash, cheque, bank transfer or other")
	} else if k, known := ParseKind(kind); known {
		o.Kind = k
	} else {
		r.fault("kind", "%q is none of cash, cheque, bank transfer and other", kind)
	}
	o.Reference, _, _ = r.text("reference", ReferenceCharsMax)
	o.Note, _, _ = r.text("note", NoteCharsMax)
	o.Note = strings.Join(strings.Fields(o.Note), " ")
	if cell := r.Cell(r.row, "received"); cell != "" {
		at, _, err := sheet.ParseMoment(cell, order, r.Date1904, time.UTC)
		if err != nil {
			r.fault("received", "%v", err)
		} else {
			o.Received = at.Format(time.DateOnly)
		}
	}
	if c == nil {
		return o
	}
	o.Currency = c.Currency
	if code, set, _ := r.text("currency", campaigns.NameCharsMax); set && !strings.EqualFold(code, string(c.Currency)) {
		r.fault("currency", "the campaign is held in %s", c.Currency)
		return o
	}
	if cell := r.Cell(r.row, "amount"); cell == "" {
		r.fault("amount", "a gift needs an amount")
	} else if minor, err := sheet.ParseAmount(cell, r.Numbers, decimal, c.Currency); err != nil {
		r.fault("amount", "%v", err)
	} else {
		o.AmountMinor = minor
	}
	if len(r.faults) == 0 {
		for _, w := range o.Check(g.Today.Format(time.DateOnly)) {
			r.fault(w.Field, "%s", w.Reason)
		}
	}
	return o
}

// title is the gift in a few words.
func (o *Offline) title() string {
	if !o.Currency.Valid() {
		return strings.TrimSpace(string(o.Kind) + " " + o.Reference)
	}
	return strings.TrimSpace(fmt.Sprintf("%s, %s %s", money.Amount{Minor: o.AmountMinor, Currency: o.Currency}, o.Kind, o.Reference))
}
