package dashboard

import (
	"math"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/status"
	"spillway/ledger/payments"
)

// process is a report that was heard at noon.
func process(r *status.Report) Process { return Process{Report: r, HeardAt: noon} }

func own() Process {
	return process(&status.Report{Node: "here/1", StartedAt: noon, Roles: []status.Role{{Name: status.AdminRole, Ready: true}}, Admin: &status.Admin{}})
}

func TestMoment_WhatNobodyTellsIsNotZero(t *testing.T) {
	m := newMoment(&view{Now: noon, Own: "here/1"})
	if !m.BrokerAway || m.AsOf != nil || !m.Stale || m.Donors != nil || m.Charging.PacePerSecond != nil || m.Search != nil {
		t.Errorf("of nothing: %+v", m)
	}
	for key, f := range figures(m) {
		if f.Text != nobodyTells {
			t.Errorf("%s is %q while nobody tells", key, f.Text)
		}
	}
	for s, v := range m.point() {
		if s != giftsSeries && !math.IsNaN(v) {
			t.Errorf("%s is %v while nobody tells", seriesNames[s], v)
		}
	}
}

func TestMoment_DonorsThatAreBeingCountedAreNotKnown(t *testing.T) {
	for _, asOf := range []time.Time{{}, time.Unix(0, 0)} {
		if m := newMoment(&view{Now: noon, Wall: &campaigns.Wall{Donors: 3, AsOf: asOf}}); m.Donors != nil || figures(m)["donors"].Text != nobodyTells {
			t.Errorf("as of %v there are %v", asOf, m.Donors)
		}
	}
}

func TestMoment_AddsUpThoseWhoSpeak(t *testing.T) {
	silent := process(front("c", 1))
	silent.HeardAt = noon.Add(-status.SilentAfter - time.Second)
	slow := front("b", 1)
	slow.FrontEnd.AckP99Millis, slow.FrontEnd.RefusedPerSecond = 40, map[string]float64{"overloaded": 2, "malformed_body": 1}
	m := newMoment(&view{Now: noon, Own: "here/1", AsOf: noon.Add(-170 * time.Millisecond), Processes: []Process{process(front("a", 1)), process(slow), silent, own()},
		Wall: &campaigns.Wall{Donors: 1234, AsOf: noon.Add(-time.Minute)}, Sums: []Sum{{"USD", 1_234_567, 2_000_000, 300}, {"EUR", 500, 600, 2}}})
	f := m.FrontEnds
	if f.Count != 2 || f.AcceptedPerSecond != 20 || f.AckP99MS != 40 || f.Viewers != 14 || f.RefusedPerSecond != 3 || m.BrokerAway || m.Stale || m.LagMS != 170 {
		t.Errorf("got %+v", m)
	}
	all := figures(m)
	for key, want := range map[string]Figure{
		"raised": {Text: "12,345.67 USD", Note: "and 5.00 EUR"}, "pledged": {Text: "20,000.00 USD", Note: "300 gifts, and 6.00 EUR"},
		"donors": {Text: "1,234", Note: "as of 1 min 0 s ago"}, "refusals": {Text: "3/s", Note: "overloaded, malformed body", Level: Bad},
		"ack": {Text: "40 ms", Note: "half within 2.0 ms"}, "stale": {Text: "170 ms", Note: "promised: 2 s"}, "viewers": {Text: "14"},
	} {
		if all[key] != want {
			t.Errorf("%s is %+v, want %+v", key, all[key], want)
		}
	}
}

