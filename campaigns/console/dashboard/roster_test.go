package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/campaigns/status"
	"spillway/ledger"
	"spillway/ledger/money"
)

func TestRoster_SilenceIsSeenAndThenForgotten(t *testing.T) {
	var o Roster
	o.Hear(front("a", 1), noon)
	for after, want := range map[time.Duration]State{
		0: Ready, status.SilentAfter: Ready, status.SilentAfter + 1: Silent, status.GoneAfter: Silent, status.GoneAfter + 1: Gone, goneShown: Gone,
	} {
		all := o.Processes(noon.Add(after))
		if len(all) != 1 || all[0].StateAt(noon.Add(after)) != want {
			t.Errorf("after %v: %+v, want %s", after, all, want)
		}
	}
	if all := o.Processes(noon.Add(goneShown + 1)); len(all) != 0 {
		t.Errorf("long after: %+v", all)
	}
}

func TestRoster_AGoodbyeIsNoSilence(t *testing.T) {
	var o Roster
	bye := front("a", 2)
	bye.Leaving = true
	o.Hear(front("a", 1), noon)
	o.Hear(bye, noon)
	if p := o.Processes(noon.Add(time.Minute)); len(p) != 1 || p[0].StateAt(noon.Add(time.Minute)) != Stopped || p[0].Speaks(noon) {
		t.Errorf("got %+v", p)
	}
	if p := o.Processes(noon.Add(stoppedShown + 1)); len(p) != 0 {
		t.Errorf("long after: %+v", p)
	}
}

func TestRoster_WhatIsOlderIsLeftOut(t *testing.T) {
	var o Roster
	o.Hear(front("a", 5), noon)
	o.Hear(front("a", 4), noon.Add(time.Second))
	next := front("a", 1)
	next.StartedAt = noon
	if p := o.Processes(noon.Add(time.Second)); p[0].Number != 5 || !p[0].HeardAt.Equal(noon) {
		t.Errorf("got %+v", p[0])
	}
	o.Hear(next, noon.Add(2*time.Second)) // the name went to another process
	if p := o.Processes(noon.Add(2 * time.Second)); len(p) != 1 || p[0].Number != 1 {
		t.Errorf("got %+v", p)
	}
}

func TestRoster_IsBounded(t *testing.T) {
	var o Roster
	for i := range processesMax + 10 {
		o.Hear(front(fmt.Sprint("a", i), 1), noon)
	}
	if n := len(o.Processes(noon)); n != processesMax {
		t.Errorf("%d processes", n)
	}
	late := noon.Add(status.GoneAfter + 1)
	o.Hear(front("new", 1), late)
	found := false
	for _, p := range o.Processes(late) {
		found = found || p.Node == "new"
	}
	if n := len(o.Processes(late)); n != processesMax || !found {
		t.Errorf("%d processes, the new one among them: %v", n, found)
	}
}

func TestRoster_InTheOrderOfADonationsWay(t *testing.T) {
	var o Roster
	for _, name := range []string{status.AdminRole, status.PaymentsRole, status.LedgerRole, status.FrontEndRole, "unheard of"} {
		o.Hear(&status.Report{Node: "z" + name, Roles: []status.Role{{Name: name}}}, noon)
	}
	want := []string{status.FrontEndRole, status.LedgerRole, status.PaymentsRole, status.AdminRole, "unheard of"}
	for i, p := range o.Processes(noon) {
		if p.Roles[0].Name != want[i] || p.StateAt(noon) != NotReady {
			t.Errorf("place %d has %s, %s", i, p.Roles[0].Name, p.StateAt(noon))
		}
	}
}

// However totals change, the sums are those of the newest totals of the live book.
func TestTally_IsTheSumOfTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var y Tally
		newest := map[string]campaigns.Total{}
		for range rapid.IntRange(0, 40).Draw(t, "changes") {
			total := campaigns.Total{Campaign: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "campaign"),
				RaisedMinor: rapid.Int64Range(-5, 1000).Draw(t, "raised"), PledgedMinor: rapid.Int64Range(0, 1000).Draw(t, "pledged"), Donations: rapid.Int64Range(0, 9).Draw(t, "donations")}
			total.Currency = map[string]money.Currency{"a": "USD", "b": "USD", "c": "EUR"}[total.Campaign]
			book := rapid.SampledFrom(ledger.Books).Draw(t, "book")
			y.Publish([]*render.Total{render.NewTotal(total, book)})
			if book == ledger.Live {
				newest[total.Campaign] = total
			}
		}
		want := map[money.Currency]Sum{}
		for _, total := range newest {
			s := want[total.Currency]
			want[total.Currency] = Sum{total.Currency, s.RaisedMinor + total.RaisedMinor, s.PledgedMinor + total.PledgedMinor, s.Donations + total.Donations}
		}
		sums := y.Sums()
		if len(sums) != len(want) {
			t.Fatalf("%d currencies, want %d", len(sums), len(want))
		}
		for i, s := range sums {
			if s != want[s.Currency] || i > 0 && s.Donations > sums[i-1].Donations {
				t.Fatalf("got %+v, want %+v", sums, want)
			}
		}
	})
}

func TestHistory_KeepsTheLastQuarterOfAnHour(t *testing.T) {
	var h history
	for i := range pointsMax + 50 {
		p := point{acceptedSeries: float64(i), refusedSeries: unknown, staleSeries: 1.23456}
		if n := h.add(p); n != int64(i+1) {
			t.Fatalf("point %d is number %d", i, n)
		}
	}
	var doc struct {
		Number int64                 `json:"number"`
		StepMS int64                 `json:"step_ms"`
		Series map[string][]*float64 `json:"series"`
	}
	if err := json.Unmarshal(h.AppendJSON(nil), &doc); err != nil {
		t.Fatal(err)
	}
	accepted := doc.Series["accepted_per_second"]
	if doc.Number != pointsMax+50 || doc.StepMS != 1000 || len(doc.Series) != seriesCount || len(accepted) != pointsMax || *accepted[0] != 50 || *accepted[pointsMax-1] != pointsMax+49 {
		t.Errorf("number %d, %d series, %d points", doc.Number, len(doc.Series), len(accepted))
	}
	if doc.Series["refused_per_second"][3] != nil || *doc.Series["stale_ms"][3] != 1.23 {
		t.Error("what is not known is not null, or digits are wasted")
	}
	if got := h.mean(acceptedSeries, 3); got != pointsMax+48 {
		t.Errorf("the mean of the last three is %v", got)
	}
	if got := h.mean(refusedSeries, 3); got != 0 {
		t.Errorf("the mean of nothing is %v", got)
	}
	h.forget(acceptedSeries)
	if got := h.mean(acceptedSeries, pointsMax); got != 0 {
		t.Errorf("after forgetting the mean is %v", got)
	}
}

func TestHistory_BeginsEmpty(t *testing.T) {
	var h history
	if got := string(h.AppendJSON(nil)); !json.Valid([]byte(got)) {
		t.Errorf("got %s", got)
	}
	h.add(point{queueSeries: math.Inf(1)})
	if got := h.AppendJSON(nil); !json.Valid(got) {
		t.Errorf("got %s", got)
	}
}
