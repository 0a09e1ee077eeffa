package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count writes a number with its thousands apart.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(text, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return strings.TrimSuffix(text, strings.TrimPrefix(text, "-")) + digits
}

// rate writes something per second.
func rate(v float64) string {
	if v < 10 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return count(int64(math.Round(v)))
}

// long writes a duration for people: three digits below a minute, words above.
func long(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + long(-d)
	case d == 0:
		return "0\u00a0s"
	case d < time.Millisecond:
		return number(float64(d)/float64(time.Microsecond)) + "\u00a0µs"
	case d < time.Second:
		return number(float64(d)/float64(time.Millisecond)) + "\u00a0ms"
	case d < 100*time.Second:
		return number(d.Seconds()) + "\u00a0s"
	case d < 100*time.Minute:
		return number(d.Minutes()) + "\u00a0min"
	case d < 72*time.Hour:
		return number(d.Hours()) + "\u00a0h"
	}
	return number(d.Hours()/24) + "\u00a0days"
}

// number writes three digits of a positive number.
func number(v float64) string {
	switch {
	case v >= 100:
		return count(int64(math.Round(v)))
	case v >= 10:
		return trimmed(v, 1)
	case v >= 1:
		return trimmed(v, 2)
	}
	return trimmed(v, 3)
}

func trimmed(v float64, digits int) string {
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// clock writes a moment since the beginning: "1:05", "2:03:00".
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// percent writes a part of a whole.
func percent(part float64) string {
	switch p := 100 * part; {
	case p == 0:
		return "0\u00a0%"
	case p < 0.01:
		return "less than 0.01\u00a0%"
	default:
		return number(p) + "\u00a0%"
	}
}

// bytesOf writes a size.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<30:
		return number(float64(n)/(1<<30)) + "\u00a0GiB"
	case n >= 1<<20:
		return number(float64(n)/(1<<20)) + "\u00a0MiB"
	}
	return number(float64(n)/(1<<10)) + "\u00a0KiB"
}

// plural writes how many there are of something.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// words are those that a reader may not know.
var words = []fact{
	{Name: "gift, donation", Text: "what a donor sends: an amount for one campaign or more"},
	{Name: "acknowledged", Text: "the donor was told that the donation is accepted, after it was on disk (status 202)"},
	{Name: "refused", Text: "a definite no, such as a campaign that is closed; the donor knows"},
	{Name: "unknown", Text: "no definite answer; the same gift is sent again under the same key until there is one, and counts once"},
	{Name: "p50, p99", Text: "half, or 99 of 100, were at most this; the others took longer"},
	{Name: "age of totals", Text: "how far the totals that donors see are behind, as the pages say it themselves"},
	{Name: "ledger", Text: "the books in the database; its backlog is what is on disk and not in the books yet"},
	{Name: "charging, pace", Text: "cards are charged after the acknowledgement, as fast as the processor allows; what waits is the charge queue"},
	{Name: "generator", Text: "the part of this tool that plays the donors; when it is late itself, waits look longer than they are"},
	{Name: "proof", Text: "the generator's own record of every answer, held against ledger, public totals and the processor's books"},
}