func TestMoment_RefusalsOfWhatWasSentAreNoTrouble(t *testing.T) {
	f := FrontEndsView{Refusals: map[string]float64{"invalid_donation": 50, "too_many_requests": 50}}
	if got := overloaded(&f); got != 0 {
		t.Errorf("%v a second count as sent away for lack of room", got)
	}
	for _, kind := range []string{"overloaded", "not_ready", "outcome_unknown"} {
		f.Refusals = map[string]float64{kind: 3}
		if got := overloaded(&f); got != 3 {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestMoment_PaceComesFromTheDatabaseWhileItIsThere(t *testing.T) {
	till := process(&status.Report{Node: "p", Roles: []status.Role{{Name: status.PaymentsRole, Ready: true}},
		Payments: &status.Payments{Due: 100, PacePerSecond: pointer(25.0)}})
	paces := []payments.Pace{{Account: "x", Endpoint: endpoint, PerSecond: 50, Current: 40, ChangedBy: "ann"}, {Account: "x", Endpoint: payments.EndpointAll, PerSecond: 30, Current: 30}}
	v := &view{Now: noon, Own: "here/1", Processes: []Process{till, own()}, Database: databaseView{Paces: paces, Endpoint: endpoint}}
	if c := newMoment(v).Charging; *c.PacePerSecond != 30 || *c.AllowedPerSecond != 30 || c.Paused || c.PausedBy != "ann" || *c.Forecast.DrainSeconds != 4 {
		t.Errorf("got %+v", c)
	}
	v.Database.Paces[1].Paused = true
	if c := newMoment(v).Charging; !c.Paused || *c.PacePerSecond != 0 || c.Forecast.Kind != "paused" {
		t.Errorf("with the account paused %+v", c)
	}
	v.Database.Away = true
	m := newMoment(v)
	if c := m.Charging; c.Paused || *c.PacePerSecond != 25 || c.AllowedPerSecond != nil || c.Forecast.Kind != "away" {
		t.Errorf("with the database away %+v", c)
	}
	if f := figures(m)["pace"]; f.Level != Bad || f.Text != nobodyTells {
		t.Errorf("with the database away the pace is %+v", f)
	}
}

func TestForecast(t *testing.T) {
	for name, c := range map[string]struct {
		charging ChargingView
		arriving float64
		kind     string
		seconds  int64
	}{
		"nobody charges":       {ChargingView{Due: 5}, 0, "unknown", 0},
		"nobody waits":         {ChargingView{Count: 1, PacePerSecond: pointer(25.0)}, 300, "empty", 0},
		"paused":               {ChargingView{Count: 1, Due: 5, Paused: true, PacePerSecond: pointer(0.0)}, 0, "paused", 0},
		"the processor away":   {ChargingView{Count: 1, Due: 5, ProcessorAway: true, PacePerSecond: pointer(25.0)}, 0, "away", 0},
		"no pace known":        {ChargingView{Count: 1, Due: 5}, 0, "unknown", 0},
		"it drains":            {ChargingView{Count: 1, Due: 90_000, PacePerSecond: pointer(25.0)}, 0, "draining", 3600},
		"while more come":      {ChargingView{Count: 1, Due: 90_000, PacePerSecond: pointer(25.0)}, 15, "draining", 9000},
		"as many come":         {ChargingView{Count: 1, Due: 90_000, PacePerSecond: pointer(25.0)}, 25, "growing", 0},
		"more come":            {ChargingView{Count: 1, Due: 90_000, PacePerSecond: pointer(25.0)}, 300, "growing", 0},
		"it would take months": {ChargingView{Count: 1, Due: 90_000, PacePerSecond: pointer(0.001)}, 0, "growing", 0},
	} {
		f := forecast(&c.charging, c.arriving)
		if f.Kind != c.kind || (f.DrainSeconds != nil) != (c.seconds > 0) || c.seconds > 0 && *f.DrainSeconds != c.seconds || f.Text == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		rate(0): "0", rate(0.04): "0.04", rate(2): "2", rate(2.5): "2.5", rate(9.96): "10", rate(1234.4): "1,234", rate(math.NaN()): "0",
		count(-1234567): "-1,234,567", count(-123): "-123", count(1000): "1,000",
		millis(0): "0 ms", millis(1.25): "1.2 ms", millis(170): "170 ms", millis(1500): "1.5 s", millis(90_000): "1 min 30 s",
		span(59 * time.Second): "59 s", span(599 * time.Second): "9 min 59 s", span(45 * time.Minute): "45 min", span(5400 * time.Second): "1 h 30 min", span(72 * time.Hour): "3 days",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// weigh moves the clock by seconds, one at a time, with one condition.
func weigh(j *journal, now *time.Time, seconds int, c condition) {
	for range seconds {
		*now = now.Add(time.Second)
		j.weigh(*now, []condition{c})
	}
}

func TestJournal_AFigureThatDancesIsOnePieceOfNews(t *testing.T) {
	var j journal
	now := noon
	c := condition{key: "slow", level: Warn, after: 3 * time.Second, heals: 10 * time.Second, text: "It is slow.", over: "It is quick again."}
	off := c
	c.holds = true
	weigh(&j, &now, 2, c)
	weigh(&j, &now, 1, off)
	weigh(&j, &now, 3, c)
	if len(j.wrong()) != 0 || len(j.newest(9)) != 0 {
		t.Fatalf("told of %v before it had held for long enough", j.newest(9))
	}
	weigh(&j, &now, 1, c)
	for range 5 { // it dances
		weigh(&j, &now, 9, off)
		weigh(&j, &now, 1, c)
	}
	if wrong := j.wrong(); len(wrong) != 1 || wrong[0].Text != c.text || len(j.newest(9)) != 1 {
		t.Fatalf("wrong is %v, told was %v", wrong, j.newest(9))
	}
	weigh(&j, &now, 11, off)
	told := j.newest(9)
	if len(j.wrong()) != 0 || len(told) != 2 || told[0].Level != Good || !strings.HasPrefix(told[0].Text, "It is quick again, after ") {
		t.Errorf("wrong is %v, told was %v", j.wrong(), told)
	}
}

func TestJournal_WhatBecomesWorseIsToldAgainAndWhatIsForgottenIsOver(t *testing.T) {
	var j journal
	now := noon
	weigh(&j, &now, 2, condition{key: "silent a", level: Warn, holds: true, text: "No word."})
	weigh(&j, &now, 2, condition{key: "silent a", level: Bad, holds: true, text: "Gone."})
	if told := j.newest(9); len(told) != 2 || told[0].Text != "Gone." || j.wrong()[0].Level != Bad {
		t.Errorf("told was %v", told)
	}
	j.weigh(now, nil)
	if len(j.wrong()) != 0 || len(j.newest(9)) != 2 {
		t.Errorf("a process that was forgotten is still wrong: %v", j.wrong())
	}
}

func TestJournal_IsBoundedAndNewestFirst(t *testing.T) {
	var j journal
	for range happeningsMax + 20 {
		j.tell(noon, Info, "x")
	}
	all := j.newest(10 * happeningsMax)
	if len(all) != happeningsMax || all[0].Number != happeningsMax+20 || all[1].Number != all[0].Number-1 {
		t.Errorf("%d happenings, the newest is %d", len(all), all[0].Number)
	}
}

// Each trouble of the installation is told of, and nothing is while all is well.
func TestConditions(t *testing.T) {
	well := func() *Moment {
		return &Moment{FrontEnds: FrontEndsView{Count: 1}, Recording: RecordingView{Count: 1}, Charging: ChargingView{Count: 1}, Switches: viewSwitches(campaigns.Switches{}),
			Processes: []ProcessView{{Node: "a", State: Ready}}}
	}
	holding := func(m *Moment) (keys []string) {
		for _, c := range conditions(m) {
			if c.text == "" || c.over == "" || severity(c.level) < 0 {
				t.Errorf("%s says nothing", c.key)
			}
			if c.holds {
				keys = append(keys, c.key)
			}
		}
		return keys
	}
	if got := holding(well()); len(got) != 0 {
		t.Errorf("all is well, and %v hold", got)
	}
	for key, spoil := range map[string]func(*Moment){
		"broker": func(m *Moment) { m.BrokerAway = true }, "database": func(m *Moment) { m.DatabaseAway = true },
		"front-ends": func(m *Moment) { m.FrontEnds.Count = 0 }, "ledgers": func(m *Moment) { m.Recording.Count = 0 }, "payments": func(m *Moment) { m.Charging.Count = 0 },
		"stale": func(m *Moment) { m.Stale = true }, "slow": func(m *Moment) { m.FrontEnds.AckP99MS = 300 },
		"refusing": func(m *Moment) { m.FrontEnds.Refusals = map[string]float64{"overloaded": 1} },
		"lag":      func(m *Moment) { m.Recording.LagMS = 6000 }, "frames": func(m *Moment) { m.Recording.FramesMS = 4000 },
		"paused": func(m *Moment) { m.Charging.Paused = true }, "late": func(m *Moment) { m.Charging.Late = 1 }, "processor": func(m *Moment) { m.Charging.ProcessorAway = true },
		"limited": func(m *Moment) { m.Charging.LimitedPerSecond = 1 }, "stuck": func(m *Moment) { m.Charging.Stuck = 1 },
		"second-charge": func(m *Moment) { m.Charging.SecondCharges = 1 }, "set-aside": func(m *Moment) { m.Charging.SetAside = 1 },
		"quarantine": func(m *Moment) { m.Recording.Quarantined = 1 }, "books": func(m *Moment) { m.Charging.OffMinor = 1 },
		"search":      func(m *Moment) { m.Search = &SearchView{AgeMS: pointer(int64(61_000))} },
		"switch feed": func(m *Moment) { m.Switches.Feed = false }, "silent a": func(m *Moment) { m.Processes[0].State = Gone },
		"unready a": func(m *Moment) {
			m.Processes[0].State, m.Processes[0].Roles = NotReady, []RoleView{{Name: "ledger", Reason: "starting"}}
		},
	} {
		m := well()
		spoil(m)
		if got := holding(m); len(got) != 1 || got[0] != key {
			t.Errorf("%s: %v hold", key, got)
		}
	}
	// With the broker away nothing is said about processes that cannot be heard.
	m := well()
	m.BrokerAway, m.FrontEnds.Count, m.Processes[0].State = true, 0, Gone
	if got := holding(m); len(got) != 1 || got[0] != "broker" {
		t.Errorf("with the broker away %v hold", got)
	}
}
