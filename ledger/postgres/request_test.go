package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// wish is a request about the donation of the key's ID.
func wish(kind envelope.Kind, key string) *envelope.Request {
	now := time.Now().UTC().Truncate(time.Microsecond)
	donation := ingest.DeriveID([]byte(key))
	r := &envelope.Request{Kind: kind, Donation: donation, ReceivedAt: now, Source: 7}
	if kind == envelope.Attempt {
		r.ID = ingest.DeriveAttemptID(donation, []byte("another card of "+key))
		r.ConfirmationToken, r.TokenExpiresAt = "ctoken_of_"+key, now.Add(time.Hour)
	} else {
		r.ID = ingest.DeriveCancelLastID(donation, 1)
	}
	return r
}

func TestRequest_KeepsEveryFieldAndTheFirstOfEachID(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	card, stop := wish(envelope.Attempt, "ada"), wish(envelope.Cancellation, "ada")
	again := *card
	again.ConfirmationToken = "ctoken_of_a_reloaded_page"
	given := []*envelope.Request{card, &again, stop}
	for range 2 { // a redelivery
		if err := book.Request(t.Context(), given); err != nil {
			t.Fatal(err)
		}
	}
	if given[0] != card || given[2] != stop {
		t.Error("the argument was changed")
	}
	if n := count(t, url, "SELECT count(*) FROM requests"); n != 2 {
		t.Errorf("%d requests stored, want 2", n)
	}
	for _, r := range []*envelope.Request{card, stop} {
		var donation [16]byte
		var kind, token string
		var expires *time.Time
		var received time.Time
		var done *time.Time
		err := connect(t, url).QueryRow(t.Context(),
			"SELECT donation_id, kind, token, expires_at, received_at, done_at FROM requests WHERE request = $1", r.ID.String()).
			Scan(&donation, &kind, &token, &expires, &received, &done)
		if err != nil {
			t.Fatal(err)
		}
		if ingest.ID(donation) != r.Donation || kind != r.Kind.String() || token != r.ConfirmationToken || !received.Equal(r.ReceivedAt) || done != nil {
			t.Errorf("stored %x %s %q %v %v, given %+v", donation, kind, token, received, done, r)
		}
		if (expires != nil) != (r.Kind == envelope.Attempt) || expires != nil && !expires.Equal(r.TokenExpiresAt) {
			t.Errorf("%s expires at %v", kind, expires)
		}
	}
	// What is done stays done when it is delivered once more.
	if _, err := connect(t, url).Exec(t.Context(), "UPDATE requests SET done_at = now()"); err != nil {
		t.Fatal(err)
	}
	if err := book.Request(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	if n := count(t, url, "SELECT count(*) FROM requests WHERE done_at IS NULL"); n != 0 {
		t.Errorf("%d requests are open again", n)
	}
	if n := count(t, url, "SELECT count(*) FROM rehearsal.requests"); n != 0 {
		t.Errorf("%d requests in the other book", n)
	}
}

// Several ledgers store overlapping redeliveries in different orders at the same
// time: none waits for another in a circle, and each request is there once.
func TestRequest_AtTheSameTime(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	var all []*envelope.Request
	for n := range 400 {
		all = append(all, wish(envelope.Attempt, fmt.Sprint("donor number ", n)))
	}
	var writers sync.WaitGroup
	for writer := range 4 {
		mine := slices.Clone(all)
		if writer%2 == 1 {
			slices.Reverse(mine)
		}
		writers.Go(func() {
			for chunk := range slices.Chunk(mine, 40) {
				if err := book.Request(t.Context(), chunk); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if n := count(t, url, "SELECT count(*) FROM requests"); n != 400 {
		t.Errorf("%d requests stored, want 400", n)
	}
}

func TestRequest_SortsItsErrors(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	odd := wish(envelope.Kind(9), "ada")
	var poison *ledger.PoisonError
	if err := book.Request(t.Context(), []*envelope.Request{wish(envelope.Attempt, "ada"), odd}); !errors.As(err, &poison) {
		t.Errorf("a kind that the table refuses: %v", err)
	}
	if n := count(t, url, "SELECT count(*) FROM requests"); n != 0 {
		t.Errorf("%d requests of a refused call are stored", n)
	}
	if err := book.Request(t.Context(), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	db.Close()
	if err := book.Request(t.Context(), []*envelope.Request{wish(envelope.Attempt, "ada")}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("without a database: %v", err)
	}
}
