package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"spillway/ingest"
)

func TestParseKey(t *testing.T) {
	accepted := func(value, want string) {
		t.Helper()
		got, err := ingest.ParseKey([]byte(value))
		if err != nil || string(got) != want {
			t.Errorf("ParseKey(%q) = %q, %v, want %q", value, got, err, want)
		}
	}
	refused := func(value string) {
		t.Helper()
		if got, err := ingest.ParseKey([]byte(value)); !errors.Is(err, ingest.ErrBadKey) {
			t.Errorf("ParseKey(%q) = %q, %v, want ErrBadKey", value, got, err)
		}
	}
	const least = "0123456789abcdef"
	accepted(least, least)
	accepted(`"`+least+`"`, least)
	accepted(strings.Repeat("~", 255), strings.Repeat("~", 255))
	accepted(`"`+strings.Repeat("!", 255)+`"`, strings.Repeat("!", 255))
	accepted(`01234"6789abcdef`, `01234"6789abcdef`) // a quote inside is a character
	accepted(`""`+least+`""`, `"`+least+`"`)         // one pair only

	refused("")
	refused(`"`)
	refused(`""`)
	refused(least[1:])             // 15
	refused(`"` + least[1:] + `"`) // the quotes do not count
	refused(strings.Repeat("x", 256))
	refused(`"` + least) // a quote at one end
	refused(least + `"`) //
	refused("0123456 89abcdef")
	refused("0123456\t89abcdef")
	refused("0123456\x0089abcdef")
	refused("0123456\x7f89abcdef")
	refused("0123456é89abcdef")
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	f.Add([]byte(`"0123456789abcdef"`))
	f.Add([]byte(`"0123456789abcdef`))
	f.Fuzz(func(t *testing.T, value []byte) {
		key, err := ingest.ParseKey(value)
		if err != nil {
			return
		}
		if len(key) < ingest.KeyBytesMin || len(key) > ingest.KeyBytesMax || strings.ContainsFunc(string(key), func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			t.Fatalf("ParseKey(%q) = %q", value, key)
		}
		quoted, err := ingest.ParseKey([]byte(`"` + string(key) + `"`))
		if err != nil || string(quoted) != string(key) {
			t.Fatalf("the same key in quotes: %q, %v", quoted, err)
		}
	})
}
