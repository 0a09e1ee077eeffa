package manage

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/campaigns/console/manage/sheet"
)

// eventJSON is a giving day as the admin API has it.
type eventJSON struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"`
	StartsAt string `json:"starts_at"`
	EndsAt   string `json:"ends_at"`
	Banner   string `json:"banner"`
	Revision int64  `json:"revision"`
}

func eventAsJSON(e *campaigns.Event) eventJSON {
	return eventJSON{e.Slug, e.Name, e.TimeZone, rfc3339(e.StartsAt), rfc3339(e.EndsAt), e.Banner, e.Revision}
}

// zoneNames are offered for a giving day's zone; any other of the IANA's may be typed.
var zoneNames = []string{
	"UTC", "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles", "America/Anchorage", "Pacific/Honolulu",
	"America/Toronto", "America/Vancouver", "America/Halifax", "America/Mexico_City", "America/Bogota", "America/Sao_Paulo", "America/Argentina/Buenos_Aires",
	"Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Madrid", "Europe/Paris", "Europe/Brussels", "Europe/Amsterdam", "Europe/Berlin", "Europe/Zurich",
	"Europe/Vienna", "Europe/Rome", "Europe/Prague", "Europe/Warsaw", "Europe/Stockholm", "Europe/Oslo", "Europe/Copenhagen", "Europe/Helsinki", "Europe/Bucharest",
	"Europe/Athens", "Europe/Istanbul", "Africa/Lagos", "Africa/Johannesburg", "Africa/Nairobi", "Asia/Dubai", "Asia/Kolkata", "Asia/Bangkok", "Asia/Singapore",
	"Asia/Hong_Kong", "Asia/Manila", "Asia/Tokyo", "Asia/Seoul", "Australia/Perth", "Australia/Sydney", "Pacific/Auckland",
}

// eventPageData is what event.html shows.
type eventPageData struct {
	New       bool
	Event     *campaigns.Event
	Texts     map[string]string
	Fault     map[string]string
	Moved     []plan.Change
	ZoneNames []string
	MayEdit   bool
	Campaigns []*campaigns.Campaign
}

func eventTexts(e *campaigns.Event) map[string]string {
	zone := zoneOf(e)
	return map[string]string{"slug": e.Slug, "name": e.Name, "time_zone": e.TimeZone, "banner": e.Banner,
		"starts": momentText(e.StartsAt, zone), "ends": momentText(e.EndsAt, zone), "revision": strconv.FormatInt(e.Revision, 10)}
}

func (s *Section) listEvents(r *frame.Request) error {
	all, err := s.Campaigns.Events(r.Context())
	if err != nil {
		return trouble(err)
	}
	slices.Reverse(all) // the one that was changed last comes first
	if r.WantsJSON() {
		items := make([]eventJSON, len(all))
		for i, e := range all {
			items[i] = eventAsJSON(e)
		}
		return r.Reply(200, list[eventJSON]{items, ""})
	}
	return r.Page("Giving days", eventsPage, map[string]any{"All": all, "Now": r.Now(), "MayEdit": r.Principal.Can(access.EditCampaigns, ""), "ZoneOf": zoneOf})
}

func (s *Section) newEvent(r *frame.Request) error {
	return s.eventForm(r, &eventPageData{New: true, Texts: map[string]string{"time_zone": "UTC"}})
}

func (s *Section) eventForm(r *frame.Request, d *eventPageData) error {
	d.ZoneNames, d.MayEdit = zoneNames, r.Principal.Can(access.EditCampaigns, "")
	title := "A new giving day"
	if d.Event != nil {
		title = d.Event.Name
		if d.Texts == nil {
			d.Texts = eventTexts(d.Event)
		}
	}
	return r.Page(title, eventPage, d)
}

func (s *Section) showEvent(r *frame.Request) error {
	e, err := s.Campaigns.Event(r.Context(), r.Param("event"))
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.Reply(200, eventAsJSON(e))
	}
	return s.eventForm(r, &eventPageData{Event: e})
}

// eventInput is a giving day as the admin API sends it, and as the form does, whose times
// are as its own zone's clocks show them. What the API does not send stays.
type eventInput struct {
	Slug     *string `json:"slug"`
	Name     *string `json:"name"`
	TimeZone *string `json:"time_zone"`
	StartsAt *string `json:"starts_at"`
	EndsAt   *string `json:"ends_at"`
	Banner   *string `json:"banner"`
	Revision *int64  `json:"revision"`
}

