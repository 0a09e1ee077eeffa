package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/console/frame"
)

// Figure is one number as people read it.
type Figure struct {
	Text  string `json:"text"`
	Note  string `json:"note,omitempty"`  // what belongs to it, in a line
	Level Level  `json:"level,omitempty"` // "" where nothing is to be said
}

// nobodyTells stands for what is not known.
const nobodyTells = "–"

// Tile is where a figure stands on the page.
type Tile struct{ Key, Title string }

// The tiles: the day, and the machine in the order of a donation's way.
var (
	dayTiles     = []Tile{{"raised", "Raised"}, {"pledged", "Pledged"}, {"gifts", "Gifts a minute"}, {"donors", "Donors"}}
	machineTiles = []Tile{
		{"accepted", "Accepted"}, {"ack", "Acknowledged, 99 of 100 within"}, {"refusals", "Refused"}, {"lag", "Recording behind by"},
		{"stale", "Totals' age"}, {"viewers", "Watching live"}, {"queue", "Waiting to be charged"}, {"charges", "Charged"},
		{"pace", "Pace of charging"}, {"search", "Lists' age"},
	}
)

// Chart is one picture of the last quarter of an hour.
type Chart struct {
	Key, Title string
	Series     []Line
	// Unit tells how values are written: count, ms, rate or money.
	Unit string
	// Bound is a line that should not be crossed, 0 for none.
	Bound float64
	// Flat begins the scale at the least value instead of 0.
	Flat bool
}

// Line is one line of a chart.
type Line struct{ Name, Title string }

var charts = []Chart{
	{Key: "money", Title: "Raised and pledged", Unit: "money", Flat: true,
		Series: []Line{{seriesNames[raisedSeries], "raised"}, {seriesNames[pledgedSeries], "pledged"}}},
	{Key: "gifts", Title: "Gifts a minute", Unit: "count", Series: []Line{{seriesNames[giftsSeries], ""}}},
	{Key: "queue", Title: "Waiting to be charged", Unit: "count", Series: []Line{{seriesNames[queueSeries], ""}}},
	{Key: "charges", Title: "Charged a second", Unit: "rate", Series: []Line{{seriesNames[chargesSeries], "charged"}, {seriesNames[declinesSeries], "declined"}}},
	{Key: "ack", Title: "Acknowledged, 99 of 100 within", Unit: "ms", Series: []Line{{seriesNames[ackSeries], ""}}},
	{Key: "lag", Title: "Recording behind by", Unit: "ms", Series: []Line{{seriesNames[lagSeries], ""}}},
	{Key: "stale", Title: "Totals' age", Unit: "ms", Bound: float64(campaigns.StaleBound.Milliseconds()), Series: []Line{{seriesNames[staleSeries], ""}}},
	{Key: "refused", Title: "Refused a second", Unit: "rate", Series: []Line{{seriesNames[refusedSeries], ""}}},
}

// Names are the series of the chart, as scripts read them.
func (c Chart) Names() string {
	names := make([]string, len(c.Series))
	for i, l := range c.Series {
		names[i] = l.Name
	}
	return strings.Join(names, " ")
}

// figures are the tiles' numbers by their key.
func figures(m *Moment) map[string]Figure {
	all := map[string]Figure{"donors": donorsFigure(m), "search": searchFigure(m)}
	moneyFigures(m, all)
	frontEndFigures(m, all)
	chargingFigures(m, all)
	r := &m.Recording
	all["lag"] = Figure{Text: nobodyTells, Note: "no ledger is heard", Level: Bad}
	if r.Count > 0 {
		all["lag"] = Figure{Text: millis(float64(r.LagMS)), Note: fmt.Sprintf("%s/s recorded", rate(r.RecordedPerSecond)), Level: above(r.LagMS, lagLongMillis)}
		if r.LagMessages > 0 {
			all["lag"] = Figure{all["lag"].Text, frame.Plural(count(r.LagMessages), "message waits", "messages wait") + ", " + all["lag"].Note, all["lag"].Level}
		}
	}
	all["stale"] = Figure{Text: millis(float64(m.LagMS)), Note: "promised: " + span(campaigns.StaleBound), Level: above(m.LagMS, campaigns.StaleBound.Milliseconds())}
	if m.AsOf == nil {
		all["stale"] = Figure{Text: nobodyTells, Note: "no total was heard yet", Level: Warn}
	}
	return all
}

// above is Warn for what lies above a bound.
func above(v, bound int64) Level {
	if v > bound {
		return Warn
	}
	return ""
}

func moneyFigures(m *Moment, all map[string]Figure) {
	raised, pledged := Figure{Text: nobodyTells}, Figure{Text: nobodyTells}
	if len(m.Totals) > 0 {
		t := m.Totals[0]
		raised.Text, pledged.Text = frame.Money(t.RaisedMinor, t.Currency), frame.Money(t.PledgedMinor, t.Currency)
		pledged.Note = frame.Plural(count(t.Donations), "gift", "gifts")
		var more, morePledged []string
		for _, t := range m.Totals[1:] {
			more = append(more, frame.Money(t.RaisedMinor, t.Currency))
			morePledged = append(morePledged, frame.Money(t.PledgedMinor, t.Currency))
		}
		if len(more) > 0 {
			raised.Note = "and " + strings.Join(more, ", ")
			pledged.Note += ", and " + strings.Join(morePledged, ", ")
		}
	}
	if m.Stale && m.AsOf != nil {
		raised.Level = Warn
		raised.Note = strings.TrimPrefix(raised.Note+", ", ", ") + "as of " + span(time.Duration(m.LagMS)*time.Millisecond) + " ago"
	}
	all["raised"], all["pledged"] = raised, pledged
}

