package charge_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// restored is a database that was restored, or not.
type restored struct {
	mu      sync.Mutex
	at      payments.Restoration
	waiting int // attempts that wait for the replay's end
	ended   int // times that it was ended
	err     error
	applied time.Time
}

func (r *restored) Restoration(context.Context) (payments.Restoration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.at
	at.Now = time.Now()
	return at, r.err
}

func (r *restored) EndReplay(_ context.Context, epoch int64, most int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.at.Epoch {
		return 0, errors.New("another epoch")
	}
	given := min(most, r.waiting)
	r.waiting -= given
	r.ended++
	r.at.Replayed = true
	return given, r.err
}

func (r *restored) watermark(context.Context) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied, r.err
}

func (r *restored) set(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	time.Sleep(10 * time.Second) // of the bubble: several looks, and a longest wait between two tries
	synctest.Wait()
}

func (r *restored) run(t *testing.T) *charge.Recovery {
	t.Helper()
	return running(t, charge.NewRecovery(r, r.watermark, slog.New(slog.DiscardHandler)))
}

func running(t *testing.T, recovery *charge.Recovery) *charge.Recovery {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- recovery.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return recovery
}

func TestRecovery_KeepsBackWhatMayBeChargedUntilTheStreamsAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		backup, replayTo := began.Add(-time.Hour), began.Add(-time.Minute)
		r := &restored{waiting: 12_000, applied: backup, at: payments.Restoration{
			Epoch: 2, LostSince: backup, ReplayTo: replayTo, RestoredAt: replayTo, WaitingSince: began.Add(time.Second), Looking: true,
		}}
		recovery := r.run(t)
		want := func(what string, through, claim time.Time) {
			t.Helper()
			if got := recovery.Bound(through); !got.Equal(claim) {
				t.Errorf("%s: %v may be claimed, want %v", what, got, claim)
			}
		}
		want("before the database was asked", began, time.Time{})
		r.set(func() { r.err = errors.New("away") })
		want("while it is away", began, time.Time{})
		r.set(func() { r.err = nil })
		want("while it is replayed", began, backup)
		want("what is older anyway", backup.Add(-time.Second), backup.Add(-time.Second))
		r.set(func() { r.applied = replayTo.Add(-time.Millisecond) })
		if r.ended != 0 || r.waiting != 12_000 {
			t.Errorf("released %d times before the replay was through", r.ended)
		}
		r.set(func() { r.applied = replayTo })
		if r.waiting != 0 || !r.at.Replayed {
			t.Errorf("%d attempts wait after the replay", r.waiting)
		}
		want("while it is looked for", began, backup)
		r.set(func() { r.waiting = 3 }) // made by a transaction that began before
		if r.waiting != 0 {
			t.Errorf("%d late attempts wait for ever", r.waiting)
		}
		r.set(func() { r.at.Looking = false })
		want("while donations wait for their attempts", began, backup)
		r.set(func() { r.at.WaitingSince = time.Now().Add(time.Minute) }) // of donors who gave since
		want("afterwards", began, began)
	})
}

func TestRecovery_BindsNobodyForEver(t *testing.T) {
	for name, at := range map[string]payments.Restoration{
		"never restored":             {},
		"restored and long replayed": {Epoch: 2, Replayed: true, Looking: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				at.RestoredAt = now.Add(-2 * time.Hour)
				r := &restored{at: at}
				recovery := r.run(t)
				synctest.Wait()
				if got := recovery.Bound(now); !got.Equal(now) || r.ended != 0 {
					t.Errorf("bound to %v, ended %d times", got, r.ended)
				}
			})
		})
	}
}

// A ledger claims nothing newer than the backup before payments, which may begin later,
// have looked for what may have been charged; it never does their work.
func TestWatchRecovery_HoldsLedgersBackUntilPaymentsAreThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		backup := began.Add(-time.Hour)
		r := &restored{waiting: 3, applied: began, at: payments.Restoration{
			Epoch: 2, LostSince: backup, ReplayTo: began, RestoredAt: began, WaitingSince: began.Add(-time.Minute), Looking: true, Charged: true,
		}}
		recovery := running(t, charge.WatchRecovery(r, slog.New(slog.DiscardHandler)))
		want := func(what string, claim time.Time) {
			t.Helper()
			if got := recovery.Bound(began); !got.Equal(claim) {
				t.Errorf("%s: %v may be claimed, want %v", what, got, claim)
			}
		}
		want("before the database was asked", time.Time{})
		r.set(func() {})
		want("before payments began", backup)
		if r.ended != 0 || r.waiting != 3 {
			t.Errorf("a ledger ended the replay %d times", r.ended)
		}
		r.set(func() { r.at.Replayed = true })
		want("while donations wait for their attempts", backup)
		r.set(func() { r.at.WaitingSince = time.Time{} })
		want("while it is looked for", backup)
		r.set(func() { r.at.Looking = false })
		want("afterwards", began)
	})
}

func TestWatchRecovery_BindsNobodyForEver(t *testing.T) {
	for name, at := range map[string]payments.Restoration{
		"never restored":        {},
		"a book nobody charges": {Epoch: 2, Looking: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				at.RestoredAt = now
				recovery := running(t, charge.WatchRecovery(&restored{at: at}, slog.New(slog.DiscardHandler)))
				synctest.Wait()
				if got := recovery.Bound(now); !got.Equal(now) {
					t.Errorf("bound to %v", got)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // payments that nobody starts
		now := time.Now()
		r := &restored{at: payments.Restoration{Epoch: 2, LostSince: now.Add(-time.Hour), RestoredAt: now, Charged: true}}
		recovery := running(t, charge.WatchRecovery(r, slog.New(slog.DiscardHandler)))
		r.set(func() {})
		if got := recovery.Bound(now); !got.Equal(r.at.LostSince) {
			t.Errorf("at first bound to %v", got)
		}
		time.Sleep(time.Hour)
		if got := recovery.Bound(now); !got.Equal(now) {
			t.Errorf("an hour later bound to %v", got)
		}
	})
}