// apply changes what was sent; local says that times are as clocks show them. A time that
// is shown as it was stays as it was, to the microsecond.
func (in *eventInput) apply(e *campaigns.Event, local bool) (faults []frame.Field) {
	shown := eventTexts(e)
	if in.Name != nil {
		e.Name = strings.TrimSpace(*in.Name)
	}
	if in.Banner != nil {
		e.Banner = strings.Join(strings.Fields(*in.Banner), " ")
	}
	sameZone := in.TimeZone == nil || *in.TimeZone == e.TimeZone
	if in.TimeZone != nil {
		e.TimeZone = strings.TrimSpace(*in.TimeZone)
	}
	zone, zoneErr := time.LoadLocation(e.TimeZone)
	if zoneErr != nil || e.TimeZone == "" || e.TimeZone == "Local" {
		faults = append(faults, frame.Field{Name: "time_zone", Code: "unknown", Detail: "It is not the name of a time zone, such as Europe/Vienna."})
		zone = time.UTC
	}
	for _, m := range []struct {
		name string
		from *string
		into *time.Time
		was  string
	}{{"starts_at", in.StartsAt, &e.StartsAt, shown["starts"]}, {"ends_at", in.EndsAt, &e.EndsAt, shown["ends"]}} {
		switch {
		case m.from == nil:
		case *m.from == "":
			*m.into = time.Time{}
		case local && sameZone && localTyped(*m.from) == m.was:
		default:
			at, dateOnly, err := sheet.ParseMoment(*m.from, sheet.OrderUnknown, false, zone)
			if !local && err == nil {
				at, err = time.Parse(time.RFC3339, *m.from)
				at = at.UTC().Truncate(time.Microsecond)
			}
			if err != nil || dateOnly {
				detail := "Write it as 2026-11-22T08:00:00Z."
				if local {
					detail = "Give the day and the time of day; the clocks of the zone must show it."
				}
				faults = append(faults, frame.Field{Name: m.name, Code: "not_a_time", Detail: detail})
				continue
			}
			*m.into = at
		}
	}
	if !campaigns.ValidSlug(e.Slug) {
		faults = append(faults, frame.Field{Name: "slug", Code: "not_a_slug", Detail: "Small letters, digits, - and _; it begins and ends with a letter or digit, at most 64 of them."})
	}
	if e.Name == "" || utf8.RuneCountInString(e.Name) > campaigns.NameCharsMax {
		faults = append(faults, frame.Field{Name: "name", Code: "required", Detail: "A giving day needs a name of at most 200 characters."})
	}
	if utf8.RuneCountInString(e.Banner) > campaigns.BannerCharsMax {
		faults = append(faults, frame.Field{Name: "banner", Code: "too_long", Detail: "It is longer than 300 characters."})
	}
	if !e.EndsAt.IsZero() && !e.EndsAt.After(e.StartsAt) {
		faults = append(faults, frame.Field{Name: "ends_at", Code: "before_start", Detail: "It ends before it begins."})
	}
	if len(faults) == 0 {
		if err := e.Validate(); err != nil {
			faults = append(faults, frame.Field{Name: "name", Code: "invalid", Detail: err.Error()})
		}
	}
	return faults
}

func (s *Section) createEvent(r *frame.Request) error {
	var in eventInput
	if err := r.Input(&in); err != nil {
		return err
	}
	e := &campaigns.Event{TimeZone: "UTC"}
	if in.Slug != nil {
		e.Slug = *in.Slug
	}
	if e.Slug == "" && in.Name != nil {
		e.Slug = plan.Slug(*in.Name)
	}
	faults := in.apply(e, !r.WantsJSON())
	if len(faults) == 0 {
		if _, err := s.Campaigns.Event(r.Context(), e.Slug); err == nil {
			faults = append(faults, frame.Field{Name: "slug", Code: "taken", Detail: "A giving day with this slug is there already."})
		} else if !errors.Is(err, campaigns.ErrUnknown) {
			return trouble(err)
		}
	}
	if len(faults) > 0 {
		return s.eventFault(r, &eventPageData{New: true}, &in, faults)
	}
	if err := r.Audit("event.create", e.Slug, changesText(eventChanges(&campaigns.Event{}, e))); err != nil {
		return err
	}
	if err := s.Campaigns.PutEvent(r.Context(), e); err != nil {
		return trouble(err)
	}
	return s.eventDone(r, e.Slug, 201, "The giving day is made.")
}

