package web

import (
	"math/big"
	"strconv"
	"strings"

	"spillway/ledger/money"
)

// symbols are what English readers know a currency by, those that browsers write for
// "en" (Unicode CLDR, numbers/symbols), so that a figure looks the same before and
// after a script replaces it. Any other currency is written by its code.
var symbols = map[money.Currency]string{
	"AUD": "A$", "BRL": "R$", "CAD": "CA$", "EUR": "€", "GBP": "£", "HKD": "HK$", "INR": "₹", "JPY": "¥", "MXN": "MX$", "NZD": "NZ$", "USD": "$",
}

// amount writes minor units of a currency for people: "$1,234.50"; decimals that
// would be zeros are left out, "$1,234".
func amount(minor int64, c money.Currency) string {
	sign, u := "", uint64(minor)
	if minor < 0 {
		sign, u = "-", -u
	}
	scale := uint64(1)
	for range c.Exponent() {
		scale *= 10
	}
	var b strings.Builder
	b.WriteString(sign)
	if symbol, ok := symbols[c]; ok {
		b.WriteString(symbol)
	} else {
		b.WriteString(string(c) + "\u00a0") // stays on one line
	}
	b.WriteString(grouped(u / scale))
	if rest := u % scale; rest != 0 {
		digits := strconv.FormatUint(rest+scale, 10) // a 1 in front keeps the zeros
		b.WriteString("." + digits[1:])
	}
	return b.String()
}

// count writes a number of things: "12,345".
func count(n int64) string {
	if n < 0 {
		return "-" + grouped(-uint64(n))
	}
	return grouped(uint64(n))
}

// grouped writes n with a comma between thousands.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// percent is how much of goal part is, in whole percent, rounded down: 100% is said
// when the goal is reached and not before. goal is above 0.
func percent(part, goal int64) string {
	if part <= 0 {
		return "0%"
	}
	// Large integers, since a hundred times an amount need not fit 64 bits.
	hundreds := new(big.Int).Mul(big.NewInt(part), big.NewInt(100))
	return hundreds.Quo(hundreds, big.NewInt(goal)).String() + "%"
}

// plural writes a number of things with their name: "1 campaign", "2,000 campaigns".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
