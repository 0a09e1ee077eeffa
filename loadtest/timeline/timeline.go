// Package timeline is what happened in a rehearsal second by second: what was asked
// for and served, how long donors waited, how old totals were, what queued, what
// processes used, and what was done to the installation meanwhile.
//
// The invariant: memory is bounded however long a rehearsal lasts, and no percentile
// is ever averaged. A stretch of time that outgrows BucketsMax has its buckets merged
// two by two, their histograms added.
//
// No goroutines; a Recorder is safe for any number of them.
package timeline

import (
	"slices"
	"sync"
	"time"
)

// Bounds of a recorder.
const (
	// BucketsMax bounds the points of one stretch: eight minutes of whole seconds, and
	// more points than a page is wide. A point with answers and readings holds two
	// histograms of 26 KB each, so that a full stretch takes 25 MB.
	BucketsMax = 480
	// MarksMax bounds what is marked on the line; what is beyond it is counted.
	MarksMax = 500
	// MarkCharsMax bounds the text of one mark.
	MarkCharsMax = 200
	// Width is that of a bucket as long as nothing had to be merged.
	Width = time.Second
)

// Gauge names a level that is read from time to time; a point has the highest seen.
type Gauge string

// The gauges.
const (
	LedgerBacklog      Gauge = "ledger_backlog_envelopes"    // not acknowledged by the ledger yet
	ChargeBacklog      Gauge = "charge_backlog_donations"    // without their turn yet
	ChargesUnderWay    Gauge = "charges_under_way"           // called, outcome not known yet
	DonorsActing       Gauge = "donors_asked"                // for 3-D Secure
	InFlight           Gauge = "requests_in_flight"          // left the generator, not answered
	FrontEndInside     Gauge = "front_end_donations_inside"  // admitted, not answered
	FrontEndConnection Gauge = "front_end_connections_open"  // live streams not counted
	BrokerWaiting      Gauge = "broker_donations_waiting"    // for the broker's acknowledgement
	BrokerStalled      Gauge = "broker_streams_stalled"      // that acknowledge nothing
	ProcessorAway      Gauge = "processor_away"              // 1 while it is only probed
	OldestMessageAge   Gauge = "ledger_oldest_message_age_s" // seconds
)

// Counter names things that are counted; a point has how many fell into it.
type Counter string

// The counters.
const (
	Charges          Counter = "charge_calls"
	FrontEndRefusals Counter = "front_end_refusals" // answers 429 and 503
	ProcessorLimited Counter = "processor_429"
)

// Kind sorts marks.
type Kind string

// The kinds of marks.
const (
	Phase Kind = "phase" // of the rehearsal
	Storm Kind = "storm" // of 429s at the simulated processor
	Fault Kind = "fault" // something was broken on purpose
)

// Mark is something that was done at a moment, or for a while.
type Mark struct {
	At   time.Duration `json:"at_ns"`            // since the line's beginning
	For  time.Duration `json:"for_ns,omitempty"` // 0 for a moment
	Kind Kind          `json:"kind"`
	Text string        `json:"text"`
}

// Spread is a histogram's summary, in nanoseconds.
type Spread struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Usage is what a role used in a point.
type Usage struct {
	CPU time.Duration `json:"cpu_ns"`
	// Resident is the most seen, in bytes; 0 when it is not known.
	Resident int64 `json:"resident_bytes,omitempty"`
}

