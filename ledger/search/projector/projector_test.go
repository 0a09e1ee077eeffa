package projector_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/search"
	"spillway/ledger/search/projector"
)

func TestRun_FollowsByEachOfTheFourRoads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.record()
	before := time.Now()
	r.project(nil)
	ids := r.give(6, "", "river")
	r.give(2, "ada@example.org", "hill")
	r.eventually("the stream brings all", func() bool { return r.rows() == 8 })
	r.eventually("the walls count donors", func() bool {
		return r.wall("river").Donors == 6 && r.wall("hill").Donors == 1 && r.wall("_day").Donors == 7
	})
	r.eventually("the age is told", func() bool { return r.wall("_day").AsOf.After(before) })
	if n := len(r.wall("river").Gifts); n != 0 {
		t.Errorf("%d gifts are shown that were not paid", n)
	}

	r.capture(ids[0])
	r.eventually("the journal tells of a capture", func() bool { return len(r.wall("river").Gifts) == 1 && len(r.wall("_day").Gifts) == 1 })
	if g := r.wall("river").Gifts[0]; g.Name != "Donor 0" || g.AmountMinor != 5000 || g.Campaign != "river" {
		t.Errorf("%+v", g)
	}

	r.cancel(ids[1])
	r.check(r.broker.PublishChanges(t.Context(), []payments.Outcome{{Donation: ids[1], Changed: true}}))
	r.eventually("a change is heard of", func() bool { return r.wall("river").Donors == 5 })

	r.cancel(ids[2])
	r.eventually("the sweep finds what nobody told", func() bool { return r.wall("river").Donors == 4 })

	r.check(r.store.Hide(t.Context(), ids[0], search.HideName, "organiser"))
	r.eventually("a name is hidden", func() bool { return r.wall("river").Gifts[0].Name == "" })
	r.eventually("all is acknowledged", func() bool { return r.waiting() == 0 })
}

func TestRun_ADonationThatIsNotRecordedYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.give(3, "", "river")
	var gaveBack atomic.Int64
	r.project(func(_ *projector.Deps, s *shard) {
		s.around = func(m projector.Message) projector.Message {
			m.Handle = handle{Handle: m.Handle, nak: func() { gaveBack.Add(1) }}
			return m
		}
	})
	// The ledger records nothing: the oldest is soon too old, and the projection gives way.
	r.eventually("they are there and not searched", func() bool { return r.waiting() > 0 })
	stop := r.record()
	r.eventually("they are searched once they are recorded", func() bool { return r.rows() == 3 && r.waiting() == 0 })
	stop()
	gaveBack.Store(0)
	r.give(1, "", "river")
	r.eventually("one that is asked for too early is given back", func() bool { return gaveBack.Load() > 0 })
	r.record()
	r.eventually("and searched in the end", func() bool { return r.rows() == 4 && r.waiting() == 0 })
}

// handle listens to what is said about a message.
type handle struct {
	projector.Handle
	nak func()
	ack func() error
}

func (h handle) Nak(delay time.Duration) error {
	if h.nak != nil {
		h.nak()
	}
	return h.Handle.Nak(delay)
}

func (h handle) Ack() error {
	if h.ack != nil {
		return h.ack()
	}
	return h.Handle.Ack()
}

// The ledger set a record aside: it acknowledged the message and has no such donation.
func TestRun_WhatTheLedgerSetAsideIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.give(2, "", "river")
	source := r.broker.Source(ledger.Live, 0)
	t.Cleanup(source.Close)
	taken := 0
	r.eventually("the ledger takes and drops them", func() bool {
		messages, err := source.Fetch(t.Context(), 10, 1<<20, 100*time.Millisecond)
		r.check(err)
		for _, m := range messages {
			r.check(m.Ack())
			taken++
		}
		return taken > 0 && r.standing() == 0
	})
	r.project(nil)
	r.eventually("they are acknowledged", func() bool { return r.waiting() == 0 })
	if n := r.rows(); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// standing is how many messages the ledger has not acknowledged.
func (r *rig) standing() uint64 {
	lag, err := r.broker.Source(ledger.Live, 0).Lag(r.t.Context())
	r.check(err)
	return lag.Pending + uint64(lag.AckPending)
}

