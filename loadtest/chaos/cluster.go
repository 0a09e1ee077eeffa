//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

// Times of a cluster's faults.
const (
	// electionMost bounds a fault of a broker until donations are taken by the others, and
	// its end until the cluster is whole again: followers miss a leader after 4 to 9 s, and
	// front-ends then find their way to the next one.
	electionMost = 45 * time.Second
	// electionEnd is added: what had been handed to the leader that is gone waits for its
	// acknowledgement for 5 s, and is told then that its outcome is unknown.
	electionEnd = 6 * time.Second
	// brokerAway is how long a broker stays away once the others have gone on.
	brokerAway = 5 * time.Second
	// refusedMost is the share of attempts that may be refused outside of elections.
	refusedMost = 0.01
	// roleDown is how long any other process is away.
	roleDown = 2 * time.Second
	// calmAfter is between two faults of a cluster.
	calmAfter = 4 * time.Second
)

// Notes of a cluster's trial.
const (
	electionsNote = "elections"                 // windows in which refusals are expected
	minorityNote  = "attempts_at_a_minority"    // that a front-end made which saw no other broker
	refusedNote   = "refused_outside_elections" // share of attempts
)

// span is a stretch of the trial.
type span struct{ From, To time.Time }

// clusterScenario has three brokers, two front-ends, two ledgers and two payments; each
// process is killed in turn, each broker too, one is cut off, a leader is left on the
// smaller side with a front-end, and the leader is frozen.
func clusterScenario(load Load, till rig.Till) Scenario {
	return Scenario{
		Name: "cluster",
		Fault: "kill -9 of each of two front-ends, ledgers and payments and of each of three brokers in turn; a broker cut off; " +
			"the leader with a front-end on the smaller side of a cut; the leader frozen",
		Load: load,
		Script: func(t *Trial) []Step {
			steps := []Step{t.startCluster(till, 3), t.BeginAfter("run", 20), t.Hold(calmAfter)}
			for n := range 2 {
				role := rig.Ledger(n + 1)
				steps = append(steps, t.takenOver("kill -9", role, t.Rig.Kill, func() error { return t.Rig.Restart(context.Background(), role) }))
			}
			for n := range 2 {
				for _, role := range []string{rig.Payments(n + 1), rig.FrontEnd(n + 1)} {
					steps = append(steps, t.Kill(role), t.Hold(roleDown), t.again(role), t.Hold(calmAfter))
				}
			}
			for n := range 3 {
				steps = append(steps, t.elections("kill -9", t.named(rig.Broker(n+1)), t.Rig.Kill, t.Rig.Restart))
			}
			cut := func(role string) error { t.Rig.CutOff(role, true); return nil }
			heal := func(_ context.Context, role string) error { t.Rig.CutOff(role, false); return nil }
			resume := func(_ context.Context, role string) error { return t.Rig.Resume(role) }
			return append(steps, t.elections("cut off", t.leader, cut, heal), t.minority(), t.elections("freeze", t.leader, t.Rig.Pause, resume))
		},
		Judge: refusedOutsideElections,
	}
}

func (t *Trial) startCluster(till rig.Till, copies int) Step {
	return func(ctx context.Context) error {
		if till.Processes > 0 {
			till.Seed = t.Seed
			t.Rig.Till = &till
		}
		t.Logf("start three brokers with %d copies of each stream, two front-ends, two ledgers, %d payments", copies, till.Processes)
		return t.Rig.StartCluster(ctx, rig.Cluster{FrontEnds: 2, Ledgers: 2, Copies: copies})
	}
}

// again starts a killed role, and waits for no figure of it.
func (t *Trial) again(role string) Step {
	return func(ctx context.Context) error {
		t.Logf("start %s", role)
		return t.Rig.Restart(ctx, role)
	}
}

func (t *Trial) named(role string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return role, nil }
}

// leader is who leads the rehearsal's donations now.
func (t *Trial) leader(ctx context.Context) (string, error) { return t.leaderBut(ctx, "") }

// leaderBut waits until another broker than the given one leads.
func (t *Trial) leaderBut(ctx context.Context, gone string) (string, error) {
	for {
		role, err := t.Rig.Leader(ctx, "REHEARSALS_0", gone)
		if err == nil && role != gone {
			return role, nil
		}
		if holdErr := t.Hold(acceptPoll)(ctx); holdErr != nil {
			return "", fmt.Errorf("%w: nobody but %q leads: %w", errBroken, gone, errors.Join(err, holdErr))
		}
	}
}

