package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// TestFrames_ClaimNothingThatABatchUnderWayMayChange: while a transaction is under
// way, also one whose messages are young, frames claim no more than was known
// before it began. Its donations may have come in an older message too, which
// another process acknowledges because it finds them recorded.
func TestFrames_ClaimNothingThatABatchUnderWayMayChange(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	known, later := noon.Add(-time.Minute), noon.Add(time.Minute)
	entered, finish := make(chan struct{}), make(chan struct{})
	f := runFakes(t, quick, func(f *fakes) {
		f.source.setWatermark(known)
		f.store.record = func(ctx context.Context, _ []*envelope.Donation) error {
			close(entered)
			<-finish
			return nil
		}
	})
	m, handle := message(1, noon, gift("a donor in time", "harbour"))
	f.source.push(m)
	<-entered
	f.source.setWatermark(later) // others have acknowledged everything meanwhile
	before := len(f.frames.all())
	eventually(t, "frames go on", func() bool { return len(f.frames.all()) > before+5 })
	for _, frame := range f.frames.all() {
		if frame.CountedThrough.After(known) {
			t.Fatalf("frame %d claims %v, with a batch under way since %v", frame.Number, frame.CountedThrough, known)
		}
		if len(frame.Rows) > 0 {
			t.Fatalf("frame %d has rows before the commit", frame.Number)
		}
	}
	close(finish)
	eventually(t, "the claim goes on", func() bool { return f.frames.last().CountedThrough.Equal(later) })
	shown := false
	for _, frame := range f.frames.all() {
		shown = shown || len(frame.Rows) == 1 && frame.Rows[0].Donations == 1
		if frame.CountedThrough.After(known) && !shown {
			t.Fatalf("frame %d claims %v before the rows were published", frame.Number, frame.CountedThrough)
		}
	}
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	f.stop()
}

// TestFrames_ShowACommitWhoseAnswerWasLost: the retry finds everything recorded and
// returns no rows; they are read from the settled slot and shown before the claim
// goes on.
func TestFrames_ShowACommitWhoseAnswerWasLost(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f := runFakes(t, quick, func(f *fakes) {
		f.source.setWatermark(noon)
		lost := false
		f.store.record = func(_ context.Context, donations []*envelope.Donation) error {
			if !lost {
				lost = true
				f.store.commit(donations)
				f.source.setWatermark(noon.Add(time.Hour))
				return fmt.Errorf("%w: connection reset", ledger.ErrUnavailable)
			}
			return nil
		}
	})
	m, handle := message(1, noon, gift("a donor in time", "harbour"))
	f.source.push(m)
	eventually(t, "the claim goes on", func() bool { return f.frames.last().CountedThrough.After(noon) })
	shown := false
	for _, frame := range f.frames.all() {
		shown = shown || len(frame.Rows) == 1 && frame.Rows[0].Donations == 1
		if frame.CountedThrough.After(noon) && !shown {
			t.Fatalf("frame %d claims %v and the rows were never published", frame.Number, frame.CountedThrough)
		}
	}
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
}

func TestFrames_ARefusedFrameIsFollowedByASnapshotAndItsRows(t *testing.T) {
	f := runFakes(t, quick, nil)
	m, _ := message(1, time.Now(), gift("a donor in time", "harbour"))
	eventually(t, "the slot is open", func() bool { return f.frames.last().Number > 0 })
	f.frames.mu.Lock()
	refused := int64(0)
	f.frames.refuse = func(frame *campaigns.Frame) error {
		if refused == 0 && len(frame.Rows) > 0 {
			refused = frame.Number
			f.frames.snapshots = nil
			return errors.New("broker away")
		}
		return nil
	}
	f.frames.mu.Unlock()
	f.source.push(m)
	eventually(t, "the rows are published", func() bool {
		for _, frame := range f.frames.all() {
			if len(frame.Rows) == 1 && frame.Rows[0].Donations == 1 {
				return true
			}
		}
		return false
	})
	f.frames.mu.Lock()
	defer f.frames.mu.Unlock()
	number := int64(0)
	for _, frame := range f.frames.frames {
		if frame.Number <= number || frame.Number == refused {
			t.Errorf("number %d after %d, with %d refused", frame.Number, number, refused)
		}
		number = frame.Number
	}
	if len(f.frames.snapshots) == 0 || f.frames.snapshots[0].Number < refused {
		t.Errorf("no snapshot closes the gap at %d", refused)
	}
}

func TestSettle_AFailureWithoutANameIsLookedForInTheData(t *testing.T) {
	culprit := gift("the culprit of them", "harbour")
	f := runFakes(t, quick, func(f *fakes) {
		f.store.record = func(_ context.Context, donations []*envelope.Donation) error {
			for _, d := range donations {
				if d.ID == culprit.ID {
					return errors.New("nobody knows")
				}
			}
			return nil
		}
	})
	var all []*envelope.Donation
	for i := range 20 {
		all = append(all, gift(fmt.Sprint("an innocent donor ", i), "harbour"))
	}
	m, handle := message(7, time.Now(), append(all, culprit)...)
	f.source.push(m)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if len(f.store.recorded) != 20 {
		t.Errorf("%d recorded", len(f.store.recorded))
	}
	if len(f.store.rejected) != 1 || f.store.rejected[0].Reason != ledger.ReasonUnknown || f.store.rejected[0].Sequence != 7 || f.store.rejected[0].Index != 20 || len(f.store.rejected[0].Payload) == 0 {
		t.Errorf("set aside: %+v", f.store.rejected)
	}
}

