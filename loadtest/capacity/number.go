package capacity

import (
	"math"
	"strconv"
)

// rate writes donations per second as people read them: 12,300, 480, 4.2.
func rate(r float64) string {
	if r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return count(r)
}

// count writes a number of things, with commas.
func count(n float64) string {
	text := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
