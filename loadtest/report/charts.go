package report

import (
	"math"
	"slices"
	"strconv"
	"time"

	"spillway/campaigns"
	"spillway/loadtest"
	"spillway/loadtest/timeline"
)

// classes are the looks of curves, in order: colour and dashes differ both, so that
// nobody needs to tell colours.
var classes = []string{"c1", "c2", "c3", "c4", "c5", "c6"}

// waitShare is how many times longer than the sending the rest may be before the
// donors' charts are cut off where everything was recorded.
const waitShare = 2

// drawing makes charts of one timeline.
type drawing struct {
	points   []timeline.Point
	marks    []timeline.Mark
	from, to time.Duration
}

func (d *drawing) chart(id, title, axis, desc string, format func(float64) string) *chart {
	c := &chart{ID: id, Title: title, Axis: axis, Desc: desc, format: format}
	for _, p := range d.points {
		c.spans = append(c.spans, span{p.From, p.For})
	}
	return c
}

// add adds a curve of what value finds in each point.
func (c *chart) add(d *drawing, name string, hold bool, value func(*timeline.Point) (float64, bool)) {
	l := &curve{Name: name, Class: classes[len(c.Curves)%len(classes)], hold: hold}
	any := false
	for i := range d.points {
		v, ok := value(&d.points[i])
		if !ok {
			v = math.NaN()
		}
		any = any || ok
		l.values = append(l.values, v)
	}
	if any {
		c.Curves = append(c.Curves, l)
	}
}

// flags draws what was done to the installation.
func (d *drawing) flags() (all []flag) {
	n := 0
	for _, m := range d.marks {
		f := flag{Class: string(m.Kind)}
		if m.Kind != timeline.Phase {
			n++
			f.Number = n
		}
		if m.At < d.from || m.At > d.to || m.At == 0 && m.Kind == timeline.Phase {
			continue
		}
		whole := float64(d.to - d.from)
		f.At = hundredths(float64(m.At-d.from) / whole)
		if m.For > 0 {
			f.Width = hundredths(float64(min(m.For, d.to-m.At)) / whole)
		}
		all = append(all, f)
	}
	return all
}

// chartsOf draws the timeline, leaving out what was not measured.
func chartsOf(r *loadtest.Report) []*chart {
	t := r.Timeline
	if t == nil || len(t.Points) == 0 {
		return nil
	}
	last := t.Points[len(t.Points)-1]
	whole := &drawing{points: t.Points, marks: t.Marks, to: last.From + last.For}
	donors := whole
	if t.Settled > 0 && whole.to > waitShare*t.Settled {
		donors = &drawing{points: donorsPoints(t), marks: t.Marks, to: t.Settled}
	}
	var all []*chart
	keep := func(d *drawing, c *chart) {
		if len(c.Curves) > 0 && c.draw(d.from, d.to) {
			c.Flags = d.flags()
			all = append(all, c)
		}
	}
	keep(donors, donors.served())
	keep(donors, donors.waited())
	keep(donors, donors.errors())
	keep(donors, donors.aged())
	keep(donors, donors.queues())
	keep(whole, whole.charges(r))
	keep(whole, whole.chargeQueue())
	names := roleNames(t)
	keep(whole, whole.cores(names, r))
	keep(whole, whole.memory(names))
	return all
}

// perSecond is a count of a point as a rate.
func perSecond(n int64, p *timeline.Point) float64 { return float64(n) / p.For.Seconds() }

func (d *drawing) served() *chart {
	c := d.chart("served", "Asked for and served", "gifts a second", "How many gifts the rehearsal asked to be taken in each second, and how many were acknowledged in it.", rate)
	end := time.Duration(0) // of the donors
	for _, p := range d.points {
		if p.Planned > 0 || p.Accepted > 0 {
			end = p.From
		}
	}
	add := func(name string, n func(*timeline.Point) int64) {
		c.add(d, name, false, func(p *timeline.Point) (float64, bool) { return perSecond(n(p), p), p.From <= end })
	}
	add("asked for", func(p *timeline.Point) int64 { return p.Planned })
	add("acknowledged", func(p *timeline.Point) int64 { return p.Accepted })
	return c
}

func durations(v float64) string { return long(time.Duration(v)) }

// ofSpread takes a part of a summary.
func ofSpread(from func(*timeline.Point) *timeline.Spread, part func(*timeline.Spread) time.Duration) func(*timeline.Point) (float64, bool) {
	return func(p *timeline.Point) (float64, bool) {
		s := from(p)
		if s == nil {
			return 0, false
		}
		return float64(part(s)), true
	}
}

func (d *drawing) waited() *chart {
	c := d.chart("waited", "How long donors waited for their answer", "from when the gift was due to its acknowledgement; each line up is ten times as long",
		"For the donors who came in each second: what half of them, 90 and 99 of 100, and the unluckiest one waited.", durations)
	c.log, c.level, c.LevelText = true, float64(AckLevel), "99 of 100 should wait less than "+long(AckLevel)
	from := func(p *timeline.Point) *timeline.Spread { return p.Latency }
	c.add(d, "half (p50)", false, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.P50 }))
	c.add(d, "90 of 100 (p90)", false, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.P90 }))
	c.add(d, "99 of 100 (p99)", false, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.P99 }))
	c.add(d, "the longest", false, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.Max }))
	return c
}

