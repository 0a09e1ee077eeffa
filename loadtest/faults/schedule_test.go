package faults

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustParse(t *testing.T, text string) Plan {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSchedule_ExactTimesAndNames(t *testing.T) {
	p := mustParse(t, "60s outage processor for 20s; 20s kill ledger-2; 30s pause broker for 15s")
	got, err := p.Schedule(1, whole(), time.Minute)
	want := []Event{
		{At: 20 * time.Second, Do: Kill, What: "ledger-2"},
		{At: 30 * time.Second, Do: Pause, What: "broker", For: 15 * time.Second},
		{At: time.Minute, Do: Outage, What: "processor", For: 20 * time.Second},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSchedule_RefusesWhatTheCastDoesNotHave(t *testing.T) {
	for text, reason := range map[string]string{
		"1s kill processor":                          "did not start that; there are ingest",
		"1s kill sshd":                               "did not start that",
		"1s kill ledger-9":                           "did not start that",
		"1s fill broker for 3s":                      "mounting needs root",
		"every 1m one of kill any, kill sshd":        "did not start that",
		"1s pause ledger-1 for 9s; 5s kill ledger-1": "before the other is over",
		"1s cut ingest for 9s; 5s reset broker":      "before the other is over",
		"every 1s from 0s until 72h one of kill any": "more than",
	} {
		p := mustParse(t, text)
		if _, err := p.Schedule(1, whole(), time.Minute); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", text, err, reason)
		}
	}
}

// The same seed breaks the same, another one something else; no lane is hurt twice at
// once; and the ready plan does what it promises with every seed.
func TestSchedule_EverythingWithAnySeed(t *testing.T) {
	p := mustParse(t, "everything; every 5s..9s one of reset any, cut any for 1s..2s, slow ledger by 1ms..90ms for 3s")
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		length := time.Duration(rapid.IntRange(60, 1200).Draw(t, "seconds")) * time.Second
		events, err := p.Schedule(seed, whole(), length)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := p.Schedule(seed, whole(), length)
		other, _ := p.Schedule(seed+1, whole(), length)
		if !reflect.DeepEqual(events, again) || reflect.DeepEqual(events, other) {
			t.Fatalf("seed %d gives %v and %v, the next %v", seed, events, again, other)
		}
		killed, free := map[string]bool{}, map[lane]time.Duration{}
		var paused, outage, random bool
		for i, e := range events {
			if i > 0 && e.At < events[i-1].At {
				t.Fatalf("%v comes after %v", e, events[i-1])
			}
			if e.At < free[e.lane()] {
				t.Fatalf("%v at %v, and its lane is taken until %v", e, e.At, free[e.lane()])
			}
			free[e.lane()] = e.At + e.For + settle
			random = random || e.Do == Kill && killed[e.What]
			killed[e.What] = killed[e.What] || e.Do == Kill
			paused = paused || e.Do == Pause && strings.HasPrefix(e.What, "ledger") && e.For > ackWait
			outage = outage || e.Do == Outage && e.What == "processor" && e.For > 0
		}
		for _, role := range whole().May[Kill] {
			if !killed[role] {
				t.Errorf("%s is never killed", role)
			}
		}
		if !paused || !outage || length > 5*time.Minute && !random {
			t.Errorf("a pause longer than the broker waits: %v, an outage: %v, kills at random: %v", paused, outage, random)
		}
	})
}

func TestPlan_MentionsLooksIntoReadyPlans(t *testing.T) {
	network := func(f Fault) bool { return actions[f.Do].lane == ofNetwork }
	outage := func(f Fault) bool { return f.Do == Outage }
	for _, c := range []struct {
		text string
		is   func(Fault) bool
		want bool
	}{
		{"everything", outage, true}, {"everything", network, false}, {"1s cut ledger for 1s", network, true},
		{"every 9s one of kill any, reset any", network, true}, {"1s kill ledger", outage, false},
	} {
		p := Plan{Text: c.text}
		if got, err := p.Mentions(c.is); got != c.want || err != nil {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}
