package donations

import (
	"errors"
	"net/http"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ledger/money"
	"spillway/ledger/search"
)

// lineJSON is one campaign's part of a donation.
type lineJSON struct {
	Campaign    string `json:"campaign"`
	AmountMinor int64  `json:"amount_minor"`
}

// rowJSON is a donation as the admin API lists it. What the donor said of themselves is
// left out without view_personal.
type rowJSON struct {
	ID            string         `json:"id"`
	AcceptedAt    time.Time      `json:"accepted_at"`
	Status        string         `json:"status"`
	Reason        string         `json:"reason,omitempty"`
	Name          string         `json:"name,omitempty"`
	Email         string         `json:"email,omitempty"`
	Message       string         `json:"message,omitempty"`
	Dedication    string         `json:"dedication,omitempty"`
	Anonymous     bool           `json:"anonymous"`
	HideAmount    bool           `json:"hide_amount"`
	AmountMinor   int64          `json:"amount_minor"`
	FeeCoverMinor int64          `json:"fee_cover_minor"`
	RefundedMinor *int64         `json:"refunded_minor,omitempty"`
	Currency      money.Currency `json:"currency"`
	Lines         []lineJSON     `json:"lines"`
	Part          bool           `json:"part"`
	Hidden        string         `json:"hidden"`
	Payment       string         `json:"payment,omitempty"`
	Charge        string         `json:"charge,omitempty"`
}

func asJSON(row view) rowJSON {
	out := rowJSON{ID: row.ID.String(), AcceptedAt: row.AcceptedAt.UTC(), Status: row.Status, Reason: row.Reason, Name: row.Name, Email: row.Email, Message: row.Message,
		Dedication: row.Dedication, Anonymous: row.Anonymous, HideAmount: row.HideAmount, AmountMinor: row.AmountMinor, FeeCoverMinor: row.FeeCoverMinor,
		RefundedMinor: row.back(), Part: row.Part, Currency: row.Currency, Hidden: row.Hidden.String(), Payment: row.Intent, Charge: row.Charge, Lines: []lineJSON{}}
	for _, l := range row.Lines {
		out.Lines = append(out.Lines, lineJSON(l))
	}
	return out
}

// listData is what donations.html shows.
type listData struct {
	Filter   filter
	Fault    map[string]string
	Rows     []view
	Next     string
	After    bool // it is not the first page
	AsOf     time.Time
	Age      time.Duration
	Building bool // the projection is being made, so that donations are missing
	Personal bool
	Export   bool
	States   []string
	Zone     string
}

// ageShown is from when on a list says how old it is as a warning.
const ageShown = 10 * time.Second

// Old tells whether the list is older than people expect.
func (d *listData) Old() bool { return d.Building || d.Age > ageShown }

func (s *Section) list(r *frame.Request) error {
	d := &listData{States: search.Statuses, Zone: s.Zone().String(), Personal: personal(r), Export: r.Principal.Can(access.Export, access.Some)}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	f, q, err := s.query(r)
	d.Filter = f
	var p *frame.Problem
	if errors.As(err, &p) && !r.WantsJSON() {
		d.Fault = map[string]string{}
		for _, fault := range p.Fields {
			d.Fault[fault.Name] = fault.Detail
		}
		r.Status(http.StatusUnprocessableEntity)
		return r.Page("Donations", listPage, d)
	}
	if err != nil {
		return err
	}
	q.Limit, q.After = limit, search.Cursor(r.Query("after"))
	if _, _, err := q.After.Key(); err != nil {
		return frame.Invalid(frame.Field{Name: "after", Code: "unknown", Detail: "It leads to no page."})
	}
	page, err := s.Search.List(r.Context(), q)
	if err != nil {
		return trouble(err)
	}
	d.Rows = make([]view, len(page.Rows))
	for i := range page.Rows {
		d.Rows[i] = seen(&r.Principal, &page.Rows[i])
	}
	d.Building = page.AsOf.Unix() <= 0
	if r.WantsJSON() {
		out := struct {
			Items []rowJSON `json:"items"`
			Next  string    `json:"next"`
			// AsOf is nil while the projection is being made.
			AsOf *time.Time `json:"as_of"`
		}{Items: make([]rowJSON, len(page.Rows)), Next: string(page.Next)}
		for i := range page.Rows {
			out.Items[i] = asJSON(d.Rows[i])
		}
		if at := page.AsOf.UTC(); !d.Building {
			out.AsOf = &at
		}
		return r.Reply(http.StatusOK, out)
	}
	d.AsOf, d.Age, d.After = page.AsOf, max(r.Now().Sub(page.AsOf), 0).Round(time.Second), q.After != ""
	if page.Next != "" {
		d.Next = f.Address("", "after", string(page.Next))
	}
	return r.Page("Donations", listPage, d)
}
