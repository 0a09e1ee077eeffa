package donations

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
	"spillway/ledger/search"
)

// filter is what somebody looks for, as it stands in the address: pages show it again,
// links carry it on, and the audit log tells it without what may name a donor.
type filter struct {
	Text, Status, Campaign, Min, Max, Currency, From, To string
	Refunded, Hidden, Oldest                             bool
}

// Values are the filter in an address; nothing stands for what is not set.
func (f filter) Values() url.Values {
	v := url.Values{}
	for _, p := range [...]struct{ name, value string }{{"q", f.Text}, {"status", f.Status}, {"campaign", f.Campaign}, {"min", f.Min}, {"max", f.Max},
		{"currency", f.Currency}, {"from", f.From}, {"to", f.To}} {
		if p.value != "" {
			v.Set(p.name, p.value)
		}
	}
	for _, p := range [...]struct {
		name string
		set  bool
	}{{"refunded", f.Refunded}, {"hidden", f.Hidden}, {"oldest", f.Oldest}} {
		if p.set {
			v.Set(p.name, "1")
		}
	}
	return v
}

// Address is the list, or what lies below it, with the filter.
func (f filter) Address(below string, more ...string) string {
	v := f.Values()
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	if len(v) == 0 {
		return root + below
	}
	return root + below + "?" + v.Encode()
}

// More tells whether anything beyond the text narrows: the page then opens the filters.
func (f filter) More() bool {
	f.Text = ""
	return f != filter{}
}

// audit is the filter for the audit log: what was typed is told by its kind alone.
func (f filter) audit() string {
	v := f.Values()
	if f.Text != "" {
		terms := search.ParseText(f.Text)
		switch {
		case terms.ID != nil:
			v.Set("q", "donation "+terms.ID.String())
		case terms.Processor != "":
			v.Set("q", terms.Processor)
		case terms.Amounts != nil:
			v.Set("q", "an amount")
		default:
			v.Set("q", "a name or address")
		}
	}
	text, err := url.QueryUnescape(v.Encode())
	if err != nil || text == "" {
		return "all"
	}
	return strings.ReplaceAll(text, "&", ", ")
}

// query reads the filter and makes of it what the search is asked, narrowed to the
// campaigns of whoever asks. Errors: a *frame.Problem with every fault.
func (s *Section) query(r *frame.Request) (f filter, q search.Query, err error) {
	in := func(name string) string { return strings.TrimSpace(r.Query(name)) }
	on := func(name string) bool { v := in(name); return v != "" && v != "0" && v != "false" }
	f = filter{Text: in("q"), Status: in("status"), Campaign: strings.ToLower(in("campaign")), Min: in("min"), Max: in("max"), Currency: strings.ToUpper(in("currency")),
		From: in("from"), To: in("to"), Refunded: on("refunded"), Hidden: on("hidden"), Oldest: on("oldest")}
	q = search.Query{Text: f.Text, Campaign: f.Campaign, Refunded: f.Refunded, Hidden: f.Hidden, Campaigns: r.Principal.Campaigns, Newest: !f.Oldest}
	var faults []frame.Field
	fault := func(name, code, detail string) {
		faults = append(faults, frame.Field{Name: name, Code: code, Detail: detail})
	}
	if len(f.Text) > search.TextBytesMax {
		fault("q", "too_long", "Look for less: a name, an e-mail address, an ID or an amount.")
	} else if terms := search.ParseText(f.Text); len(terms.Words) > 0 && !personal(r) {
		fault("q", "forbidden", "Names and e-mail addresses are not yours to search by. Look for a donation's or a payment's ID, or an amount.")
	}
	if f.Status != "" {
		if q.Status = strings.Split(f.Status, ","); !allKnown(q.Status) {
			fault("status", "unknown", "The states are "+strings.Join(search.Statuses, ", ")+".")
		}
	}
	if f.Campaign != "" && !r.Principal.Can(access.ViewDonations, f.Campaign) {
		fault("campaign", "forbidden", "You may not see the donations to this campaign.")
	}
	q.Currency = money.Currency(f.Currency)
	if f.Currency != "" && !q.Currency.Valid() {
		fault("currency", "unknown", "It is no currency that is taken here.")
	} else {
		if f.Currency == "" && (f.Min != "" || f.Max != "") {
			fault("currency", "required", "Say of which currency the amounts are.")
		}
		for _, bound := range [...]struct {
			name, text string
			to         *int64
		}{{"min", f.Min, &q.MinMinor}, {"max", f.Max, &q.MaxMinor}} {
			if bound.text == "" || q.Currency == "" {
				continue
			}
			if *bound.to, err = sheet.ParseAmount(bound.text, false, sheet.Undecided, q.Currency); err != nil {
				fault(bound.name, "not_an_amount", "Write an amount such as 50 or 50.00.")
			}
		}
		if q.MaxMinor > 0 && q.MinMinor > q.MaxMinor {
			fault("max", "range", "The most is less than the least.")
		}
	}
	zone := s.Zone()
	var ok bool
	if q.From, ok = moment(f.From, zone, 0); !ok {
		fault("from", "not_a_time", "Write a day such as 2026-11-22, or a time of RFC 3339.")
	}
	if q.To, ok = moment(f.To, zone, 1); !ok {
		fault("to", "not_a_time", "Write a day such as 2026-11-22, which is included, or a time of RFC 3339.")
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		fault("to", "range", "It ends before it begins.")
	}
	if len(faults) > 0 {
		return f, q, frame.Invalid(faults...)
	}
	return f, q, nil
}

func allKnown(states []string) bool {
	for _, word := range states {
		if !known(word) {
			return false
		}
	}
	return true
}

func known(word string) bool {
	for _, s := range search.Statuses {
		if s == word {
			return true
		}
	}
	return false
}

// moment reads a time, or a day of the zone, to which days are added; the zero time
// for "".
func moment(text string, zone *time.Location, days int) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), true
	}
	for _, layout := range [...]string{"2006-01-02T15:04", "2006-01-02T15:04:05"} { // what <input type=datetime-local> sends
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UTC(), true
		}
	}
	t, err := time.ParseInLocation(time.DateOnly, text, zone)
	return t.AddDate(0, 0, days).UTC(), err == nil
}

// limitOf is the page's size. Errors: a *frame.Problem.
func limitOf(r *frame.Request) (int, error) {
	text := r.Query("limit")
	if text == "" {
		return search.LimitDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > search.LimitMax {
		return 0, frame.Invalid(frame.Field{Name: "limit", Code: "range", Detail: "From 1 to " + strconv.Itoa(search.LimitMax) + "."})
	}
	return n, nil
}
