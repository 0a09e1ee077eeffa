package report

import (
	"cmp"
	"slices"
	"time"

	"spillway/campaigns"
	"spillway/loadtest"
	"spillway/loadtest/timeline"
)

// What counts as keeping up. A rehearsal that says nothing else is held to these.
const (
	// AckLevel is what 99 of 100 donors of any second may wait for the answer: a
	// second is where people begin to doubt that a button works.
	AckLevel = time.Second
	// ErrorsLevel is which part of the attempts of any second may get no 202.
	ErrorsLevel = 0.001
	// BusyLevel is how much of the machine may be taken: above it queues grow by chance.
	BusyLevel = 0.95
	// busyPoints is over how many points the machine's load is averaged: the kernel's
	// clock ticks are coarse.
	busyPoints = 3
	// windowLeast is how long a rate has to be asked for to count as shown.
	windowLeast = 5 * time.Second
	// connectionsLevel is which part of the generator's connections may be taken:
	// beyond it gifts wait in the generator.
	connectionsLevel = 0.95
)

// limit is something that may give way, and how near the rehearsal came to it.
type limit struct {
	name, seen, most string
	// share is what was seen as a part of the limit; above 1 it gave way.
	share float64
	// first is when it gave way, valid when share > 1; -1 when the moment is not known.
	first time.Duration
	// felt ones are felt by donors: above them it did not keep up. The others are means
	// that may be used up, and soft ones queue by design.
	felt, soft bool
	// advice says what to do when it gave way.
	advice string
}

// gave tells whether donors felt it, full whether a means was used up.
func (l *limit) gave() bool { return l.share > 1 && l.felt }
func (l *limit) full() bool { return l.share > 1 && !l.felt && !l.soft }

// limitsOf measures what the timeline shows against what it may be, the nearest first.
func limitsOf(r *loadtest.Report) []limit {
	var all []limit
	if r.Timeline != nil {
		sending := donorsPoints(r.Timeline)
		all = append(all, ackLimit(sending), errorsLimit(r, sending))
		if l, ok := lagLimit(sending); ok {
			all = append(all, l)
		}
		if l, ok := busyLimit(r, sending); ok {
			all = append(all, l)
		}
		if l, ok := connectionsLimit(r, sending); ok {
			all = append(all, l)
		}
		if l, ok := stalledLimit(sending); ok {
			all = append(all, l)
		}
		if l, ok := paceLimit(r); ok {
			all = append(all, l)
		}
	}
	if l := r.Sending.Lateness; l.Count > 0 {
		all = append(all, limit{name: "the generator's own lateness (p99)", seen: long(l.P99), most: long(loadtest.LatenessTrusted),
			share: float64(l.P99) / float64(loadtest.LatenessTrusted), first: -1,
			advice: "Run the generator on a machine of its own, or ask for less: it was late itself, so the latencies are partly its own."})
	}
	slices.SortStableFunc(all, func(a, b limit) int { return cmp.Compare(b.share, a.share) })
	return all
}

// donorsPoints are the points up to when everything was recorded.
func donorsPoints(t *timeline.Timeline) []timeline.Point {
	for i, p := range t.Points {
		if t.Settled > 0 && p.From >= t.Settled {
			return t.Points[:i]
		}
	}
	return t.Points
}

// worst finds the highest value and when the first one above most was.
func worst(points []timeline.Point, most float64, value func(*timeline.Point) (float64, bool)) (high float64, first time.Duration, any bool) {
	first = -1
	for i := range points {
		v, ok := value(&points[i])
		if !ok {
			continue
		}
		any = true
		high = max(high, v)
		if v > most && first < 0 {
			first = points[i].From
		}
	}
	return high, first, any
}

func ackLimit(points []timeline.Point) limit {
	high, first, _ := worst(points, float64(AckLevel), func(p *timeline.Point) (float64, bool) {
		if p.Latency == nil {
			return 0, false
		}
		return float64(p.Latency.P99), true
	})
	return limit{name: "the wait for the answer (p99 of the worst second)", seen: long(time.Duration(high)), most: long(AckLevel),
		share: high / float64(AckLevel), first: first, felt: true,
		advice: "Give the front-ends and the broker's disk more room, and repeat: donors waited too long for their answer."}
}

func errorsLimit(r *loadtest.Report, points []timeline.Point) limit {
	value := func(p *timeline.Point) (float64, bool) {
		bad := noAnswer(p)
		attempts := max(p.Sent, p.Accepted+bad)
		return float64(bad) / float64(max(1, attempts)), attempts > 0
	}
	high, first, _ := worst(points, ErrorsLevel, value)
	s := &r.Sending
	return limit{name: "attempts without an acknowledgement (worst second)", seen: percent(high), most: percent(ErrorsLevel), share: high / ErrorsLevel, first: first, felt: true,
		advice: "Look at the answers by kind below and at the front-ends' log: " + plural(s.UnknownAnswers+s.Deferred, "attempt", "attempts") + " had to be repeated."}
}

