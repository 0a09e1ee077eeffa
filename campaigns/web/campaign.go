package web

import (
	"cmp"
	"hash/fnv"
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"spillway/campaigns"
)

// cover is the picture of a campaign, or a coloured field with initials for one that
// has none.
type cover struct {
	Image   string // media key
	Lazy    bool   // not what a visitor sees first
	Tint    uint32 // 0..tints-1
	Letters string
}

// tints is how many coloured fields the style knows.
const tints = 6

func coverOf(c *campaigns.Campaign, lazy bool) cover {
	h := fnv.New32a()
	h.Write([]byte(c.Slug))
	return cover{Image: c.Image, Lazy: lazy, Tint: h.Sum32() % tints, Letters: initials(cmp.Or(c.Organisation, c.Name))}
}

// initials are the first letters of a name's first and last word that begin with a
// capital: "RT" for River Valley Schools Trust.
func initials(name string) string {
	var all []rune
	for _, word := range strings.Fields(name) {
		if r, _ := utf8.DecodeRuneInString(word); unicode.IsUpper(r) || unicode.IsDigit(r) || unicode.Is(unicode.Lo, r) {
			all = append(all, r)
		}
	}
	switch len(all) {
	case 0:
		for _, r := range name {
			if unicode.IsLetter(r) {
				return string(unicode.ToUpper(r))
			}
		}
		return ""
	case 1:
		return string(all)
	}
	return string(all[0]) + string(all[len(all)-1])
}

// left is how long a campaign goes on, or until it begins.
type left struct {
	Kind  string // "opens" or "closes"
	Verb  string // "opens"
	ISO   string
	Words string // "in 3 hours"
	Full  string
}

func leftOf(c *campaigns.Campaign, phase campaigns.Phase, loc *time.Location, now time.Time) *left {
	switch {
	case phase == campaigns.Upcoming:
		return &left{"opens", "opens", iso(c.StartsAt), until(c.StartsAt, now), moment(c.StartsAt, loc)}
	case phase == campaigns.Open && !c.EndsAt.IsZero():
		return &left{"closes", "closes", iso(c.EndsAt), until(c.EndsAt, now), moment(c.EndsAt, loc)}
	}
	return nil
}

// figures are a campaign's numbers as people read them.
type figures struct {
	Slug, Name, Organisation, Currency       string
	Raised, Pledged, Goal, Donations, Donors string
	HasGoal                                  bool
	MeterValue, MeterMax                     int64
	Percent                                  string
	Phase, PhaseText                         string
	Open, Upcoming                           bool
	Left                                     *left
	Cover                                    cover
}

// uncounted stands for donors while nobody has counted them.
const uncounted = "–"

func figuresOf(c *campaigns.Campaign, t campaigns.Total, wall *campaigns.Wall, phase campaigns.Phase, loc *time.Location, now time.Time) figures {
	f := figures{
		Slug: c.Slug, Name: c.Name, Organisation: c.Organisation, Currency: string(c.Currency),
		Raised: amount(t.RaisedMinor, c.Currency), Pledged: amount(t.PledgedMinor, c.Currency),
		Donations: count(t.Donations), Donors: uncounted,
		Phase: phase.String(), Open: phase == campaigns.Open, Upcoming: phase == campaigns.Upcoming,
		Left: leftOf(c, phase, loc, now),
	}
	if wall != nil && !wall.AsOf.IsZero() {
		f.Donors = count(wall.Donors)
	}
	if c.GoalMinor > 0 {
		f.HasGoal, f.Goal = true, amount(c.GoalMinor, c.Currency)
		f.MeterMax, f.MeterValue = c.GoalMinor, min(max(t.RaisedMinor, 0), c.GoalMinor)
		f.Percent = percent(t.RaisedMinor, c.GoalMinor)
	}
	switch phase {
	case campaigns.Open:
		f.PhaseText = "Open"
	case campaigns.Upcoming:
		f.PhaseText = "Not open yet"
	default:
		f.PhaseText = "Closed"
	}
	return f
}

// gift is one gift as everybody may see it.
type gift struct {
	Ref, Name, Amount, Dedication, Message, AtISO, Ago string
	Campaign, CampaignName                             string // in the day's feed only
}

// feed is the newest gifts of a campaign or of the day.
type feed struct {
	Slug  string // or "day"
	Day   bool
	Gifts []gift
}

func (w *Web) feedOf(slug string, wall *campaigns.Wall, now time.Time) feed {
	f := feed{Slug: slug, Day: slug == "day"}
	if wall == nil {
		return f
	}
	for i := range wall.Gifts {
		g := &wall.Gifts[i]
		v := gift{Ref: g.Ref, Name: g.Name, Amount: "a gift", Dedication: g.Dedication, Message: g.Message, AtISO: iso(g.At), Ago: ago(g.At, now)}
		if v.Name == "" {
			v.Name = "Anonymous"
		}
		if g.AmountMinor > 0 {
			v.Amount = amount(g.AmountMinor, g.Currency)
		}
		if f.Day {
			v.Campaign, v.CampaignName = g.Campaign, g.Campaign
			if c, ok := w.deps.Directory.Lookup([]byte(g.Campaign)); ok {
				v.CampaignName = c.Name
			}
		}
		f.Gifts = append(f.Gifts, v)
	}
	return f
}

