package broker_test

import (
	"errors"
	"testing"
	"time"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

func TestEnsureSearch_FollowsBesideTheLedger(t *testing.T) {
	b := brokertest.New(t)
	p := publishing(t, b)
	for n := range 3 {
		publish(t, p, n)
	}
	s := b.SearchSource(ledger.Live, 0)
	t.Cleanup(s.Close)
	if _, err := s.Lag(t.Context()); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("before anybody asked for it there is a consumer: %v", err)
	}
	for range 2 {
		if err := b.EnsureSearch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lag, err := s.Lag(t.Context())
	if err != nil || lag.Pending == 0 {
		t.Fatalf("it begins at the start: %+v, %v", lag, err)
	}
	ack(t, fetch(t, s, 100, patience)...)
	eventually(t, "it is done", func() bool {
		lag, err := s.Lag(t.Context())
		return err == nil && lag.Pending == 0 && lag.AckPending == 0
	})
	ledgers, err := source(t, b).Lag(t.Context())
	if err != nil || ledgers.Pending == 0 {
		t.Errorf("the ledger was given nothing less: %+v, %v", ledgers, err)
	}

	if err := b.RestartSearch(t.Context(), ledger.Live); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Lag(t.Context()); err != nil || again.Pending != lag.Pending {
		t.Errorf("after a restart %+v, %v; want %d again", again, err, lag.Pending)
	}
}

func TestLedgerStanding_TellsWhatTheLedgerHasDone(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	publish(t, p, 1)
	before := time.Now().Add(-patience)
	at, err := b.LedgerStanding(t.Context(), ledger.Live, 0)
	if err != nil || at.Oldest.Before(before) || at.AckFloor != 0 || at.StoredBytes == 0 {
		t.Fatalf("before it has done anything: %+v, %v", at, err)
	}
	done := uint64(0)
	eventually(t, "the ledger acknowledges", func() bool {
		for _, m := range fetch(t, s, 100, 100*time.Millisecond) {
			ack(t, m)
			done = m.Sequence
		}
		at, err := b.LedgerStanding(t.Context(), ledger.Live, 0)
		return err == nil && at.Oldest.IsZero() && done > 0 && at.AckFloor == done
	})
}
