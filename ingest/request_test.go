package ingest_test

import (
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
)

// These IDs are in streams and tables: another one for the same wish would carry
// it out twice.
func TestRequestIDs_NeverChange(t *testing.T) {
	donation := ingest.DeriveID([]byte("0123456789abcdef"))
	for name, c := range map[string]struct {
		got  ingest.RequestID
		want string
	}{
		"attempt":                     {ingest.DeriveAttemptID(donation, []byte("another-card-0001")), "98ba6fb3-caef-8f9d-8333-7d0efd6a65f0"},
		"cancellation":                {ingest.DeriveCancellationID(donation, []byte("another-card-0001")), "d04e074e-2397-8992-a2c9-ffa595c81201"},
		"cancellation of attempt one": {ingest.DeriveCancelLastID(donation, 1), "2e18cc71-efd2-8f88-9fcd-cd0bdd93bf59"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

// Different wishes have different IDs: by donation, by kind, by key, by attempt.
func TestRequestIDs_TellWishesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.ByteRange(0x21, 0x7e), 16, 255)
		a, b := key.Draw(t, "key"), key.Draw(t, "other key")
		one, two := ingest.DeriveID(a), ingest.DeriveID(append(a, 'x'))
		n := rapid.IntRange(0, 20).Draw(t, "attempt")
		seen := map[ingest.RequestID]string{}
		add := func(name string, id ingest.RequestID) {
			if first, known := seen[id]; known {
				t.Fatalf("%s and %s share an ID", first, name)
			}
			seen[id] = name
			if id[6]>>4 != 8 || id[8]>>6 != 2 {
				t.Fatalf("%s: %s is no UUID of version 8", name, id)
			}
		}
		add("attempt", ingest.DeriveAttemptID(one, a))
		add("cancellation", ingest.DeriveCancellationID(one, a))
		add("attempt of another donation", ingest.DeriveAttemptID(two, a))
		add("cancellation of another donation", ingest.DeriveCancellationID(two, a))
		add("last attempt canceled", ingest.DeriveCancelLastID(one, n))
		add("next attempt canceled", ingest.DeriveCancelLastID(one, n+1))
		add("the donation itself", ingest.RequestID(one))
		if string(a) != string(b) {
			add("attempt by another key", ingest.DeriveAttemptID(one, b))
		}
	})
}
