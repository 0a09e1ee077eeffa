package plan

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

// CampaignColumns are what a spreadsheet of campaigns may have.
func CampaignColumns() []sheet.Column {
	return []sheet.Column{
		{Key: "slug", Title: "Slug", Names: []string{"id", "url", "address", "campaign slug"}, Example: "river-school",
			Help: "The campaign's address: small letters, digits and hyphens. It finds the campaign that a row changes. Blank: it is made of the name."},
		{Key: "name", Title: "Name", Names: []string{"campaign", "campaign name", "title"}, Required: true, Example: "A roof for River School",
			Help: "What donors read, at most 200 characters."},
		{Key: "organisation", Title: "Organisation", Names: []string{"organization", "nonprofit", "charity", "org"}, Example: "River Valley Schools Trust",
			Help: "Who receives, as donors read it. A name that is not known yet makes a new organisation."},
		{Key: "story", Title: "Story", Names: []string{"description", "text", "about"}, Example: "The roof has leaked since March.",
			Help: "At most 10,000 characters, an empty line between paragraphs."},
		{Key: "currency", Title: "Currency", Names: []string{"ccy"}, Example: "USD",
			Help: "Three letters, such as USD. It cannot be changed later. Blank: the currency chosen when the file is read."},
		{Key: "goal", Title: "Goal", Names: []string{"target", "goal amount"}, Example: "25000",
			Help: "In whole units, such as 25000 or 25,000.00. - for none."},
		{Key: "min", Title: "Smallest gift", Names: []string{"min", "minimum", "minimum gift", "min gift"}, Example: "5",
			Help: "- for none beyond the processor's."},
		{Key: "max", Title: "Largest gift", Names: []string{"max", "maximum", "maximum gift", "max gift"}, Example: "10000",
			Help: "- for none."},
		{Key: "starts", Title: "Opens", Names: []string{"starts", "start", "start date", "opening", "starts at", "from", "begin"}, Example: "2026-12-01 08:00",
			Help: "In the giving day's time zone. A date alone opens when the day begins. - for open from the start."},
		{Key: "ends", Title: "Closes", Names: []string{"ends", "end", "end date", "closing", "ends at", "until"}, Example: "2026-12-01 23:59",
			Help: "In the giving day's time zone. A date alone closes when that day has ended. - for never."},
		{Key: "event", Title: "Giving day", Names: []string{"event", "day"}, Example: "",
			Help: "The slug of a giving day that is there. Blank: the one chosen when the file is read."},
		{Key: "parent", Title: "Parent", Names: []string{"parent campaign", "team of"}, Example: "",
			Help: "The slug of another campaign that this one belongs to, there or in the file. - for none."},
	}
}

// Ground is what a plan of campaigns stands on.
type Ground struct {
	// Campaigns are all that are there, by slug; they are not changed.
	Campaigns map[string]*campaigns.Campaign
	Events    map[string]*campaigns.Event
	// Event is the giving day of new campaigns whose row names none, "" for none.
	Event string
	// Currency is that of new campaigns whose row has none, "" for none.
	Currency money.Currency
}

// Campaigns is what becomes of a spreadsheet of campaigns.
type Campaigns struct {
	Rows []Row `json:"rows"`
	// Put are the campaigns that are new or changed, whole, in order of the rows. Each
	// one's Revision is the one that the plan stands on, 0 for a new one. It is nil when
	// a row is refused: all or none.
	Put []*campaigns.Campaign `json:"put"`
	// Before and After count the campaigns that the rows name and sum their goals.
	Before Sums `json:"before"`
	After  Sums `json:"after"`
}

// zoneOf is the zone of an event's hours; UTC when it has none that is known.
func (g *Ground) zoneOf(event string) *time.Location {
	if e := g.Events[event]; e != nil {
		if zone, err := time.LoadLocation(e.TimeZone); err == nil {
			return zone
		}
	}
	return time.UTC
}