// share is how a page is passed on: plain links, nobody's script.
type share struct {
	URL   string
	QR    string
	Embed string // HTML for other people's pages
	Links []shareLink
}

type shareLink struct {
	Name string
	Href template.URL // made here, of escaped parts
}

func (w *Web) shareOf(c *campaigns.Campaign) *share {
	if w.cfg.PublicURL == "" {
		return nil
	}
	address := w.cfg.PublicURL + prefixGive + c.Slug
	text := "Give to " + c.Name
	q := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return &share{
		URL: address,
		QR:  prefixGive + c.Slug + leafQR,
		Embed: `<iframe src="` + w.cfg.PublicURL + prefixEmbed + c.Slug + `" title="` + template.HTMLEscapeString(c.Name) +
			`" width="360" height="260" style="border:0;max-width:100%"></iframe>`,
		Links: []shareLink{
			{"E-mail", template.URL("mailto:?subject=" + q(text) + "&body=" + q(address))},
			{"WhatsApp", template.URL("https://wa.me/?text=" + q(text+" "+address))},
			{"Facebook", template.URL("https://www.facebook.com/sharer/sharer.php?u=" + q(address))},
			{"X", template.URL("https://x.com/intent/post?text=" + q(text) + "&url=" + q(address))},
			{"LinkedIn", template.URL("https://www.linkedin.com/sharing/share-offsite/?url=" + q(address))},
		},
	}
}

// campaignBody is what campaign.html shows.
type campaignBody struct {
	figures
	Story                []string // paragraphs
	ShowFeed             bool
	Feed                 feed
	Share                *share
	LegalName, TaxNumber string
}

// standing is everything about a campaign at a moment; the age is read before the
// total, so that as_of is true.
type standing struct {
	event *campaigns.Event
	asOf  time.Time
	now   time.Time
	loc   *time.Location
	phase campaigns.Phase
	wall  *campaigns.Wall
	figures
}

func (w *Web) standing(c *campaigns.Campaign) (standing, error) {
	s := standing{event: w.eventOf(c), now: w.cfg.Now()}
	s.asOf = w.deps.Ages.Age(c.Book()).AsOf
	t, err := w.deps.Totals.Get([]byte(c.Slug))
	if err != nil {
		return s, err
	}
	if e := w.deps.Board.Snapshot().Find(c.Slug); e != nil {
		s.wall = e.Wall
	}
	s.loc, s.phase = zone(s.event), c.PhaseAt(s.now)
	s.figures = figuresOf(c, t.Total, s.wall, s.phase, s.loc, s.now)
	return s, nil
}

// eventOf is the giving day that the campaign belongs to, else the one that is shown.
func (w *Web) eventOf(c *campaigns.Campaign) *campaigns.Event {
	for _, e := range w.deps.Directory.Events() {
		if e.Slug == c.Event {
			return e
		}
	}
	return w.deps.Directory.Event()
}

// descriptionChars is about what a preview shows.
const descriptionChars = 160

// summary is the beginning of the story, for previews.
func summary(c *campaigns.Campaign) string {
	text := strings.Join(strings.Fields(c.Story), " ")
	if text == "" {
		text = "Give to " + c.Name
		if c.Organisation != "" {
			text += ", by " + c.Organisation
		}
		return text + ". See what is raised so far, live."
	}
	if utf8.RuneCountInString(text) <= descriptionChars {
		return text
	}
	cut := string([]rune(text)[:descriptionChars-1])
	if i := strings.LastIndexByte(cut, ' '); i > descriptionChars/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

// paragraphs of a story: an empty line stands between two.
func paragraphs(story string) []string {
	var all []string
	for p := range strings.SplitSeq(strings.ReplaceAll(story, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, p)
		}
	}
	return all
}

func (w *Web) renderCampaign(c *campaigns.Campaign) (*sheet, error) {
	s, err := w.standing(c)
	if err != nil {
		return nil, err
	}
	p := w.newPage("campaign", prefixGive+c.Slug, s.event)
	p.about(c, s.phase)
	p.Title = c.Name + " · " + p.SiteName
	p.Description = summary(c)
	if c.Image != "" && w.cfg.PublicURL != "" {
		p.Picture = w.cfg.PublicURL + prefixMedia + c.Image
	}
	body := campaignBody{figures: s.figures, Story: paragraphs(c.Story), Share: w.shareOf(c), LegalName: c.LegalName, TaxNumber: c.TaxNumber}
	body.Cover = coverOf(c, false)
	if body.ShowFeed = p.Data.Switches.Feed; body.ShowFeed {
		body.Feed = w.feedOf(c.Slug, s.wall, s.now)
	}
	p.Body = body
	return w.finish(p, s.asOf, s.loc, s.now)
}

// embedBody is what embed.html shows.
type embedBody struct {
	figures
	Href string
}

func (w *Web) renderEmbed(c *campaigns.Campaign) (*sheet, error) {
	s, err := w.standing(c)
	if err != nil {
		return nil, err
	}
	p := w.newPage("embed", "", s.event)
	p.about(c, s.phase)
	p.Title, p.Description, p.NoIndex = c.Name, summary(c), true
	if w.cfg.PublicURL != "" {
		p.Canonical = w.cfg.PublicURL + prefixGive + c.Slug
	}
	p.Body = embedBody{s.figures, w.cfg.PublicURL + prefixGive + c.Slug}
	return w.finish(p, s.asOf, s.loc, s.now)
}
