package ingest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
)

// A key's ID is what keeps a donor from being charged twice: these pairs must
// hold for as long as any front-end of any version runs.
func TestDeriveID_NeverChanges(t *testing.T) {
	for key, want := range map[string]string{
		"0123456789abcdef":                      "9f186430-9745-8dcc-8198-f62cddd10415",
		"b9a1c8d2-7a4e-4d7e-9a57-0b6d3a0f7c11":  "46acc608-92b8-8006-aa55-4f0660ec6d27",
		strings.Repeat("k", ingest.KeyBytesMax): "1eb535c7-0664-86f0-9803-ecc92675d2f9",
	} {
		if got := ingest.DeriveID([]byte(key)).String(); got != want {
			t.Errorf("DeriveID(%q) = %s, want %s", key, got, want)
		}
	}
}

func TestDeriveID_DoesNotAllocate(t *testing.T) {
	key := []byte("b9a1c8d2-7a4e-4d7e-9a57-0b6d3a0f7c11")
	if n := testing.AllocsPerRun(100, func() { ingest.DeriveID(key) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestParseID_ReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ingest.DeriveID(rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "key"))
		text := id.String()
		if rapid.Bool().Draw(t, "capitals") {
			text = strings.ToUpper(text)
		}
		got, err := ingest.ParseID([]byte(text))
		if err != nil || got != id {
			t.Fatalf("ParseID(%q) = %v, %v", text, got, err)
		}
	})
}

func TestParseID_RefusesWhatDeriveIDCannotMake(t *testing.T) {
	for _, text := range []string{
		"", "x", strings.Repeat("0", 36),
		"6e5f2c69-c5fa-4062-ba3c-8f23a9b3fb54",  // version 4
		"6e5f2c69-c5fa-8062-7a3c-8f23a9b3fb54",  // another variant
		"6e5f2c69-c5fa-8062-ba3c-8f23a9b3fb5g",  // not hexadecimal
		"6e5f2c69c5fa-8062-ba3c-8f23a9b3fb54-",  // a hyphen out of place
		"{6e5f2c69-c5fa-8062-ba3c-8f23a9b3fb5}", // braces
		"6e5f2c69-c5fa-8062-ba3c-8f23a9b3fb54 ",
	} {
		if id, err := ingest.ParseID([]byte(text)); err == nil {
			t.Errorf("ParseID(%q) = %v, want an error", text, id)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add([]byte("6e5f2c69-c5fa-8062-ba3c-8f23a9b3fb54"))
	f.Add([]byte("6E5F2C69-C5FA-8062-BA3C-8F23A9B3FB54"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := ingest.ParseID(text)
		if err == nil && !strings.EqualFold(id.String(), string(text)) {
			t.Fatalf("ParseID(%q) = %s", text, id)
		}
	})
}
