package web

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
)

//go:embed templates
var templateFiles embed.FS

// kinds are the sorts of pages; each has a template of its name, and the scripts that
// begin it.
var kinds = map[string][]string{
	"day":      {"live.js"},
	"campaign": {"give.js", "live.js"},
	"donation": {"donation.js"},
	"basket":   {"give.js"},
	"embed":    {"live.js"},
	"problem":  nil,
}

// page is what a template makes a page from.
type page struct {
	Kind        string
	Title       string
	Description string
	SiteName    string // the giving day's
	Canonical   string // absolute; "" when the public address is not known
	Picture     string // absolute, "" for none
	NoIndex     bool
	Rehearsal   bool
	Taking      bool // there is a way to enter a card
	Banner      string
	Scripts     []string // URLs
	Modules     []string // URLs of what the scripts import
	Ages        ages
	Body        any
	Data        pageData
}

// pageData is what scripts find in script#page. Amounts are minor units, times
// RFC 3339 in UTC.
type pageData struct {
	Kind      string        `json:"kind"`
	Campaign  *campaignData `json:"campaign,omitempty"`
	Event     *eventData    `json:"event,omitempty"`
	Processor processorData `json:"processor"`
	// Fee is what the processor keeps; left out where covering is not offered.
	Fee      *feeData   `json:"fee,omitempty"`
	Switches switchData `json:"switches"`
	// URL is the page's public address, left out when it is not known.
	URL     string `json:"url,omitempty"`
	AsOf    string `json:"as_of,omitempty"`
	StaleMS int64  `json:"stale_ms"`
}

type campaignData struct {
	Slug         string `json:"slug"`
	Name         string `json:"name"`
	Organisation string `json:"organisation,omitempty"`
	Currency     string `json:"currency"`
	Exponent     int    `json:"exponent"`
	MinMinor     int64  `json:"min_minor"` // of one gift: the campaign's bounds within the contract's
	MaxMinor     int64  `json:"max_minor"`
	GoalMinor    int64  `json:"goal_minor,omitempty"`
	Phase        string `json:"phase"`
	StartsAt     string `json:"starts_at,omitempty"`
	EndsAt       string `json:"ends_at,omitempty"`
	Rehearsal    bool   `json:"rehearsal,omitempty"`
}

type eventData struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"`
}

type processorData struct {
	Kind           string `json:"kind"` // "simulator", "stripe", or "none" while no cards are taken
	PublishableKey string `json:"publishable_key"`
}

type feeData struct {
	BasisPoints int64 `json:"basis_points"`
	FixedMinor  int64 `json:"fixed_minor"`
}

type switchData struct {
	Live         bool `json:"live"`
	Feed         bool `json:"feed"`
	Leaderboards bool `json:"leaderboards"`
}

// ages is up to when a page's figures are complete.
type ages struct {
	AsOfISO, AsOfText string
	Stale             bool
}

// pages are the parsed templates, and the marks that stand in a page for its ages
// until it is finished.
type pages struct {
	byKind  map[string]*template.Template
	scripts map[string][]string // URLs by kind
	modules map[string][]string
	// isoMark and textMark are random, so that nothing anybody wrote is taken for one.
	isoMark, textMark string
}

func loadPages(a *assets) (*pages, error) {
	p := &pages{byKind: map[string]*template.Template{}, scripts: map[string][]string{}, modules: map[string][]string{},
		isoMark: "asof" + rand.Text(), textMark: "at" + rand.Text()}
	base, err := template.New("").Funcs(template.FuncMap{"asset": a.url}).ParseFS(templateFiles, "templates/layout.html", "templates/give*.html")
	if err != nil {
		return nil, err
	}
	for kind, scripts := range kinds {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if p.byKind[kind], err = t.ParseFS(templateFiles, "templates/"+kind+".html"); err != nil {
			return nil, err
		}
		for _, name := range scripts {
			u, err := a.url(name)
			if err != nil {
				return nil, err
			}
			p.scripts[kind] = append(p.scripts[kind], u)
		}
		for _, name := range a.closure(scripts) {
			u, err := a.url(name)
			if err != nil {
				return nil, err
			}
			p.modules[kind] = append(p.modules[kind], u)
		}
	}
	return p, nil
}

