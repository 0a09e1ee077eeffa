package stripe

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"spillway/ledger/money"
)

func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		code  string
		minor int64 // ISO 4217
		units int64 // Stripe's
	}{
		{"usd", 1050, 1050}, {"jpy", 500, 500},
		{"isk", 5, 500}, {"ugx", 1200, 120000}, // no decimals, written with two
		{"huf", 17500, 17500}, {"twd", 80045, 80045}, // two decimals when charged
		{"kwd", 5120, 5120}, {"bhd", 0, 0}, // three decimals, the last is 0
		{"isk", -7, -700}, {"xof", 123, 123},
	} {
		cur, minor, err := amount(c.code, c.units)
		if err != nil || minor != c.minor {
			t.Errorf("%d units of %s: %d, %v", c.units, c.code, minor, err)
		}
		if units, err := toProcessor(cur, c.minor); err != nil || units != c.units {
			t.Errorf("%d minor units of %s: %d, %v", c.minor, cur, units, err)
		}
	}
	for _, c := range []struct {
		currency money.Currency
		minor    int64
	}{{"KWD", 5125}, {"ISK", 1 << 60}, {"UGX", -1 << 60}} {
		if units, err := toProcessor(c.currency, c.minor); !errors.Is(err, ErrAmount) {
			t.Errorf("%d minor units of %s: %d, %v", c.minor, c.currency, units, err)
		}
	}
	for _, code := range []string{"", "US", "usdx", "USD", "us$", "ąb"} {
		if c, _, err := amount(code, 1); !errors.Is(err, ErrAmount) {
			t.Errorf("%q: %s, %v", code, c, err)
		}
	}
	if _, _, err := amount("isk", 550); !errors.Is(err, ErrAmount) {
		t.Errorf("half a krona: %v", err)
	}
	if _, _, err := gross("usd", -1); !errors.Is(err, ErrAmount) {
		t.Errorf("a negative charge: %v", err)
	}
}

// What can be told to the processor comes back as it was.
func TestAmounts_ThereAndBack(t *testing.T) {
	all := []money.Currency{"USD", "JPY", "ISK", "UGX", "HUF", "TWD", "KWD", "TND", "EUR"}
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(all).Draw(t, "currency")
		minor := rapid.Int64().Draw(t, "minor")
		units, err := toProcessor(c, minor)
		if err != nil {
			if _, odd := oddUnit(c); !odd {
				t.Fatalf("%s has no odd unit: %v", c, err)
			}
			return
		}
		if back, err := fromProcessor(c, units); err != nil || back != minor {
			t.Fatalf("%d of %s became %d and %d, %v", minor, c, units, back, err)
		}
	})
}

func oddUnit(c money.Currency) (unit, bool) { u, odd := units[c]; return u, odd }
