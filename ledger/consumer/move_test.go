package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/consumer"
)

// mover is a consumer that only owns a slot, on fakes.
type mover struct {
	*fakes
	c *consumer.Consumer
}

func runMover(t *testing.T, prepare func(*fakes)) *mover {
	t.Helper()
	f := &fakes{source: newFakeSource(), store: newFakeStore(), frames: &fakeFrames{}}
	if prepare != nil {
		prepare(f)
	}
	c, err := consumer.New(quick, consumer.Deps{
		Book: ledger.Live, Store: f.store, Frames: f.frames, SlotOnly: true, Shards: []consumer.Shard{{Stream: "DONATIONS_0", Source: f.source}},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * patience):
			t.Error("the consumer does not stop")
		}
	})
	t.Cleanup(f.stop)
	return &mover{f, c}
}

// raise is a transaction that raises a campaign once.
func (m *mover) raise(_ context.Context, _ ledger.Lease) ([]campaigns.SlotRow, error) {
	return m.store.commit(donors("moved", 1)), nil
}

func TestMove_IsShownBeforeTheClaimThatCoversIt(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m := runMover(t, func(f *fakes) { f.source.setWatermark(noon) })
	entered, finish, moved := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		moved <- m.c.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
			close(entered)
			<-finish
			return m.raise(ctx, lease)
		})
	}()
	<-entered
	m.source.setWatermark(noon.Add(time.Minute))
	before := len(m.frames.all())
	eventually(t, "frames go on", func() bool { return len(m.frames.all()) > before+5 })
	if last := m.frames.last(); last.CountedThrough.After(noon) || len(last.Rows) > 0 {
		t.Fatalf("a frame claims %v with %d rows while the move is under way", last.CountedThrough, len(last.Rows))
	}
	close(finish)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim goes on", func() bool { return m.frames.last().CountedThrough.After(noon) })
	shown := false
	for _, frame := range m.frames.all() {
		shown = shown || len(frame.Rows) == 1 && frame.Rows[0].Donations == 1
		if frame.CountedThrough.After(noon) && !shown {
			t.Fatalf("frame %d claims %v before the row was published", frame.Number, frame.CountedThrough)
		}
	}
	m.stop()
}

func TestMove_AFencedOneRunsUnderTheNextLease(t *testing.T) {
	m := runMover(t, nil)
	var terms []int64
	err := m.c.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
		terms = append(terms, lease.Term)
		if len(terms) == 1 {
			return nil, fmt.Errorf("apply: %w", ledger.ErrFenced)
		}
		return m.raise(ctx, lease)
	})
	if err != nil || len(terms) != 2 || terms[1] <= terms[0] {
		t.Errorf("%v, under terms %v", err, terms)
	}
	eventually(t, "its row is shown", func() bool {
		for _, f := range m.frames.all() {
			if len(f.Rows) == 1 && f.Term == terms[1] {
				return true
			}
		}
		return false
	})
}

// A commit whose answer was lost: the caller is told, and the slot is read and shown
// before the claim goes on.
func TestMove_ALostAnswerIsShownFromTheSettledSlot(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m := runMover(t, func(f *fakes) { f.source.setWatermark(noon) })
	err := m.c.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
		_, _ = m.raise(ctx, lease)
		m.source.setWatermark(noon.Add(time.Hour))
		return nil, fmt.Errorf("%w: connection reset", ledger.ErrUnavailable)
	})
	if !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatal(err)
	}
	eventually(t, "the claim goes on", func() bool { return m.frames.last().CountedThrough.After(noon) })
	for _, frame := range m.frames.all() {
		if len(frame.Rows) == 1 {
			return
		}
		if frame.CountedThrough.After(noon) {
			break
		}
	}
	t.Error("the claim went on before the row was shown")
}

// What was refused wrote nothing, so nothing is read for it.
func TestMove_PoisonIsTheCallersAndLeavesNoDoubt(t *testing.T) {
	m := runMover(t, nil)
	err := m.c.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
		_, _ = m.raise(ctx, lease) // would be shown if the slot were read for a frame
		return nil, &ledger.PoisonError{Err: errors.New("23514")}
	})
	if poison := (*ledger.PoisonError)(nil); !errors.As(err, &poison) {
		t.Fatal(err)
	}
	before := len(m.frames.all())
	eventually(t, "frames go on", func() bool { return len(m.frames.all()) > before+5 })
	for _, frame := range m.frames.all() {
		if len(frame.Rows) > 0 {
			t.Fatalf("frame %d has rows", frame.Number)
		}
	}
}

func TestMove_AnOrderlyStopWaitsForItAndRefusesOthers(t *testing.T) {
	m := runMover(t, nil)
	entered, finish, moved := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		moved <- m.c.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
			close(entered)
			<-finish
			return m.raise(ctx, lease)
		})
	}()
	<-entered
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		m.stop()
	}()
	eventually(t, "no further move is taken", func() bool {
		return errors.Is(m.c.Move(t.Context(), m.raise), consumer.ErrStopped)
	})
	select {
	case <-stopped:
		t.Fatal("stopped with a move under way")
	default:
	}
	close(finish)
	if err := <-moved; err != nil {
		t.Error(err)
	}
	<-stopped
	last := m.frames.last()
	shown := false
	for _, frame := range m.frames.all() {
		shown = shown || len(frame.Rows) == 1
	}
	if !last.Closed || !shown || m.store.released != 1 {
		t.Errorf("closed %v, shown %v, released %d times", last.Closed, shown, m.store.released)
	}
}

// A consumer that only owns a slot takes no message, and claims no more than the
// shards: while no ledger runs, nobody else would say that donations are waiting.
func TestSlotOnly_ClaimsTheShardsWatermarkAndFetchesNothing(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m := runMover(t, func(f *fakes) { f.source.setWatermark(noon) })
	message, _ := message(1, noon, donors("waiting", 1)...)
	m.source.push(message)
	eventually(t, "many frames", func() bool { return len(m.frames.all()) > 20 })
	for _, frame := range m.frames.all() {
		if !frame.CountedThrough.Equal(noon) {
			t.Fatalf("frame %d claims %v", frame.Number, frame.CountedThrough)
		}
	}
	if got, _ := m.source.Fetch(t.Context(), 1, 1, 0); len(got) != 1 {
		t.Error("it fetched a message")
	}
}

// Moves beside recording share the slot and its frames.
func TestMove_BesideRecordingOnARealDatabase(t *testing.T) {
	r := newRig(t)
	p, w := r.publisher(), r.watch()
	deps := r.deps()
	c, err := consumer.New(consumer.Config{FrameEvery: 10 * time.Millisecond}, deps)
	if err != nil {
		t.Fatal(err)
	}
	slotOnly := r.deps()
	slotOnly.SlotOnly = true
	owner, err := consumer.New(consumer.Config{FrameEvery: 10 * time.Millisecond}, slotOnly)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var runs sync.WaitGroup
	for _, each := range []*consumer.Consumer{c, owner} {
		runs.Go(func() {
			if err := each.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	defer runs.Wait()
	defer cancel()
	book := r.db.Book(ledger.Live)
	for i := range 20 {
		r.publish(p, gift(fmt.Sprint("recorded donor number ", i), "harbour"))
		err := owner.Move(t.Context(), func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
			rows, _, err := book.Record(ctx, lease, donors(fmt.Sprint("moved ", i), 1), nil)
			return rows, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both slots are shown", func() bool { return w.donations("harbour") == 40 && r.drained() })
	if n := r.count("SELECT count(DISTINCT slot) FROM slots"); n != 2 {
		t.Errorf("%d slots", n)
	}
}
