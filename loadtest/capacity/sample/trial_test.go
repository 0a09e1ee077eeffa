package sample

import (
	"math"
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/capacity"
	"spillway/loadtest/timeline"
)

func metrics(t *testing.T, text string) Metrics {
	t.Helper()
	m, err := parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTrial_TellsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	r := &loadtest.Report{Run: "x", Drained: true, DrainFor: 2 * time.Second, Audit: &audit.Result{}}
	r.Sending = loadtest.Sending{For: 2 * time.Second, Sent: 201, Attempts: 210, UnknownAnswers: 3, Deferred: 2, Refused: map[int]int64{422: 1}}
	slow := &timeline.Spread{P99: time.Second}
	r.Timeline = &timeline.Timeline{Points: []timeline.Point{
		{For: time.Second, Accepted: 100, Roles: map[string]timeline.Usage{loadtest.MachineRole: {CPU: 1500 * time.Millisecond}, "postgres": {CPU: time.Second}}},
		{From: time.Second, For: time.Second, Accepted: 99, Latency: slow, Roles: map[string]timeline.Usage{loadtest.MachineRole: {CPU: 2 * time.Second}}},
		{From: 2 * time.Second, For: time.Second, Lag: slow, Roles: map[string]timeline.Usage{loadtest.MachineRole: {CPU: 2 * time.Second}}}, // the drain's
	}}
	before := metrics(t, "# HELP x\ningest_broker_ack_seconds_sum 1\nledger_batch_seconds_sum{book=\"rehearsal\"} 5\nledger_batch_seconds_sum{book=\"live\"} 1\n"+
		"ingest_requests_total{code=\"503\",reason=\"overloaded\",route=\"donate\"} 4\n")
	after := metrics(t, "ingest_broker_ack_seconds_sum 2.8\nledger_batch_seconds_sum{book=\"rehearsal\"} 7\nledger_batch_seconds_sum{book=\"live\"} 90\n"+
		"ingest_requests_total{code=\"503\",reason=\"overloaded\",route=\"donate\"} 11\nbad NaN\n")
	got := Trial(r, capacity.DefaultLevels(), Setting{Cores: 2, Before: before, After: after})
	if got.Offered != 100 || got.Failed != 6 || got.Reasons["503 overloaded"] != 7 || len(got.Reasons) != 1 {
		t.Errorf("%+v", got)
	}
	if at, broken := got.BrokenAfter[capacity.AckLevel]; !broken || at != time.Second || len(got.BrokenAfter) != 1 {
		t.Errorf("broken after %v", got.BrokenAfter)
	}
	want := map[string]float64{machineCPU: 3.5 / 4, "CPU of postgres": 0.25, brokerSync: 0.9, ledgerBatch: 0.5}
	for _, u := range got.Uses {
		if math.Abs(u.Share-want[u.Name]) > 1e-9 || u.Part != (u.Name == "CPU of postgres") {
			t.Errorf("%+v, want %g", u, want[u.Name])
		}
		delete(want, u.Name)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	r.Audit.Checks = []*audit.Check{{Invariant: "I1", Broken: 2}}
	if got := Trial(r, capacity.DefaultLevels(), Setting{}); len(got.Unproven) != 1 || len(got.Uses) != 0 {
		t.Errorf("unproven %q, uses %+v", got.Unproven, got.Uses)
	}
}
