package consumer_test

import (
	"fmt"
	"testing"
	"time"

	"spillway/ledger/consumer"
)

// A ledger that joins in the middle of a day works at once: of what is recorded from then
// on a quarter at least is its own, although the one that was there goes on.
func TestRun_ALedgerThatJoinsTakesItsShareAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.publisher()
	r.run(consumer.Config{}, r.deps())
	given := 0
	give := func() { // one envelope or a few
		r.publish(p, donors(fmt.Sprintf("chunk-%d-", given), 10)...)
		given += 10
	}
	give()
	recorded := func() int64 { return r.count("SELECT count(*) FROM donations") }
	eventually(t, "the first one records", func() bool { return recorded() == int64(given) })

	other := *r // of a machine of its own
	other.broker, other.db = r.server.Connect(), r.openDB()
	before := int64(given)
	other.run(consumer.Config{}, other.deps())
	r.awaitSlots(2)
	for deadline := time.Now().Add(patience); ; {
		give()
		var all, own int64
		r.ask(`SELECT coalesce(sum(donations), 0)::bigint, coalesce(sum(donations) FILTER (WHERE slot = 2), 0)::bigint FROM slots`, &all, &own)
		if all -= before; all >= 50 && 4*own >= all {
			t.Logf("of %d donations since it joined the second ledger recorded %d", all, own)
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("of %d donations since it joined the second ledger recorded %d", all, own)
		}
	}
	eventually(t, "all are recorded", func() bool { return recorded() == int64(given) })
	if n := r.count("SELECT sum(donations)::bigint FROM slots"); n != int64(given) {
		t.Errorf("the slots hold %d of %d donations", n, given)
	}
}

// awaitSlots waits until so many ledgers have a slot.
func (r *rig) awaitSlots(n int64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d slots", n), func() bool { return r.count("SELECT count(*) FROM slot_leases") == n })
}
