package money

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAdd_SaysWhenASumDoesNotFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		want := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		got, err := Add(a, b)
		if fits := want.IsInt64(); fits != (err == nil) || fits && got != want.Int64() {
			t.Fatalf("%d + %d = %d, %v; want %s", a, b, got, err, want)
		}
		if err != nil && !errors.Is(err, ErrOverflow) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestAmountAdd_NeverMixesCurrencies(t *testing.T) {
	if _, err := (Amount{1, "USD"}).Add(Amount{1, "EUR"}); !errors.Is(err, ErrCurrencyMismatch) {
		t.Errorf("USD and EUR: %v", err)
	}
	if sum, err := (Amount{150, "USD"}).Add(Amount{-50, "USD"}); err != nil || sum != (Amount{100, "USD"}) {
		t.Errorf("got %v, %v", sum, err)
	}
}

func TestAmountString(t *testing.T) {
	for _, c := range []struct {
		amount Amount
		want   string
	}{
		{Amount{5000, "USD"}, "USD 50.00"},
		{Amount{5, "USD"}, "USD 0.05"},
		{Amount{-5, "EUR"}, "EUR -0.05"},
		{Amount{500, "JPY"}, "JPY 500"},
		{Amount{math.MinInt64, "USD"}, "USD -92233720368547758.08"},
		{Amount{math.MinInt64, "JPY"}, "JPY -9223372036854775808"},
	} {
		if got := c.amount.String(); got != c.want {
			t.Errorf("%d %s: got %q, want %q", c.amount.Minor, c.amount.Currency, got, c.want)
		}
	}
}

func TestParseCurrency(t *testing.T) {
	for _, code := range []string{"USD", "JPY", "GBP"} {
		c, ok := ParseCurrency([]byte(code))
		if !ok || string(c) != code || !c.Valid() || c.MinimumMinor() <= 0 {
			t.Errorf("%s: %q %v, minimum %d", code, c, ok, c.MinimumMinor())
		}
	}
	for _, code := range []string{"", "usd", "US", "USDD", "XXX", "US\x00"} {
		if c, ok := ParseCurrency([]byte(code)); ok {
			t.Errorf("%q is taken for %s", code, c)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseCurrency([]byte("USD")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
