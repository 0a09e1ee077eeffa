package timeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zero = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return zero.Add(d) }

// TestRecorder_NothingIsLostHoweverLongItLasts holds sums and percentiles of the line
// against those of one histogram, and its length against the bound.
func TestRecorder_NothingIsLostHoweverLongItLasts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := New()
		r.Begin(zero)
		seconds := rapid.IntRange(1, 5*BucketsMax).Draw(t, "seconds")
		settled := rapid.IntRange(0, seconds).Draw(t, "settled")
		var one histogram
		var accepted, counted int64
		var cpu time.Duration
		for i := range rapid.IntRange(1, 300).Draw(t, "events") {
			if i == 100 {
				r.Settle(at(time.Duration(settled) * time.Second))
			}
			when := at(time.Duration(rapid.IntRange(0, seconds*1000-1).Draw(t, "ms")) * time.Millisecond)
			waited := time.Duration(rapid.IntRange(0, 5e6).Draw(t, "µs")) * time.Microsecond
			r.Left(when, when)
			r.Accepted(when, when.Add(waited))
			one.note(waited)
			accepted++
			n := rapid.Int64Range(0, 1000).Draw(t, "n")
			r.Count(Charges, when, when.Add(waited), n)
			r.Use("up", when, when.Add(waited), time.Duration(n), n)
			counted += n
			cpu += time.Duration(n)
		}
		line := r.Timeline()
		var sent, got, charges int64
		var used time.Duration
		var all histogram
		end := time.Duration(0)
		for i, p := range line.Points {
			sent, got, charges, used = sent+p.Sent, got+p.Accepted, charges+p.Counters[Charges], used+p.Roles["up"].CPU
			if i > 0 && p.From < end {
				t.Fatalf("point %d begins at %v, the one before ended at %v", i, p.From, end)
			}
			if p.For <= 0 {
				t.Fatalf("point %d lasts %v", i, p.For)
			}
			end = p.From + p.For
		}
		for _, s := range []*stretch{&r.sending, r.after} {
			if s == nil {
				continue
			}
			if len(s.buckets) > BucketsMax {
				t.Fatalf("%d points of a stretch", len(s.buckets))
			}
			for _, b := range s.buckets {
				if b != nil && b.latency.Histogram != nil {
					if all.Histogram == nil {
						all = histogram{Histogram: b.latency.Histogram}
						continue
					}
					all.Merge(b.latency.Histogram)
				}
			}
		}
		if sent != accepted || got != accepted || charges != counted || used != cpu {
			t.Fatalf("sent %d, accepted %d of %d; %d charges of %d; CPU %v of %v", sent, got, accepted, charges, counted, used, cpu)
		}
		if g, w := all.spread(), one.spread(); *g != *w {
			t.Fatalf("percentiles of the line %+v, of one histogram %+v", g, w)
		}
	})
}

func TestRecorder_WhatDonorsWaitedStandsWhereTheyCame(t *testing.T) {
	t.Parallel()
	r := New()
	r.Accepted(at(0), at(1)) // before the beginning
	r.Begin(zero)
	r.Begin(at(time.Hour)) // changes nothing
	for i := range 10 {
		r.Left(at(1500*time.Millisecond), at(1500*time.Millisecond))
		r.Accepted(at(1500*time.Millisecond), at(time.Duration(3000+i)*time.Millisecond)) // the server stood still
	}
	r.Refused(409, at(3*time.Second))
	r.Deferred(at(3 * time.Second))
	r.Unknown(at(3 * time.Second))
	r.Unresolved(at(3 * time.Second))
	r.Lag(at(3*time.Second), 40*time.Millisecond)
	r.Gauge(LedgerBacklog, at(3*time.Second), 7)
	r.Gauge(LedgerBacklog, at(3*time.Second), 2)
	line := r.Timeline()
	if len(line.Points) != 4 {
		t.Fatalf("%d points", len(line.Points))
	}
	came, served := line.Points[1], line.Points[3]
	if came.Planned != 10 || came.Accepted != 0 || came.Latency == nil || came.Latency.P50.Round(100*time.Millisecond) != 1500*time.Millisecond {
		t.Errorf("the second in which they came: %+v, %+v", came, came.Latency)
	}
	if served.Accepted != 10 || served.Latency != nil || served.Refused[409] != 1 || served.Deferred != 1 || served.Unknown != 1 || served.Unresolved != 1 ||
		served.Lag == nil || served.Gauges[LedgerBacklog] != 7 {
		t.Errorf("the second in which they were answered: %+v", served)
	}
	text, err := json.Marshal(line)
	var again Timeline
	if err := json.Unmarshal(text, &again); err != nil || fmt.Sprint(again.Points[3].Gauges, again.Points[3].Refused) != fmt.Sprint(served.Gauges, served.Refused) {
		t.Errorf("read back: %v %+v", err, again)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestRecorder_AnHourOfChargingLeavesTheSecondsOfSendingAlone(t *testing.T) {
	t.Parallel()
	r := New()
	r.Begin(zero)
	r.Settle(at(19500 * time.Millisecond))
	r.Left(at(3*time.Second), at(3*time.Second))
	r.Count(Charges, at(0), at(time.Hour), 90_000)
	line := r.Timeline()
	if line.Settled != 20*time.Second || line.Points[3].For != Width || line.Points[3].Sent != 1 {
		t.Fatalf("settled %v, %+v", line.Settled, line.Points[3])
	}
	for _, p := range line.Points {
		if rate := float64(p.Counters[Charges]) / p.For.Seconds(); p.From+p.For <= time.Hour && (rate < 24 || rate > 26) {
			t.Errorf("%v after the beginning: %.1f charges a second", p.From, rate)
		}
	}
	if last := line.Points[len(line.Points)-1]; last.For <= Width || last.From+last.For < time.Hour {
		t.Errorf("last point %+v", last)
	}
}

func TestRecorder_MarksAreBounded(t *testing.T) {
	t.Parallel()
	r := New()
	r.Mark(zero, "before the beginning")
	r.Begin(zero)
	r.Span(at(2*time.Second), at(5*time.Second), Storm, "429s")
	r.Mark(at(time.Second), strings.Repeat("x", 3*MarkCharsMax))
	for range MarksMax {
		r.Mark(at(3*time.Second), "kill up")
	}
	line := r.Timeline()
	if len(line.Marks) != MarksMax || line.MarksDropped != 2 {
		t.Fatalf("%d marks, %d dropped", len(line.Marks), line.MarksDropped)
	}
	if m := line.Marks[0]; m.At != time.Second || m.Kind != Fault || len([]rune(m.Text)) != MarkCharsMax {
		t.Errorf("first mark %+v", m)
	}
	if m := line.Marks[1]; m.Kind != Storm || m.For != 3*time.Second {
		t.Errorf("second mark %+v", m)
	}
}