// donorsOld is from when on the age of the number of donors is told.
const donorsOld = 15 * time.Second

func donorsFigure(m *Moment) Figure {
	if m.Donors == nil {
		return Figure{Text: nobodyTells, Note: "not counted yet"}
	}
	f := Figure{Text: count(*m.Donors)}
	if m.DonorsAsOf != nil {
		if age := m.At.Sub(*m.DonorsAsOf); age > donorsOld {
			f.Note = "as of " + span(age) + " ago"
		}
	}
	return f
}

func searchFigure(m *Moment) Figure {
	if m.Search == nil {
		return Figure{Text: nobodyTells, Note: "nobody keeps the lists now"}
	}
	f := Figure{Text: nobodyTells, Note: "being made"}
	if m.Search.AgeMS != nil {
		f = Figure{Text: millis(float64(*m.Search.AgeMS)), Level: above(*m.Search.AgeMS, searchOldMillis)}
	}
	if m.Search.Behind > 0 {
		f.Note = frame.Plural(count(m.Search.Behind), "message", "messages") + " to follow"
	}
	return f
}

func frontEndFigures(m *Moment, all map[string]Figure) {
	f := &m.FrontEnds
	if f.Count == 0 {
		for _, key := range []string{"gifts", "accepted", "ack", "refusals", "viewers"} {
			all[key] = Figure{Text: nobodyTells, Note: "no front-end is heard", Level: Bad}
		}
		return
	}
	all["gifts"] = Figure{Text: count(int64(m.GiftsPerMinute + 0.5)), Note: "now " + rate(f.AcceptedPerSecond) + "/s"}
	all["accepted"] = Figure{Text: rate(f.AcceptedPerSecond) + "/s", Note: count(f.InFlight) + " inside"}
	if f.RehearsedPerSecond > 0 {
		all["accepted"] = Figure{Text: all["accepted"].Text, Note: all["accepted"].Note + ", and " + rate(f.RehearsedPerSecond) + "/s rehearsed"}
	}
	all["ack"] = Figure{Text: nobodyTells, Note: "no gift in the last 10 s"}
	if f.Acks > 0 {
		all["ack"] = Figure{Text: millis(f.AckP99MS), Note: "half within " + millis(f.AckP50MS), Level: above(int64(f.AckP99MS), ackSlowMillis)}
	}
	refused := Figure{Text: rate(f.RefusedPerSecond) + "/s", Note: kinds(f.Refusals)}
	if overloaded(f) > refusedMost {
		refused.Level = Bad
	}
	all["refusals"] = refused
	all["viewers"] = Figure{Text: count(f.Viewers)}
	if !m.Switches.Live {
		all["viewers"] = Figure{Text: count(f.Viewers), Note: "live streams are off", Level: Info}
	}
}

// kindsShown is how many kinds of refusals are named.
const kindsShown = 2

// kinds names the most frequent kinds of refusals.
func kinds(of map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, "_", " ")
	}
	return strings.Join(names[:min(len(names), kindsShown)], ", ")
}

func chargingFigures(m *Moment, all map[string]Figure) {
	c := &m.Charging
	if c.Count == 0 {
		for _, key := range []string{"queue", "charges"} {
			all[key] = Figure{Text: nobodyTells, Note: "no payments process is heard", Level: Bad}
		}
	} else {
		queue := Figure{Text: count(c.Due), Note: c.Forecast.Text}
		switch {
		case c.Late > 0:
			queue.Level, queue.Note = Bad, count(c.Late)+" of them too late for their card's token. "+c.Forecast.Text
		case c.Paused || c.ProcessorAway || m.DatabaseAway:
			queue.Level = Warn
		}
		all["queue"] = queue
		all["charges"] = Figure{Text: rate(c.ChargesPerSecond) + "/s", Note: rate(c.DeclinesPerSecond) + "/s declined"}
	}
	pace := Figure{Text: nobodyTells, Note: "not known"}
	switch {
	case m.DatabaseAway:
		pace = Figure{Text: nobodyTells, Note: "the database does not answer", Level: Bad}
	case c.Paused:
		pace = Figure{Text: "paused", Note: c.PausedBy, Level: Warn}
	case c.PacePerSecond != nil:
		pace = Figure{Text: rate(*c.PacePerSecond) + "/s"}
		if c.AllowedPerSecond != nil && *c.PacePerSecond < *c.AllowedPerSecond {
			pace.Note, pace.Level = "slowed by the processor, set are "+rate(*c.AllowedPerSecond)+"/s", Warn
		}
	}
	all["pace"] = pace
}