// Point is one bucket of the line.
type Point struct {
	From time.Duration `json:"from_ns"` // since the line's beginning
	For  time.Duration `json:"for_ns"`
	// Planned rows were due in it; Sent ones left in it; Accepted ones were answered in it.
	Planned  int64 `json:"planned,omitempty"`
	Sent     int64 `json:"sent,omitempty"`
	Accepted int64 `json:"accepted,omitempty"`
	// Refused rows by status; Unknown and Deferred count attempts; Unresolved rows were
	// given up.
	Refused    map[int]int64 `json:"refused,omitempty"`
	Unknown    int64         `json:"unknown,omitempty"`
	Deferred   int64         `json:"deferred,omitempty"`
	Unresolved int64         `json:"unresolved,omitempty"`
	// Latency is of the rows that were due in it, from then to their 202, whenever that
	// came: what donors who came in this second waited. Nil when none was accepted.
	Latency *Spread `json:"latency,omitempty"`
	// Lag is lag_ms as watchers read it in it. Nil when nobody read.
	Lag      *Spread           `json:"lag,omitempty"`
	Gauges   map[Gauge]float64 `json:"gauges,omitempty"`
	Counters map[Counter]int64 `json:"counters,omitempty"`
	Roles    map[string]Usage  `json:"roles,omitempty"`
}

// Timeline is the whole line, for reports.
type Timeline struct {
	BeganAt time.Time `json:"began_at"`
	// Settled is when everything sent was answered and recorded, since the beginning;
	// points after it may be wider than those before. 0 when that never was.
	Settled time.Duration `json:"settled_ns,omitempty"`
	Points  []Point       `json:"points"`
	Marks   []Mark        `json:"marks,omitempty"`
	// MarksDropped counts marks beyond MarksMax.
	MarksDropped int `json:"marks_dropped,omitempty"`
}

// Recorder gathers a timeline. What is noted before Begin is dropped.
type Recorder struct {
	mu      sync.Mutex
	began   time.Time
	sending stretch  // up to settled, or all
	after   *stretch // from settled on
	settled time.Duration
	marks   []Mark
	dropped int
}

// New makes a recorder; it records from Begin on.
func New() *Recorder { return &Recorder{sending: stretch{width: Width}} }

// Begin says when the line begins; what happened before counts as of then. A second
// call changes nothing.
func (r *Recorder) Begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = at
	}
}

// Settle begins another stretch with the next whole second after what was noted: the wait for charges may
// last hours, and must not blur the seconds in which donors came.
func (r *Recorder) Settle(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() || r.after != nil {
		return
	}
	offset := max(Width, at.Sub(r.began))
	noted := time.Duration(len(r.sending.buckets)) * r.sending.width
	r.settled = max(noted, (offset+Width-1)/Width*Width)
	r.after = &stretch{from: r.settled, width: Width}
}

// Mark notes that something was broken, or mended, on purpose.
func (r *Recorder) Mark(at time.Time, text string) { r.Span(at, at, Fault, text) }

// Span notes something that lasted; to may be from.
func (r *Recorder) Span(from, to time.Time, kind Kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return
	}
	if len(r.marks) == MarksMax {
		r.dropped++
		return
	}
	if runes := []rune(text); len(runes) > MarkCharsMax {
		text = string(runes[:MarkCharsMax-1]) + "…"
	}
	at := max(0, from.Sub(r.began))
	r.marks = append(r.marks, Mark{At: at, For: max(0, to.Sub(r.began)-at), Kind: kind, Text: text})
}

// bucket finds that of a moment; r.mu is held. Nil before Begin.
func (r *Recorder) bucket(at time.Time) *bucket {
	if r.began.IsZero() {
		return nil
	}
	offset := max(0, at.Sub(r.began))
	if r.after != nil && offset >= r.settled {
		return r.after.bucket(offset)
	}
	return r.sending.bucket(offset)
}

// note does something to the bucket of a moment.
func (r *Recorder) note(at time.Time, do func(*bucket)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.bucket(at); b != nil {
		do(b)
	}
}

// Left notes that a row that was due at planned left at now.
func (r *Recorder) Left(planned, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.bucket(planned); b != nil {
		b.planned++
		r.bucket(now).sent++
	}
}

// Accepted notes the 202 of a row that was due at planned.
func (r *Recorder) Accepted(planned, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.bucket(planned); b != nil {
		b.latency.note(now.Sub(planned))
		r.bucket(now).accepted++
	}
}

// Refused notes a definite refusal of a row by status.
func (r *Recorder) Refused(status int, now time.Time) {
	r.note(now, func(b *bucket) {
		if b.refused == nil {
			b.refused = map[int]int64{}
		}
		b.refused[status]++
	})
}

