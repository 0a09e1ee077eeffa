// Package money holds amounts: an int64 of minor units and an ISO 4217
// currency. There are no floats, and an addition that would overflow says so
// instead of wrapping.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrOverflow is returned when a sum does not fit 64 bits.
var ErrOverflow = errors.New("amount overflows 64 bits of minor units")

// ErrCurrencyMismatch is returned when two currencies meet in one sum.
var ErrCurrencyMismatch = errors.New("amounts of different currencies cannot be added")

// Amount is a sum of money: Minor units (cents for USD, yen for JPY) of Currency.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Add returns a+b. Errors: ErrCurrencyMismatch, ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, fmt.Errorf("%s and %s: %w", a.Currency, b.Currency, ErrCurrencyMismatch)
	}
	sum, err := Add(a.Minor, b.Minor)
	return Amount{Minor: sum, Currency: a.Currency}, err
}

// Add returns a+b in minor units, or ErrOverflow.
func Add(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// String writes the amount for people: "USD 50.00", "JPY 500".
func (a Amount) String() string {
	digits := a.Currency.Exponent()
	sign, minor := "", a.Minor
	u := uint64(minor)
	if minor < 0 {
		sign, u = "-", -uint64(minor)
	}
	if digits == 0 {
		return string(a.Currency) + " " + sign + strconv.FormatUint(u, 10)
	}
	scale := uint64(1)
	for range digits {
		scale *= 10
	}
	return fmt.Sprintf("%s %s%d.%0*d", a.Currency, sign, u/scale, digits, u%scale)
}