// elections hurts a broker, sees the others take donations, and heals it. The seconds of
// elections are noted: from the fault, and from its end, until somebody else leads,
// donations are acknowledged again and every front-end is ready.
func (t *Trial) elections(what string, who func(context.Context) (string, error), hurt func(string) error, heal func(context.Context, string) error) Step {
	return func(ctx context.Context) error {
		role, err := who(ctx)
		if err != nil {
			return err
		}
		t.Logf("%s %s", what, role)
		if err := t.election(ctx, time.Now(), "the others go on", func(ctx context.Context) error {
			if err := hurt(role); err != nil {
				return err
			}
			if _, err := t.leaderBut(ctx, role); err != nil {
				return err
			}
			return t.goingOn(ctx)
		}); err != nil {
			return err
		}
		if err := t.Hold(brokerAway)(ctx); err != nil {
			return err
		}
		return t.healed(ctx, role, heal)
	}
}

// healed ends a broker's fault, and waits until it has what the others have.
func (t *Trial) healed(ctx context.Context, role string, heal func(context.Context, string) error) error {
	t.Logf("heal %s", role)
	if err := t.election(ctx, time.Now(), "it is back", func(ctx context.Context) error {
		if err := heal(ctx, role); err != nil {
			return err
		}
		return t.goingOn(ctx)
	}); err != nil {
		return err
	}
	whole, cancel := context.WithTimeout(ctx, electionMost)
	defer cancel()
	if err := t.Rig.Together(whole); err != nil {
		return fmt.Errorf("%w: not whole within %v: %w", errBroken, electionMost, err)
	}
	return t.Hold(calmAfter)(ctx)
}

// goingOn waits until donations are acknowledged and every front-end is ready. Not every
// one acknowledges some: donors keep the connections that they have.
func (t *Trial) goingOn(ctx context.Context) error {
	if err := t.acknowledging(ctx, 1, 2); err != nil {
		return err
	}
	return t.Rig.Open(ctx)
}

// acknowledging waits until the front-ends have acknowledged more donations, all together.
func (t *Trial) acknowledging(ctx context.Context, frontEnds ...int) error {
	for goal := int64(0); ; {
		var acknowledged int64
		for _, n := range frontEnds {
			now, err := t.published(ctx, n)
			if err != nil {
				return err
			}
			acknowledged += now.acknowledged
		}
		if goal == 0 {
			goal = acknowledged + underWay
		}
		if acknowledged >= goal {
			return nil
		}
		if err := t.Hold(acceptPoll)(ctx); err != nil {
			return fmt.Errorf("nothing is acknowledged: %w", err)
		}
	}
}

// underWay is more acknowledgements than may have been on their way before.
const underWay = 50

// election does something that may have leaders elected, and notes how long that took
// since from.
func (t *Trial) election(ctx context.Context, from time.Time, outcome string, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, electionMost)
	defer cancel()
	if err := do(bounded); err != nil {
		if bounded.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: not within %v: %s: %w", errBroken, electionMost, outcome, err)
		}
		return err
	}
	to := time.Now().Add(electionEnd)
	t.Logf("%s after %v", outcome, time.Since(from).Round(100*time.Millisecond))
	spans, _ := t.Notes[electionsNote].([]span)
	t.Notes[electionsNote] = append(spans, span{from, to})
	return nil
}

// refusedOutsideElections wants nearly every attempt answered with an acknowledgement
// while no leader is being elected.
func refusedOutsideElections(t *Trial, r *loadtest.Report) error {
	if r.Timeline == nil {
		return errors.New("the report has no timeline")
	}
	spans, _ := t.Notes[electionsNote].([]span)
	var refused, accepted int64
	for _, p := range r.Timeline.Points {
		from := r.Timeline.BeganAt.Add(p.From)
		if during(spans, from, from.Add(p.For)) {
			continue
		}
		refused += p.Unknown + p.Deferred + p.Unresolved
		accepted += p.Accepted
		for _, n := range p.Refused {
			refused += n
		}
	}
	if accepted == 0 {
		return errors.New("nothing was accepted outside of elections")
	}
	share := float64(refused) / float64(accepted+refused)
	t.Notes[refusedNote] = share
	t.Logf("outside of elections %d of %d attempts refused or unknown: %.3f %%", refused, accepted+refused, 100*share)
	if share >= refusedMost {
		return fmt.Errorf("%.2f %% of attempts were refused outside of elections, less than %.0f %% may be", 100*share, 100*refusedMost)
	}
	return nil
}

func during(spans []span, from, to time.Time) bool {
	for _, s := range spans {
		if from.Before(s.To) && s.From.Before(to) {
			return true
		}
	}
	return false
}
