package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/machine"
	"spillway/loadtest/timeline"
	"spillway/loadtest/visit"
)

var began = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// good is a rehearsal of 20 seconds at a rate in which everything went well.
func good(perSecond int64) *loadtest.Report {
	r := &loadtest.Report{Run: "friday", Source: "rate", Currency: "USD", Target: "http://127.0.0.1:8080", Record: "/tmp/friday.record", Session: 1, StartedAt: began,
		Drained: true, DrainFor: 80 * time.Millisecond, Holds: true, Audit: &audit.Result{Counts: audit.Counts{Keys: 20 * perSecond, Accepted: 20 * perSecond}},
		Sending: loadtest.Sending{Planned: 20 * perSecond, Sent: 20 * perSecond, Accepted: 20 * perSecond,
			Latency:  loadtest.Distribution{Count: 20 * perSecond, P50: 2 * time.Millisecond, P99: 9 * time.Millisecond, Max: 30 * time.Millisecond},
			Lateness: loadtest.Distribution{Count: 20 * perSecond, P99: time.Millisecond}},
		Timeline: &timeline.Timeline{BeganAt: began, Settled: 20 * time.Second},
		Setting: &loadtest.Setting{Command: "spillway rehearse --rate 5", Machine: machine.Machine{CPU: "Xeon", Cores: 2, OS: "Linux"}, Together: true,
			Versions: []loadtest.Version{{Name: "go", Version: "go1.26"}}, Connections: 256, Watchers: 8}}
	for _, name := range []string{"I1", "I2", "I9"} {
		r.Audit.Checks = append(r.Audit.Checks, &audit.Check{Invariant: name, Claim: "a claim of " + name, Checked: 10})
	}
	for i := range 20 {
		r.Timeline.Points = append(r.Timeline.Points, timeline.Point{From: time.Duration(i) * time.Second, For: time.Second,
			Planned: perSecond, Sent: perSecond, Accepted: perSecond,
			Latency: &timeline.Spread{Count: perSecond, P50: 2 * time.Millisecond, P90: 4 * time.Millisecond, P99: 9 * time.Millisecond, Max: 30 * time.Millisecond},
			Lag:     &timeline.Spread{Count: 20, P50: 80 * time.Millisecond, P99: 150 * time.Millisecond, Max: 160 * time.Millisecond},
			Gauges:  map[timeline.Gauge]float64{timeline.LedgerBacklog: 7, timeline.InFlight: 3},
			Roles:   map[string]timeline.Usage{loadtest.MachineRole: {CPU: time.Second}, loadtest.GeneratorRole: {CPU: 100 * time.Millisecond, Resident: 50 << 20}}})
	}
	return r
}

