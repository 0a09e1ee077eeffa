package timeline

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAdd_IsOneLineOfTheSameEvents has several recorders gather what one gathers too,
// far enough that their buckets may be of different widths.
func TestAdd_IsOneLineOfTheSameEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one, several := New(), []*Recorder{New(), New(), New()}
		one.Begin(zero)
		for _, r := range several {
			r.Begin(zero)
		}
		for range rapid.IntRange(1, 15).Draw(t, "events") {
			when := at(time.Duration(rapid.Int64Range(0, int64(3*BucketsMax*time.Second)).Draw(t, "when")))
			waited := time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "waited"))
			status, cpu := rapid.IntRange(400, 402).Draw(t, "status"), time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "cpu"))
			for _, r := range []*Recorder{one, several[rapid.IntRange(0, 2).Draw(t, "to")]} {
				r.Left(when, when.Add(waited))
				r.Accepted(when, when.Add(waited))
				r.Refused(status, when)
				r.Unknown(when)
				r.Deferred(when)
				r.Unresolved(when)
				r.Use("generator", when, when.Add(waited), cpu, int64(cpu))
			}
		}
		for _, r := range several[1:] {
			p, err := r.Part()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var sent Part
			if err := json.Unmarshal(text, &sent); err != nil {
				t.Fatal(err)
			}
			if err := several[0].Add(&sent); err != nil {
				t.Fatal(err)
			}
		}
		got, errGot := json.Marshal(several[0].Timeline())
		want, errWant := json.Marshal(one.Timeline())
		if err := errors.Join(errGot, errWant); err != nil || string(got) != string(want) {
			t.Fatalf("merged\n%s\nof one recorder\n%s\n%v", got, want, err)
		}
		most, ok := several[0].BestSecond()
		wantMost, wantOK := one.BestSecond()
		if most != wantMost || ok != wantOK {
			t.Fatalf("best second %d %v, want %d %v", most, ok, wantMost, wantOK)
		}
	})
}

func TestAdd_RequestsInFlightOfAllAreAdded(t *testing.T) {
	t.Parallel()
	a, b := New(), New()
	a.Begin(zero)
	b.Begin(zero)
	a.Gauge(InFlight, at(time.Second), 3)
	b.Gauge(InFlight, at(time.Second), 4)
	p, err := b.Part()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Add(p); err != nil {
		t.Fatal(err)
	}
	if got := a.Timeline().Points[1].Gauges[InFlight]; got != 7 {
		t.Errorf("%g in flight, want 7", got)
	}
}

func TestAdd_RefusesWhatIsNoPart(t *testing.T) {
	t.Parallel()
	settled := New()
	settled.Begin(zero)
	settled.Settle(at(time.Second))
	if _, err := settled.Part(); !errors.Is(err, ErrPart) {
		t.Errorf("a part of a settled line: %v", err)
	}
	if err := New().Add(&Part{Width: Width}); !errors.Is(err, ErrPart) {
		t.Errorf("added to a line that has not begun: %v", err)
	}
	for name, p := range map[string]Part{
		"no width":         {},
		"three seconds":    {Width: 3 * Width},
		"part of a second": {Width: Width + 1},
		"too wide":         {Width: 1 << 20 * Width},
		"too many":         {Width: Width, Buckets: make([]PartBucket, BucketsMax+1)},
		"beyond the end":   {Width: Width, Buckets: []PartBucket{{Place: BucketsMax}}},
		"before the start": {Width: Width, Buckets: []PartBucket{{Place: -1}}},
		"no histogram":     {Width: Width, Buckets: []PartBucket{{Latency: "x"}}},
	} {
		r := New()
		r.Begin(zero)
		if err := r.Add(&p); err == nil {
			t.Errorf("%s: no error", name)
		}
		if points := r.Timeline().Points; len(points) > 0 {
			t.Errorf("%s: left %v", name, points)
		}
	}
}
