package dashboard

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/status"
	"spillway/ledger/money"
)

func TestSwitches_OneIsTurnedAndTheOthersStay(t *testing.T) {
	w := newWorld()
	w.switches = campaigns.Switches{ExportsOff: true, Revision: 7}
	w.rivals = 2
	s := w.section(t)
	ctx, err := w.ask(t, s, "POST", "/admin/v1/switches", `{"switch":"live","on":false,"reason":"ten thousand viewers"}`)
	if err != nil {
		t.Fatal(err)
	}
	got := reply[SwitchesView](t, ctx)
	if got.Live || got.Exports || got.Leaderboards || !got.Feed || got.Revision != 10 || got.ChangedBy != "ann@example.org" || !got.ChangedAt.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	if w.switches.Revision != 10 || !w.switches.LiveOff || !w.switches.LeaderboardsOff {
		t.Errorf("published %+v", w.switches)
	}
	if len(w.audited) != 1 || w.audited[0].Action != "switch.off" || w.audited[0].Subject != "live" || w.audited[0].Detail != "ten thousand viewers" {
		t.Errorf("audited %+v", w.audited)
	}
	s.tick()
	if m := s.Now(); m.Switches.Live || m.Switches.Exports {
		t.Errorf("the moment after shows %+v", m.Switches)
	}
}

func TestSwitches_APageIsAnsweredWithAPage(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	ctx, err := w.ask(t, s, "POST", "/admin/switches", "switch=feed&on=0&reason=")
	if err != nil || ctx.Response.StatusCode() != 303 || string(ctx.Response.Header.Peek("Location")) != switchesPath || !w.switches.FeedOff {
		t.Errorf("status %d, %v, %+v", ctx.Response.StatusCode(), err, w.switches)
	}
	if _, err = w.ask(t, s, "POST", "/admin/switches", "switch=feed&on=1&reason="); err != nil || w.switches.FeedOff || w.switches.Revision != 2 {
		t.Errorf("turned on again: %v, %+v", err, w.switches)
	}
	if _, err = w.ask(t, s, "POST", "/admin/switches", "switch=feed&on=1&reason="); err != nil || w.switches.Revision != 2 {
		t.Errorf("what is on already was changed: %v, %+v", err, w.switches)
	}
}

