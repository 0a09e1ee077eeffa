package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/capacity"
)

// searched is a search that found its knee at 1,000 gifts a second.
func searched() *capacity.Report {
	trial := func(rate float64, v capacity.Verdict, ack time.Duration) capacity.Trial {
		t := capacity.Trial{Rate: rate, Offered: rate, Name: "x", For: 10 * time.Second, Attempts: 1000, AckP50: ack / 2, AckP99: ack, Drained: true, Drain: 300 * time.Millisecond,
			StalenessP99: 150 * time.Millisecond, Verdict: v}
		if v == capacity.Broke {
			t.Breaches = []capacity.Breach{{Level: capacity.AckLevel, Text: "1.2s, allowed 250ms", Times: 5, After: 3 * time.Second}}
		}
		return t
	}
	r := &capacity.Report{Target: "http://127.0.0.1:8080", StartedAt: began, Machine: "2 x Xeon", Together: true, Command: "spillway rehearse capacity --expect 350",
		Result: &capacity.Result{Levels: capacity.DefaultLevels(), Limit: capacity.LimitTarget, Rate: 1000, Sure: 950, Knee: &capacity.Interval{Low: 950, High: 1050, Confidence: 0.95},
			Precise: true, Took: 3 * time.Minute, GeneratorHeld: 1600, Method: "a method",
			Trials: []capacity.Trial{trial(500, capacity.Warmed, 20*time.Millisecond), trial(500, capacity.Held, 9*time.Millisecond), trial(1000, capacity.Held, 60*time.Millisecond),
				trial(2000, capacity.Late, 2*time.Second), trial(1060, capacity.Broke, 1200*time.Millisecond)}}}
	r.Result.Cause = &capacity.Cause{Trial: "x", Rate: 1060, Breaches: r.Result.Trials[4].Breaches, Nearest: &capacity.Use{Name: "CPU of the machine", Share: 0.98, Text: "1.96 of 2 cores"},
		Others: []capacity.Use{{Name: "CPU of postgres", Share: 0.3, Part: true}}, Reasons: map[string]int64{"503 overloaded": 7}}
	day, err := capacity.Burst(350, 10*time.Minute)
	if err != nil {
		panic(err)
	}
	r.Plan = capacity.Expectation{Day: day, Now: began, At: began.AddDate(0, 0, 60)}.Against(r.Result)
	return r
}

func renderCapacity(t *testing.T, r *capacity.Report) string {
	t.Helper()
	text, err := json.Marshal(r)
	var again capacity.Report // as it is read from a file
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	var b bytes.Buffer
	if err == nil {
		err = WriteCapacity(&b, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), "\u00a0", " "), "&#39;", "'")
}