// Unknown notes an attempt without a definite answer, Deferred one that met a 429,
// and Unresolved a row that was given up.
func (r *Recorder) Unknown(now time.Time) { r.note(now, func(b *bucket) { b.unknown++ }) }

// Deferred notes an attempt that was answered 429.
func (r *Recorder) Deferred(now time.Time) { r.note(now, func(b *bucket) { b.deferred++ }) }

// Unresolved notes a row that was given up.
func (r *Recorder) Unresolved(now time.Time) { r.note(now, func(b *bucket) { b.unresolved++ }) }

// Lag notes how old a total was when it was read.
func (r *Recorder) Lag(at time.Time, lag time.Duration) {
	r.note(at, func(b *bucket) { b.lag.note(lag) })
}

// Gauge notes a level; a point keeps the highest.
func (r *Recorder) Gauge(g Gauge, at time.Time, value float64) {
	r.note(at, func(b *bucket) {
		if b.gauges == nil {
			b.gauges = map[Gauge]float64{}
		}
		if old, ok := b.gauges[g]; !ok || value > old {
			b.gauges[g] = value
		}
	})
}

// Count spreads n things that happened from one reading to the next evenly over the
// time between.
func (r *Recorder) Count(c Counter, from, to time.Time, n int64) {
	r.spread(from, to, n, func(b *bucket, part int64) {
		if b.counters == nil {
			b.counters = map[Counter]int64{}
		}
		b.counters[c] += part
	})
}

// Use notes the processor time that a role used from one reading to the next, and
// the memory that it has now, in bytes.
func (r *Recorder) Use(role string, from, to time.Time, cpu time.Duration, resident int64) {
	use := func(b *bucket, cpu time.Duration, resident int64) {
		if b.roles == nil {
			b.roles = map[string]Usage{}
		}
		u := b.roles[role]
		u.CPU += cpu
		u.Resident = max(u.Resident, resident)
		b.roles[role] = u
	}
	r.spread(from, to, int64(cpu), func(b *bucket, part int64) { use(b, time.Duration(part), 0) })
	r.note(to, func(b *bucket) { use(b, 0, resident) })
}

// spreadMost bounds the parts of one spread: beyond as many seconds, a day, parts are wider.
const spreadMost = 24 * 60 * 60

// spread shares n out over the seconds between two moments, nothing lost to rounding.
func (r *Recorder) spread(from, to time.Time, n int64, add func(*bucket, int64)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() || n == 0 || to.Before(r.began) {
		return
	}
	if from.Before(r.began) {
		from = r.began
	}
	span := to.Sub(from)
	if span <= 0 {
		add(r.bucket(to), n)
		return
	}
	step := max(Width, span/spreadMost)
	var given int64
	// Up to each end of a step since the line's beginning, so that whole seconds get whole parts.
	for end := from.Sub(r.began)/step*step + step; ; end += step {
		upTo := min(span, r.began.Add(end).Sub(from))
		due := int64(float64(n) * (float64(upTo) / float64(span)))
		if upTo == span {
			due = n
		}
		if part := due - given; part != 0 {
			add(r.bucket(from.Add(upTo-1)), part)
			given = due
		}
		if upTo == span {
			return
		}
	}
}

// Timeline is what was gathered so far; nil before Begin.
func (r *Recorder) Timeline() *Timeline {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return nil
	}
	t := &Timeline{BeganAt: r.began.UTC(), Settled: r.settled, MarksDropped: r.dropped, Marks: slices.Clone(r.marks)}
	slices.SortStableFunc(t.Marks, func(a, b Mark) int { return int(a.At - b.At) })
	until := time.Duration(1<<63 - 1)
	if r.after != nil {
		until = r.settled
	}
	t.Points = r.sending.points(nil, until)
	if r.after != nil {
		t.Points = r.after.points(t.Points, 1<<63-1)
	}
	return t
}
