package faults

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// whole is a cast of everything that can be broken.
func whole() Cast {
	roles := []string{"ingest", "ledger-1", "ledger-2", "payments-1", "broker", "postgres"}
	wired := append(append([]string{}, roles...), "processor")
	return Cast{May: map[Action][]string{
		Kill: roles, Pause: roles, Restart: roles, Cut: wired, Slow: wired, HalfOpen: wired, Reset: wired,
		Outage: {"processor"}, Storm: {"processor"},
	}, Not: map[Action]string{Fill: "mounting needs root"}}
}

func TestParse_ReadsWhatItWrites(t *testing.T) {
	for text, want := range map[string]Step{
		"20s kill ledger":                                        {At: Exactly(20 * time.Second), Fault: Fault{Do: Kill, What: "ledger"}},
		"at 20s kill -9 ledger-2 for 3s":                         {At: Exactly(20 * time.Second), Fault: Fault{Do: Kill, What: "ledger-2", For: Exactly(3 * time.Second)}},
		"10s..90s kill each for 0s..3s":                          {At: Span{10 * time.Second, 90 * time.Second}, Fault: Fault{Do: Kill, What: Each, For: Span{0, 3 * time.Second}}},
		"30s pause broker for 15s":                               {At: Exactly(30 * time.Second), Fault: Fault{Do: Pause, What: "broker", For: Exactly(15 * time.Second)}},
		"1m slow postgres by 200ms to 64KiB/s for 10s":           {At: Exactly(time.Minute), Fault: Fault{Do: Slow, What: "postgres", By: Exactly(200 * time.Millisecond), To: 65536, For: Exactly(10 * time.Second)}},
		"0s half-open ingest for 2s":                             {Fault: Fault{Do: HalfOpen, What: "ingest", For: Exactly(2 * time.Second)}},
		"5s reset payments":                                      {At: Exactly(5 * time.Second), Fault: Fault{Do: Reset, What: "payments"}},
		"everything":                                             {Ready: Everything},
		"every 20s..60s one of kill any, storm processor for 3s": {Every: Span{20 * time.Second, time.Minute}, OneOf: []Fault{{Do: Kill, What: Any}, {Do: Storm, What: "processor", For: Exactly(3 * time.Second)}}},
		"every 20s from 10s until 5m kill any|restart ledger":    {Every: Exactly(20 * time.Second), From: Exactly(10 * time.Second), Until: Exactly(5 * time.Minute), OneOf: []Fault{{Do: Kill, What: Any}, {Do: Restart, What: "ledger"}}},
	} {
		got, err := Parse(text)
		if err != nil || len(got.Steps) != 1 || !reflect.DeepEqual(got.Steps[0], want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
			continue
		}
		if again, err := Parse(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q says %q, which reads as %+v, %v", text, got.String(), again, err)
		}
	}
	several, err := Parse(" 1s kill ingest ;\n; 2s kill broker\r\n")
	if err != nil || len(several.Steps) != 2 {
		t.Errorf("two statements: %+v, %v", several, err)
	}
}

func TestParse_RefusesWithTheReason(t *testing.T) {
	for text, reason := range map[string]string{
		"kill ledger":                           "no time",
		"20s":                                   "is none of",
		"20s hug ledger":                        "is none of",
		"20s kill":                              "say what",
		"20s pause ledger":                      "for how long",
		"20s restart ledger for 3s":             "takes no for",
		"20s kill ledger by 3s":                 "only slow",
		"20s slow ledger for 3s":                "how slow",
		"20s slow ledger by 11s for 3s":         "at most",
		"20s slow ledger to 1B/s for 3s":        "want 64",
		"20s slow ledger to 99999999MiB/s":      "no rate",
		"20s..10s kill ledger":                  "ends before it begins",
		"-1s kill ledger":                       "no time",
		"99999h kill ledger":                    "no time",
		"20s kill ledger quickly":               "too much",
		"20s clock ledger for 3s":               "clocks cannot be moved",
		"every 10ms kill any":                   "or more",
		"every 10s":                             "is none of",
		"every 10s until 20s from 30s kill any": "ends before",
		"every 10s from 1s..2s kill any":        "single times",
		"every 10s kill each":                   "not each",
		"nothing":                               "no time",
		strings.Repeat("\n", textMost+1):        "bytes of plan",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: %v, want %q", text, err, reason)
		}
	}
}

// The section of a scenario, in YAML and in JSON.
func TestPlan_IsReadFromDocuments(t *testing.T) {
	want := Plan{Seed: 7, Text: "everything", Steps: []Step{
		{At: Exactly(20 * time.Second), Fault: Fault{Do: Kill, What: "ledger", For: Span{0, 3 * time.Second}}},
		{Every: Span{20 * time.Second, time.Minute}, OneOf: []Fault{{Do: Kill, What: Any}}},
	}}
	var fromYAML, fromJSON Plan
	if err := yaml.Unmarshal([]byte(`
seed: 7
plan: everything
steps:
  - {at: 20s, do: kill, what: ledger, for: 0s..3s}
  - every: 20s..1m
    one_of: [{do: kill, what: any}]
`), &fromYAML); err != nil || !reflect.DeepEqual(fromYAML, want) {
		t.Errorf("YAML: %+v, %v", fromYAML, err)
	}
	document, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(document, &fromJSON); err != nil || !reflect.DeepEqual(fromJSON, want) {
		t.Errorf("JSON %s: %+v, %v", document, fromJSON, err)
	}
	if err := fromYAML.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Plan{
		{Steps: []Step{{}}},
		{Steps: []Step{{Ready: "nothing"}}},
		{Steps: []Step{{Ready: Everything, Fault: Fault{Do: Kill, What: Any}}}},
		{Steps: []Step{{OneOf: []Fault{{Do: Kill, What: Any}}}}},
		{Steps: []Step{{Every: Exactly(time.Minute)}}},
		{Text: "0s hug ledger"},
	} {
		if err := bad.Validate(); !errors.Is(err, ErrPlan) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"20s kill ledger; 30s pause broker for 15s", "every 20s..60s one of kill any, reset any", "everything",
		"1m slow postgres by 200ms to 64KiB/s for 10s", "10s..90s kill each for 0s..3s", "0s half-open ingest for 1h", ";;|,",
	} {
		f.Add(seed, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		p, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrPlan) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := Parse(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q says %q, which reads as %+v, %v", text, p.String(), again, err)
		}
		one, err := p.Schedule(seed, whole(), time.Minute)
		other, _ := again.Schedule(seed, whole(), time.Minute)
		if err == nil && !reflect.DeepEqual(one, other) {
			t.Fatalf("%q with seed %d gives %v and %v", text, seed, one, other)
		}
	})
}
