package postgres_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
)

func (r *rig) current(t testing.TB, endpoint string) payments.Pace {
	t.Helper()
	paces, err := r.Paces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paces {
		if p.Account == account && p.Endpoint == endpoint {
			return p
		}
	}
	t.Fatalf("no pace for %s in %+v", endpoint, paces)
	return payments.Pace{}
}

func TestPace_ProcessesShareOne(t *testing.T) {
	r := newRig(t)
	const perSecond = 400
	r.pace(t, perSecond)
	var mu sync.Mutex
	granted, last := 0, time.Time{}
	gap := time.Duration(0) // the longest time in which nobody asked
	take := func(book *postgres.Book) bool {
		asked := time.Now()
		n, wait, err := book.TakePace(context.Background(), account, endpoint, 1000)
		if err != nil {
			t.Error(err)
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if n > 0 {
			if !last.IsZero() {
				gap = max(gap, time.Since(last))
			}
			last = asked
		}
		if granted += n; n < 1000 && wait <= 0 {
			t.Errorf("granted %d of 1000 and says to ask again after %v", n, wait)
		}
		return granted < 3*perSecond
	}
	// The buckets hold what they can; that is taken first.
	take(r.Book)
	mu.Lock()
	granted = 0
	mu.Unlock()
	began := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		book := r.another(t).Book(r.book)
		wg.Go(func() {
			for take(book) {
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	allowed := perSecond * took.Seconds()
	t.Logf("%d granted in %v, %.0f allowed, nobody asked for %v", granted, took, allowed, gap)
	if float64(granted) > allowed*1.05+2 {
		t.Errorf("two processes were granted %d calls in %v, allowed are %.0f", granted, took, allowed)
	}
	// Unless the machine kept both from asking for longer than the bucket holds,
	// nothing is lost either.
	if gap < 200*time.Millisecond && float64(granted) < allowed*0.95-2 {
		t.Errorf("two processes were granted only %d calls in %v of %.0f", granted, took, allowed)
	}
}

func TestPace_TheAccountBoundsItsEndpoints(t *testing.T) {
	r := newRig(t)
	r.pace(t, 1000)
	if err := r.SetPace(t.Context(), account, payments.EndpointAll, 0.001, "test"); err != nil {
		t.Fatal(err)
	}
	r.exec(t, "UPDATE spillway.pace SET tokens = 100, filled_at = clock_timestamp()")
	got := 0
	for _, e := range []string{endpoint, "refunds"} {
		n, _, err := r.TakePace(t.Context(), account, e, 100)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if got != 1 { // what an account saves up at so slow a pace
		t.Errorf("two endpoints were granted %d calls, the account allows one", got)
	}
}

func TestPace_StartsWithThePublishedLimits(t *testing.T) {
	r := newRig(t)
	if _, _, err := r.TakePace(t.Context(), account, endpoint, 1); err != nil {
		t.Fatal(err)
	}
	if p := r.current(t, endpoint); p.PerSecond != 25 || p.Current != 25 {
		t.Errorf("the endpoint's is %+v", p)
	}
	if p := r.current(t, payments.EndpointAll); p.PerSecond != 100 {
		t.Errorf("the account's is %+v", p)
	}
	if err := r.EnsurePace(t.Context(), account, endpoint, 7, "start"); err != nil {
		t.Fatal(err)
	}
	if p := r.current(t, endpoint); p.PerSecond != 25 {
		t.Errorf("a restart changed it to %+v", p)
	}
	if err := r.SetPace(t.Context(), account, endpoint, 7, "ada"); err != nil {
		t.Fatal(err)
	}
	if p := r.current(t, endpoint); p.PerSecond != 7 || p.ChangedBy != "ada" {
		t.Errorf("set to 7, it is %+v", p)
	}
}

func TestPace_PauseAndResume(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	for _, e := range []string{endpoint, payments.EndpointAll} {
		if err := r.Pause(t.Context(), account, e, "ada"); err != nil {
			t.Fatal(err)
		}
		if n, wait, err := r.TakePace(t.Context(), account, endpoint, 1); n != 0 || wait <= 0 || err != nil {
			t.Errorf("%s paused: granted %d, again after %v, %v", e, n, wait, err)
		}
		if p := r.current(t, e); !p.Paused || p.ChangedBy != "ada" {
			t.Errorf("%s paused: %+v", e, p)
		}
		if err := r.Resume(t.Context(), account, e, "bob"); err != nil {
			t.Fatal(err)
		}
		if n, _, err := r.TakePace(t.Context(), account, endpoint, 1); n != 1 || err != nil {
			t.Errorf("%s resumed: granted %d, %v", e, n, err)
		}
	}
	if err := r.Pause(t.Context(), account, "no such endpoint", "ada"); !errors.Is(err, postgres.ErrNoPace) {
		t.Errorf("got %v, want ErrNoPace", err)
	}
}

func TestPace_SlowsByTheProcessorsReason(t *testing.T) {
	for reason, want := range map[string][2]float64{ // the endpoint's and the account's
		"endpoint-rate":        {0.7, 1},
		"endpoint-concurrency": {0.7, 1},
		"global-rate":          {1, 0.7},
		"global-concurrency":   {1, 0.7},
		"resource-specific":    {1, 1},
		"":                     {0.7, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			r := newRig(t)
			r.pace(t, 1000)
			for range 3 { // one burst
				if err := r.Slow(t.Context(), account, endpoint, reason); err != nil {
					t.Fatal(err)
				}
			}
			r.exec(t, "UPDATE spillway.pace SET slowed_at = now() + interval '1 hour' WHERE slowed_at IS NOT NULL") // no recovery while we look
			for i, e := range []string{endpoint, payments.EndpointAll} {
				if p := r.current(t, e); math.Abs(p.Current-want[i]*1000) > 1 || p.PerSecond != 1000 {
					t.Errorf("%s is at %v of %v, want %v", e, p.Current, p.PerSecond, want[i]*1000)
				}
			}
			r.exec(t, "UPDATE spillway.pace SET slowed_at = now() - interval '1 hour' WHERE slowed_at IS NOT NULL")
			if p := r.current(t, endpoint); p.Current != 1000 {
				t.Errorf("an hour later it is at %v", p.Current)
			}
		})
	}
}

func TestPace_RefusesWhatIsNoRate(t *testing.T) {
	r := newRig(t)
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1), 100_001} {
		if err := r.SetPace(t.Context(), account, endpoint, rate, "ada"); err == nil {
			t.Errorf("%v a second was taken", rate)
		}
	}
}
