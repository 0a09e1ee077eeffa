package stripesim

import (
	"slices"
	"strings"

	"spillway/ledger/money"
)

// amountMax is Stripe's most, in the smallest unit.
const amountMax = 99_999_999

var (
	// wholeHundreds are currencies without minor units that Stripe takes with two
	// zeros at the end for old clients' sake (docs.stripe.com/currencies, "special cases").
	wholeHundreds = []string{"isk", "ugx"}
	// thousandths have three digits, the last of which must be zero (same page).
	thousandths = []string{"bhd", "jod", "kwd", "omr", "tnd"}
)

// minimumOthers is the least amount of currencies without a published one.
const minimumOthers = 1

// checkAmount says whether Stripe takes an amount of a currency (lower case).
func checkAmount(amount int64, currency string) *apiError {
	least := int64(minimumOthers)
	if c, ok := money.ParseCurrency([]byte(strings.ToUpper(currency))); ok {
		least = c.MinimumMinor()
	}
	switch {
	case amount < least:
		return malformed("amount_too_small", "amount", "Amount must be at least %d %s", least, currency)
	case amount > amountMax:
		return malformed("amount_too_large", "amount", "Amount must be no more than %d", amountMax)
	case slices.Contains(wholeHundreds, currency) && amount%100 != 0:
		return malformed("invalid_charge_amount", "amount", "Invalid amount: %s amounts must be divisible by 100.", currency)
	case slices.Contains(thousandths, currency) && amount%10 != 0:
		return malformed("invalid_charge_amount", "amount", "Invalid amount: %s amounts must be divisible by 10.", currency)
	}
	return nil
}

// checkCurrency takes three lower-case letters, as Stripe wants them; it takes
// upper case too, as Stripe does.
func checkCurrency(text string) (string, *apiError) {
	lower := strings.ToLower(text)
	if len(lower) != 3 || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", malformed("parameter_invalid", "currency", "Invalid currency: %s", text)
	}
	return intern(lower), nil
}

// of is the fee of a captured charge, rounded half up.
func (f Fees) of(amount int64) int64 {
	const whole = 10_000
	return (amount*f.BasisPoints+whole/2)/whole + f.Fixed
}
