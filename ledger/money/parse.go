package money

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrAmount says that a text is no amount of its currency.
var ErrAmount = errors.New("not an amount")

// Parse reads what a person writes, without the currency: "50" or "50.00" for USD,
// "500" for JPY. All decimals or none, so that 12.5 is not taken for something else
// than was meant; no sign, no separator of thousands. Errors: ErrAmount, ErrOverflow.
func Parse(text string, c Currency) (minor int64, err error) {
	bad := func(why string) (int64, error) { return 0, fmt.Errorf("%q: %w of %s: %s", text, ErrAmount, c, why) }
	if !c.Valid() {
		return bad("a currency that is not known")
	}
	whole, decimals, point := strings.Cut(text, ".")
	digits := c.Exponent()
	switch {
	case whole == "":
		return bad("it begins with a digit")
	case point && digits == 0:
		return bad("it has no decimals")
	case point && len(decimals) != digits:
		return bad(fmt.Sprintf("it has %d decimals or none", digits))
	case !point:
		decimals = strings.Repeat("0", digits)
	}
	for _, d := range []byte(whole + decimals) {
		if d < '0' || d > '9' {
			return bad("it has digits and a point alone")
		}
		if minor > (math.MaxInt64-int64(d-'0'))/10 {
			return 0, fmt.Errorf("%q: %w", text, ErrOverflow)
		}
		minor = minor*10 + int64(d-'0')
	}
	return minor, nil
}
