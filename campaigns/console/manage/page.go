package manage

import (
	"html/template"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
)

// functions are the templates' own, beside those that every section has:
//
//	phases             the states that a list is narrowed to
//	phase campaign now "open"
//	local time zone    2026-11-22 08:00 CET, as the clocks there show it
//	sums s one many    "2 gifts, 150.00 USD", for each currency
//	part "name" text   what the templates "error" and "moved" take
var functions = template.FuncMap{
	"asset": assets.URL, "money": frame.Money, "when": frame.When, "plural": frame.Plural,
	"phases": func() []string { return []string{"upcoming", "open", "closed"} },
	"phase":  func(c *campaigns.Campaign, now time.Time) string { return c.PhaseAt(now).String() },
	"local":  local,
	"sums":   sums,
	"part":   func(id, text string) map[string]string { return map[string]string{"id": id, "text": text} },
}

// local shows a moment as the clocks of a zone do: organisers plan in the giving day's
// hours, wherever they are themselves.
func local(at time.Time, zone *time.Location) template.HTML {
	if at.IsZero() {
		return ""
	}
	layout := "2006-01-02 15:04 MST"
	if at.Second() != 0 || at.Nanosecond() != 0 {
		layout = "2006-01-02 15:04:05 MST"
	}
	return template.HTML(`<span class="num">` + template.HTMLEscapeString(at.In(zone).Format(layout)) + `</span>`)
}

// sums are for people what plan.Sums are for the books.
func sums(s plan.Sums, one, many string) string {
	texts := make([]string, len(s))
	for i, sum := range s {
		texts[i] = frame.Plural(sum.Count, one, many) + ", " + frame.Money(sum.Minor, sum.Currency)
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, "; ")
}

// page parses a page with the parts that all of them have. A field that is not there is
// empty.
func page(name string) *template.Template {
	t := template.New(name).Funcs(functions).Option("missingkey=zero")
	return template.Must(t.ParseFS(files, "templates/"+name, "templates/parts.html"))
}

var (
	campaignsPage     = page("campaigns.html")
	campaignPage      = page("campaign.html")
	eventsPage        = page("events.html")
	eventPage         = page("event.html")
	organisationsPage = page("organisations.html")
	organisationPage  = page("organisation.html")
	uploadPage        = page("upload.html")
	importPage        = page("import.html")
	giftsPage         = page("gifts.html")
	giftPage          = page("gift.html")
)
