package dashboard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"spillway/campaigns/console/frame"
	"spillway/ledger/payments"
)

// paceMost is far beyond any processor: a pace with a digit too many is a typo.
const paceMost = 100_000

// paceOrder is what is asked for: do is pause, resume or set.
type paceOrder struct {
	Do        string  `json:"do"`
	PerSecond float64 `json:"per_second"` // of set
	Reason    string  `json:"reason"`
}

// readPace reads an order from JSON or a form.
func readPace(r *frame.Request) (o paceOrder, err error) {
	if r.WantsJSON() {
		err = r.JSON(&o)
		return o, err
	}
	o.Do, o.Reason = r.Form("do"), r.Form("reason")
	if o.Do == "set" {
		// What is no number becomes 0, which is out of range.
		o.PerSecond, _ = strconv.ParseFloat(r.Form("per_second"), 64)
	}
	return o, nil
}

// PaceView is the pace of charging.
type PaceView struct {
	AllowedPerSecond *float64 `json:"allowed_per_second"` // what a person set
	PacePerSecond    *float64 `json:"pace_per_second"`    // as it is now: less after a 429, 0 while paused
	Paused           bool     `json:"paused"`
	ChangedBy        string   `json:"changed_by"`
	Due              int64    `json:"queue_due"`
	Forecast         Forecast `json:"forecast"`
}

// NowText and SetText are the two paces for people.
func (p PaceView) NowText() string { return paceText(p.PacePerSecond) }
func (p PaceView) SetText() string { return paceText(p.AllowedPerSecond) }

func paceText(perSecond *float64) string {
	if perSecond == nil {
		return "not known"
	}
	return rate(*perSecond) + " a second"
}

func paceOf(m *Moment) PaceView {
	c := &m.Charging
	return PaceView{c.AllowedPerSecond, c.PacePerSecond, c.Paused, c.PausedBy, c.Due, c.Forecast}
}

// showPace answers with the pace.
func (s *Section) showPace(r *frame.Request) error { return r.Reply(200, paceOf(s.Now())) }

// setPace pauses and resumes charging, and sets its pace, as 'spillway payments pace'
// does: with the next claim of any payments process.
func (s *Section) setPace(r *frame.Request) error {
	in, err := readPace(r)
	if err != nil {
		return err
	}
	if err := checkReason(in.Reason, true); err != nil {
		return err
	}
	detail := in.Reason
	switch in.Do {
	case "pause", "resume":
	case "set":
		if v := in.PerSecond; math.IsNaN(v) || v <= 0 || v > paceMost {
			return frame.Invalid(frame.Field{Name: "per_second", Code: "out_of_range", Detail: fmt.Sprintf("Charges a second, above 0 and at most %s.", count(paceMost))})
		}
		detail = strconv.FormatFloat(in.PerSecond, 'f', -1, 64) + " a second: " + in.Reason
	default:
		return frame.Invalid(frame.Field{Name: "do", Code: "unknown", Detail: "Say pause, resume or set."})
	}
	if s.deps.Pace == nil {
		return frame.Unavailable("This console does not reach the database of payments.")
	}
	paces, err := s.deps.Pace.Paces(r.Context())
	if err != nil {
		return paceAway(err)
	}
	accounts := accountsOf(paces, s.config.Endpoint)
	if len(accounts) == 0 {
		return frame.Conflict("never_charged", "Nothing was ever charged here: start a payments process first.")
	}
	if err := r.Audit("pace."+in.Do, s.config.Endpoint, detail); err != nil {
		return err
	}
	who := r.Principal.Name + ": " + in.Reason
	for _, account := range accounts {
		if err := s.changePace(r.Context(), &in, account, paces, who); err != nil {
			return paceAway(err)
		}
	}
	s.askDatabase(r.Context())
	s.log.Info("the pace was changed", "do", in.Do, "per_second", in.PerSecond)
	if r.WantsJSON() {
		return r.Reply(200, paceOf(s.look())) // the next moment is up to a second away
	}
	said := map[string]string{"pause": "Charging is paused. Gifts are taken all the same.", "resume": "Charging goes on.",
		"set": "The pace of charging is " + rate(in.PerSecond) + " a second."}
	return r.Redirect(switchesPath, said[in.Do])
}

// changePace carries out an order for one account.
func (s *Section) changePace(ctx context.Context, o *paceOrder, account string, paces []payments.Pace, who string) error {
	switch o.Do {
	case "pause":
		return s.deps.Pace.Pause(ctx, account, s.config.Endpoint, who)
	case "resume":
		return s.resume(ctx, account, paces, who)
	}
	if err := s.deps.Pace.SetPace(ctx, account, s.config.Endpoint, o.PerSecond, who); err != nil {
		return err
	}
	// An account that allows less than its endpoint would hold it back unseen.
	for _, p := range paces {
		if p.Account == account && p.Endpoint == payments.EndpointAll && p.PerSecond < o.PerSecond {
			return s.deps.Pace.SetPace(ctx, account, payments.EndpointAll, o.PerSecond, who)
		}
	}
	return nil
}

// resume resumes the endpoint, and its account when that is what was paused.
func (s *Section) resume(ctx context.Context, account string, paces []payments.Pace, who string) error {
	for _, p := range paces {
		if p.Account == account && p.Endpoint == payments.EndpointAll && p.Paused {
			if err := s.deps.Pace.Resume(ctx, account, payments.EndpointAll, who); err != nil {
				return err
			}
		}
	}
	return s.deps.Pace.Resume(ctx, account, s.config.Endpoint, who)
}

// accountsOf are the accounts that have a pace for the endpoint.
func accountsOf(paces []payments.Pace, endpoint string) (accounts []string) {
	for _, p := range paces {
		if p.Endpoint == endpoint {
			accounts = append(accounts, p.Account)
		}
	}
	return accounts
}

// paceAway is the refusal when the database did not say that it has a change.
func paceAway(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return frame.Unavailable("The database does not answer. Look at the pace in a moment: the change may have been made or not.")
}
