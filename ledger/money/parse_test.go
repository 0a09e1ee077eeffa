package money

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text     string
		currency Currency
		minor    int64
		err      error
	}{
		{"50", "USD", 5000, nil},
		{"50.00", "USD", 5000, nil},
		{"0.05", "USD", 5, nil},
		{"007.10", "EUR", 710, nil},
		{"500", "JPY", 500, nil},
		{"92233720368547758.07", "USD", 9223372036854775807, nil},
		{"92233720368547758.08", "USD", 0, ErrOverflow},
		{"99999999999999999999", "JPY", 0, ErrOverflow},
		{"12.5", "USD", 0, ErrAmount},
		{"12.500", "USD", 0, ErrAmount},
		{"12.", "USD", 0, ErrAmount},
		{".50", "USD", 0, ErrAmount},
		{"", "USD", 0, ErrAmount},
		{"-5", "USD", 0, ErrAmount},
		{"+5", "USD", 0, ErrAmount},
		{"1,000", "USD", 0, ErrAmount},
		{"1.2.3", "USD", 0, ErrAmount},
		{"5e3", "USD", 0, ErrAmount},
		{"٥", "USD", 0, ErrAmount},
		{"500.0", "JPY", 0, ErrAmount},
		{"5", "XXX", 0, ErrAmount},
	} {
		if minor, err := Parse(c.text, c.currency); minor != c.minor || !errors.Is(err, c.err) {
			t.Errorf("%q %s: %d, %v, want %d, %v", c.text, c.currency, minor, err, c.minor, c.err)
		}
	}
}

// What String writes, Parse reads.
func TestParse_ReadsWhatStringWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount{rapid.Int64Min(0).Draw(t, "minor"), rapid.SampledFrom([]Currency{"USD", "JPY", "HUF"}).Draw(t, "currency")}
		_, text, _ := strings.Cut(a.String(), " ")
		if minor, err := Parse(text, a.Currency); err != nil || minor != a.Minor {
			t.Fatalf("%s: %d, %v", a, minor, err)
		}
	})
}
