package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/ledger/money"
)

// organisationsOffered is how many names the form's field of the organisation offers.
const organisationsOffered = 300

// campaignPageData is what campaign.html shows.
type campaignPageData struct {
	New      bool
	Campaign *campaigns.Campaign // as it is there; nil for a new one
	Slug     string
	Texts    map[string]string
	Seen     string
	Fault    map[string]string
	// Moved are fields that somebody else changed while this form was open: their new
	// values.
	Moved map[string]string

	Phase         string
	Zone          *time.Location
	Events        []*campaigns.Event
	Organisations []*campaigns.Organisation
	Currencies    []money.Currency
	MayEdit       bool
	MaySeeAll     bool // what is the installation's
	Now           time.Time
	Extend        string // what was typed
}

// form shows the campaign's page, with what was typed and what is wrong with it.
func (s *Section) form(r *frame.Request, d *campaignPageData) error {
	var err error
	if d.Events, err = s.Campaigns.Events(r.Context()); err != nil {
		return trouble(err)
	}
	if d.Organisations, err = s.Campaigns.Organisations(r.Context(), "", "", organisationsOffered); err != nil {
		return trouble(err)
	}
	d.Now, d.Currencies, d.MaySeeAll = r.Now(), money.Currencies(), r.Principal.Can(access.ViewCampaigns, "")
	title := "A new campaign"
	if d.Campaign != nil {
		d.Slug, d.Phase, title = d.Campaign.Slug, d.Campaign.PhaseAt(d.Now).String(), d.Campaign.Name
		d.Zone = s.zones(r)(d.Campaign.Event)
		d.MayEdit = r.Principal.Can(access.EditCampaigns, d.Slug) && !d.Campaign.Rehearsal
		if d.Texts == nil {
			d.Texts = textsOf(d.Campaign, d.Zone)
		}
		d.Seen = seen(textsOf(d.Campaign, d.Zone))
	} else {
		d.MayEdit = true
		d.Zone = s.zones(r)(d.Texts["event"])
	}
	return r.Page(title, campaignPage, d)
}

func (s *Section) newCampaign(r *frame.Request) error {
	events, err := s.Campaigns.Events(r.Context())
	if err != nil {
		return trouble(err)
	}
	texts := map[string]string{"currency": "USD"}
	if event := theEvent(events, r.Now()); event != nil {
		zone := zoneOf(event)
		texts["event"], texts["starts"], texts["ends"] = event.Slug, momentText(event.StartsAt, zone), momentText(event.EndsAt, zone)
	}
	return s.form(r, &campaignPageData{New: true, Texts: texts})
}

// theEvent is the giving day that new things are for: the open one, else the next, else
// the last one changed.
func theEvent(events []*campaigns.Event, now time.Time) (best *campaigns.Event) {
	rank := func(e *campaigns.Event) int {
		switch {
		case !e.EndsAt.IsZero() && !now.Before(e.EndsAt):
			return 0
		case now.Before(e.StartsAt):
			return 1
		}
		return 2
	}
	for _, e := range events {
		if best == nil || rank(e) > rank(best) || rank(e) == rank(best) && (rank(e) != 1 || e.StartsAt.Before(best.StartsAt)) {
			best = e
		}
	}
	return best
}

func (s *Section) showCampaign(r *frame.Request) error {
	c, err := s.Campaigns.Get(r.Context(), r.Param("slug"))
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.Reply(200, asJSON(c, r.Now()))
	}
	return s.form(r, &campaignPageData{Campaign: c})
}

func (s *Section) createCampaign(r *frame.Request) error {
	c := &campaigns.Campaign{}
	var faults []frame.Field
	var texts map[string]string
	if r.WantsJSON() {
		var in campaignInput
		if err := r.JSON(&in); err != nil {
			return err
		}
		if in.Slug != nil {
			c.Slug = *in.Slug
		}
		faults = in.apply(c)
	} else {
		texts = typedOf(r)
		touched := map[string]bool{}
		for f := range texts {
			touched[f] = true
		}
		c.Slug = r.Form("slug")
		faults = applyTexts(c, texts, touched, s.zones(r)(texts["event"]))
	}
	if c.Slug == "" {
		c.Slug = plan.Slug(c.Name)
	}
	err := s.create(r, c, faults)
	if r.WantsJSON() {
		if err != nil {
			return err
		}
		made, err := s.Campaigns.Get(r.Context(), c.Slug)
		if err != nil {
			return trouble(err)
		}
		return r.Reply(201, asJSON(made, r.Now()))
	}
	if fault, status, ok := faultsOf(err); ok {
		r.Status(status)
		return s.form(r, &campaignPageData{New: true, Slug: r.Form("slug"), Texts: texts, Fault: fault})
	}
	if err != nil {
		return err
	}
	return r.Redirect("/admin/campaigns/"+c.Slug, "The campaign is made. Donors see it in a moment.")
}

