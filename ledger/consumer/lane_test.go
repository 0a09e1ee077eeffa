package consumer_test

import (
	"context"
	"testing"
	"time"

	"spillway/ingest/envelope"
	"spillway/ledger/consumer"
)

// What has arrived when a batch is taken is in it, however long ago the broker was
// asked last: else it would wait for the batch after the next.
func TestLane_ABatchIsFilledUpWhenItIsWanted(t *testing.T) {
	begun, goOn := make(chan int, 10), make(chan struct{})
	f := runFakes(t, quick, func(f *fakes) {
		f.store.record = func(ctx context.Context, donations []*envelope.Donation) error {
			begun <- len(donations)
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	})
	push := func(sequence uint64, key string) {
		m, _ := message(sequence, time.Now(), gift(key, "river-school"))
		f.source.push(m)
	}
	push(1, "key number 1")
	if n := <-begun; n != 1 {
		t.Fatalf("the first batch has %d donations", n)
	}
	push(2, "key number 2")
	time.Sleep(200 * time.Millisecond) // until the broker is asked every 160 ms or less often
	push(3, "key number 3")
	time.Sleep(2 * consumer.TopUpLast)
	close(goOn)
	if n := <-begun; n != 2 {
		t.Errorf("the second batch has %d donations of the 2 that waited", n)
	}
}