func render(t *testing.T, r *loadtest.Report) string {
	t.Helper()
	text, err := json.Marshal(r)
	var again loadtest.Report // as it is read from a file
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	var b bytes.Buffer
	if err == nil {
		err = Write(&b, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "\u00a0", " ")
}

// TestWrite_AnswersTheFiveQuestions has rehearsals that went differently.
func TestWrite_AnswersTheFiveQuestions(t *testing.T) {
	t.Parallel()
	second := func(r *loadtest.Report, i int) *timeline.Point { return &r.Timeline.Points[i] }
	for _, c := range []struct {
		name string
		do   func(*loadtest.Report)
		want []string
		not  []string
	}{
		{"all well", func(*loadtest.Report) {}, []string{`class="verdict good"`, "It holds at 300 gifts a second.", "At least 300 gifts a second, shown over 5 s", "Nothing that donors would feel. Of the limits that they would feel, the closest: the machine",
			"Nothing. Each of the 6,000 acknowledged donations", "Rehearse the real installation", "Every gift was acknowledged at its first attempt", "6,000 keys were judged, one for each donation that was asked for"}, []string{"What is broken", "gave way from", "numbered marks", "They are the", "of the rehearsal's probes", "This rehearsal's processor"}},
		{"overloaded", func(r *loadtest.Report) {
			for i := 8; i < 20; i++ {
				second(r, i).Planned, second(r, i).Latency.Count, second(r, i).Latency.P99 = 900, 900, 3*time.Second
			}
		}, []string{`class="verdict warn"`, "it kept up to 300 gifts a second only", "Asked for were up to 900", "The wait for the answer (p99 of the worst second), 3 s, where 1 s is the limit, first at 0:08"}, []string{"It holds"}},
		{"a full machine", func(r *loadtest.Report) {
			for i := range 20 {
				second(r, i).Roles[loadtest.MachineRole] = timeline.Usage{CPU: 2 * time.Second}
			}
		}, []string{`class="verdict good"`, "with nothing to spare", "At its limit: the machine", "Give it more cores"}, []string{"did not keep up"}},
		{"a busy second", func(r *loadtest.Report) { second(r, 7).Accepted = 480 }, []string{"The busiest single second had 480.", "busiest second 480", "<span>capacity</span> <span>--expect</span> <span>960</span>", "nobody but 8 watchers"}, nil},
		{"probes", func(r *loadtest.Report) {
			r.Audit.Counts.Keys += 916
			r.Audit.Counts.Accepted += 326
		}, []string{"They are the 6,000 gifts and 916 probes of the rehearsal's own", "Refusals that the proof counts are of the rehearsal's probes", "Nothing. Each of the 6,326 acknowledged donations, the rehearsal's own probes among them, is"}, nil},
		{"readers", func(r *loadtest.Report) { r.Visits = &visit.Report{Visits: 12_000, Begun: 12_000, Donors: 3000} }, []string{"pages were read 1.5 times for each gift here"}, []string{"busiest single second"}},
		{"many readers", func(r *loadtest.Report) { r.Visits = &visit.Report{Begun: 600_000} }, nil, []string{"Measure the readers"}},
		{"a loss", func(r *loadtest.Report) {
			r.Holds, r.Failures = false, []string{"I1 is broken 2 times"}
			r.Audit.Checks[0].Broken, r.Audit.Checks[0].Violations = 2, []audit.Violation{{ID: "01890000-aaaa", Ref: "row 7", Detail: "is not in the ledger"}}
		}, []string{`class="verdict bad"`, "It does not hold", "Yes. 2 acknowledged donations are not in the ledger", "01890000-aaaa", "row 7", "And 1 more", "Do not open with this build"}, []string{"It holds"}},
		{"refused", func(r *loadtest.Report) {
			second(r, 3).Refused = map[int]int64{409: 9}
			second(r, 4).Unknown, second(r, 5).Deferred = 4, 2
			r.Sending.Refused, r.Sending.UnknownAnswers, r.Sending.Deferred = map[int]int64{409: 9}, 4, 2
		}, []string{"Answers that were no acknowledgement", "refused for good, status 409", "first at 0:03", "did not keep up all the time"}, nil},
		{"nobody acknowledged", func(r *loadtest.Report) {
			r.Holds, r.Drained, r.Sending.Accepted = false, false, 0
			for i := range 20 {
				second(r, i).Latency, second(r, i).Accepted = nil, 0
			}
		}, []string{"No rate is shown", "Find out why the totals did not catch up"}, []string{"It holds"}},
		{"a slow pace", func(r *loadtest.Report) {
			r.Charging = &loadtest.ChargingReport{Ended: true, Allowed: 25, WaitFor: time.Hour}
		}, []string{"the charge queue grew, as it is meant to", "Nobody was charged twice: every one came to its end", "queues by design", "25 charges a second"}, []string{"did not keep up", "This rehearsal's processor"}},
		{"a processor in a hurry", func(r *loadtest.Report) { r.Charging = &loadtest.ChargingReport{Ended: true, Allowed: 250} }, []string{"250 charges a second", "This rehearsal's processor allowed 250."}, nil},
		{"not tested", func(r *loadtest.Report) { r.Audit.Checks[2].Checked = 0 }, []string{"Repeat with what was not tested here: I9"}, nil},
		{"faults", func(r *loadtest.Report) {
			r.Timeline.Marks = []timeline.Mark{{At: 0, Kind: timeline.Phase, Text: "sending"}, {At: 4 * time.Second, Kind: timeline.Fault, Text: "kill -9 postgres"},
				{At: 6 * time.Second, For: 2 * time.Second, Kind: timeline.Storm, Text: "429s"}}
		}, []string{"kill -9 postgres", "numbered marks", "0:06–0:08", ">2</text>", "2, storm"}, []string{"Break things on purpose"}},
		{"nothing but sums", func(r *loadtest.Report) { r.Timeline, r.Setting, r.Audit = nil, nil, nil; r.Holds = false }, []string{"It is not proven"}, []string{"<figure"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := good(300)
			c.do(r)
			text := strings.ReplaceAll(render(t, r), "&#39;", "'")
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

func TestWriteShort_AnswersInATerminal(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := WriteShort(&b, good(300)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"In short: It holds at 300 gifts a second.\n", "Up to what rate?      At least 300", "Was anything lost?    Nothing.", "Before the day?       1. Rehearse the real installation"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "\u00a0") {
		t.Error("a space that terminals may not know")
	}
}

// TestWrite_ThePageIsWholeAndQuiet has names that would like to be more than text.
func TestWrite_ThePageIsWholeAndQuiet(t *testing.T) {
	t.Parallel()
	r := good(300)
	const evil = `"><script src=//x.example/a.js></script><img src=x onerror=alert(1)>`
	r.Run, r.Source, r.Target, r.Record, r.Setting.Command = evil, evil, evil, evil, evil
	r.Failures, r.Warnings, r.Holds = []string{evil}, []string{evil}, false
	r.Audit.Checks[0].Broken, r.Audit.Checks[0].Violations = 1, []audit.Violation{{ID: evil, Ref: evil, Detail: evil}}
	r.Timeline.Marks = []timeline.Mark{{Kind: timeline.Kind(evil), Text: evil}}
	r.Timeline.Points[3].Roles[evil] = timeline.Usage{CPU: time.Second}
	r.Setting.Versions = append(r.Setting.Versions, loadtest.Version{Name: evil, Version: evil})
	text := render(t, r)
	for _, not := range []string{"<script", "<img", "@import", "url("} {
		if strings.Contains(text, not) {
			t.Errorf("the page holds %q", not)
		}
	}
	// Whatever a page may load from, it names in one of these.
	for _, loads := range regexp.MustCompile(`(?i)(?:src|href)\s*=\s*"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if loads[1] != "data:," {
			t.Errorf("the page loads %q", loads[1])
		}
	}
	// Pictures are told to those who do not see them, and every id is one.
	if n := strings.Count(text, `role="img" aria-labelledby="`); n == 0 || n != strings.Count(text, "<desc id=") || n != strings.Count(text, "The same as a table") {
		t.Errorf("%d pictures, %d described", n, strings.Count(text, "<desc id="))
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if seen[id[1]] {
			t.Errorf("id %q twice", id[1])
		}
		seen[id[1]] = true
	}
}

// TestChart_StaysInsideItsFrame draws anything at all.
func TestChart_StaysInsideItsFrame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "points")
		c := &chart{format: number, log: rapid.Bool().Draw(t, "log"), level: rapid.Float64Range(0, 1e6).Draw(t, "level")}
		l := &curve{hold: rapid.Bool().Draw(t, "hold")}
		for i := range n {
			v := rapid.Float64Range(0, 1e9).Draw(t, "v")
			if rapid.Bool().Draw(t, "none") {
				v = math.NaN()
			}
			l.values = append(l.values, v)
			c.spans = append(c.spans, span{time.Duration(i) * time.Second, time.Second})
		}
		c.Curves = []*curve{l}
		if !c.draw(0, time.Duration(n)*time.Second) {
			return
		}
		for _, text := range strings.FieldsFunc(l.Path, func(r rune) bool { return r == 'M' || r == 'L' || r == ' ' }) {
			if v, err := strconv.ParseFloat(text, 64); err != nil || !(v >= 0 && v <= plotSize) {
				t.Fatalf("%q in %s", text, l.Path)
			}
		}
		if len(c.YTicks) < 2 || len(c.YTicks) > 2*ticksMost || len(c.XTicks) == 0 || len(c.XTicks) > ticksMost+1 {
			t.Fatalf("%d and %d labels", len(c.YTicks), len(c.XTicks))
		}
	})
}

func TestWrite_TheMarkupIsWellFormed(t *testing.T) {
	t.Parallel()
	text := render(t, good(300))
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

func TestWords_AreThoseOfPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0 s", 614 * time.Microsecond: "614 µs", 1548 * time.Microsecond: "1.55 ms", 272 * time.Millisecond: "272 ms",
		5 * time.Second: "5 s", 90 * time.Second: "90 s", 4 * time.Minute: "4 min", 13 * time.Hour: "13 h", -3 * time.Millisecond: "-3 ms", 100 * time.Hour: "4.17 days"} {
		if got := strings.ReplaceAll(long(d), "\u00a0", " "); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	if clock(65*time.Second) != "1:05" || clock(2*time.Hour+3*time.Minute) != "2:03:00" || rate(2.5) != "2.5" || rate(299.7) != "300" {
		t.Error(clock(65*time.Second), clock(2*time.Hour+3*time.Minute), rate(2.5), rate(299.7))
	}
}
