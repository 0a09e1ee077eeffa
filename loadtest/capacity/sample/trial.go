// Package sample makes a trial of a capacity search out of a rehearsal's report and the
// installation's metrics before and after it.
//
// The one invariant: what was not measured is left out. No goroutines.
package sample

import (
	"fmt"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/capacity"
	"spillway/loadtest/timeline"
)

// Setting is what a trial ran in.
type Setting struct {
	// Cores are the machine's, 0 when the installation is on another one.
	Cores int
	// Connections are the generator's.
	Connections int
	// Before and After are the front-ends' metrics around the trial, nil when unknown.
	Before, After Metrics
}

// Trial sums a rehearsal up.
func Trial(r *loadtest.Report, levels capacity.Levels, s Setting) capacity.Trial {
	sent := &r.Sending
	t := capacity.Trial{Name: r.Run, For: sent.For, Attempts: sent.Attempts, Failed: sent.UnknownAnswers + sent.Deferred,
		AckP50: sent.Latency.P50, AckP99: sent.Latency.P99, LatenessP99: sent.Lateness.P99, WaitingP99: sent.Waiting.P99,
		StalenessP99: r.Watch.Lag.P99, Drain: r.DrainFor, Drained: r.Drained, Reasons: reasons(s.Before, s.After)}
	for _, n := range sent.Refused {
		t.Failed += n
	}
	if sent.For > 0 {
		t.Offered = float64(sent.Sent-1) / sent.For.Seconds() // from the first to the last are one less
	}
	for _, c := range r.Audit.Checks {
		if c.Broken > 0 {
			t.Unproven = append(t.Unproven, fmt.Sprintf("%s is broken %d times: %s", c.Invariant, c.Broken, c.Claim))
		}
	}
	t.BrokenAfter = firstBroken(r.Timeline, levels)
	t.Uses = uses(r, s)
	return t
}

// firstBroken finds the second in which each level was broken for the first time.
func firstBroken(line *timeline.Timeline, l capacity.Levels) map[capacity.Level]time.Duration {
	if line == nil {
		return nil
	}
	found := map[capacity.Level]time.Duration{}
	note := func(level capacity.Level, broken bool, at time.Duration) {
		if _, known := found[level]; broken && !known {
			found[level] = at
		}
	}
	for _, p := range line.Points {
		failed := p.Unknown + p.Deferred + p.Unresolved
		for _, n := range p.Refused {
			failed += n
		}
		note(capacity.AckLevel, p.Latency != nil && p.Latency.P99 > l.AckP99, p.From)
		note(capacity.StalenessLevel, p.Lag != nil && p.Lag.P99 > l.StalenessP99, p.From)
		note(capacity.ErrorLevel, float64(failed) > l.ErrorShare*float64(failed+p.Accepted), p.From)
	}
	return found
}

// Names of the resources.
const (
	machineCPU  = "CPU of the machine"
	brokerSync  = "the broker's sync to disk"
	ledgerBatch = "the ledger's batches into Postgres"
	connections = "connections of the generator"
	chargePace  = "the processor's pace"
)

// uses says how much of what there is was used while donations were sent.
func uses(r *loadtest.Report, s Setting) (all []capacity.Use) {
	wall := r.Sending.For
	if wall <= 0 {
		return nil
	}
	whole, roles, inFlight, backlog := observed(r.Timeline, wall)
	if s.Cores > 0 {
		have := time.Duration(s.Cores) * wall
		if whole > 0 {
			all = append(all, capacity.Use{Name: machineCPU, Share: share(whole, have), Text: fmt.Sprintf("%.2f of %d cores", whole.Seconds()/wall.Seconds(), s.Cores)})
		}
		for name, cpu := range roles {
			all = append(all, capacity.Use{Name: "CPU of " + name, Share: share(cpu, have), Part: true, Text: fmt.Sprintf("%.2f cores", cpu.Seconds()/wall.Seconds())})
		}
	}
	if s.Connections > 0 && inFlight > 0 {
		all = append(all, capacity.Use{Name: connections, Share: min(1, inFlight/float64(s.Connections)),
			Text: fmt.Sprintf("at most %.0f requests on %d; p99 of the wait for one %v", inFlight, s.Connections, r.Sending.Waiting.P99.Round(10*time.Microsecond))})
	}
	seconds := wall.Seconds()
	// One envelope of a lane is with the broker at a time, so the time of its acks is that
	// of the lane; one front-end has one lane.
	if sum, ok := s.After.since(s.Before, "ingest_broker_ack_seconds_sum", ""); ok {
		n, _ := s.After.since(s.Before, "ingest_broker_ack_seconds_count", "")
		all = append(all, capacity.Use{Name: brokerSync, Share: sum / seconds, Text: fmt.Sprintf("%.0f envelopes, %.2f ms each until acknowledged", n, 1000*sum/max(1, n))})
	}
	if sum, ok := s.After.since(s.Before, "ledger_batch_seconds_sum", `book="rehearsal"`); ok {
		n, _ := s.After.since(s.Before, "ledger_batch_seconds_count", `book="rehearsal"`)
		// What it worked off in the drain was its work too.
		busy := wall + r.DrainFor
		all = append(all, capacity.Use{Name: ledgerBatch, Share: sum / busy.Seconds(), Text: fmt.Sprintf("%.0f batches, %.1f ms each; at most %.0f envelopes behind", n, 1000*sum/max(1, n), backlog)})
	}
	if calls, ok := s.After.since(s.Before, "charge_calls_total", `book="rehearsal"`); ok && calls > 0 {
		if pace := s.After.most("charge_pace_per_second"); pace > 0 {
			all = append(all, capacity.Use{Name: chargePace, Share: calls / (pace * seconds), Text: fmt.Sprintf("%.0f calls a second, %.0f allowed: the queue's, not the donors' limit", calls/seconds, pace), Part: true})
		}
	}
	return all
}

func share(of, have time.Duration) float64 { return of.Seconds() / have.Seconds() }

// most is the highest sample of a name.
func (m Metrics) most(name string) (most float64) {
	for key, value := range m {
		if isOf(key, name, "") {
			most = max(most, value)
		}
	}
	return most
}

// observed sums the timeline up while donations were sent.
func observed(line *timeline.Timeline, wall time.Duration) (whole time.Duration, roles map[string]time.Duration, inFlight, backlog float64) {
	roles = map[string]time.Duration{}
	if line == nil {
		return
	}
	for _, p := range line.Points {
		// A last second that is only begun counts by its part.
		part := min(1, float64(wall-p.From)/float64(max(p.For, 1)))
		if part <= 0 {
			break
		}
		for name, use := range p.Roles {
			cpu := time.Duration(part * float64(use.CPU))
			if name == loadtest.MachineRole {
				whole += cpu
				continue
			}
			roles[name] += cpu
		}
		inFlight, backlog = max(inFlight, p.Gauges[timeline.InFlight]), max(backlog, p.Gauges[timeline.LedgerBacklog])
	}
	return
}

// reasons counts what the front-ends refused, and connections that they had no room for.
func reasons(before, after Metrics) map[string]int64 {
	all := map[string]int64{}
	for key, value := range after {
		switch {
		case isOf(key, "ingest_requests_total", `code="429"`), isOf(key, "ingest_requests_total", `code="503"`):
			if n := int64(value - before[key]); n > 0 {
				all[label(key, "code")+" "+label(key, "reason")] += n
			}
		case isOf(key, "ingest_connections_refused_total", ""):
			if n := int64(value - before[key]); n > 0 {
				all["connections without room"] += n
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