// newPage begins a page: what all have in common, as of now. path is its public one.
func (w *Web) newPage(kind, path string, e *campaigns.Event) *page {
	s := w.deps.Directory.Switches()
	p := &page{Kind: kind, SiteName: "Giving day", Scripts: w.pages.scripts[kind], Modules: w.pages.modules[kind]}
	p.Data = pageData{
		Kind: kind, StaleMS: campaigns.StaleBound.Milliseconds(), Processor: processorData{Kind: "none"},
		Switches: switchData{Live: !s.LiveOff, Feed: !s.FeedOff, Leaderboards: !s.LeaderboardsOff},
	}
	switch {
	case w.cfg.StripeKey != "":
		p.Data.Processor = processorData{Kind: "stripe", PublishableKey: w.cfg.StripeKey}
	case w.cfg.DemoCards:
		p.Data.Processor = processorData{Kind: "simulator"}
	}
	p.Taking = p.Data.Processor.Kind != "none"
	if w.cfg.FeeBasisPoints > 0 || w.cfg.FeeFixedMinor > 0 {
		p.Data.Fee = &feeData{w.cfg.FeeBasisPoints, w.cfg.FeeFixedMinor}
	}
	if w.cfg.PublicURL != "" && path != "" {
		p.Canonical = w.cfg.PublicURL + path
		p.Data.URL = p.Canonical
	}
	if e != nil {
		p.SiteName, p.Banner = e.Name, e.Banner
		p.Data.Event = &eventData{e.Slug, e.Name, e.TimeZone}
	}
	return p
}

// isoLayout cuts off what is finer, so as_of never promises too much.
const isoLayout = "2006-01-02T15:04:05.000000Z"

func iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(isoLayout)
}

// bounds of one gift to the campaign, in minor units.
func bounds(c *campaigns.Campaign) (least, most int64) {
	most = ingest.AmountMinorMax
	if c.MaxMinor > 0 {
		most = min(most, c.MaxMinor)
	}
	least = c.Currency.MinimumMinor()
	if c.Rehearsal {
		least = 1
	}
	return max(least, c.MinMinor), most
}

func (p *page) about(c *campaigns.Campaign, phase campaigns.Phase) {
	least, most := bounds(c)
	p.Data.Campaign = &campaignData{
		Slug: c.Slug, Name: c.Name, Organisation: c.Organisation, Currency: string(c.Currency), Exponent: c.Currency.Exponent(),
		MinMinor: least, MaxMinor: most, GoalMinor: c.GoalMinor, Phase: phase.String(), Rehearsal: c.Rehearsal,
		StartsAt: iso(c.StartsAt), EndsAt: iso(c.EndsAt),
	}
	p.Rehearsal = c.Rehearsal
	p.NoIndex = p.NoIndex || c.Rehearsal
}

// etagBytes of SHA-256 make two contents of one address differ surely enough.
const etagBytes = 9

// finish renders the page as of asOf. Its tag leaves the ages out, so that a browser
// that has these figures and words is not sent them again because they are still true.
func (w *Web) finish(p *page, asOf time.Time, loc *time.Location, now time.Time) (*sheet, error) {
	text := "a time that is not known"
	p.Ages.Stale = (campaigns.Age{AsOf: asOf}).Lag(now) > campaigns.StaleBound
	if !asOf.IsZero() {
		text = clock(asOf, loc)
	}
	p.Ages.AsOfISO, p.Ages.AsOfText = w.pages.isoMark, w.pages.textMark
	p.Data.AsOf = w.pages.isoMark
	var b bytes.Buffer
	if err := w.pages.byKind[p.Kind].ExecuteTemplate(&b, "layout", p); err != nil {
		return nil, fmt.Errorf("page %s: %w", p.Kind, err)
	}
	sum := sha256.New()
	// The marks are another process' own; what stands in their place is what they are.
	marked := strings.NewReplacer(w.pages.isoMark, "", w.pages.textMark, "").Replace(b.String())
	sum.Write([]byte(marked))
	body := strings.NewReplacer(w.pages.isoMark, iso(asOf), w.pages.textMark, text).Replace(b.String())
	etag := append(hex.AppendEncode([]byte(`W/"`), sum.Sum(nil)[:etagBytes]), '"')
	return &sheet{body: []byte(body), etag: etag, at: now}, nil
}
