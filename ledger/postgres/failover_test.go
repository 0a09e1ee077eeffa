package postgres_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
	"spillway/ledger/postgres"
	"spillway/ledger/postgres/session"
)

// The primary is lost while batches are recorded and its synchronous standby takes
// over: whoever records is told nothing but to try again, finds the new primary by the
// same URL, and every batch that was answered is there once.
func TestFailover_ASynchronousStandbyTakesOverInTheMiddle(t *testing.T) {
	t.Parallel()
	primary := pgtest.Private(t)
	address := primary.Database(t)
	standby := primary.Standby(t, true)
	url := pgtest.Either(t, address, primary, standby)
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	book, lease := leased(t, db)

	const size, each = 5, 20 // gifts of a batch; batches before and after
	var recorded, unavailable atomic.Int64
	enough := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-enough:
				ended <- nil
				return
			default:
			}
			batch := gifts(fmt.Sprint("batch ", n), size, "harbour")
			for {
				_, _, err := book.Record(t.Context(), lease, batch, nil)
				if err == nil {
					break
				}
				if !errors.Is(err, ledger.ErrUnavailable) || t.Context().Err() != nil {
					ended <- fmt.Errorf("batch %d: %w", n, err)
					return
				}
				unavailable.Add(1)
				time.Sleep(time.Millisecond) // as a lane rests between tries
			}
			recorded.Add(1)
		}
	}()
	until := func(n int64) {
		t.Helper()
		for deadline := time.Now().Add(patience); recorded.Load() < n; time.Sleep(time.Millisecond) {
			select {
			case err := <-ended:
				t.Fatal(err)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d batches of %d after %v, %d times unavailable", recorded.Load(), n, patience, unavailable.Load())
			}
		}
	}
	until(each)
	primary.Stop()
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(recorded.Load() + each)
	close(enough)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := size * recorded.Load()
	at := standby.At(t, address)
	if n := count(t, at, "SELECT count(*) FROM donations"); n != want {
		t.Errorf("%d donations of %d that were answered", n, want)
	}
	if n := count(t, at, "SELECT sum(donations) FROM slots"); n != want {
		t.Errorf("totals count %d of %d", n, want)
	}
	if unavailable.Load() == 0 {
		t.Error("the loss of the primary was not noticed: nothing was tried")
	}
	if _, _, err := book.Record(t.Context(), lease, gifts("batch 0", size, "harbour"), nil); err != nil {
		t.Errorf("a batch of before the loss again: %v", err)
	}
	if n := count(t, at, "SELECT count(*) FROM donations"); n != want {
		t.Errorf("the repeat made %d of %d", n, want)
	}
}

// A server that stops taking writes under an open connection, as a managed database may,
// is time's to heal and never the data's fault. The connection is left, so that the next
// one looks for the primary again.
func TestFailover_AConnectionThatTakesNoWritesIsLeft(t *testing.T) {
	_, url := open(t)
	base, err := session.Parse(url, "test")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := session.Pool(base, ledger.Live, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	backend := func() (pid int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	const write = "INSERT INTO replays (epoch) VALUES (7) ON CONFLICT DO NOTHING"
	before := backend()
	if _, err := pool.Exec(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	if after := backend(); after != before {
		t.Fatalf("backends %d and %d: a write that is taken ends no connection", before, after)
	}
	if _, err := pool.Exec(t.Context(), "SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), write); !errors.Is(session.Sorted("write", err), ledger.ErrUnavailable) {
		t.Errorf("refused: %v", err)
	}
	if after := backend(); after == before {
		t.Error("the connection that takes no writes is still in use")
	}
	if _, err := pool.Exec(t.Context(), write); err != nil {
		t.Errorf("on the next one: %v", err)
	}
}

// Of several hosts the one that takes writes is meant, unless the URL says otherwise.
func TestPrimary_SeveralHostsMeanTheOneThatTakesWrites(t *testing.T) {
	for url, chooses := range map[string]bool{
		"postgres://a/spillway":                                       false,
		"postgres://a/spillway?sslmode=prefer":                        false, // one host, tried twice
		"postgres://a,b/spillway":                                     true,
		"postgres://a:5432,a:5433/spillway?sslmode=disable":           true,
		"host=/one,/two dbname=spillway":                              true,
		"postgres://a/spillway?target_session_attrs=read-write":       true,
		"postgres://a,b/spillway?target_session_attrs=prefer-standby": true,
	} {
		config, err := session.Parse(url, "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := config.ConnConfig.ValidateConnect != nil; got != chooses {
			t.Errorf("%s: chooses among servers: %v, want %v", url, got, chooses)
		}
	}
}
