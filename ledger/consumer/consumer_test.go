package consumer_test

import (
	"fmt"
	"testing"

	"spillway/ingest/envelope"
	"spillway/ledger/consumer"
)

func TestRun_RecordsEveryDonationOnceAndClosesItsSlot(t *testing.T) {
	r := newRig(t)
	p := r.publisher()
	stop := r.run(consumer.Config{}, r.deps())
	var gifts []*envelope.Donation
	for i := range 500 {
		gifts = append(gifts, gift(fmt.Sprint("key number ", i), "river-school", "harbour"))
	}
	r.publish(p, gifts...)
	r.publish(p, gifts[:100]...)
	r.publish(p, gift("key number 7", "other-content"))
	eventually(t, "everything acknowledged", func() bool {
		lag, err := r.broker.Source(1, 0).Lag(t.Context())
		return err == nil && lag.Pending == 0 && lag.AckPending == 0
	})
	if n := r.count("SELECT count(*) FROM donations"); n != 500 {
		t.Errorf("%d donations recorded", n)
	}
	if n := r.count("SELECT sum(pledged_minor) FROM slots"); n != 1_000_000 {
		t.Errorf("slots hold %d", n)
	}
	if n := r.count("SELECT count(*) FROM conflicts"); n != 1 {
		t.Errorf("%d conflicts noted", n)
	}
	stop()
	if n := r.count("SELECT count(*) FROM slot_leases WHERE NOT closed"); n != 0 {
		t.Errorf("%d slots left open", n)
	}
}
