package faults

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script writes down what it is told to do, and when; each start takes a second.
type script struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
	fails string // what cannot be mended
}

var errStuck = errors.New("it does not start")

func (s *script) note(e Event, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%v %s %s", time.Since(s.begun), what, e))
}

func (s *script) Break(_ context.Context, e Event) error { s.note(e, "break"); return nil }

func (s *script) Mend(_ context.Context, e Event) error {
	time.Sleep(time.Second) // of the bubble's own clock
	s.note(e, "mend")
	if e.What == s.fails {
		return errStuck
	}
	return nil
}

func TestPlay_AtItsTimesAndLaneByLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{begun: time.Now()}
		var mu sync.Mutex
		var told []string
		record := Play(t.Context(), []Event{
			{At: time.Second, Do: Kill, What: "ledger-1", For: 3 * time.Second},
			{At: 2500 * time.Millisecond, Do: Cut, What: "ingest", For: 10 * time.Second},
			// It has to wait: the role starts until then.
			{At: 4500 * time.Millisecond, Do: Kill, What: "ledger-1"},
		}, s, func(at time.Duration, text string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%v %s", at, text))
		})
		want := []string{
			"1s break kill ledger-1 for 3s", "2.5s break cut ingest for 10s", "5s mend kill ledger-1 for 3s",
			"5s break kill ledger-1", "6s mend kill ledger-1", "13.5s mend cut ingest for 10s",
		}
		if !reflect.DeepEqual(s.lines, want) {
			t.Errorf("%q", s.lines)
		}
		if len(told) != 6 || told[0] != "1s kill ledger-1 for 3s" || told[5] != "13.5s over: cut ingest for 10s" {
			t.Errorf("told %q", told)
		}
		if d := record.Deeds[0]; !d.Reached || d.BrokenAt != time.Second || d.MendedAt != 5*time.Second || d.Err != "" {
			t.Errorf("%+v", d)
		}
		if record.Failures() != nil || record.Warnings() != nil {
			t.Errorf("%q, %q", record.Failures(), record.Warnings())
		}
	})
}

// The end of the run mends at once, and what was not reached is said.
func TestPlay_TheEndMendsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{begun: time.Now(), fails: "broker"}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		record := Play(ctx, []Event{
			{At: time.Second, Do: Pause, What: "ledger-1", For: time.Hour},
			{At: 2 * time.Second, Do: Kill, What: "broker"},
			{At: 10 * time.Second, Do: Kill, What: "postgres"},
		}, s, nil)
		if d := record.Deeds[0]; d.MendedAt != 6*time.Second {
			t.Errorf("%+v", d)
		}
		if f := record.Failures(); len(f) != 1 || !strings.Contains(f[0], "kill broker at 2s: it does not start") {
			t.Errorf("%q", f)
		}
		if w := record.Warnings(); len(w) != 1 || !strings.Contains(w[0], "1 of 3 faults of the plan, from kill postgres at 10s on") {
			t.Errorf("%q", w)
		}
		if strings.Contains(strings.Join(s.lines, ";"), "postgres") {
			t.Errorf("%q", s.lines)
		}
	})
}
