package manage

import (
	"slices"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// Bounds of lists.
const (
	pageRows    = 50
	pageRowsMax = 500
	// scanRows is how many campaigns are read at once while a list is narrowed here.
	scanRows = 500
)

// campaignJSON is a campaign as the admin API has it.
type campaignJSON struct {
	Slug         string `json:"slug"`
	Name         string `json:"name"`
	Event        string `json:"event"`
	Organisation string `json:"organisation"`
	LegalName    string `json:"legal_name"`
	TaxNumber    string `json:"tax_number"`
	Story        string `json:"story"`
	Image        string `json:"image"`
	Parent       string `json:"parent"`
	Currency     string `json:"currency"`
	GoalMinor    int64  `json:"goal_minor"`
	MinMinor     int64  `json:"min_minor"`
	MaxMinor     int64  `json:"max_minor"`
	StartsAt     string `json:"starts_at"` // RFC 3339, "" for from the start
	EndsAt       string `json:"ends_at"`   // RFC 3339, "" for never
	Phase        string `json:"phase"`
	Rehearsal    bool   `json:"rehearsal"`
	Revision     int64  `json:"revision"`
}

func asJSON(c *campaigns.Campaign, now time.Time) campaignJSON {
	return campaignJSON{
		Slug: c.Slug, Name: c.Name, Event: c.Event, Organisation: c.Organisation, LegalName: c.LegalName, TaxNumber: c.TaxNumber,
		Story: c.Story, Image: c.Image, Parent: c.Parent, Currency: string(c.Currency), GoalMinor: c.GoalMinor, MinMinor: c.MinMinor, MaxMinor: c.MaxMinor,
		StartsAt: rfc3339(c.StartsAt), EndsAt: rfc3339(c.EndsAt), Phase: c.PhaseAt(now).String(), Rehearsal: c.Rehearsal, Revision: c.Revision,
	}
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// filter narrows a list of campaigns beyond what the store searches.
type filter struct {
	allowed []string // nil: all
	phase   string   // "" for any
	now     time.Time
	// rehearsals shows what rehearsals made; they are many and nobody's.
	rehearsals bool
}

func (f *filter) takes(c *campaigns.Campaign) bool {
	return (f.allowed == nil || slices.Contains(f.allowed, c.Slug)) && (f.phase == "" || c.PhaseAt(f.now).String() == f.phase) && c.Rehearsal == f.rehearsals
}

// narrowed reads on until a page is full, and says behind which slug the next one begins,
// "" when there is none.
func (s *Section) narrowed(r *frame.Request, text, after string, limit int, f *filter) (all []*campaigns.Campaign, next string, err error) {
	for {
		some, err := s.Campaigns.Search(r.Context(), text, after, scanRows)
		if err != nil {
			return nil, "", trouble(err)
		}
		for _, c := range some {
			if !f.takes(c) {
				continue
			}
			if len(all) == limit {
				return all, all[limit-1].Slug, nil
			}
			all = append(all, c)
		}
		if len(some) < scanRows {
			return all, "", nil
		}
		after = some[len(some)-1].Slug
	}
}

func (s *Section) listCampaigns(r *frame.Request) error {
	f := &filter{allowed: r.Principal.Campaigns, phase: r.Query("phase"), now: r.Now(), rehearsals: r.Query("rehearsals") != ""}
	if f.phase != "" && !slices.Contains([]string{"upcoming", "open", "closed"}, f.phase) {
		return frame.Invalid(frame.Field{Name: "phase", Code: "unknown", Detail: "It is upcoming, open or closed."})
	}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	text := r.Query("search")
	all, next, err := s.narrowed(r, text, r.Query("after"), limit, f)
	if err != nil {
		return err
	}
	if r.WantsJSON() {
		items := make([]campaignJSON, len(all))
		for i, c := range all {
			items[i] = asJSON(c, r.Now())
		}
		return r.Reply(200, list[campaignJSON]{items, next})
	}
	return r.Page("Campaigns", campaignsPage, map[string]any{
		"Search": text, "Phase": f.phase, "Rehearsals": f.rehearsals, "All": all, "Next": next, "After": r.Query("after"), "Now": r.Now(), "Zone": s.zones(r),
		"MayCreate": r.Principal.Can(access.EditCampaigns, ""),
	})
}

// list is a page of a list as the admin API has it.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// limitOf reads how many rows a page may have.
func limitOf(r *frame.Request) (int, error) {
	text := r.Query("limit")
	if text == "" {
		return pageRows, nil
	}
	n := 0
	for _, d := range text {
		if d < '0' || d > '9' || n > pageRowsMax {
			n = 0
			break
		}
		n = n*10 + int(d-'0')
	}
	if n < 1 || n > pageRowsMax {
		return 0, frame.Invalid(frame.Field{Name: "limit", Code: "out_of_range", Detail: "It is 1 to 500."})
	}
	return n, nil
}

// zones finds the zone of each event, for times that people read. What cannot be read is
// shown in UTC: a list is not refused for it.
func (s *Section) zones(r *frame.Request) func(event string) *time.Location {
	byEvent := map[string]*time.Location{}
	if events, err := s.Campaigns.Events(r.Context()); err == nil {
		for _, e := range events {
			byEvent[e.Slug] = zoneOf(e)
		}
	}
	return func(event string) *time.Location {
		if zone := byEvent[event]; zone != nil {
			return zone
		}
		return time.UTC
	}
}

func zoneOf(e *campaigns.Event) *time.Location {
	if e != nil {
		if zone, err := time.LoadLocation(e.TimeZone); err == nil {
			return zone
		}
	}
	return time.UTC
}
