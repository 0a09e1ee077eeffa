package manage

import (
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/sheet"
)

const (
	// closeAhead is how far ahead "close now" ends a campaign: every front-end knows of
	// it by then, so that none takes a gift after another has refused one.
	closeAhead = 2 * time.Second
	// extendMost bounds how long a campaign is extended at once: more is a slip.
	extendMost = 366 * 24 * time.Hour
)

// openCampaign opens an upcoming campaign now.
func (s *Section) openCampaign(r *frame.Request) error {
	return s.change(r, "campaign.open", func(c *campaigns.Campaign) error {
		switch now := s.Now().UTC().Truncate(time.Microsecond); c.PhaseAt(now) {
		case campaigns.Open:
			return nil // it is
		case campaigns.Closed:
			return frame.Conflict("closed", "It has closed. Extend it to have it open again.")
		default:
			c.StartsAt = now
		}
		return nil
	}, "Open. Donors can give in a moment.")
}

// closeCampaign closes an open campaign, two seconds from now.
func (s *Section) closeCampaign(r *frame.Request) error {
	return s.change(r, "campaign.close", func(c *campaigns.Campaign) error {
		now := s.Now().UTC().Truncate(time.Microsecond)
		switch c.PhaseAt(now) {
		case campaigns.Upcoming:
			return frame.Conflict("upcoming", "It has not opened yet. Change when it opens.")
		case campaigns.Closed:
			return nil // it is
		}
		if end := now.Add(closeAhead); c.EndsAt.IsZero() || c.EndsAt.After(end) {
			c.EndsAt = end
		}
		return nil
	}, "It closes in two seconds, everywhere at once.")
}

// extendCampaign moves the end: to a moment, or by so many minutes from the end, or from
// now when it has closed.
func (s *Section) extendCampaign(r *frame.Request) error {
	var in struct {
		Minutes int64  `json:"minutes"`
		EndsAt  string `json:"ends_at"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	err := s.change(r, "campaign.extend", func(c *campaigns.Campaign) error {
		now := s.Now().UTC().Truncate(time.Microsecond)
		var end time.Time
		switch {
		case c.EndsAt.IsZero():
			return frame.Conflict("endless", "It never closes; there is nothing to extend.")
		case in.EndsAt != "":
			at, err := s.momentIn(r, in.EndsAt, c.Event)
			if err != nil {
				return err
			}
			end = at
		case in.Minutes >= 1 && in.Minutes <= int64(extendMost/time.Minute):
			from := c.EndsAt
			if from.Before(now) {
				from = now
			}
			end = from.Add(time.Duration(in.Minutes) * time.Minute)
		default:
			return frame.Invalid(frame.Field{Name: "ends_at", Code: "required", Detail: "Say until when, or by how many minutes: 1 to a year's."})
		}
		switch {
		case !end.After(now):
			return frame.Invalid(frame.Field{Name: "ends_at", Code: "past", Detail: "That is in the past."})
		case !end.After(c.StartsAt):
			return frame.Invalid(frame.Field{Name: "ends_at", Code: "before_start", Detail: "That is before it opens."})
		case end.Before(c.EndsAt):
			return frame.Invalid(frame.Field{Name: "ends_at", Code: "earlier", Detail: "That is earlier than it closes now. To close earlier, change the campaign itself."})
		case end.Sub(c.EndsAt) > extendMost && end.Sub(now) > extendMost:
			return frame.Invalid(frame.Field{Name: "ends_at", Code: "out_of_range", Detail: "That is more than a year away."})
		}
		c.EndsAt = end
		return nil
	}, "Extended. Donors see it in a moment.")
	if fault, status, refused := faultsOf(err); refused && !r.WantsJSON() && fault["ends_at"] != "" {
		c, err := s.Campaigns.Get(r.Context(), r.Param("slug"))
		if err != nil {
			return trouble(err)
		}
		r.Status(status)
		return s.form(r, &campaignPageData{Campaign: c, Fault: map[string]string{"extend": fault["ends_at"]}, Extend: in.EndsAt})
	}
	return err
}

// momentIn reads a moment: RFC 3339 in the admin API, the clocks of the event in a form.
func (s *Section) momentIn(r *frame.Request, text, event string) (time.Time, error) {
	zone := s.zones(r)(event)
	at, dateOnly, err := sheet.ParseMoment(text, sheet.OrderUnknown, false, zone)
	switch {
	case err != nil:
		return at, frame.Invalid(frame.Field{Name: "ends_at", Code: "not_a_time", Detail: sentence(err.Error())})
	case dateOnly, r.WantsJSON() && !strings.ContainsAny(text, "Zz+") && strings.Count(text, "-") < 3:
		return at, frame.Invalid(frame.Field{Name: "ends_at", Code: "not_a_time", Detail: "Write it as 2026-11-22T08:00:00Z."})
	}
	return at, nil
}