func (s *Section) create(r *frame.Request, c *campaigns.Campaign, faults []frame.Field) error {
	if err := s.check(r, c, nil, faults); err != nil {
		return err
	}
	if err := r.Audit("campaign.create", c.Slug, changesText(s.differences(r, &campaigns.Campaign{Currency: c.Currency}, c))); err != nil {
		return err
	}
	c.Revision = 0
	_, err := s.Campaigns.PutIf(r.Context(), c)
	if errors.Is(err, campaigns.ErrOvertaken) {
		return &frame.Problem{Status: 409, Code: "taken", Detail: "A campaign with this slug is there already.",
			Fields: []frame.Field{{Name: "slug", Code: "taken", Detail: "A campaign with this slug is there already."}}}
	}
	if err != nil {
		return trouble(err)
	}
	s.Nudge()
	return nil
}

// check holds a campaign against the rules and against what it names; was is nil for a
// new one. Errors: a *frame.Problem.
func (s *Section) check(r *frame.Request, c, was *campaigns.Campaign, faults []frame.Field) error {
	told := map[string]bool{}
	for _, f := range faults {
		told[f.Name] = true
	}
	for _, f := range checkFields(c) {
		if !told[f.Name] {
			faults = append(faults, f)
		}
	}
	if was == nil {
		was = &campaigns.Campaign{Currency: c.Currency}
	}
	if c.Currency != was.Currency && c.Currency.Valid() {
		faults = append(faults, frame.Field{Name: "currency", Code: "kept", Detail: "A campaign's currency cannot be changed. Make another campaign."})
	}
	if c.Event != was.Event && c.Event != "" {
		if _, err := s.Campaigns.Event(r.Context(), c.Event); errors.Is(err, campaigns.ErrUnknown) {
			faults = append(faults, frame.Field{Name: "event", Code: "unknown", Detail: "There is no such giving day. Make it first."})
		} else if err != nil {
			return trouble(err)
		}
	}
	if c.Parent != was.Parent && c.Parent != "" {
		if _, err := s.Campaigns.Get(r.Context(), c.Parent); errors.Is(err, campaigns.ErrUnknown) {
			faults = append(faults, frame.Field{Name: "parent", Code: "unknown", Detail: "There is no such campaign."})
		} else if err != nil {
			return trouble(err)
		}
	}
	// Whoever is bound to some campaigns makes nothing that is the installation's.
	if c.Organisation != was.Organisation && c.Organisation != "" && r.Principal.Limited() {
		if _, err := s.Campaigns.Organisation(r.Context(), c.Organisation); errors.Is(err, campaigns.ErrUnknown) {
			faults = append(faults, frame.Field{Name: "organisation", Code: "unknown", Detail: "There is no such organisation, and you may not make one."})
		} else if err != nil {
			return trouble(err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	if r.WantsJSON() {
		faults = forJSON(faults)
	}
	return frame.Invalid(faults...)
}

func (s *Section) editCampaign(r *frame.Request) error {
	is, err := s.Campaigns.Get(r.Context(), r.Param("slug"))
	if err != nil {
		return trouble(err)
	}
	if is.Rehearsal {
		return frame.Conflict("rehearsal", "A rehearsal's campaign is changed by the rehearsal alone.")
	}
	if r.WantsJSON() {
		return s.editJSON(r, is)
	}
	zone := s.zones(r)(is.Event)
	texts := textsOf(is, zone)
	var was map[string]string
	revision, err := strconv.ParseInt(r.Form("revision"), 10, 64)
	if err != nil || json.Unmarshal([]byte(r.Form("seen")), &was) != nil {
		return frame.Invalid(frame.Field{Name: "revision", Code: "required", Detail: "Load the page again; the form was not whole."})
	}
	m := mergeForm(typedOf(r), was, texts)
	delete(m.Touched, "currency")
	if revision != is.Revision {
		r.Status(409)
		return s.form(r, &campaignPageData{Campaign: is, Texts: m.Texts, Moved: m.Moved, Fault: map[string]string{"": "overtaken"}})
	}
	c := *is
	typedZone := zone
	if m.Touched["event"] {
		typedZone = s.zones(r)(m.Texts["event"])
	}
	faults := applyTexts(&c, m.Texts, m.Touched, typedZone)
	err = s.save(r, is, &c, faults)
	switch fault, status, refused := faultsOf(err); {
	case errors.Is(err, errOvertaken):
		return s.editCampaign(r) // the revision is another one now
	case refused:
		r.Status(status)
		return s.form(r, &campaignPageData{Campaign: is, Texts: m.Texts, Fault: fault})
	case err != nil:
		return err
	}
	return r.Redirect("/admin/campaigns/"+c.Slug, "Saved. Donors see it in a moment.")
}

func (s *Section) editJSON(r *frame.Request, is *campaigns.Campaign) error {
	var in campaignInput
	if err := r.JSON(&in); err != nil {
		return err
	}
	if in.Revision == nil {
		return frame.Invalid(frame.Field{Name: "revision", Code: "required", Detail: "Send the revision that the change stands on."})
	}
	if in.Slug != nil && *in.Slug != is.Slug {
		return frame.Invalid(frame.Field{Name: "slug", Code: "kept", Detail: "A campaign's slug cannot be changed."})
	}
	c := *is
	faults := in.apply(&c)
	if *in.Revision != is.Revision {
		return overtaken(s.differences(r, &c, is))
	}
	if err := s.save(r, is, &c, faults); errors.Is(err, errOvertaken) {
		return overtaken(nil)
	} else if err != nil {
		return err
	}
	saved, err := s.Campaigns.Get(r.Context(), c.Slug)
	if err != nil {
		return trouble(err)
	}
	return r.Reply(200, asJSON(saved, r.Now()))
}

// overtaken tells what stands there otherwise than the change would have it.
func overtaken(changes []plan.Change) error {
	p := &frame.Problem{Status: 409, Code: "overtaken", Detail: "Somebody else changed it in the meantime; nothing was changed. Get it again, and send the change with its revision."}
	for _, c := range changes {
		p.Fields = append(p.Fields, frame.Field{Name: fieldNamed(c.Field), Code: "changed", Detail: "It is now: " + orNone(c.After) + "."})
	}
	return p
}

// fieldNamed is the admin API's name of what people call a field.
func fieldNamed(title string) string {
	return map[string]string{"Name": "name", "Organisation": "organisation", "Story": "story", "Currency": "currency", "Goal": "goal_minor",
		"Smallest gift": "min_minor", "Largest gift": "max_minor", "Opens": "starts_at", "Closes": "ends_at", "Giving day": "event", "Parent": "parent", "Image": "image"}[title]
}

// errOvertaken says within this package that the revision moved between reading and
// writing.
var errOvertaken = errors.New("the revision moved")

// save writes a changed campaign when it still stands as it was read. Errors: a
// *frame.Problem, errOvertaken.
func (s *Section) save(r *frame.Request, was, c *campaigns.Campaign, faults []frame.Field) error {
	if err := s.check(r, c, was, faults); err != nil {
		return err
	}
	changes := s.differences(r, was, c)
	if len(changes) == 0 {
		return nil
	}
	if err := r.Audit("campaign.edit", c.Slug, changesText(changes)); err != nil {
		return err
	}
	return s.write(r, was.Revision, c)
}

// write stores c on the revision that it stands on.
func (s *Section) write(r *frame.Request, revision int64, c *campaigns.Campaign) error {
	_, err := s.Campaigns.Edit(r.Context(), c.Slug, func(held *campaigns.Campaign) error {
		if held.Revision != revision {
			return errOvertaken
		}
		*held = *c
		return nil
	})
	if errors.Is(err, errOvertaken) {
		return errOvertaken
	}
	if err != nil {
		return trouble(err)
	}
	s.Nudge()
	return nil
}

// retryMost is how often a change that stands on no form is made again when others are
// faster: organisers, not machines.
const retryMost = 5

// change makes a change that is right whatever else was changed, such as closing now.
func (s *Section) change(r *frame.Request, action string, change func(*campaigns.Campaign) error, done string) error {
	for range retryMost {
		is, err := s.Campaigns.Get(r.Context(), r.Param("slug"))
		if err != nil {
			return trouble(err)
		}
		if is.Rehearsal {
			return frame.Conflict("rehearsal", "A rehearsal's campaign is changed by the rehearsal alone.")
		}
		c := *is
		if err := change(&c); err != nil {
			return err
		}
		if changes := s.differences(r, is, &c); len(changes) > 0 {
			if err := r.Audit(action, c.Slug, changesText(changes)); err != nil {
				return err
			}
			err = s.write(r, is.Revision, &c)
		}
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil {
			return err
		}
		if !r.WantsJSON() {
			return r.Redirect("/admin/campaigns/"+c.Slug, done)
		}
		saved, err := s.Campaigns.Get(r.Context(), c.Slug)
		if err != nil {
			return trouble(err)
		}
		return r.Reply(200, asJSON(saved, r.Now()))
	}
	return frame.Conflict("overtaken", fmt.Sprintf("Others changed the campaign %d times at once; try again.", retryMost))
}