// The process dies after the commit and before the acknowledgement: the next one is
// given everything again, and counts nothing twice.
func TestRun_DiesBetweenCommitAndAcknowledgement(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.record()
	var died atomic.Bool
	stop := r.project(func(_ *projector.Deps, s *shard) {
		s.around = func(m projector.Message) projector.Message {
			real := m.Handle
			m.Handle = handle{Handle: real, ack: func() error {
				died.Store(true)
				// What the broker would do after a while, at once.
				return errors.Join(real.Nak(0), errors.New("the process is dead"))
			}}
			return m
		}
	})
	ids := r.give(5, "ada@example.org", "river")
	r.capture(r.recorded(ids)...)
	r.eventually("it has committed and not acknowledged", func() bool { return died.Load() && r.rows() == 5 })
	stop()
	if r.waiting() == 0 {
		t.Fatal("everything is acknowledged: the test proves nothing")
	}
	r.project(nil)
	r.eventually("the next one acknowledges", func() bool { return r.waiting() == 0 })
	r.eventually("and counted once", func() bool {
		w := r.wall("river")
		return w.Donors == 1 && len(w.Gifts) == 5
	})
	if n := r.count("SELECT gifts FROM search_donors WHERE campaign = 'river'"); n != 5 {
		t.Errorf("the donor gave %d gifts", n)
	}
}

// recorded waits until the ledger has recorded donations.
func (r *rig) recorded(ids []ingest.ID) []ingest.ID {
	r.t.Helper()
	r.eventually("the ledger records", func() bool { return r.count("SELECT count(*) FROM spillway.donations") >= int64(len(ids)) })
	return ids
}

func TestRun_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.record()
	stop := r.project(nil)
	r.give(3, "", "river")
	r.eventually("the first follows", func() bool { return r.wall("river").Donors == 3 })
	r.project(nil)
	r.give(3, "", "river")
	r.eventually("with two it is the same", func() bool { return r.wall("river").Donors == 6 })
	stop()
	last := r.wall("_day").Version
	r.capture(r.recorded(r.given)...)
	r.eventually("the second takes over", func() bool { return r.wall("_day").Version > last && len(r.wall("river").Gifts) == 6 })
	if n := r.rows(); n != 6 {
		t.Errorf("%d rows", n)
	}
}

func TestRun_TheBrokerForgotTheWalls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.record()
	r.project(nil)
	r.give(3, "", "river")
	r.eventually("walls are published", func() bool { return r.wall("river").Donors == 3 && r.waiting() == 0 })
	r.server.Restart()
	r.mu.Lock()
	clear(r.walls)
	r.mu.Unlock()
	r.eventually("all walls are there again", func() bool { return r.wall("river").Donors == 3 && r.wall("_day").Donors == 3 })
	r.give(1, "", "river")
	r.eventually("and it goes on", func() bool { return r.wall("river").Donors == 4 })
}

func TestRun_PostgresStopsAndComesBack(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Private(t)
	r := newRigOn(t, cluster.Database(t))
	r.record()
	r.project(nil)
	r.give(3, "", "river")
	r.eventually("it follows", func() bool { return r.wall("river").Donors == 3 })
	cluster.Stop()
	r.give(3, "", "river")
	cluster.Restart(t)
	r.eventually("it goes on", func() bool { return r.wall("river").Donors == 6 && r.rows() == 6 })
}

// What no stream holds any more is found in the ledger: an installation that gets its
// console after its first day.
func TestRun_WalksALedgerThatIsOlderThanItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.record()
	r.recorded(r.give(5, "", "river"))
	r.eventually("nobody waits", func() bool { return r.standing() == 0 })
	r.project(func(d *projector.Deps, s *shard) {
		d.Changes = deaf{}
		s.around = func(m projector.Message) projector.Message {
			m.Data = nil // nothing to read in the streams
			return m
		}
	})
	r.eventually("the ledger is walked", func() bool { return r.rows() == 5 && r.wall("river").Donors == 5 })
	r.check(r.store.Rebuild(t.Context()))
	last := r.wall("river").Version
	r.eventually("and again when the projection is thrown away", func() bool {
		return r.rows() == 5 && r.wall("river").Donors == 5 && r.wall("river").Version > last
	})
}
