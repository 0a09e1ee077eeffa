package sheet

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"spillway/ledger/money"
)

// Decimal is what stands before the cents.
type Decimal byte

// The ways of writing a decimal.
const (
	// Undecided: nothing in the column tells. What can be read in two ways is refused.
	Undecided Decimal = iota
	Point
	Comma
)

// digitsShown is how many significant digits a spreadsheet program keeps: what it stores
// has 15, and noise behind them.
const digitsShown = 15

// GuessDecimal learns from a whole column how it writes decimals: from the cells that can
// be read in one way only. When they contradict each other it stays Undecided.
func GuessDecimal(cells []string) Decimal {
	seen := [3]bool{}
	for _, cell := range cells {
		number := bare(cell, "")
		point, comma := strings.Count(number, "."), strings.Count(number, ",")
		last := strings.LastIndexAny(number, ".,")
		switch {
		case point == 0 && comma == 0, strings.Trim(number, "0123456789., ") != "":
		case point > 0 && comma > 0: // the last one is the decimal's
			seen[mark(number[last])] = true
		case point+comma > 1: // 1.234.567: the other one is the decimal's
			seen[3-mark(number[last])] = true
		case len(number)-last-1 != 3: // 12.5, 12,50
			seen[mark(number[last])] = true
		}
	}
	switch {
	case seen[Point] == seen[Comma]:
		return Undecided
	case seen[Point]:
		return Point
	}
	return Comma
}

func mark(c byte) Decimal {
	if c == ',' {
		return Comma
	}
	return Point
}

// ParseAmount reads what is not negative, in whatever way people write it: 1234.5,
// "1.234,50", "1 234,50", "$1,234.50", "EUR 50". numbers says that a cell which looks
// like a number is one as it was stored (Table.Numbers). decimal is what the column
// tells.
//
// Errors: money.ErrOverflow; anything else is a reason for people, such as "write 1234
// or 1234.00".
func ParseAmount(cell string, numbers bool, decimal Decimal, c money.Currency) (minor int64, err error) {
	if IsError(cell) {
		return 0, fmt.Errorf("the formula in it failed: %s", cell)
	}
	number := bare(cell, c)
	if number == "" {
		return 0, fmt.Errorf("%s is not an amount", quoted(cell))
	}
	if numbers && stored(cell) {
		return parsePlain(cell, settle(cell), c)
	}
	if strings.HasPrefix(number, "-") || strings.HasPrefix(number, "(") {
		return 0, fmt.Errorf("%s is below zero", quoted(cell))
	}
	for _, d := range number {
		if (d < '0' || d > '9') && d != '.' && d != ',' && d != ' ' {
			return 0, fmt.Errorf("%s is not an amount in %s", quoted(cell), c)
		}
	}
	whole, decimals, err := divide(cell, number, decimal, c.Exponent())
	if err != nil {
		return 0, err
	}
	if !grouped(whole) {
		return 0, fmt.Errorf("the separators in %s are at odd places", quoted(cell))
	}
	return parsePlain(cell, strings.NewReplacer(".", "", ",", "", " ", "").Replace(whole)+"."+decimals, c)
}

// bare is a cell without what says the currency, and with plain spaces.
func bare(cell string, c money.Currency) string {
	s := strings.Map(func(r rune) rune {
		switch r {
		case '\u00a0', '\u202f', '\u2009', '\'', '\u2019', '\t': // spaces and apostrophes between thousands
			return ' '
		case '\u2212': // a typographer's minus
			return '-'
		}
		return r
	}, cell)
	for _, sign := range []string{"$", "€", "£", "¥", string(c), strings.ToLower(string(c))} {
		if sign != "" {
			s = strings.TrimSpace(s)
			s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(s, sign), sign))
		}
	}
	return s
}

