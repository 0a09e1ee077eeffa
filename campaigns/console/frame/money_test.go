package frame_test

import (
	"math"
	"testing"

	"spillway/campaigns/console/frame"
	"spillway/ledger/money"
)

func TestMoney(t *testing.T) {
	for _, c := range []struct {
		minor    int64
		currency money.Currency
		want     string
	}{
		{0, "USD", "0.00 USD"}, {5, "USD", "0.05 USD"}, {1_234_500, "USD", "12,345.00 USD"}, {-100_000, "EUR", "-1,000.00 EUR"},
		{-99_900, "EUR", "-999.00 EUR"}, {1_234_567, "JPY", "1,234,567 JPY"}, {999, "JPY", "999 JPY"}, {math.MaxInt64, "USD", "92,233,720,368,547,758.07 USD"},
	} {
		if got := frame.Money(c.minor, c.currency); got != c.want {
			t.Errorf("%d %s is %q, want %q", c.minor, c.currency, got, c.want)
		}
	}
}
