package ingest

import (
	"unicode"
	"unicode/utf8"
)

// A card number has this many digits (ISO/IEC 7812).
const (
	cardDigitsMin = 13
	cardDigitsMax = 19
)

// HoldsCardNumber tells whether s holds digits that may be a card's: 13 to 19
// of them that pass the Luhn check, with any spaces and dashes between them
// ignored. Digits of every script count, and so do Unicode's other spaces, its
// dashes and its invisible characters, so that no disguise helps.
//
// A run of digits is looked at whole and between any two borders of its groups:
// a number is found with its expiry date behind it, while a longer unbroken one
// (an account, an order) is not searched for lucky parts; one in ten passes Luhn
// by chance. Time grows with len(s); it does not allocate.
func HoldsCardNumber(s string) bool {
	if !manyDigits(s) {
		return false
	}
	var run digitRun
	for _, r := range s {
		if digit, ok := digitValue(r); ok {
			run.add(digit)
			continue
		}
		if run.endGroup() {
			return true
		}
		if !joinsDigits(r) {
			run = digitRun{}
		}
	}
	return run.endGroup()
}

// manyDigits tells cheaply that s can hold a card number: most texts cannot.
func manyDigits(s string) bool {
	n := 0
	for i := range len(s) {
		if c := s[i]; c-'0' <= 9 || c >= utf8.RuneSelf {
			if n++; n >= cardDigitsMin {
				return true
			}
		}
	}
	return false
}

// digitRun is the end of a run of digits that only spaces and dashes interrupt.
type digitRun struct {
	last    [32]uint8 // the last digits; digit i of the run is last[i%32]
	n       int       // digits in the run
	starts  uint32    // bit i: the digit i before the last begins a group
	inGroup bool      // the last character was a digit
}

func (r *digitRun) add(digit uint8) {
	r.last[r.n%len(r.last)] = digit
	r.n++
	r.starts <<= 1
	if !r.inGroup {
		r.starts |= 1
	}
	r.inGroup = true
}

// endGroup ends the group of digits, if one is open, and tells whether a card
// number may end with it.
func (r *digitRun) endGroup() bool {
	if !r.inGroup {
		return false
	}
	r.inGroup = false
	sum := 0
	for i := range min(r.n, cardDigitsMax) {
		d := int(r.last[(r.n-1-i)%len(r.last)])
		if i%2 == 1 { // Luhn: every second digit from the right counts twice, digits of the product summed
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		if i+1 >= cardDigitsMin && r.starts&(1<<i) != 0 && sum%10 == 0 {
			return true
		}
	}
	return false
}

// digitValue is the value of a decimal digit of any script.
func digitValue(r rune) (uint8, bool) {
	if r < utf8.RuneSelf {
		return uint8(r - '0'), '0' <= r && r <= '9'
	}
	// Unicode's decimal digits come in tens that begin with the zero.
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return uint8((r - rune(t.Lo)) % 10), true
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return uint8((r - rune(t.Lo)) % 10), true
		}
	}
	return 0, false
}

// joinsDigits tells whether r between two digits leaves them one number: a space,
// a dash, the minus sign, or an invisible character.
func joinsDigits(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r == '-' || '\t' <= r && r <= '\r'
	}
	return unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Pd, unicode.Cf) || r == '\u2212'
}