// noAnswer counts the attempts of a point that got no 202.
func noAnswer(p *timeline.Point) int64 {
	bad := p.Unknown + p.Deferred
	for _, n := range p.Refused {
		bad += n
	}
	return bad
}

func lagLimit(points []timeline.Point) (limit, bool) {
	high, first, any := worst(points, float64(campaigns.StaleBound), func(p *timeline.Point) (float64, bool) {
		if p.Lag == nil {
			return 0, false
		}
		return float64(p.Lag.P99), true
	})
	return limit{name: "the age of totals (p99 of the worst second)", seen: long(time.Duration(high)), most: long(campaigns.StaleBound),
		share: high / float64(campaigns.StaleBound), first: first, felt: true,
		advice: "Give Postgres and the ledger more room: totals were older than pages promise."}, any
}

func busyLimit(r *loadtest.Report, points []timeline.Point) (limit, bool) {
	if r.Setting == nil || !r.Setting.Together || r.Setting.Machine.Cores == 0 {
		return limit{}, false // it is the generator's machine alone
	}
	cores := float64(r.Setting.Machine.Cores)
	var last []float64
	high, first, any := worst(points, BusyLevel, func(p *timeline.Point) (float64, bool) {
		use, ok := p.Roles[loadtest.MachineRole]
		if !ok || p.For <= 0 {
			return 0, false
		}
		last = append(last, use.CPU.Seconds()/p.For.Seconds()/cores)
		if len(last) < busyPoints {
			return 0, true
		}
		last = last[len(last)-busyPoints:]
		sum := 0.0
		for _, v := range last {
			sum += v
		}
		return sum / busyPoints, true
	})
	return limit{name: "the machine's processors", seen: percent(min(1, high)), most: percent(BusyLevel), share: high / BusyLevel, first: first,
		advice: "Give it more cores, or put Postgres, broker and generator on machines of their own: the processors were all taken."}, any && len(last) == busyPoints
}

func connectionsLimit(r *loadtest.Report, points []timeline.Point) (limit, bool) {
	if r.Setting == nil || r.Setting.Connections == 0 {
		return limit{}, false
	}
	most := connectionsLevel * float64(r.Setting.Connections)
	high, first, any := worst(points, most, func(p *timeline.Point) (float64, bool) {
		v, ok := p.Gauges[timeline.InFlight]
		return v, ok
	})
	return limit{name: "the generator's connections", seen: count(int64(high)) + " in flight", most: count(int64(r.Setting.Connections)), share: high / most, first: first,
		advice: "Repeat with more --connections: gifts waited in the generator for a free one."}, any
}

func stalledLimit(points []timeline.Point) (limit, bool) {
	high, first, any := worst(points, 0, func(p *timeline.Point) (float64, bool) {
		v, ok := p.Gauges[timeline.BrokerStalled]
		return v, ok && v > 0
	})
	return limit{name: "the broker's disk", seen: "acknowledged nothing", most: "never", share: 1 + high, first: first,
		advice: "Look at the broker's disk: it acknowledged nothing for a while, and donations were refused."}, any
}

// paceLimit holds what donors gave in the busiest seconds against what may be charged.
func paceLimit(r *loadtest.Report) (limit, bool) {
	c := r.Charging
	if c == nil || c.Allowed <= 0 {
		return limit{}, false
	}
	asked, from, _ := busiest(r, func(*timeline.Point) bool { return true })
	return limit{name: "the pace of charging", seen: rate(asked) + " gifts/s", most: rate(c.Allowed) + " charges/s", share: asked / c.Allowed, first: from, soft: true}, asked > 0
}

// busiest finds the highest rate that was asked for over windowLeast, or over the
// whole sending when that is shorter, among points that are all good.
func busiest(r *loadtest.Report, good func(*timeline.Point) bool) (best float64, from, length time.Duration) {
	if r.Timeline == nil {
		return 0, 0, 0
	}
	points := donorsPoints(r.Timeline)
	for len(points) > 0 && points[len(points)-1].Planned == 0 { // the drain
		points = points[:len(points)-1]
	}
	whole := time.Duration(0)
	for _, p := range points {
		whole += p.For
	}
	least := min(windowLeast, whole)
	for i := range points {
		var planned int64
		var span time.Duration
		for k := i; k < len(points) && span < least && good(&points[k]); k++ {
			planned += points[k].Planned
			span += points[k].For
		}
		if span < least || span == 0 {
			continue
		}
		if v := float64(planned) / span.Seconds(); v > best {
			best, from, length = v, points[i].From, span
		}
	}
	return best, from, length
}

// kept tells whether everything that was asked for in a point was served as it should be.
func kept(p *timeline.Point) bool {
	if noAnswer(p) > 0 || p.Unresolved > 0 {
		return false
	}
	if p.Lag != nil && p.Lag.P99 > campaigns.StaleBound {
		return false
	}
	return p.Planned == 0 || p.Latency != nil && p.Latency.Count == p.Planned && p.Latency.P99 <= AckLevel
}
