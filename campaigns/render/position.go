package render

import (
	"bytes"
	"cmp"
	"strconv"
)

// Position orders the states of one campaign's total: by epoch, then by version.
// It is the ID of an event, written "epoch.version".
type Position struct {
	Epoch, Version int64
}

// After tells whether p is newer than q.
func (p Position) After(q Position) bool { return p.Compare(q) > 0 }

// Compare orders positions as cmp.Compare does.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Epoch, q.Epoch); c != 0 {
		return c
	}
	return cmp.Compare(p.Version, q.Version)
}

// AppendText appends "epoch.version".
func (p Position) AppendText(dst []byte) []byte {
	dst = strconv.AppendInt(dst, p.Epoch, 10)
	dst = append(dst, '.')
	return strconv.AppendInt(dst, p.Version, 10)
}

// positionBytesMax is two 63-bit numbers and a dot.
const positionBytesMax = 2*19 + 1

// ParsePosition reads what AppendText writes. ok is false for anything else, also
// for negative numbers, signs and leading zeros.
func ParsePosition(text []byte) (p Position, ok bool) {
	if len(text) > positionBytesMax {
		return Position{}, false
	}
	epoch, version, found := bytes.Cut(text, []byte{'.'})
	if !found {
		return Position{}, false
	}
	if p.Epoch, ok = parseCount(epoch); !ok {
		return Position{}, false
	}
	if p.Version, ok = parseCount(version); !ok {
		return Position{}, false
	}
	return p, true
}

func parseCount(digits []byte) (int64, bool) {
	if len(digits) == 0 || digits[0] == '+' || digits[0] == '-' || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil
}
