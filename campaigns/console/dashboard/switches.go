package dashboard

import (
	"context"
	"errors"
	"fmt"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// switchInfo is one switch, as people see it.
type switchInfo struct {
	name, title, explains string
	on                    func(*SwitchesView) bool
	off                   func(*campaigns.Switches) *bool // where it is kept, true for off
}

// Title, Name and Explains are for pages.
func (w switchInfo) Title() string    { return w.title }
func (w switchInfo) Name() string     { return w.name }
func (w switchInfo) Explains() string { return w.explains }

var switchList = []switchInfo{
	{"leaderboards", "Leaderboards", "The lists of campaigns by raised and by donors on the day's page. Without them the page shows the campaigns and no ranks.",
		func(s *SwitchesView) bool { return s.Leaderboards }, func(s *campaigns.Switches) *bool { return &s.LeaderboardsOff }},
	{"feed", "Feeds of gifts", "The newest gifts with names and messages on campaign pages. Turn them off while something must not be seen; one name or message is hidden under Donations.",
		func(s *SwitchesView) bool { return s.Feed }, func(s *campaigns.Switches) *bool { return &s.FeedOff }},
	{"live", "Live streams", "Totals that move by themselves. Without them pages ask every ten seconds, which costs front-ends far less memory and connections.",
		func(s *SwitchesView) bool { return s.Live }, func(s *campaigns.Switches) *bool { return &s.LiveOff }},
	{"exports", "Exports", "CSV and XLSX of donations. They read the database for as long as they run.",
		func(s *SwitchesView) bool { return s.Exports }, func(s *campaigns.Switches) *bool { return &s.ExportsOff }},
}

// reasonCharsMax bounds why somebody changed something.
const reasonCharsMax = 200

// casTries is how often a change is made anew when somebody else was faster.
const casTries = 4

// switchOrder is what is asked for.
type switchOrder struct {
	Switch string `json:"switch"`
	On     bool   `json:"on"`
	Reason string `json:"reason"`
}

// turn turns one switch, and answers with how all of them are.
func (s *Section) turn(r *frame.Request) error {
	var in switchOrder
	if err := r.Input(&in); err != nil {
		return err
	}
	var which *switchInfo
	for i := range switchList {
		if switchList[i].name == in.Switch {
			which = &switchList[i]
		}
	}
	if which == nil {
		return frame.Invalid(frame.Field{Name: "switch", Code: "unknown", Detail: "The switches are leaderboards, feed, live and exports."})
	}
	if err := checkReason(in.Reason, false); err != nil {
		return err
	}
	word := "off"
	if in.On {
		word = "on"
	}
	if err := r.AuditSoon("switch."+word, which.name, in.Reason); err != nil {
		return err
	}
	next, err := s.publishSwitch(r, which, !in.On)
	if err != nil {
		return err
	}
	s.heardSwitches(next)
	s.log.Info("a switch was turned", "switch", which.name, "to", word, "revision", next.Revision)
	if r.WantsJSON() {
		return r.Reply(200, viewSwitches(*next))
	}
	return r.Redirect(switchesPath, fmt.Sprintf("%s are %s, everywhere within a second.", which.title, word))
}

// publishSwitch changes one switch and leaves the others as they are, whoever changes
// those at the same time.
func (s *Section) publishSwitch(r *frame.Request, which *switchInfo, off bool) (*campaigns.Switches, error) {
	for range casTries {
		now, err := s.deps.Switches.Switches(r.Context())
		if err != nil {
			return nil, brokerAway(err)
		}
		next := *now
		if *which.off(&next) == off {
			return &next, nil // it is so already
		}
		*which.off(&next) = off
		next.Revision++
		next.ChangedAt, next.ChangedBy = r.Now().UTC(), r.Principal.Name
		switch err := s.deps.Switches.PublishSwitches(r.Context(), &next); {
		case err == nil:
			return &next, nil
		case !errors.Is(err, campaigns.ErrOvertaken):
			return nil, brokerAway(err)
		}
	}
	return nil, frame.Conflict("overtaken", "Others are changing the switches at this moment. Look at them and try again.")
}

// brokerAway is the refusal when the broker did not say that it has a change.
func brokerAway(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return frame.Unavailable("The broker does not answer. Look at the switches in a moment: the change may have been made or not.")
}

// showSwitches answers with the switches and, as a page, with what charging does.
func (s *Section) showSwitches(r *frame.Request) error {
	m := s.Now()
	if r.WantsJSON() {
		return r.Reply(200, m.Switches)
	}
	type row struct {
		switchInfo
		On bool
	}
	rows := make([]row, len(switchList))
	for i, w := range switchList {
		rows[i] = row{w, w.on(&m.Switches)}
	}
	return r.Page("Switches", s.pages.switches, map[string]any{
		"Moment": m, "Rows": rows, "Pace": paceOf(m), "Reasons": reasonCharsMax,
		"CanSwitch": r.Principal.Can(access.Switch, ""), "CanPace": r.Principal.Can(access.Pace, ""),
	})
}

// checkReason refuses a reason that is missing or too long.
func checkReason(reason string, needed bool) error {
	switch n := len([]rune(reason)); {
	case needed && n == 0:
		return frame.Invalid(frame.Field{Name: "reason", Code: "required", Detail: "Say why, for those who look at it later."})
	case n > reasonCharsMax:
		return frame.Invalid(frame.Field{Name: "reason", Code: "too_long", Detail: fmt.Sprintf("At most %d characters.", reasonCharsMax)})
	}
	return nil
}
