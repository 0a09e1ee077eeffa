//go:build linux

package chaos

import (
	"context"
	"fmt"
	"time"

	"spillway/loadtest/rig"
)

// minorityBegins is when a cut is complete for what was under way: a follower's word that
// had left before the cut is read well within.
const minorityBegins = time.Second

// minority leaves the leader alone with one of two front-ends on the smaller side of a cut
// until another broker leads and the other front-end goes on, and a while beyond.
func (t *Trial) minority() Step {
	return func(ctx context.Context) error {
		role, err := t.leader(ctx)
		if err != nil {
			return err
		}
		from := time.Now()
		return t.alone(func(ctx context.Context, frontEnd int) error {
			if err := t.election(ctx, from, "the others go on", func(ctx context.Context) error {
				if _, err := t.leaderBut(ctx, role); err != nil {
					return err
				}
				return t.acknowledging(ctx, 3-frontEnd)
			}); err != nil {
				return err
			}
			return t.Hold(brokerAway)(ctx)
		})(ctx)
	}
}

// alone leaves the leader and the busier front-end on the smaller side of a cut while meanwhile is
// done. Donors are led to the other front-end once this one is not ready. It acknowledges
// nothing until the cut ends, although donations are given to it. That every acknowledgement
// of either side is in the stream that the majority wrote is for the rehearsal's proof.
func (t *Trial) alone(meanwhile func(ctx context.Context, frontEnd int) error) Step {
	return func(ctx context.Context) error {
		role, err := t.leader(ctx)
		if err != nil {
			return err
		}
		frontEnd, err := t.busiest(ctx)
		if err != nil {
			return err
		}
		name := rig.FrontEnd(frontEnd)
		t.Logf("leave %s and %s alone", role, name)
		if err := t.tied(ctx, frontEnd, role); err != nil {
			return err
		}
		before, err := t.published(ctx, frontEnd)
		if err != nil {
			return err
		}
		t.Rig.Part(role, true)
		if err := t.Hold(minorityBegins)(ctx); err != nil {
			return err
		}
		cut, err := t.published(ctx, frontEnd)
		if err != nil {
			return err
		}
		if err := meanwhile(ctx, frontEnd); err != nil {
			return err
		}
		after, err := t.published(ctx, frontEnd)
		if err != nil {
			return err
		}
		t.Notes[minorityNote] = after.all - before.all
		if err := acknowledgedAlone(before, cut, after); err != nil {
			return fmt.Errorf("%w: %s: %w", errBroken, name, err)
		}
		t.Logf("%s acknowledged none of the donations there, %d until the cut was complete", name, cut.acknowledged-before.acknowledged)
		return t.healed(ctx, role, func(context.Context, string) error {
			t.Rig.Part(role, false)
			t.Rig.Tie(name, role, false)
			return nil
		})
	}
}

// busiest is which of two front-ends donors are at: they keep the connections that they
// have, so that it may be one alone.
func (t *Trial) busiest(ctx context.Context) (int, error) {
	var acknowledged [2]int64
	for _, sign := range []int64{-1, 1} {
		for n := range acknowledged {
			now, err := t.published(ctx, n+1)
			if err != nil {
				return 0, err
			}
			acknowledged[n] += sign * now.acknowledged
		}
		if sign < 0 {
			if err := t.Hold(time.Second)(ctx); err != nil {
				return 0, err
			}
		}
	}
	if acknowledged[1] > acknowledged[0] {
		return 2, nil
	}
	return 1, nil
}

// tied waits until a front-end takes donations at one broker and reaches no other.
func (t *Trial) tied(ctx context.Context, frontEnd int, broker string) error {
	return t.election(ctx, time.Now(), "it takes donations there", func(ctx context.Context) error {
		t.Rig.Tie(rig.FrontEnd(frontEnd), broker, true)
		return t.acknowledging(ctx, frontEnd)
	})
}

// published is what became of the donations that a front-end handed to the broker.
type published struct{ acknowledged, all int64 }

func (t *Trial) published(ctx context.Context, frontEnd int) (p published, err error) {
	document, err := rig.Get(ctx, t.Rig.FrontEndOps(frontEnd)+"/metrics")
	if err != nil {
		return p, err
	}
	acknowledged, err := metric(document, "ingest_donations_published_total", `outcome="acknowledged"`)
	if err != nil {
		return p, err
	}
	all, err := metric(document, "ingest_donations_published_total", "")
	return published{int64(acknowledged), int64(all)}, err
}

// acknowledgedAlone judges what a front-end did that saw a minority of the brokers: before
// the cut, once it was complete, and at its end.
func acknowledgedAlone(before, cut, after published) error {
	if n := after.acknowledged - cut.acknowledged; n != 0 {
		return fmt.Errorf("%d donations were acknowledged by a minority of the brokers", n)
	}
	if after.all-after.acknowledged <= before.all-before.acknowledged {
		return fmt.Errorf("it was given no donation while it saw a minority: nothing is shown")
	}
	return nil
}