func (d *drawing) errors() *chart {
	c := d.chart("errors", "Answers that were no acknowledgement", "a second", "Attempts in each second that were refused for good, sent away for a while (429), or had no definite answer.", rate)
	var statuses []int
	kinds := map[string]bool{}
	for _, p := range d.points {
		for status := range p.Refused {
			if !slices.Contains(statuses, status) {
				statuses = append(statuses, status)
			}
		}
		kinds["deferred"] = kinds["deferred"] || p.Deferred > 0
		kinds["unknown"] = kinds["unknown"] || p.Unknown > 0
	}
	slices.Sort(statuses)
	for _, status := range statuses {
		c.add(d, "refused, status "+strconv.Itoa(status), false, func(p *timeline.Point) (float64, bool) { return perSecond(p.Refused[status], p), true })
	}
	if kinds["deferred"] {
		c.add(d, "sent away for a while (429)", false, func(p *timeline.Point) (float64, bool) { return perSecond(p.Deferred, p), true })
	}
	if kinds["unknown"] {
		c.add(d, "no definite answer", false, func(p *timeline.Point) (float64, bool) { return perSecond(p.Unknown, p), true })
	}
	return c
}

func (d *drawing) aged() *chart {
	c := d.chart("aged", "How old the totals were that donors saw", "age, as the pages say it themselves", "The age of totals as watchers read them in each second.", durations)
	c.level, c.LevelText = float64(campaigns.StaleBound), "pages promise less than "+long(campaigns.StaleBound)
	from := func(p *timeline.Point) *timeline.Spread { return p.Lag }
	c.add(d, "half (p50)", true, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.P50 }))
	c.add(d, "99 of 100 (p99)", true, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.P99 }))
	c.add(d, "the oldest", true, ofSpread(from, func(s *timeline.Spread) time.Duration { return s.Max }))
	return c
}

func gauge(g timeline.Gauge) func(*timeline.Point) (float64, bool) {
	return func(p *timeline.Point) (float64, bool) { v, ok := p.Gauges[g]; return v, ok }
}

func (d *drawing) queues() *chart {
	c := d.chart("queues", "What queued on the way to the books", "how many", "Envelopes that the ledger had not recorded yet, donations inside the front-end, and requests without an answer; the highest seen in each second.", rate)
	c.add(d, "waiting for a ledger (messages)", true, gauge(timeline.LedgerBacklog))
	c.add(d, "inside the front-end (donations)", true, gauge(timeline.FrontEndInside))
	c.add(d, "waiting for the broker (donations)", true, gauge(timeline.BrokerWaiting))
	c.add(d, "in flight (requests)", true, gauge(timeline.InFlight))
	return c
}

func (d *drawing) charges(r *loadtest.Report) *chart {
	c := d.chart("charges", "Charges made", "calls of the processor a second", "Charges in each second, repeats included. The pace is what the processor allows.", rate)
	end := -1
	for i, p := range d.points {
		if p.Counters[timeline.Charges] > 0 {
			end = i
		}
	}
	if end < 0 {
		return c
	}
	last := d.points[end].From
	c.add(d, "charges", false, func(p *timeline.Point) (float64, bool) {
		return perSecond(p.Counters[timeline.Charges], p), p.From <= last
	})
	if r.Charging != nil && r.Charging.Allowed > 0 {
		c.level, c.LevelText = r.Charging.Allowed, "the pace: "+rate(r.Charging.Allowed)+" a second"
	}
	return c
}

func (d *drawing) chargeQueue() *chart {
	c := d.chart("chargequeue", "The charge queue", "donations", "Donations that are in the books and wait for their charge, and donors who are asked for 3-D Secure.", rate)
	c.add(d, "waiting for their turn", true, gauge(timeline.ChargeBacklog))
	c.add(d, "being charged", true, gauge(timeline.ChargesUnderWay))
	for _, p := range d.points {
		if p.Gauges[timeline.DonorsActing] > 0 {
			c.add(d, "donors asked to act", true, gauge(timeline.DonorsActing))
			break
		}
	}
	return c
}

func (d *drawing) cores(names []string, r *loadtest.Report) *chart {
	c := d.chart("cores", "Processor time by role", "cores in use", "How many processor cores each role kept busy in each second.", number)
	for _, name := range names {
		c.add(d, name, true, func(p *timeline.Point) (float64, bool) {
			u, ok := p.Roles[name]
			return u.CPU.Seconds() / p.For.Seconds(), ok
		})
	}
	if s := r.Setting; s != nil && s.Machine.Cores > 0 {
		c.level, c.LevelText = float64(s.Machine.Cores), "the machine has "+plural(int64(s.Machine.Cores), "core", "cores")
	}
	return c
}

func (d *drawing) memory(names []string) *chart {
	c := d.chart("memory", "Memory by role", "resident", "What each role's processes held in memory: what each has for itself, and once what they share.", func(v float64) string { return number(v) + " MiB" })
	for _, name := range names {
		c.add(d, name, true, func(p *timeline.Point) (float64, bool) {
			u := p.Roles[name]
			return float64(u.Resident) / (1 << 20), u.Resident > 0
		})
	}
	return c
}
