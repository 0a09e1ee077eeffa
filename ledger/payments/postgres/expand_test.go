package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
)

func TestExpand_EachDonationGetsOneAttempt(t *testing.T) {
	r := newRig(t)
	d := gift("donor", "harbour", "school")
	r.give(t, d)
	if n := r.count(t, "SELECT count(*) FROM due_batches WHERE count = 1 AND donations = ARRAY[$1::uuid]", d.ID); n != 1 {
		t.Fatal("recording did not note what is due")
	}
	if made, err := r.Expand(t.Context(), 100); made != 1 || err != nil {
		t.Fatalf("made %d, %v", made, err)
	}
	if made, err := r.Expand(t.Context(), 100); made != 0 || err != nil {
		t.Errorf("then made %d, %v", made, err)
	}
	r.give(t, d) // a redelivery
	if n := r.count(t, "SELECT count(*) FROM due_batches"); n != 0 {
		t.Errorf("a redelivery makes %d batches", n)
	}
	var id, payment [16]byte
	var no, state, tier, number int
	var source int64
	var token, status string
	var expires, notBefore time.Time
	err := r.conn.QueryRow(t.Context(), `SELECT a.donation_id, p.donation_id, a.attempt_no, a.state, a.tier, a.source, a.token, a.token_expires_at, a.not_before, p.status, p.attempt_no
		FROM attempts a, payments p`).Scan(&id, &payment, &no, &state, &tier, &source, &token, &expires, &notBefore, &status, &number)
	if err != nil {
		t.Fatal(err)
	}
	if id != d.ID || payment != d.ID || no != 1 || state != 1 || tier != 0 || uint64(source) != d.Source || token != d.ConfirmationToken ||
		!expires.Equal(d.TokenExpiresAt) || time.Until(notBefore) > 0 || status != "accepted" || number != 1 {
		t.Errorf("attempt %x %d state %d tier %d source %d %s %v %v, payment %x %s %d", id, no, state, tier, source, token, expires, notBefore, payment, status, number)
	}
}

func TestExpand_InParts(t *testing.T) {
	r := newRig(t)
	var batch []*envelope.Donation
	for i := range 10 {
		batch = append(batch, gift(fmt.Sprint("donor ", i), "harbour"))
	}
	r.give(t, batch...)
	for i, want := range []int{4, 4, 2, 0} {
		made, err := r.Expand(t.Context(), 4)
		if err != nil || made != want {
			t.Errorf("part %d: made %d, want %d, %v", i, made, want, err)
		}
		if n := r.count(t, "SELECT count(*) FROM attempts"); n != int64(min(10, 4*(i+1))) {
			t.Errorf("part %d: %d attempts", i, n)
		}
	}
}

func TestExpandOne_OutOfItsTurnAndOnlyOnce(t *testing.T) {
	r := newRig(t)
	a, b := gift("one", "harbour"), gift("other", "harbour")
	r.give(t, a, b)
	for range 2 {
		if err := r.ExpandOne(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.ExpandOne(t.Context(), ingest.DeriveID([]byte("nobody's"))); err != nil {
		t.Errorf("a donation that is not recorded: %v", err)
	}
	if n := r.count(t, "SELECT count(*) FROM attempts WHERE donation_id = $1", a.ID); n != 1 {
		t.Errorf("%d attempts", n)
	}
	if made, err := r.Expand(t.Context(), 100); made != 2 || err != nil {
		t.Errorf("went through %d, %v", made, err)
	}
	if n := r.count(t, "SELECT count(*) FROM attempts") + r.count(t, "SELECT count(*) FROM payments"); n != 4 {
		t.Errorf("%d attempts and payments, want 4", n)
	}
}

func TestExpand_ProcessesThatMeetMakeEachOnce(t *testing.T) {
	r := newRig(t)
	var all []*envelope.Donation
	for b := range 10 {
		var batch []*envelope.Donation
		for i := range 100 {
			d := gift(fmt.Sprint("donor ", b, i), "harbour")
			d.Source = uint64(i % 7)
			batch = append(batch, d)
		}
		r.give(t, batch...)
		all = append(all, batch...)
	}
	var wg sync.WaitGroup
	for w := range 3 {
		book := r.another(t).Book(r.book)
		wg.Go(func() {
			for {
				made, err := book.Expand(context.Background(), 17+w)
				if err != nil {
					t.Error(err)
				}
				if made == 0 || err != nil {
					return // another may hold the last batch still
				}
			}
		})
	}
	wg.Go(func() { // webhooks and requests that come first
		for i := 0; i < len(all); i += 13 {
			if err := r.ExpandOne(context.Background(), all[i].ID); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	r.expand(t)
	if n := r.count(t, "SELECT count(*) FROM attempts"); n != 1000 {
		t.Errorf("%d attempts of 1000 donations", n)
	}
	if n := r.count(t, "SELECT count(*) FROM payments"); n != 1000 {
		t.Errorf("%d payments of 1000 donations", n)
	}
	if n := r.count(t, "SELECT count(*) FROM due_batches"); n != 0 {
		t.Errorf("%d batches are left", n)
	}
	// No two turns of a source are the same, whoever gave them.
	if n := r.count(t, "SELECT count(*) FROM (SELECT source, not_before FROM attempts GROUP BY 1, 2 HAVING count(*) > 1) AS same"); n != 0 {
		t.Errorf("%d turns were given twice", n)
	}
}