func TestWriteCapacity_AnswersWhatPeopleAsk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(*capacity.Report)
		want []string
		not  []string
	}{
		{"enough", func(*capacity.Report) {}, []string{`class="verdict good"`, "Enough: this stack holds 950 gifts a second; your day needs 350; headroom 2.7 times", "between 950 and 1,050 with 95 % confidence",
			"acknowledgement p99 (1.2s, allowed 250ms), 3 s into the trial", "CPU of the machine, 98 % in use", "each of the 5 trials had a proof", "by 2026-12-11 at the latest", "Subject: Rate limit",
			"503 overloaded", "25 a second (yours)", "to ask for", `rect class="knee"`, "spillway rehearse capacity --expect 350"}, []string{"Not enough", "Do not open"}},
		{"not enough", func(r *capacity.Report) { r.Plan.Met, r.Plan.Headroom, r.Plan.Need = false, 0.5, 1900 }, []string{`class="verdict bad"`, "Not enough", "No: the peak is 1,900", "Give it more of what was nearest its limit"}, []string{">Enough"}},
		{"not shown", func(r *capacity.Report) {
			r.Plan.Met, r.Plan.Headroom, r.Plan.Need = false, 0.5, 1900
			r.Result.Limit, r.Result.GeneratorWhy = capacity.LimitGenerator, "it was late itself"
		}, []string{`class="verdict warn"`, "Not shown: this stack holds at least 950", "That is not shown: the peak is 1,900"}, []string{"Not enough", "No: the peak"}},
		{"the most asked for", func(r *capacity.Report) {
			r.Plan.Met, r.Plan.Headroom, r.Plan.Need = false, 0.5, 1900
			r.Result.Limit, r.Result.Cause, r.Result.Knee = capacity.LimitAsked, nil, nil
		}, []string{`class="verdict warn"`, "Not shown: this stack holds at least 950", "a higher --most"}, []string{"Not enough", "No: the peak"}},
		{"no event", func(r *capacity.Report) { r.Plan = nil }, []string{`class="verdict good"`, "This stack holds 1,000 donations/s", "--expect-replay"}, []string{"queue of charges on your day"}},
		{"the generator", func(r *capacity.Report) {
			r.Plan, r.Result.Knee, r.Result.Cause = nil, nil, nil
			r.Result.Limit, r.Result.GeneratorWhy = capacity.LimitGenerator, "it was late itself: p99 80ms, allowed 25ms"
		}, []string{"at least 1,000", "it was late itself", "a machine of its own"}, []string{`rect class="knee"`}},
		{"a loss", func(r *capacity.Report) { r.Result.Trials[4].Unproven = []string{"I1 is broken 2 times: a claim"} }, []string{`class="verdict bad"`, "does not hold: that comes before", "I1 is broken 2 times", "Do not open"}, []string{"all of them hold"}},
		{"none held", func(r *capacity.Report) {
			r.Plan, r.Result.Knee, r.Result.Limit, r.Result.Rate, r.Result.Sure = nil, nil, capacity.LimitNone, 0, 0
		}, []string{`class="verdict bad"`, "held none of the rates"}, nil},
		{"nothing measured", func(r *capacity.Report) {
			r.Plan, r.Result.Knee, r.Result.Cause, r.Result.Limit, r.Result.Rate, r.Result.Sure, r.Result.GeneratorWhy = nil, nil, nil, capacity.LimitUnknown, 0, 0, "it was late itself"
		}, []string{`class="verdict warn"`, "Nothing could be measured", "a machine of its own"}, []string{"held none"}},
		{"one trial", func(r *capacity.Report) { r.Result.Trials = r.Result.Trials[:1] }, []string{"The trials"}, []string{"<figure"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := searched()
			c.do(r)
			text := renderCapacity(t, r)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(text, not) {
					t.Errorf("the page says %q", not)
				}
			}
		})
	}
}

func TestWriteCapacity_ThePageIsWholeAndWellFormed(t *testing.T) {
	t.Parallel()
	r := searched()
	const evil = `"><script src=//x.example/a.js></script><img src=x onerror=alert(1)>`
	r.Target, r.Machine, r.Command, r.Plan.Event, r.Plan.Request, r.Result.Cause.Nearest.Name, r.Result.Trials[2].Why = evil, evil, evil, evil, evil, evil, evil
	text := renderCapacity(t, r)
	for _, not := range []string{"<script", "<img", "@import", "url("} {
		if strings.Contains(text, not) {
			t.Errorf("the page holds %q", not)
		}
	}
	text = regexp.MustCompile(`(?s)<style>.*</style>|<!DOCTYPE html>`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`<(meta|link)([^>]*)>`).ReplaceAllString(text, "<$1$2/>")
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPictureOf_StaysInsideItsFrame draws any trials at all.
func TestPictureOf_StaysInsideItsFrame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &capacity.Result{Levels: capacity.DefaultLevels()}
		for range rapid.IntRange(0, 12).Draw(t, "trials") {
			r.Trials = append(r.Trials, capacity.Trial{Rate: rapid.Float64Range(1, 500_000).Draw(t, "rate"), AckP99: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ack")),
				Verdict: rapid.SampledFrom([]capacity.Verdict{capacity.Held, capacity.Broke, capacity.Late, capacity.Warmed}).Draw(t, "verdict")})
		}
		if rapid.Bool().Draw(t, "knee") {
			low := rapid.Float64Range(1, 500_000).Draw(t, "low")
			r.Knee = &capacity.Interval{Low: low, High: 1.1 * low}
		}
		p := pictureOf(r)
		if p == nil {
			return
		}
		inside := func(percents ...string) {
			for _, text := range percents {
				if v, err := strconv.ParseFloat(text, 64); text != "" && (err != nil || !(v >= 0 && v <= 100)) {
					t.Fatalf("%q in %+v", text, p)
				}
			}
		}
		inside(p.Level, p.Knee)
		for _, m := range p.Marks {
			inside(m.X, m.Y)
		}
		for _, at := range append(p.XTicks, p.YTicks...) {
			inside(at.At)
		}
		if len(p.XTicks) == 0 || len(p.XTicks) > ticksMost+1 || len(p.YTicks) < 2 {
			t.Fatalf("%d and %d labels", len(p.XTicks), len(p.YTicks))
		}
	})
}
