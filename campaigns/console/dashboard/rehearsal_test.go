package dashboard

import (
	"strings"
	"testing"
	"time"

	"spillway/campaigns/status"
)

// rehearsed is what a rehearsal tells of itself in the middle of its sending.
func rehearsed(n int64) *status.Report {
	return &status.Report{Node: "generator/9", StartedAt: noon, Number: n, Roles: []status.Role{{Name: status.RehearsalRole, Ready: true}},
		Rehearsal: &status.Rehearsal{Run: "friday", Scenario: "quick", Phase: "sending", Sending: true, Planned: 6000, Sent: 1500, Accepted: 1490, Refused: 2, Unknown: 1,
			SentPerSecond: 133, AcceptedPerSecond: 132, AckP99Millis: 8, LeftMillis: pointer[int64](70_000)}}
}

// A rehearsal is shown, and is in none of the day's figures: neither its own report nor
// what front-ends accept of it.
func TestMoment_ARehearsalIsApart(t *testing.T) {
	busy := front("a", 1)
	busy.FrontEnd.AcceptedPerSecond, busy.FrontEnd.RehearsedPerSecond = 142, 132
	m := newMoment(&view{Now: noon, Own: "here/1", Processes: []Process{process(busy), process(rehearsed(1)), own()}})
	if len(m.Processes) != 2 || len(m.Rehearsals) != 1 || m.FrontEnds.AcceptedPerSecond != 10 || m.FrontEnds.RehearsedPerSecond != 132 || m.BrokerAway {
		t.Fatalf("%+v", m)
	}
	if got := m.point()[acceptedSeries]; got != 10 {
		t.Errorf("the history has %v gifts a second", got)
	}
	if f := figures(m)["accepted"]; f.Text != "10/s" || !strings.Contains(f.Note, "132/s rehearsed") {
		t.Errorf("%+v", f)
	}
	r := m.Rehearsals[0]
	says := strings.Join(r.Says, "\n")
	for _, want := range []string{"133 gifts/s asked for, 132/s acknowledged; 1,500 of 6,000 sent, 99 of 100 answered within 8.0 ms", "1,490 acknowledged, 2 refused, 1 attempt without", "About 1 min 10 s left"} {
		if !strings.Contains(says, want) {
			t.Errorf("it does not say %q: %s", want, says)
		}
	}
	if r.Word() != "under way" || r.Class() != "good" {
		t.Errorf("%s, %s", r.Word(), r.Class())
	}
	for _, c := range conditions(m) {
		if strings.Contains(c.key, "generator/9") {
			t.Errorf("trouble with a rehearsal: %+v", c)
		}
	}
}

func TestMoment_ARehearsalThatEndedSaysHow(t *testing.T) {
	var j journal
	before := newMoment(&view{Now: noon, Processes: []Process{process(rehearsed(1))}})
	changes(&j, newMoment(&view{Now: noon}), before)
	for holds, want := range map[bool]string{true: "proof holds", false: "proof broken"} {
		last := rehearsed(2)
		last.Leaving, last.Rehearsal.Holds = true, &holds
		m := newMoment(&view{Now: noon, Processes: []Process{process(last)}})
		if r := m.Rehearsals[0]; r.Word() != want || len(r.Says) != 1 {
			t.Errorf("%s, %q", r.Word(), r.Says)
		}
		changes(&j, before, m)
		if got := j.newest(1)[0].Text; got != "The rehearsal friday has ended: "+want+"." {
			t.Error(got)
		}
	}
	if got := j.newest(9); len(got) != 3 || got[2].Text != "A rehearsal is heard: friday." {
		t.Errorf("%+v", got)
	}
	silent := newMoment(&view{Now: noon.Add(status.SilentAfter + time.Second), Processes: []Process{process(rehearsed(1))}})
	if r := silent.Rehearsals[0]; r.Word() != "silent" || strings.Contains(strings.Join(r.Says, ""), "left") {
		t.Errorf("%s, %q", r.Word(), r.Says)
	}
}

// The page, the document and the contract have it.
func TestSection_ShowsARehearsal(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	page, err := w.ask(t, s, "GET", pagePath, "")
	if err != nil || !strings.Contains(string(page.Response.Body()), "data-rehearsals-card hidden") {
		t.Fatalf("without one: %v", err)
	}
	s.roster.Hear(rehearsed(1), noon)
	s.tick()
	page, err = w.ask(t, s, "GET", pagePath, "")
	if body := string(page.Response.Body()); err != nil || strings.Contains(body, "data-rehearsals-card hidden") || !strings.Contains(body, "<strong>friday</strong>") {
		t.Errorf("%v", err)
	}
	document, err := w.ask(t, s, "GET", "/admin/v1/dashboard", "") // held to the contract
	if err != nil || !strings.Contains(string(document.Response.Body()), `"run":"friday"`) {
		t.Errorf("%v: %s", err, document.Response.Body())
	}
}
