package postgres_test

import (
	"testing"
	"time"

	"spillway/ingest"
)

// When the processor may have forgotten a refund's key is judged by when it was asked
// for. A clock that was ahead must not make that too late: a part refund that is asked
// for again under a key that is forgotten is a second one.
func TestCommand_ARefundIsNeverAskedForInTheFuture(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.expand(t)
	b.apply(t, captured(d, noon))
	asked := refundOf(1, d, 100)
	asked.At = time.Now().Add(30 * time.Hour)
	if got := b.command(t, asked); got != done {
		t.Fatalf("the command: %+v", got)
	}
	due, err := b.pay.OpenRefunds(t.Context(), 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("due %+v, %v", due, err)
	}
	if ahead := time.Until(due[0].FirstCalledAt); ahead > time.Minute || due[0].FirstCalledAt.IsZero() {
		t.Errorf("its call may have been made %v from now on", ahead)
	}
}