func (s *Section) editEvent(r *frame.Request) error {
	var in eventInput
	if err := r.Input(&in); err != nil {
		return err
	}
	was, err := s.Campaigns.Event(r.Context(), r.Param("event"))
	if err != nil {
		return trouble(err)
	}
	if in.Revision == nil {
		return frame.Invalid(frame.Field{Name: "revision", Code: "required", Detail: "Send the revision that the change stands on."})
	}
	if in.Slug != nil && *in.Slug != was.Slug {
		return frame.Invalid(frame.Field{Name: "slug", Code: "kept", Detail: "A giving day's slug cannot be changed."})
	}
	e := *was
	faults := in.apply(&e, !r.WantsJSON())
	changes := eventChanges(was, &e)
	if *in.Revision == was.Revision && len(faults) == 0 {
		if len(changes) > 0 {
			if err := r.Audit("event.edit", e.Slug, changesText(changes)); err != nil {
				return err
			}
		}
		_, err = s.Campaigns.EditEvent(r.Context(), e.Slug, func(held *campaigns.Event) error {
			if held.Revision != *in.Revision {
				return errOvertaken
			}
			*held = e
			return nil
		})
		if err == nil {
			return s.eventDone(r, e.Slug, 200, "Saved. Donors see it in a moment.")
		}
		if !errors.Is(err, errOvertaken) {
			return trouble(err)
		}
		if was, err = s.Campaigns.Event(r.Context(), e.Slug); err != nil {
			return trouble(err)
		}
	}
	if *in.Revision != was.Revision {
		moved := eventChanges(&e, was)
		if r.WantsJSON() {
			return &frame.Problem{Status: 409, Code: "overtaken", Detail: "Somebody else changed it in the meantime; nothing was changed. Get it again: " + changesText(moved)}
		}
		d := &eventPageData{Event: was, Moved: moved, Texts: in.texts()}
		d.Texts["revision"] = strconv.FormatInt(was.Revision, 10)
		r.Status(409)
		return s.eventForm(r, d)
	}
	return s.eventFault(r, &eventPageData{Event: was}, &in, faults)
}

// texts are what a form sent.
func (in *eventInput) texts() map[string]string {
	texts := map[string]string{}
	for name, text := range map[string]*string{"slug": in.Slug, "name": in.Name, "time_zone": in.TimeZone, "starts": in.StartsAt, "ends": in.EndsAt, "banner": in.Banner} {
		if text != nil {
			texts[name] = *text
		}
	}
	if in.Revision != nil {
		texts["revision"] = strconv.FormatInt(*in.Revision, 10)
	}
	return texts
}

func (s *Section) eventFault(r *frame.Request, d *eventPageData, in *eventInput, faults []frame.Field) error {
	err := frame.Invalid(faults...)
	if r.WantsJSON() {
		return err
	}
	d.Fault, _, _ = faultsOf(err)
	d.Texts = in.texts()
	r.Status(422)
	return s.eventForm(r, d)
}

func (s *Section) eventDone(r *frame.Request, slug string, status int, flash string) error {
	s.Nudge()
	if !r.WantsJSON() {
		return r.Redirect("/admin/events/"+slug, flash)
	}
	e, err := s.Campaigns.Event(r.Context(), slug)
	if err != nil {
		return trouble(err)
	}
	return r.Reply(status, eventAsJSON(e))
}

func eventChanges(was, is *campaigns.Event) (changes []plan.Change) {
	add := func(field, before, after string) {
		if before != after {
			changes = append(changes, plan.Change{Field: field, Before: before, After: after})
		}
	}
	moment := func(at time.Time, none string) string {
		if at.IsZero() {
			return none
		}
		return plan.Moment(at, zoneOf(is))
	}
	add("Name", was.Name, is.Name)
	add("Time zone", was.TimeZone, is.TimeZone)
	if !was.StartsAt.Equal(is.StartsAt) {
		add("Begins", moment(was.StartsAt, "open"), moment(is.StartsAt, "open"))
	}
	if !was.EndsAt.Equal(is.EndsAt) {
		add("Ends", moment(was.EndsAt, "never"), moment(is.EndsAt, "never"))
	}
	add("Banner", was.Banner, is.Banner)
	return changes
}
