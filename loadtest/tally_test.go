package loadtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/gift"
	"spillway/loadtest/hdr"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
)

// TestTally_SeveralGeneratorsAreOneOnTheSameSamples has meters count the same events
// once together and once shared out, over clocks of their own, and merges these.
func TestTally_SeveralGeneratorsAreOneOnTheSameSamples(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	begin := func(at time.Time) *meter {
		line := timeline.New()
		line.Begin(at)
		return newMeter(line)
	}
	rapid.Check(t, func(t *rapid.T) {
		one := begin(zero)
		several := make([]*meter, rapid.IntRange(2, 3).Draw(t, "generators"))
		ahead, rows := make([]time.Duration, len(several)), make([]int64, len(several))
		for i := range several {
			if i > 0 {
				ahead[i] = time.Duration(rapid.Int64Range(-1e11, 1e11).Draw(t, "ahead"))
			}
			several[i] = begin(zero.Add(ahead[i]))
		}
		type event struct {
			at     time.Duration // on the first clock
			to     int
			job    job
			waited time.Duration
			r      *result // nil when it leaves
		}
		var events []event
		for n := range rapid.IntRange(1, 25).Draw(t, "gifts") {
			i := rapid.IntRange(0, len(several)-1).Draw(t, "generator")
			rows[i]++
			planned := time.Duration(rapid.Int64Range(0, 600e9).Draw(t, "planned"))
			leaves := planned + time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "late"))
			waited := time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "waited"))
			took := waited + time.Duration(rapid.Int64Range(0, 20e9).Draw(t, "took"))
			r := &result{outcome: record.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")), code: 400 + rapid.IntRange(0, 3).Draw(t, "code")}
			r.AcceptedAt = zero.Add(planned + took/2) // the target's word
			j := job{ref: gift.Ref{Kind: gift.Row, Number: int64(n + 1)}, planned: zero.Add(planned), queued: zero.Add(leaves), try: 1}
			events = append(events, event{leaves, i, j, 0, nil}, event{leaves + took, i, j, waited, r})
		}
		slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		for _, e := range events {
			for _, m := range []struct {
				*meter
				ahead time.Duration
			}{{one, 0}, {several[e.to], ahead[e.to]}} {
				j, now := e.job, zero.Add(e.at+m.ahead)
				j.planned, j.queued = j.planned.Add(m.ahead), j.queued.Add(m.ahead)
				if e.r == nil {
					m.left([]job{j}, now)
					continue
				}
				m.answered(&j, e.waited, e.r, now)
				m.settled(&j, *e.r, now)
			}
		}
		for i, m := range several[1:] {
			tally, err := m.tally(Demand{Rows: rows[i+1]}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if tally.Line, err = m.line.Part(); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(tally)
			if err != nil {
				t.Fatal(err)
			}
			var sent Tally
			if err := json.Unmarshal(text, &sent); err != nil {
				t.Fatal(err)
			}
			if err := several[0].merge(&sent, ahead[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		got, want := several[0].report(7, time.Second), one.report(7, time.Second)
		// A single meter's best second begins anywhere, that of several on the line's own.
		got.BestSecond, want.BestSecond = 0, 0
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("merged\n%+v\nof one generator\n%+v", got, want)
		}
		if g, w := several[0].line.Timeline(), one.line.Timeline(); fmt.Sprint(words(t, g)) != fmt.Sprint(words(t, w)) {
			t.Fatalf("merged line\n%s\nof one generator\n%s", words(t, g), words(t, w))
		}
		gotAt, gotAhead := several[0].lastAccepted()
		wantAt, wantAhead := one.lastAccepted()
		if !gotAt.Equal(wantAt) || gotAhead != wantAhead {
			t.Fatalf("the last 202 at %v, target %v ahead; want %v, %v", gotAt, gotAhead, wantAt, wantAhead)
		}
	})
}

func words(t *rapid.T, line *timeline.Timeline) string {
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTally_RefusesCountsThatCannotBe(t *testing.T) {
	t.Parallel()
	some := newHistogram()
	hdr.Note(some, time.Millisecond)
	text, err := hdr.Encode(some)
	if err != nil {
		t.Fatal(err)
	}
	good := func() *Tally {
		return &Tally{Demand: Demand{Rows: 1}, Sent: 1, Attempts: 1, Accepted: 1, Latency: text, Lateness: text, Waiting: text, Line: &timeline.Part{Width: timeline.Width}}
	}
	for name, change := range map[string]func(*Tally){
		"":                       func(*Tally) {},
		"more sent than planned": func(t *Tally) { t.Rows = 0 },
		"more ends than sent":    func(t *Tally) { t.Refused = map[int]int64{409: 1} },
		"a negative count":       func(t *Tally) { t.Unknown = -1 },
		"fewer attempts":         func(t *Tally) { t.Attempts = 0 },
		"no latencies":           func(t *Tally) { t.Latency = "" },
		"no lateness":            func(t *Tally) { t.Lateness = "" },
		"a histogram of nothing": func(t *Tally) { t.Waiting = "x" },
		"no line":                func(t *Tally) { t.Line = nil },
		"a line of nothing":      func(t *Tally) { t.Line = &timeline.Part{Width: time.Millisecond} },
	} {
		tally := good()
		change(tally)
		line := timeline.New()
		line.Begin(time.Now())
		err := newMeter(line).merge(tally, 0)
		if (err != nil) != (name != "") || err != nil && !errors.Is(err, ErrTally) && !errors.Is(err, hdr.ErrHistogram) && !errors.Is(err, timeline.ErrPart) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
