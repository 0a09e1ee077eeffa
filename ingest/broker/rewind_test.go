package broker_test

import (
	"testing"
	"time"

	"spillway/ingest/broker/brokertest"
)

// What was acknowledged is delivered again from the sequence on that is asked for, to
// readers of before and of after, and the watermark goes back with it.
func TestRewind_DeliversAgain(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	for n := range 9 {
		publish(t, p, n)
	}
	messages := fetch(t, s, 100, time.Minute)
	ack(t, messages...)
	eventually(t, "all are acked", func() bool {
		at, err := s.Place(t.Context())
		return err == nil && at.Sequence == 10
	})
	before, err := s.Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Stream != s.Stream() || before.First != 1 || before.Last != 10 || before.MadeAt.IsZero() || !before.FirstAt.Equal(messages[0].StoredAt) || before.Now.Before(before.FirstAt) {
		t.Errorf("stands at %+v", before)
	}
	if err := s.Rewind(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	at, err := s.Place(t.Context())
	if err != nil || at.Sequence != 6 || !at.MadeAt.Equal(before.MadeAt) {
		t.Errorf("after the rewind it stands at %+v, %v", at, err)
	}
	mark, err := s.Watermark(t.Context())
	if err != nil || !mark.Equal(messages[6].StoredAt) {
		t.Errorf("watermark %v, %v; message 7 was stored %v", mark, err, messages[6].StoredAt)
	}
	again := fetch(t, s, 100, time.Minute)
	if len(again) != 4 || again[0].Sequence != 7 || string(again[0].Data) != string(messages[6].Data) || again[0].Deliveries != 1 {
		t.Errorf("%d messages again, the first %d at delivery %d", len(again), again[0].Sequence, again[0].Deliveries)
	}
	ack(t, again...)
	publish(t, p, 10)
	if next := fetch(t, s, 100, time.Minute); len(next) != 1 || next[0].Sequence != 11 {
		t.Errorf("and then %d messages", len(next))
	}
	if err := s.Rewind(t.Context(), 0); err != nil { // the whole of it
		t.Fatal(err)
	}
	if all := fetch(t, s, 100, time.Minute); len(all) != 11 || all[0].Sequence != 1 {
		t.Errorf("from the start %d messages", len(all))
	}
}