// divide finds where the cents begin.
func divide(cell, number string, decimal Decimal, digits int) (whole, decimals string, err error) {
	point, comma := strings.Count(number, "."), strings.Count(number, ",")
	last := strings.LastIndexAny(number, ".,")
	switch {
	case last < 0:
		return number, "", nil
	case point > 0 && comma > 0:
		if min(point, comma) > 1 || strings.Count(number, string(number[last])) > 1 {
			return "", "", fmt.Errorf("the separators in %s are at odd places", quoted(cell))
		}
	case point+comma > 1:
		return number, "", nil
	case len(number)-last-1 == 3 && decimal == Undecided:
		plain := func(s string) string {
			return cmp.Or(strings.TrimLeft(strings.ReplaceAll(s, " ", ""), "0"), "0")
		}
		small, large := plain(number[:last]), plain(number[:last]+number[last+1:])
		if digits > 0 {
			small += "." + number[last+1:][:min(digits, 3)]
		}
		return "", "", fmt.Errorf("%s can be read in two ways; write %s or %s", quoted(cell), small, large)
	case len(number)-last-1 == 3 && mark(number[last]) != decimal:
		return number, "", nil
	}
	return number[:last], number[last+1:], nil
}

// grouped tells whether the separators left in a whole number stand between thousands,
// or, as in India, between hundreds of thousands. Nobody begins them with a zero: "0.500"
// is no five hundred, whatever its column says.
func grouped(whole string) bool {
	groups := strings.FieldsFunc(whole, func(r rune) bool { return r == '.' || r == ',' || r == ' ' })
	if len(groups) <= 1 {
		return strings.Trim(whole, "0123456789") == ""
	}
	for i, g := range groups {
		switch {
		case i == 0 && (len(g) > 3 || g[0] == '0'), i == len(groups)-1 && len(g) != 3, i > 0 && len(g) != 3 && len(g) != 2:
			return false
		}
	}
	// One separator at a time, of one kind.
	seps := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, whole)
	return len(seps) == len(groups)-1 && strings.Count(seps, seps[:1]) == len(seps)
}

// stored tells whether a cell looks like a number as files store it: -1234.5, 1.5E-3.
func stored(cell string) bool {
	mantissa, exponent, scientific := strings.Cut(cell, "E")
	if scientific {
		exponent = strings.TrimLeft(exponent, "+-")
		if exponent == "" || len(exponent) > 3 || strings.Trim(exponent, "0123456789") != "" {
			return false
		}
	}
	whole, decimals, point := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	if whole == "" || strings.Trim(whole+decimals, "0123456789") != "" {
		return false
	}
	return !point || decimals != ""
}

// settle is a stored number as the program shows it: rounded to the digits that it
// keeps, without the noise of the binary fraction that it is stored as. Here alone a
// float touches an amount: it came as one.
func settle(cell string) string {
	f, err := strconv.ParseFloat(cell, 64)
	if err != nil || math.Abs(f) > math.MaxInt64 {
		return cell
	}
	f, err = strconv.ParseFloat(strconv.FormatFloat(f, 'e', digitsShown-1, 64), 64)
	if err != nil {
		return cell
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// parsePlain reads digits with a decimal point. Zeros beyond the currency's decimals say
// nothing; other digits there are refused rather than rounded.
func parsePlain(cell, plain string, c money.Currency) (int64, error) {
	if strings.HasPrefix(plain, "-") {
		return 0, fmt.Errorf("%s is below zero", quoted(cell))
	}
	whole, decimals, _ := strings.Cut(plain, ".")
	digits := c.Exponent()
	for len(decimals) > digits {
		if decimals[len(decimals)-1] != '0' {
			return 0, fmt.Errorf("%s has more decimals than %s has", quoted(cell), c)
		}
		decimals = decimals[:len(decimals)-1]
	}
	if whole == "" {
		whole = "0"
	}
	if digits > 0 {
		whole += "." + decimals + strings.Repeat("0", digits-len(decimals))
	}
	minor, err := money.Parse(whole, c)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", quoted(cell), err)
	}
	return minor, nil
}
