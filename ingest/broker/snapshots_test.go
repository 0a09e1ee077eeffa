package broker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// ofTerm is a snapshot of a tenure of slot 1; a large one travels in several parts.
func ofTerm(epoch, term int64, count int) *campaigns.Snapshot {
	h := head(1, 1)
	h.Epoch, h.Term = epoch, term
	return &campaigns.Snapshot{FrameHead: h, Rows: rows(count, term)}
}

// stands fails unless the slot's snapshot is whole and of this tenure.
func stands(t *testing.T, b *broker.Broker, want *campaigns.Snapshot) {
	t.Helper()
	got, err := b.Snapshot(t.Context(), ledger.Live, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != want.Epoch || got.Term != want.Term || len(got.Rows) != len(want.Rows) {
		t.Errorf("the slot's snapshot is of epoch %d, term %d, with %d rows; not %d, %d, %d",
			got.Epoch, got.Term, len(got.Rows), want.Epoch, want.Term, len(want.Rows))
	}
}

func TestPublishSnapshot_NeverReplacesALaterTenure(t *testing.T) {
	b := brokertest.New(t)
	adopted := ofTerm(2, 4, 3)
	if err := b.PublishSnapshot(t.Context(), adopted); err != nil {
		t.Fatal(err)
	}
	for _, past := range []*campaigns.Snapshot{ofTerm(2, 3, 3), ofTerm(1, 9, 3), ofTerm(2, 3, 30_000)} {
		if err := b.PublishSnapshot(t.Context(), past); !errors.Is(err, broker.ErrSuperseded) {
			t.Errorf("epoch %d, term %d: %v", past.Epoch, past.Term, err)
		}
		stands(t, b, adopted)
	}
	for _, next := range []*campaigns.Snapshot{ofTerm(2, 4, 5), ofTerm(2, 5, 1), ofTerm(3, 1, 2)} {
		if err := b.PublishSnapshot(t.Context(), next); err != nil {
			t.Errorf("epoch %d, term %d: %v", next.Epoch, next.Term, err)
		}
		stands(t, b, next)
	}
}

// A process freezes after it has looked at what is there, its slot is adopted and
// closed, and it goes on.
func TestPublishSnapshot_AFrozenProcessChangesNothing(t *testing.T) {
	for name, size := range map[string]struct{ first, frozen, adopter int }{
		"the first of the slot":     {0, 3, 3},
		"over an earlier one":       {3, 3, 3},
		"in parts":                  {3, 30_000, 30_000},
		"larger than the adopter's": {30_000, 30_000, 3},
		"smaller":                   {3, 3, 30_000},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t)
			if size.first > 0 {
				if err := b.PublishSnapshot(t.Context(), ofTerm(1, 1, size.first)); err != nil {
					t.Fatal(err)
				}
			}
			goOn, err := broker.HalfPublished(t.Context(), b, ofTerm(1, 1, size.frozen))
			if err != nil {
				t.Fatal(err)
			}
			adopted := ofTerm(1, 2, size.adopter)
			if err := b.PublishSnapshot(t.Context(), adopted); err != nil {
				t.Fatal(err)
			}
			if err := goOn(); err == nil {
				t.Error("the frozen process was told that its snapshot is stored")
			}
			stands(t, b, adopted)
		})
	}
}

// Once a tenure's snapshot is stored nobody reads an earlier one's, whoever
// publishes beside it.
func TestPublishSnapshot_TenuresAtOnce(t *testing.T) {
	b := brokertest.New(t)
	const tenures, each = 4, 20
	var published atomic.Int64 // the latest tenure that was told so
	var wg sync.WaitGroup
	for term := int64(1); term <= tenures; term++ {
		wg.Go(func() {
			for n := range each {
				err := b.PublishSnapshot(context.WithoutCancel(t.Context()), ofTerm(1, term, 1+n%2*12_000))
				if errors.Is(err, broker.ErrSuperseded) {
					return
				}
				if err != nil {
					continue // others were always faster
				}
				for seen := published.Load(); seen < term && !published.CompareAndSwap(seen, term); {
					seen = published.Load()
				}
				told := published.Load()
				if s, err := b.Snapshot(t.Context(), ledger.Live, 1); err == nil && s.Term < told {
					t.Errorf("term %d is read after term %d was stored", s.Term, told)
				}
			}
		})
	}
	wg.Wait()
	last := ofTerm(1, tenures, 7)
	if err := b.PublishSnapshot(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	stands(t, b, last)
}
