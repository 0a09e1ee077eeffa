package dashboard

import (
	"fmt"
	"time"

	"spillway/campaigns/console/frame"
)

// RehearsalView is one rehearsal as it told of itself last.
type RehearsalView struct {
	Node              string  `json:"node"`
	Run               string  `json:"run"`
	Scenario          string  `json:"scenario,omitempty"`
	State             State   `json:"state"`
	HeardMS           int64   `json:"heard_ms"`
	Phase             string  `json:"phase"`
	Planned           int64   `json:"planned"`
	Sent              int64   `json:"sent"`
	Accepted          int64   `json:"accepted"`
	Refused           int64   `json:"refused"`
	Unknown           int64   `json:"unknown"`
	SentPerSecond     float64 `json:"sent_per_second"`
	AcceptedPerSecond float64 `json:"accepted_per_second"`
	AckP99MS          float64 `json:"ack_p99_ms"`
	LeftMS            *int64  `json:"left_ms"` // null when nobody knows
	Holds             *bool   `json:"holds"`   // null until the proof was made
	// Says is the same in sentences: what it does, the proof so far, the time left.
	Says []string `json:"says"`
}

// Word is how it stands, for people.
func (v RehearsalView) Word() string {
	switch {
	case v.State == Ready:
		return "under way"
	case v.State != Stopped:
		return v.State.Word()
	case v.Holds == nil:
		return "ended"
	case *v.Holds:
		return "proof holds"
	}
	return "proof broken"
}

// Class is the style of its badge.
func (v RehearsalView) Class() string {
	switch {
	case v.State != Stopped:
		return v.State.Class()
	case v.Holds == nil:
		return ""
	case *v.Holds:
		return "good"
	}
	return "bad"
}

func viewRehearsal(p *Process, now time.Time) RehearsalView {
	h := p.Rehearsal
	v := RehearsalView{Node: p.Node, Run: h.Run, Scenario: h.Scenario, State: p.StateAt(now), HeardMS: max(0, now.Sub(p.HeardAt).Milliseconds()),
		Phase: h.Phase, Planned: h.Planned, Sent: h.Sent, Accepted: h.Accepted, Refused: h.Refused, Unknown: h.Unknown,
		SentPerSecond: h.SentPerSecond, AcceptedPerSecond: h.AcceptedPerSecond, AckP99MS: h.AckP99Millis, LeftMS: h.LeftMillis, Holds: h.Holds}
	if v.State == NotReady { // it has no such state
		v.State = Ready
	}
	v.Says = v.says(h.Sending)
	return v
}

func (v *RehearsalView) says(sending bool) (all []string) {
	if v.State != Stopped {
		now := v.Phase
		if sending {
			now = fmt.Sprintf("%s: %s gifts/s asked for, %s/s acknowledged; %s of %s sent", v.Phase, rate(v.SentPerSecond), rate(v.AcceptedPerSecond), count(v.Sent), count(v.Planned))
			if v.AckP99MS > 0 {
				now += ", 99 of 100 answered within " + millis(v.AckP99MS)
			}
		}
		all = append(all, now)
	}
	proof := fmt.Sprintf("%s acknowledged, %s refused, %s without a definite answer so far", count(v.Accepted), count(v.Refused), frame.Plural(count(v.Unknown), "attempt", "attempts"))
	switch {
	case v.Holds == nil:
		proof = "Proof to come: " + proof + "."
	case *v.Holds:
		proof = "The proof holds: every answer that was given is accounted for."
	default:
		proof = "The proof is broken: see the rehearsal's report."
	}
	all = append(all, proof)
	if v.LeftMS != nil && v.State == Ready {
		all = append(all, "About "+span(time.Duration(*v.LeftMS)*time.Millisecond)+" left.")
	}
	return all
}