func TestSwitches_WhatIsRefusedChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		spoil  func(*world)
		status int
		code   string
	}{
		"an unknown switch":     {`{"switch":"oven","on":false,"reason":""}`, nil, 422, "invalid_input"},
		"a long reason":         {`{"switch":"feed","on":false,"reason":"` + strings.Repeat("é", reasonCharsMax+1) + `"}`, nil, 422, "invalid_input"},
		"an unknown member":     {`{"switch":"feed","off":true}`, nil, 400, "malformed_body"},
		"the broker away":       {`{"switch":"feed","on":false,"reason":""}`, func(w *world) { w.broker = errors.New("away") }, 503, "unavailable"},
		"others without end":    {`{"switch":"feed","on":false,"reason":""}`, func(w *world) { w.rivals = 100 }, 409, "overtaken"},
		"no audit, no database": {`{"switch":"feed","on":false,"reason":""}`, func(w *world) { w.auditErr = access.ErrUnavailable }, 0, ""},
	} {
		w := newWorld()
		if c.spoil != nil {
			c.spoil(w)
		}
		_, err := w.ask(t, w.section(t), "POST", "/admin/v1/switches", c.body)
		if w.switches.FeedOff {
			t.Errorf("%s: it was turned off all the same", name)
		}
		if c.status == 0 {
			if !errors.Is(err, access.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		} else if p := refusal(t, err); p.Status != c.status || p.Code != c.code {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestPace_IsPausedResumedAndSet(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	do := func(body string) PaceView {
		t.Helper()
		ctx, err := w.ask(t, s, "POST", "/admin/v1/pace", body)
		if err != nil {
			t.Fatal(err)
		}
		return reply[PaceView](t, ctx)
	}
	if p := do(`{"do":"pause","reason":"the bank called"}`); !p.Paused || *p.PacePerSecond != 0 || p.ChangedBy != "ann@example.org: the bank called" {
		t.Errorf("paused: %+v", p)
	}
	if p := do(`{"do":"resume","reason":"it was nothing"}`); p.Paused || *p.PacePerSecond != 25 {
		t.Errorf("resumed: %+v", p)
	}
	if p := do(`{"do":"set","per_second":150.5,"reason":"a larger account"}`); *p.AllowedPerSecond != 150.5 || w.paces[1].PerSecond != 150.5 || w.paces[2].PerSecond != 5 {
		t.Errorf("set: %+v, %+v", p, w.paces)
	}
	if p := do(`{"do":"set","per_second":2,"reason":"slow"}`); *p.AllowedPerSecond != 2 || w.paces[1].PerSecond != 150.5 {
		t.Errorf("set lower: %+v, %+v", p, w.paces)
	}
	w.paces[1].Paused = true // by the command, for the account
	if p := do(`{"do":"resume","reason":"now"}`); p.Paused {
		t.Errorf("resumed: %+v", p)
	}
	actions := make([]string, len(w.audited))
	for i, e := range w.audited {
		actions[i] = e.Action + " " + e.Detail
	}
	want := "pace.pause the bank called, pace.resume it was nothing, pace.set 150.5 a second: a larger account, pace.set 2 a second: slow, pace.resume now"
	if got := strings.Join(actions, ", "); got != want {
		t.Errorf("audited %s", got)
	}
}

func TestPace_WhatIsRefusedChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		spoil  func(*world)
		status int
		code   string
	}{
		"no reason":         {`{"do":"pause","reason":""}`, nil, 422, "invalid_input"},
		"no order":          {`{"do":"","reason":"x"}`, nil, 422, "invalid_input"},
		"nothing a second":  {`{"do":"set","per_second":0,"reason":"x"}`, nil, 422, "invalid_input"},
		"less than nothing": {`{"do":"set","per_second":-1,"reason":"x"}`, nil, 422, "invalid_input"},
		"a digit too many":  {`{"do":"set","per_second":250000,"reason":"x"}`, nil, 422, "invalid_input"},
		"never charged":     {`{"do":"pause","reason":"x"}`, func(w *world) { w.paces = nil }, 409, "never_charged"},
		"the database away": {`{"do":"pause","reason":"x"}`, func(w *world) { w.database = errors.New("away") }, 503, "unavailable"},
	} {
		w := newWorld()
		if c.spoil != nil {
			c.spoil(w)
		}
		_, err := w.ask(t, w.section(t), "POST", "/admin/v1/pace", c.body)
		if p := refusal(t, err); p.Status != c.status || p.Code != c.code {
			t.Errorf("%s: %v", name, p)
		}
		for _, p := range w.paces {
			if p.Paused || p.Endpoint == endpoint && p.PerSecond != 25 {
				t.Errorf("%s: changed to %+v", name, p)
			}
		}
		if len(w.audited) != 0 {
			t.Errorf("%s: audited %+v", name, w.audited)
		}
	}
}

func TestDocument_HasEverything(t *testing.T) {
	w := newWorld()
	w.asOf = noon
	s := w.section(t)
	for n := range int64(5) {
		s.roster.Hear(front("a", n+1), w.now)
		s.roster.Hear(own().Report, w.now)
		s.askDatabase(t.Context())
		s.tick()
		w.pass(time.Second)
	}
	ctx, err := w.ask(t, s, "GET", "/admin/v1/dashboard", "")
	if err != nil {
		t.Fatal(err)
	}
	got := reply[struct {
		Moment     Moment
		Figures    map[string]Figure
		Troubles   []Trouble
		Happenings []Happening
		History    struct {
			Number int64
			Series map[string][]*float64
		}
	}](t, ctx)
	if got.Moment.Number != 5 || got.History.Number != 5 || len(got.History.Series["accepted_per_second"]) != 5 || *got.History.Series["accepted_per_second"][4] != 10 {
		t.Errorf("got %+v", got.History)
	}
	for _, tile := range append(append([]Tile(nil), dayTiles...), machineTiles...) {
		if got.Figures[tile.Key].Text == "" {
			t.Errorf("no figure %s", tile.Key)
		}
	}
	for _, c := range charts {
		for _, l := range c.Series {
			if got.History.Series[l.Name] == nil {
				t.Errorf("the chart %s has no series %s", c.Key, l.Name)
			}
		}
	}
	if len(got.Happenings) == 0 || len(got.Troubles) == 0 { // there is no ledger
		t.Errorf("troubles %v, happenings %v", got.Troubles, got.Happenings)
	}
}

func TestDocument_OfNothingIsWithinTheContract(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	for _, path := range []string{"/admin/v1/dashboard", "/admin/v1/switches", "/admin/v1/pace"} {
		if _, err := w.ask(t, s, "GET", path, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTick_AnotherCurrencyBeginsAnew(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	s.currency = "EUR"
	s.history.add(point{raisedSeries: 500})
	s.deps.Tally.sums = map[money.Currency]*Sum{"USD": {Currency: "USD", RaisedMinor: 7, Donations: 1}}
	s.tick()
	if got := s.history.mean(raisedSeries, 10); got != 7 {
		t.Errorf("dollars are drawn after euros: %v", got)
	}
}

func TestPages_ShowWhatOthersWroteAsText(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	r := front(`<script>alert(1)</script>`, 1)
	r.Roles[0].Ready, r.Roles[0].Reason = false, `<img src=x onerror=alert(2)>`
	s.roster.Hear(r, w.now)
	w.paces[0].ChangedBy = `<b>ann</b>`
	w.paces[0].Paused = true
	s.askDatabase(t.Context())
	for range 5 {
		s.tick()
		w.pass(time.Second)
		s.roster.Hear(r, w.now)
	}
	for _, path := range []string{pagePath, wallPath, switchesPath} {
		ctx, err := w.ask(t, s, "GET", path, "")
		if err != nil {
			t.Fatal(err)
		}
		body := string(ctx.Response.Body())
		for _, bad := range []string{"<script>alert", "<img src=x", "<b>ann", "style=", "onclick", "<no value>", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
		if !strings.Contains(body, "&lt;b&gt;ann") {
			t.Errorf("%s does not say who paused", path)
		}
	}
}

// The stream sends the moment at once and every one after it, until it is ended.
func TestLive_SendsEveryMoment(t *testing.T) {
	w := newWorld()
	s := w.section(t)
	s.tick()
	ctx, err := w.ask(t, s, "GET", "/admin/v1/dashboard/live", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(ctx.Response.Header.ContentType()); got != "text/event-stream" {
		t.Errorf("it is %s", got)
	}
	body := ctx.Response.BodyStream()
	var seen bytes.Buffer
	read := func(until string) {
		t.Helper()
		buffer := make([]byte, 64<<10)
		for !strings.Contains(seen.String(), until) {
			n, err := body.Read(buffer)
			if err != nil {
				t.Fatalf("%v before %q", err, until)
			}
			seen.Write(buffer[:n])
		}
	}
	read("id: 1\nevent: moment\ndata: {")
	s.tick()
	read("id: 2\nevent: moment\ndata: {")
	if !strings.HasPrefix(seen.String(), "retry: ") || !strings.Contains(seen.String(), `"point":{`) {
		t.Errorf("got %.300s", seen.String())
	}
	if err := ctx.Response.CloseBodyStream(); err != nil {
		t.Error(err)
	}
	s.tick() // the writer notices that nobody reads
}

func TestRun_EndsWithItsContextAndKeepsTicking(t *testing.T) {
	w := newWorld()
	w.switches = campaigns.Switches{FeedOff: true, Revision: 3}
	s := w.section(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); s.Now().Number < 2 || s.Now().Switches.Feed || s.Now().Charging.AllowedPerSecond == nil; {
		if time.Now().After(deadline) {
			t.Fatalf("after a while the moment is %+v", s.Now())
		}
		<-s.shown.Load().next
	}
	cancel()
	wg.Wait()
}

func TestChanges_AreToldOnce(t *testing.T) {
	var j journal
	process := func(state State) []ProcessView {
		return []ProcessView{{Node: "a", State: state, StartedAt: noon, Roles: []RoleView{{Name: status.LedgerRole}}}}
	}
	before, now := &Moment{At: noon}, &Moment{At: noon, Processes: process(Ready)}
	changes(&j, before, now)
	changes(&j, now, now)
	stopped := &Moment{At: noon, Processes: process(Stopped)}
	changes(&j, now, stopped)
	changes(&j, stopped, stopped)
	a, b := *stopped, *stopped
	a.Charging.AllowedPerSecond, b.Charging.AllowedPerSecond, b.Charging.PausedBy = pointer(25.0), pointer(50.0), "ann: faster"
	changes(&j, stopped, &a) // it was only not known before
	changes(&j, &a, &b)
	var told []string
	for _, h := range j.newest(9) {
		told = append(told, h.Text)
	}
	want := "The pace of charging is now 50 a second instead of 25 (ann: faster).|Stopped in order: ledger a.|Heard for the first time: ledger a."
	if got := strings.Join(told, "|"); got != want {
		t.Errorf("told was %s", got)
	}
}