// PlanCampaigns decides what becomes of each row. The same file twice: all unchanged.
func PlanCampaigns(r *sheet.Reading, g *Ground) *Campaigns {
	p := &campaignPlanner{ground: g, columns: CampaignColumns(), reading: r, rowOf: map[string]int{}}
	var amounts, dates []string
	for _, key := range []string{"goal", "min", "max"} {
		amounts = append(amounts, r.Column(key)...)
	}
	for _, key := range []string{"starts", "ends"} {
		dates = append(dates, r.Column(key)...)
	}
	p.decimal, p.order = sheet.GuessDecimal(amounts), sheet.GuessOrder(dates)
	made := make([]*campaigns.Campaign, len(r.Rows))
	plan := &Campaigns{Rows: make([]Row, len(r.Rows))}
	for i := range r.Rows {
		plan.Rows[i], made[i] = p.row(&r.Rows[i])
	}
	p.parents(plan.Rows, made)
	for i := range plan.Rows {
		p.judge(&plan.Rows[i], made[i], plan)
	}
	if Count(plan.Rows).Refused > 0 {
		plan.Put = nil
	}
	return plan
}

type campaignPlanner struct {
	ground  *Ground
	columns []sheet.Column
	reading *sheet.Reading
	decimal sheet.Decimal
	order   sheet.Order
	rowOf   map[string]int // slug to the number of the row that names it

}

// row reads a row into the campaign that it makes, or nil when it names none.
func (p *campaignPlanner) row(row *sheet.Row) (Row, *campaigns.Campaign) {
	r := &reader{Reading: p.reading, columns: p.columns, row: row}
	out := Row{Number: row.Number}
	name, named, _ := r.text("name", campaigns.NameCharsMax)
	slug, given, _ := r.text("slug", campaigns.SlugBytesMax)
	if !given {
		slug = Slug(name)
		switch held := p.ground.Campaigns[slug]; {
		case len(r.faults) > 0:
		case slug == "":
			r.fault("slug", "there is no slug, and none can be made of the name")
		case held != nil && held.Name != name:
			r.fault("slug", "%q, made of the name, is another campaign's; give this one a slug", slug)
		}
	} else if !campaigns.ValidSlug(slug) {
		hint := ""
		if s := Slug(slug); s != "" {
			hint = fmt.Sprintf("; write %s", s)
		}
		r.fault("slug", "a slug has small letters, digits, - and _, and begins and ends with a letter or digit%s", hint)
	}
	out.Subject, out.Title = slug, name
	if slug == "" || !campaigns.ValidSlug(slug) {
		out.Faults = r.faults
		return out, nil
	}
	if first, twice := p.rowOf[slug]; twice {
		r.fault("slug", "%q is in row %d already", slug, first)
		out.Faults = r.faults
		return out, nil
	}
	p.rowOf[slug] = row.Number
	c := campaigns.Campaign{Slug: slug, Event: p.ground.Event, Currency: p.ground.Currency}
	held := p.ground.Campaigns[slug]
	if held != nil {
		c = *held
		out.Title = held.Name
	}
	if named {
		c.Name, out.Title = name, name
	} else if held == nil {
		r.fault("name", "a new campaign needs a name")
	}
	if held != nil && held.Rehearsal {
		r.fault("slug", "%q is a rehearsal's, which a spreadsheet does not change", slug)
	}
	p.fill(r, &c, held)
	out.Faults = r.faults
	return out, &c
}

