package broker_test

import (
	"encoding/binary"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/ingest"
	"spillway/ingest/envelope"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// An embedded nats-server leaves a few of its own behind when it is stopped.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.newDirListNode"),
	)
}

// patience is how long a test waits for what must happen on a busy machine.
const patience = 20 * time.Second

// eventually waits until done returns true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// donation makes the n-th donation.
func donation(n int) *envelope.Donation {
	var key [16]byte
	binary.BigEndian.PutUint64(key[8:], uint64(n))
	received := time.Date(2026, 11, 22, 19, 0, 0, 0, time.UTC)
	return &envelope.Donation{
		ID: ingest.DeriveID(key[:]), Fingerprint: ingest.Fingerprint{1}, ReceivedAt: received,
		Source: 1, Currency: "USD", AmountMinor: 5000,
		Lines:             []ingest.Line{{Campaign: "river-school", AmountMinor: 5000}},
		ConfirmationToken: "ctoken_card_visa", TokenExpiresAt: received.Add(time.Hour),
		Sealed: make([]byte, 120), SealKey: 1,
	}
}

// sourcesOf returns the Source of every donation of an envelope, which some tests
// use to number them.
func sourcesOf(t testing.TB, data []byte) (sources []uint64) {
	t.Helper()
	if _, err := envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		sources = append(sources, r.Donation.Source)
	}); err != nil {
		t.Error(err)
	}
	return sources
}
