package money

import (
	"maps"
	"slices"
)

// Currency is an ISO 4217 code in capitals, one of those in the table below.
type Currency string

// properties of a currency, in minor units.
type properties struct {
	// exponent is the number of decimal digits of the minor unit (ISO 4217).
	exponent int
	// minimum is the least that the processor charges, in minor units
	// (docs.stripe.com/currencies, "Minimum and maximum charge amounts", read 2026-11).
	minimum int64
}

// currencies lists what a donation may be given in: those whose minimum charge
// the processor publishes, so that no gift is accepted that can never be paid.
var currencies = map[Currency]properties{
	"AED": {2, 200}, "AUD": {2, 50}, "BRL": {2, 50}, "CAD": {2, 50},
	"CHF": {2, 50}, "CZK": {2, 1500}, "DKK": {2, 250}, "EUR": {2, 50},
	"GBP": {2, 30}, "HKD": {2, 400}, "HUF": {2, 17500}, "INR": {2, 50},
	"JPY": {0, 50}, "MXN": {2, 1000}, "MYR": {2, 200}, "NOK": {2, 300},
	"NZD": {2, 50}, "PLN": {2, 200}, "RON": {2, 200}, "SEK": {2, 300},
	"SGD": {2, 50}, "THB": {2, 1000}, "USD": {2, 50},
}

// interned maps a code to one shared string, so that parsing does not allocate.
var interned = func() map[string]Currency {
	m := make(map[string]Currency, len(currencies))
	for c := range currencies {
		m[string(c)] = c
	}
	return m
}()

// ParseCurrency returns the currency with this code; ok is false for a code
// that is unknown, not in capitals, or without a published minimum charge.
// It does not allocate and keeps no reference to code.
func ParseCurrency(code []byte) (c Currency, ok bool) {
	c, ok = interned[string(code)]
	return c, ok
}

// Valid tells whether the currency is in the table.
func (c Currency) Valid() bool { _, ok := currencies[c]; return ok }

// Exponent is the number of decimal digits of the minor unit; 0 for JPY, 2 for
// USD, and 0 for an unknown currency.
func (c Currency) Exponent() int { return currencies[c].exponent }

// MinimumMinor is the least that the processor charges, in minor units.
func (c Currency) MinimumMinor() int64 { return currencies[c].minimum }

// Currencies returns every currency in the table, in the order of their codes.
func Currencies() []Currency { return slices.Sorted(maps.Keys(currencies)) }
