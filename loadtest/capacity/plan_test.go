package capacity

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/trace"
)

func TestQueueAt_ABurstIsReckonedByHand(t *testing.T) {
	t.Parallel()
	day, err := Burst(100, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	q := day.QueueAt(25)
	came := 6000 * (1 + retryShare)
	if want := seconds((came - 60*25) / 25); (q.LongestWait-want).Abs() > time.Millisecond || q.LongestAt != 59*time.Second {
		t.Errorf("longest wait %v at %v, want %v", q.LongestWait, q.LongestAt, want)
	}
	if want := seconds(came / 25); (q.EmptyAt-want).Abs() > time.Millisecond || q.BeyondShort != 0 {
		t.Errorf("empty at %v, want %v; %v", q.EmptyAt, want, q.BeyondShort)
	}
	if q := day.QueueAt(109); q.LongestWait != 0 || q.EmptyAt != 0 {
		t.Errorf("a pace above the rate: %+v", q)
	}
	if q := day.QueueAt(0.1); q.BeyondShort == 0 || q.BeyondLong == 0 || q.BeyondShort < q.BeyondLong {
		t.Errorf("a tenth of a call: %+v", q)
	}
}

func TestPaceFor_IsTheLowestThatHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		day := &Day{Seconds: rapid.SliceOfN(rapid.Float64Range(0, 500), 1, 300).Draw(t, "seconds")}
		longest := time.Duration(rapid.IntRange(0, 120).Draw(t, "longest")) * time.Second
		pace := day.PaceFor(longest)
		if got := day.QueueAt(pace).LongestWait; got > longest {
			t.Errorf("at %g the longest wait is %v, allowed %v", pace, got, longest)
		}
		if pace > 1 && day.QueueAt(pace-1).LongestWait <= longest {
			t.Errorf("%g would do", pace-1)
		}
	})
}

func TestDayOf_CountsAnEventBySeconds(t *testing.T) {
	t.Parallel()
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: 7, For: 100 * time.Second, Campaigns: 3})
	if err != nil {
		t.Fatal(err)
	}
	day, err := DayOf(source, 2.5)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := day.Peak(1)
	minute, _ := day.Peak(60)
	if day.All() != 700*2.5 || second < 17.5 || second > 20 || math.Abs(minute-17.5) > 0.1 || len(day.Seconds) != 100 {
		t.Errorf("%d seconds, %g donations, peaks %g and %g", len(day.Seconds), day.All(), second, minute)
	}
	if _, err := DayOf(source, 0); !errors.Is(err, ErrDay) {
		t.Errorf("no donors: %v", err)
	}
	if _, err := Burst(0, time.Minute); !errors.Is(err, ErrDay) {
		t.Errorf("no rate: %v", err)
	}
	spike := &Day{Seconds: []float64{0, 5, 90, 5, 0}}
	if peak, at := spike.Peak(1); peak != 90 || at != 2*time.Second {
		t.Errorf("%g at %v", peak, at)
	}
	if peak, at := spike.Peak(3); math.Abs(peak-100.0/3) > 1e-9 || at != time.Second {
		t.Errorf("%g at %v", peak, at)
	}
}

func TestAgainst_SaysWhatToAskForAndByWhen(t *testing.T) {
	t.Parallel()
	day, err := Burst(200, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	result := &Result{Limit: LimitTarget, Rate: 1000, Sure: 900, Knee: &Interval{900, 1100, 0.95}, Levels: DefaultLevels(),
		Cause:  &Cause{Rate: 1100, Breaches: []Breach{{Level: AckLevel, Text: "1s, allowed 250ms"}}, Nearest: &Use{Name: "CPU of the machine", Share: 0.97}, Reasons: map[string]int64{"503 overloaded": 9}},
		Trials: []Trial{{Rate: 1100, Verdict: Broke}}}
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	e := Expectation{Day: day, At: at, Now: at.AddDate(0, 0, -60)}
	p := e.Against(result)
	if p.Need != 200 || p.Headroom != 4.5 || !p.Met || p.AskBy != "2026-10-20" || p.Late || p.Ask < p.PaceNeeded || math.Mod(p.Ask, raiseStep) != 0 {
		t.Errorf("%+v", p)
	}
	for _, want := range []string{"Tuesday, 1 December 2026", "120,000 donations", rate(p.Ask) + " requests/s on POST /v1/payment_intents", "30 November 2026 until 3 December 2026"} {
		if !strings.Contains(p.Request, want) {
			t.Errorf("the request does not say %q:\n%s", want, p.Request)
		}
	}
	var b bytes.Buffer
	if err := (&Report{Target: "http://x", Result: result, Plan: p}).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ENOUGH: this stack holds 900 donations/s; your day needs 200; headroom 4.5x", "by 2026-10-20", "CPU of the machine, 97 %", "25/s (yours)", "503 overloaded 9 times", "Subject: Rate limit"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, &b)
		}
	}
	e.Now = at.AddDate(0, 0, -10)
	if p := e.Against(result); !p.Late {
		t.Error("ten days before is not late")
	}
	e.Pace, e.Headroom = 1000, 5
	if p := e.Against(result); p.Ask != 0 || p.Request != "" || p.AskBy != "" || p.Met {
		t.Errorf("a pace that is enough: %+v", p)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}