func TestSettle_TimeHealsAnUnavailableStoreHoweverOften(t *testing.T) {
	tries := 0
	f := runFakes(t, quick, func(f *fakes) {
		f.store.record = func(context.Context, []*envelope.Donation) error {
			if tries++; tries < 2*quick.UnknownTries+2 {
				return fmt.Errorf("%w: connection refused", ledger.ErrUnavailable)
			}
			return nil
		}
	})
	m, handle := message(1, time.Now(), gift("a patient donor", "harbour"))
	f.source.push(m)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	if len(f.store.rejected) != 0 {
		t.Errorf("set aside: %+v", f.store.rejected)
	}
}

func TestSettle_AFencedBatchIsRecordedUnderTheNextLease(t *testing.T) {
	fenced := false
	f := runFakes(t, quick, func(f *fakes) {
		f.store.record = func(context.Context, []*envelope.Donation) error {
			if !fenced {
				fenced = true
				return ledger.ErrFenced
			}
			return nil
		}
	})
	m, handle := message(1, time.Now(), gift("a donor in time", "harbour"))
	f.source.push(m)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	eventually(t, "the rows are published", func() bool { return len(f.frames.last().Rows) > 0 || f.frames.last().Number > 3 })
	for _, frame := range f.frames.all() {
		if len(frame.Rows) > 0 && frame.Term != 2 {
			t.Errorf("rows in a frame of term %d", frame.Term)
		}
	}
}

func TestSettle_HeartbeatsEndWithHoldMax(t *testing.T) {
	release := make(chan struct{})
	config := quick
	config.AckWait, config.HoldMax = 30*time.Millisecond, 150*time.Millisecond
	f := runFakes(t, config, func(f *fakes) {
		f.store.record = func(ctx context.Context, _ []*envelope.Donation) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	m, handle := message(1, time.Now(), gift("a donor in time", "harbour"))
	began := time.Now()
	f.source.push(m)
	eventually(t, "reported in progress", func() bool { return handle.progress.Load() >= 3 })
	// Ten heartbeats' time without one more.
	for n, since := handle.progress.Load(), time.Now(); time.Since(since) < 10*config.AckWait/3; {
		if now := handle.progress.Load(); now != n {
			n, since = now, time.Now()
		}
		if time.Since(began) > patience {
			t.Fatal("heartbeats never end")
		}
		<-time.After(time.Millisecond)
	}
	close(release)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
}

func TestRun_StopSettlesTheBatchInHandAndGivesTheRestBack(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	entered, finish := make(chan struct{}, 1), make(chan struct{})
	config := quick
	config.BatchMessages = 1
	f := runFakes(t, config, func(f *fakes) {
		f.store.record = func(context.Context, []*envelope.Donation) error {
			entered <- struct{}{}
			<-finish
			return nil
		}
	})
	first, inHand := message(1, time.Now(), gift("the donor in hand", "harbour"))
	second, next := message(2, time.Now(), gift("the donor after", "harbour"))
	f.source.push(first)
	<-entered
	f.source.push(second)
	eventually(t, "the next batch is fetched", func() bool {
		f.source.mu.Lock()
		defer f.source.mu.Unlock()
		return len(f.source.queue) == 0
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.stop()
	}()
	eventually(t, "the next batch is given back", func() bool { return next.naks.Load() == 1 })
	close(finish)
	<-stopped
	if inHand.acks.Load() != 1 || next.acks.Load() != 0 {
		t.Errorf("acks: in hand %d, next %d", inHand.acks.Load(), next.acks.Load())
	}
	last := f.frames.last()
	if !last.Closed || f.store.released != 1 {
		t.Errorf("the last frame is %+v, %d releases", last, f.store.released)
	}
	f.frames.mu.Lock()
	defer f.frames.mu.Unlock()
	s := f.frames.snapshots[len(f.frames.snapshots)-1]
	if !s.Closed || len(s.Rows) != 1 || s.Rows[0].Donations != 1 {
		t.Errorf("the last snapshot is %+v", s)
	}
}

func TestRun_NothingIsFetchedBeforeTheSlotIsOpen(t *testing.T) {
	f := runFakes(t, quick, func(f *fakes) {
		f.frames.refuse = func(*campaigns.Frame) error { return errors.New("broker away") }
	})
	m, handle := message(1, time.Now(), gift("an early donor", "harbour"))
	f.source.push(m)
	eventually(t, "snapshots were tried", func() bool {
		f.frames.mu.Lock()
		defer f.frames.mu.Unlock()
		return len(f.frames.snapshots) > 2
	})
	f.source.mu.Lock()
	waiting := len(f.source.queue)
	f.source.mu.Unlock()
	if waiting != 1 {
		t.Error("a message was fetched before the first frame was stored")
	}
	f.frames.mu.Lock()
	f.frames.refuse = nil
	f.frames.mu.Unlock()
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
}
