package postgres_test

import (
	"testing"
	"time"

	"spillway/ledger"
)

func TestQuarantine_KeepsEachPayloadOnce(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	rejected := []ledger.Rejected{
		{Payload: []byte("one"), Stream: "DONATIONS_0", Sequence: 7, Index: 2, StoredAt: time.Now(), Reason: ledger.ReasonMalformed, Detail: "line: wire type"},
		{Payload: nil, Stream: "DONATIONS_0", Sequence: 8, Index: -1, StoredAt: time.Now(), Reason: ledger.ReasonVersion, Detail: "version 9"},
		{Payload: []byte("one"), Stream: "DONATIONS_0", Sequence: 9, Index: 0, StoredAt: time.Now(), Reason: ledger.ReasonMalformed, Detail: "line: wire type"},
	}
	for range 2 {
		if err := book.Quarantine(t.Context(), rejected); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := book.Quarantined(t.Context()); err != nil || n != 2 {
		t.Errorf("%d set aside, %v", n, err)
	}
	if n := count(t, url, "SELECT sequence FROM quarantine WHERE payload = 'one' AND record_index = 2 AND reason = 'malformed'"); n != 7 {
		t.Errorf("the first stays: got sequence %d", n)
	}
	if n, err := db.Book(ledger.Rehearsal).Quarantined(t.Context()); err != nil || n != 0 {
		t.Errorf("%d set aside in the other book, %v", n, err)
	}
}
