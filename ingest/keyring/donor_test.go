package keyring_test

import (
	"testing"

	"spillway/ingest"
	"spillway/ingest/keyring"
)

// parsed is the keyring of a file with one key.
func parsed(t *testing.T, text string) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDonor_IsTheSameAfterOtherKeysRotated(t *testing.T) {
	one := parsed(t, file(`{"id":1,"key":"`+key('a')+`"}`))
	rotated := parsed(t, file(`{"id":1,"key":"`+key('a')+`"}`, `{"id":2,"key":"`+key('b')+`"}`))
	if one.Donor("ada@example.org") != rotated.Donor("ada@example.org") {
		t.Error("a donor became another when a key was added")
	}
	if one.Donor("ada@example.org") == one.Donor("bob@example.org") {
		t.Error("two donors are one")
	}
}

func TestGiftRef_TellsGiftsApartAndShowsNothingOfTheID(t *testing.T) {
	k := parsed(t, file(`{"id":1,"key":"`+key('a')+`"}`))
	a, b := ingest.DeriveID([]byte("a key of a donor 1")), ingest.DeriveID([]byte("a key of a donor 2"))
	first := k.GiftRef(a)
	if first == k.GiftRef(b) || k.GiftRef(a) != first {
		t.Error("refs do not tell gifts apart")
	}
	if ref := k.GiftRef(a); len(ref) != 16 || ref == a.String()[:16] {
		t.Errorf("ref %q", ref)
	}
}
