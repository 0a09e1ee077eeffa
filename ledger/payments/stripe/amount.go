package stripe

import (
	"errors"
	"fmt"
	"math"

	"spillway/ledger/money"
)

// ErrAmount says that an amount has no equal at the processor, or the reverse.
var ErrAmount = errors.New("amount does not fit the processor's unit")

// unit is how a currency's minor unit (ISO 4217) and Stripe's unit of it differ.
type unit struct {
	// times is how many of Stripe's units make one minor unit.
	times int64
	// multiple is what charged amounts must be a multiple of, in Stripe's units.
	multiple int64
}

// units lists the currencies whose amounts are not simply ISO 4217's minor units
// (docs.stripe.com/currencies, "Zero-decimal", "Three-decimal" and "Special cases",
// read 2026-11). Zero-decimal ones such as JPY are: 500 yen are 500. So are HUF and
// TWD for charges; only payouts of them, which Stripe makes by itself, are whole.
var units = map[money.Currency]unit{
	// Without decimals, and still written with two that are always 00.
	"ISK": {100, 100}, "UGX": {100, 100},
	// Of three decimals the last is always 0.
	"BHD": {1, 10}, "JOD": {1, 10}, "KWD": {1, 10}, "OMR": {1, 10}, "TND": {1, 10},
}

// toProcessor converts minor units into what the API takes. Errors: ErrAmount.
func toProcessor(c money.Currency, minor int64) (int64, error) {
	u, odd := units[c]
	if !odd {
		return minor, nil
	}
	if minor > math.MaxInt64/u.times || minor < math.MinInt64/u.times || minor*u.times%u.multiple != 0 {
		return 0, fmt.Errorf("%d minor units of %s: %w", minor, c, ErrAmount)
	}
	return minor * u.times, nil
}

// fromProcessor converts what the API shows into minor units. Errors: ErrAmount.
func fromProcessor(c money.Currency, amount int64) (int64, error) {
	u, odd := units[c]
	if !odd {
		return amount, nil
	}
	if amount%u.times != 0 {
		return 0, fmt.Errorf("%d units of %s: %w", amount, c, ErrAmount)
	}
	return amount / u.times, nil
}

// currency reads the API's lower-case code. One that we do not take may still be
// what an account is settled in. Errors: ErrAmount.
func currency(code string) (money.Currency, error) {
	if len(code) != 3 {
		return "", fmt.Errorf("a currency of %d bytes: %w", len(code), ErrAmount)
	}
	var upper [3]byte
	for i := range upper {
		c := code[i]
		if c < 'a' || c > 'z' {
			return "", fmt.Errorf("a currency that is no lower-case code: %w", ErrAmount)
		}
		upper[i] = c - 'a' + 'A'
	}
	if c, ok := money.ParseCurrency(upper[:]); ok {
		return c, nil
	}
	return money.Currency(upper[:]), nil
}

// amount reads an amount and its currency as the API shows them. Errors: ErrAmount.
func amount(code string, units int64) (money.Currency, int64, error) {
	c, err := currency(code)
	if err != nil {
		return "", 0, err
	}
	minor, err := fromProcessor(c, units)
	return c, minor, err
}

// gross is amount for what is never negative: a charge, a refund, a dispute.
func gross(code string, units int64) (money.Currency, int64, error) {
	if units < 0 {
		return "", 0, fmt.Errorf("a negative amount: %w", ErrAmount)
	}
	return amount(code, units)
}