// fill reads everything but slug and name.
func (p *campaignPlanner) fill(r *reader, c, held *campaigns.Campaign) {
	if text, set, _ := r.text("organisation", campaigns.NameCharsMax); set {
		if c.Organisation != text {
			c.LegalName, c.TaxNumber = "", "" // the other one's
		}
		c.Organisation = text
	}
	if text, set, _ := r.text("story", campaigns.StoryCharsMax); set {
		c.Story = text
	}
	if text, set, clear := r.text("event", campaigns.SlugBytesMax); set {
		if _, known := p.ground.Events[text]; !known && !clear {
			r.fault("event", "there is no giving day %q; make it first", text)
		} else {
			c.Event = text
		}
	}
	if text, set, _ := r.text("parent", campaigns.SlugBytesMax); set {
		c.Parent = text
	}
	if text, set, _ := r.text("currency", 3); set {
		currency, known := money.ParseCurrency([]byte(text))
		switch {
		case !known:
			r.fault("currency", "%q is not a currency that gifts can be made in; write three capital letters, such as USD", text)
			return
		case held != nil && held.Currency != currency:
			r.fault("currency", "the campaign is held in %s, which cannot be changed", held.Currency)
			return
		}
		c.Currency = currency
	} else if c.Currency == "" {
		r.fault("currency", "a new campaign needs a currency")
	}
	if !c.Currency.Valid() {
		return // amounts mean nothing
	}
	for _, a := range []struct {
		key  string
		into *int64
	}{{"goal", &c.GoalMinor}, {"min", &c.MinMinor}, {"max", &c.MaxMinor}} {
		switch cell := r.Cell(r.row, a.key); cell {
		case "":
		case Clear:
			*a.into = 0
		default:
			minor, err := sheet.ParseAmount(cell, r.Numbers, p.decimal, c.Currency)
			if err != nil {
				r.fault(a.key, "%v", err)
				continue
			}
			*a.into = minor
		}
	}
	zone := p.ground.zoneOf(c.Event)
	for _, m := range []struct {
		key  string
		into *time.Time
		end  bool
	}{{"starts", &c.StartsAt, false}, {"ends", &c.EndsAt, true}} {
		switch cell := r.Cell(r.row, m.key); cell {
		case "":
		case Clear:
			*m.into = time.Time{}
		default:
			at, dateOnly, err := sheet.ParseMoment(cell, p.order, r.Date1904, zone)
			if err != nil {
				r.fault(m.key, "%v", err)
				continue
			}
			if m.end && dateOnly {
				at = nextDay(at, zone)
			}
			*m.into = at
		}
	}
}

// nextDay is when the day after begins, wherever summer time begins or ends.
func nextDay(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	next := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone)
	return next.UTC()
}

// parents judges parents when every row is known, and who is whose.
func (p *campaignPlanner) parents(rows []Row, made []*campaigns.Campaign) {
	bySlug := map[string]*campaigns.Campaign{}
	for _, c := range made {
		if c != nil {
			bySlug[c.Slug] = c
		}
	}
	parentOf := func(slug string) (parent string, known bool) {
		if c := bySlug[slug]; c != nil {
			return c.Parent, true
		}
		if c := p.ground.Campaigns[slug]; c != nil {
			return c.Parent, true
		}
		return "", false
	}
	for i, c := range made {
		if c == nil || c.Parent == "" {
			continue
		}
		fault := func(format string, args ...any) {
			rows[i].Faults = append(rows[i].Faults, Fault{Cell: p.reading.At(&p.reading.Rows[i], "parent"), Column: title(p.columns, "parent"), Reason: fmt.Sprintf(format, args...)})
		}
		if _, known := parentOf(c.Parent); !known {
			fault("there is no campaign %q, neither here nor in the file", c.Parent)
			continue
		}
		// At most so many steps as there are campaigns, so a circle is found.
		at, seen := c.Parent, map[string]bool{c.Slug: true}
		for at != "" {
			if seen[at] {
				fault("the campaign would belong to itself, by way of %q", c.Parent)
				break
			}
			seen[at] = true
			at, _ = parentOf(at)
		}
	}
}

