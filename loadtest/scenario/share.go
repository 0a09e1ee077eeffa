package scenario

import (
	"fmt"
	"strconv"
	"strings"
)

// Share is a part of a whole, 0..1, written "5%" or 0.05.
type Share float64

// UnmarshalText reads it.
func (s *Share) UnmarshalText(text []byte) error {
	number, hundredths := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(number, 64)
	if hundredths {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is not from 0%% to 100%%", text)
	}
	*s = Share(v)
	return nil
}

// String writes it as people do.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }
