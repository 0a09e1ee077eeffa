package ingest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
)

func TestHoldsCardNumber(t *testing.T) {
	for s, want := range map[string]bool{
		"":                                    false,
		"Go team!":                            false,
		"4242424242424242":                    true,
		"4242 4242 4242 4242":                 true,
		"4242-4242-4242-4242":                 true,
		"4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2":     true,
		"4242  --  4242 4242 4242":            true,
		"my card is 4242424242424242, thanks": true,
		"4242 4242 4242 4242 12/30 123":       true, // with its expiry date
		"4242 4242 4242 4242 12 30 123":       true, // a longer run, at the borders of its groups
		"50 4242424242424242":                 true,
		"4242424242424242@example.org":        true,
		"378282246310005":                     true, // 15 digits
		"4222222222222":                       true, // 13 digits
		"6304000000000000000":                 true, // 19 digits
		"４２４２４２４２４２４２４２４２":                      true, // full-width
		"٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢":                      true, // Arabic-Indic
		"4242\u00a04242\u20094242\u20134242":    true, // no-break space, thin space, en dash
		"4242\u200b4242\u200b4242\u200b4242":    true, // zero-width spaces
		"4242\n4242\n4242\n4242":                true,
		"4111 1111 1111 1112":                   false, // fails Luhn
		"424242424242":                          false, // 12 digits
		"42424242424242424242":                  false, // 20 digits without a border
		"4242.4242.4242.4242":                   false, // a dot is neither space nor dash
		"4242a4242b4242c4242":                   false,
		"+1 415 555 2671":                       false,
		"2026-11-22 20:00, table 12, seat 4242": false,
	} {
		if got := ingest.HoldsCardNumber(s); got != want {
			t.Errorf("HoldsCardNumber(%q) = %v, want %v", s, got, want)
		}
	}
}

// Whatever stands around a card number, and whatever joins its digits, it is found.
func TestHoldsCardNumber_FindsEveryCard(t *testing.T) {
	joint := rapid.StringMatching(`[ -]{0,3}`)
	around := rapid.StringMatching(`[a-zé!.,: \n]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(13, 19).Draw(t, "digits")
		digits := rapid.SliceOfN(rapid.IntRange(0, 9), n-1, n-1).Draw(t, "number")
		digits = append(digits, checkDigit(digits))
		var b strings.Builder
		b.WriteString(around.Draw(t, "before"))
		for _, d := range digits {
			b.WriteByte(byte('0' + d))
			b.WriteString(joint.Draw(t, "joint"))
		}
		b.WriteString(around.Draw(t, "after"))
		if !ingest.HoldsCardNumber(b.String()) {
			t.Fatalf("not found in %q", b.String())
		}
	})
}

// An unbroken number of card length that fails the check is no card number.
func TestHoldsCardNumber_LeavesOtherNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(13, 19).Draw(t, "digits")
		digits := rapid.SliceOfN(rapid.IntRange(0, 9), n-1, n-1).Draw(t, "number")
		last := (checkDigit(digits) + rapid.IntRange(1, 9).Draw(t, "off")) % 10
		var b strings.Builder
		for _, d := range append(digits, last) {
			b.WriteByte(byte('0' + d))
		}
		if ingest.HoldsCardNumber(b.String()) {
			t.Fatalf("found in %q", b.String())
		}
	})
}

// checkDigit is the digit that makes the number pass Luhn, computed from the left
// and so unlike the code under test.
func checkDigit(digits []int) int {
	sum := 0
	for i, d := range digits {
		if (len(digits)-i)%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return (10 - sum%10) % 10
}

func TestHoldsCardNumber_LongTextsAreCheap(t *testing.T) {
	long := strings.Repeat("1 2-3", 6000)
	if n := testing.AllocsPerRun(10, func() { ingest.HoldsCardNumber(long) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