// judge gives a row its outcome and adds it to the plan.
func (p *campaignPlanner) judge(out *Row, c *campaigns.Campaign, plan *Campaigns) {
	if c != nil && len(out.Faults) == 0 {
		p.validate(out, c)
	}
	if c == nil || len(out.Faults) > 0 {
		out.Outcome = Refused
		return
	}
	held := p.ground.Campaigns[c.Slug]
	add := func(s Sums, c *campaigns.Campaign) Sums {
		sums, err := s.Add(c.Currency, c.GoalMinor)
		if err != nil {
			out.Outcome = Refused
			out.Faults = append(out.Faults, Fault{Cell: p.reading.At(&sheet.Row{Number: out.Number}, "goal"), Column: title(p.columns, "goal"), Reason: "all goals together are too large"})
			return s
		}
		return sums
	}
	if held == nil {
		out.Outcome = New
		plan.After = add(plan.After, c)
		plan.Put = append(plan.Put, c)
		return
	}
	plan.Before, plan.After = add(plan.Before, held), add(plan.After, c)
	if out.Outcome == Refused {
		return
	}
	out.Changes = Differences(held, c, p.ground.zoneOf(c.Event))
	if len(out.Changes) == 0 {
		out.Outcome = Unchanged
		return
	}
	out.Outcome = Changed
	plan.Put = append(plan.Put, c)
}

// validate holds the campaign against the rules of its vocabulary; what a cell has not
// already been blamed for is told of the row.
func (p *campaignPlanner) validate(out *Row, c *campaigns.Campaign) {
	fault := func(key, reason string) {
		at := p.reading.At(&sheet.Row{Number: out.Number}, key)
		out.Faults = append(out.Faults, Fault{Cell: at, Column: title(p.columns, key), Reason: reason})
	}
	if c.MaxMinor != 0 && c.MinMinor > c.MaxMinor {
		fault("max", fmt.Sprintf("it is below the smallest gift, %s", money.Amount{Minor: c.MinMinor, Currency: c.Currency}))
	}
	if !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		zone := p.ground.zoneOf(c.Event)
		fault("ends", fmt.Sprintf("it closes at %s, before it opens at %s", Moment(c.EndsAt, zone), Moment(c.StartsAt, zone)))
	}
	if c.Parent == c.Slug {
		fault("parent", "it is the campaign itself")
	}
	if len(out.Faults) > 0 {
		return
	}
	if err := c.Validate(); errors.Is(err, campaigns.ErrInvalid) {
		fault("name", err.Error())
	}
}

// Differences are what a campaign's change shows, for people, in the order of the form.
func Differences(was, is *campaigns.Campaign, zone *time.Location) (changes []Change) {
	text := func(field, before, after string) {
		if before != after {
			changes = append(changes, Change{field, shorten(before), shorten(after)})
		}
	}
	amount := func(field string, before, after int64) {
		if before != after {
			changes = append(changes, Change{field, amountOrNone(before, was.Currency), amountOrNone(after, is.Currency)})
		}
	}
	moment := func(field string, before, after time.Time, none string) {
		if !before.Equal(after) {
			changes = append(changes, Change{field, momentOr(before, zone, none), momentOr(after, zone, none)})
		}
	}
	text("Name", was.Name, is.Name)
	text("Organisation", was.Organisation, is.Organisation)
	text("Story", was.Story, is.Story)
	text("Currency", string(was.Currency), string(is.Currency))
	amount("Goal", was.GoalMinor, is.GoalMinor)
	amount("Smallest gift", was.MinMinor, is.MinMinor)
	amount("Largest gift", was.MaxMinor, is.MaxMinor)
	moment("Opens", was.StartsAt, is.StartsAt, "from the start")
	moment("Closes", was.EndsAt, is.EndsAt, "never")
	text("Giving day", was.Event, is.Event)
	text("Parent", was.Parent, is.Parent)
	text("Image", was.Image, is.Image)
	return changes
}

// shownChars is how much of a long text a change shows.
const shownChars = 120

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= shownChars {
		return s
	}
	return string([]rune(s)[:shownChars]) + fmt.Sprintf("… (%d characters)", utf8.RuneCountInString(s))
}

func amountOrNone(minor int64, c money.Currency) string {
	if minor == 0 {
		return "none"
	}
	return money.Amount{Minor: minor, Currency: c}.String()
}

func momentOr(at time.Time, zone *time.Location, none string) string {
	if at.IsZero() {
		return none
	}
	return Moment(at, zone)
}

// Moment is a time as the clocks of a zone show it, with the offset, so that the two
// hours of one name when summer time ends can be told apart.
func Moment(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04:05 -07:00")
}
