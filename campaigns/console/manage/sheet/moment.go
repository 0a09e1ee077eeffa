package sheet

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Order is how a column writes dates such as 03/04/2026.
type Order byte

// The orders.
const (
	// OrderUnknown: nothing in the column tells. What can be read in two ways is refused.
	OrderUnknown Order = iota
	DayFirst
	MonthFirst
)

// Days that a spreadsheet's number may stand for: 1954-10-03 and 2119-01-10. What lies
// outside is a number that is no date.
const (
	serialLeast = 20_000
	serialMost  = 80_000
)

// Years that a moment may lie in.
const (
	yearLeast = 2000
	yearMost  = 2199
)

// days1904 is by how many days the two ways of counting days differ.
const days1904 = 1462

// ErrGap says that a clock never shows a time: it lies in the hour that is left out when
// summer time begins.
var ErrGap = errors.New("that time does not exist: the clocks go forward over it")

// GuessOrder learns from a whole column which comes first, the day or the month: from
// the dates that can be read in one way only. When they contradict each other it stays
// unknown.
func GuessOrder(cells []string) Order {
	var day, month bool
	for _, cell := range cells {
		d, _, ok := splitDate(cell)
		if !ok || !d.slashed {
			continue
		}
		day = day || (d.first > 12 && d.first <= 31 && d.second <= 12)
		month = month || (d.second > 12 && d.second <= 31 && d.first <= 12)
	}
	switch {
	case day == month:
		return OrderUnknown
	case day:
		return DayFirst
	}
	return MonthFirst
}

// ParseMoment reads a date, with or without a time of day, as the clocks of zone show
// it; one with an offset ("2026-11-22T08:00:00Z") says itself what it means. It reads
// 2026-11-22 08:00, 22.11.2026 8:00, 11/22/2026 8:00 AM, 22 Nov 2026, and the days that
// spreadsheets count. dateOnly says that no time of day was given: at is then the first
// moment of the day.
//
// Errors: ErrGap; anything else is a reason for people.
func ParseMoment(cell string, order Order, date1904 bool, zone *time.Location) (at time.Time, dateOnly bool, err error) {
	if IsError(cell) {
		return at, false, fmt.Errorf("the formula in it failed: %s", cell)
	}
	if serial, ok := serialOf(cell); ok {
		return fromSerial(serial, date1904, zone)
	}
	date, clock, ok := splitDate(cell)
	if !ok {
		return at, false, fmt.Errorf("%s is not a date; write it as 2026-11-22 08:00", quoted(cell))
	}
	year, month, day, err := date.resolve(cell, order)
	if err != nil {
		return at, false, err
	}
	if year < yearLeast || year > yearMost {
		return at, false, fmt.Errorf("%s is in the year %d", quoted(cell), year)
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return at, false, fmt.Errorf("%s is a day that does not exist", quoted(cell))
	}
	t, err := parseClock(clock)
	if err != nil {
		return at, false, fmt.Errorf("%s: %w", quoted(cell), err)
	}
	if t.offset != nil {
		return time.Date(year, time.Month(month), day, t.hour, t.minute, t.second, 0, t.offset).UTC(), false, nil
	}
	at, err = Local(year, month, day, t.hour, t.minute, t.second, zone)
	if t.none && errors.Is(err, ErrGap) { // summer time that begins at midnight: the day begins at one
		at, err = Local(year, month, day, 1, 0, 0, zone)
	}
	return at, t.none, err
}

// Local is the moment at which clocks in zone show this, in UTC. Of the two moments at
// which they show it when summer time ends it is the first. Errors: ErrGap.
func Local(year, month, day, hour, minute, second int, zone *time.Location) (time.Time, error) {
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
	shows := func(t time.Time) bool {
		y, m, d := t.Date()
		h, mi, s := t.Clock()
		return y == year && int(m) == month && d == day && h == hour && mi == minute && s == second
	}
	if !shows(at) {
		return time.Time{}, ErrGap
	}
	// Which of two moments time.Date gives is not promised. Clocks go back by half an
	// hour to two hours.
	for back := 2 * time.Hour; back > 0; back -= 30 * time.Minute {
		if earlier := at.Add(-back); shows(earlier) {
			return earlier.UTC(), nil
		}
	}
	return at.UTC(), nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// serialOf reads a day that a spreadsheet counts.
func serialOf(cell string) (float64, bool) {
	if !stored(cell) {
		return 0, false
	}
	serial, err := strconv.ParseFloat(cell, 64)
	return serial, err == nil && serial >= serialLeast && serial < serialMost
}

func fromSerial(serial float64, date1904 bool, zone *time.Location) (at time.Time, dateOnly bool, err error) {
	whole := math.Floor(serial)
	// A third of a day is stored as 0.33333333333: seconds are what people mean.
	seconds := int(math.Round((serial - whole) * 24 * 60 * 60))
	days := int(whole)
	if date1904 {
		days += days1904
	}
	// Day 1 is 1900-01-01, and a 29th of February 1900 that never was is counted.
	y, m, d := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days).Add(time.Duration(seconds) * time.Second).Date()
	of := seconds % (24 * 60 * 60)
	if y < yearLeast || y > yearMost {
		return at, false, fmt.Errorf("the number stands for a day in the year %d", y)
	}
	at, err = Local(y, int(m), d, of/3600, of/60%60, of%60, zone)
	return at, seconds == 0, err
}

// date is one as it was written.
type date struct {
	year    int
	first   int // the day, or the month: resolve tells
	second  int
	slashed bool // day and month may stand in either order
	month   int  // 1 to 12 when it was written in letters; first is then the day
}

var monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// splitDate takes a date off a cell; what is left is the time of day, "" for none.
func splitDate(cell string) (d date, clock string, ok bool) {
	cell = strings.Join(strings.Fields(strings.NewReplacer("\u00a0", " ", "\u202f", " ", ",", " ").Replace(cell)), " ")
	if len(cell) > 64 {
		return d, "", false
	}
	head, clock, _ := strings.Cut(cell, " ")
	if before, after, iso := strings.Cut(head, "T"); iso && clock == "" && len(before) >= 8 {
		head, clock = before, after
	}
	for _, separator := range []string{"-", "/", "."} {
		parts := strings.Split(strings.TrimSuffix(head, "."), separator)
		if len(parts) != 3 {
			continue
		}
		if m := monthOf(parts[1]); m > 0 { // 22-Nov-2026
			d.first, d.month, d.year = number(parts[0], 2), m, number(parts[2], 4)
			return d, clock, d.first > 0 && len(parts[2]) == 4 && d.year > 0
		}
		if len(parts[0]) == 4 { // 2026-11-22
			d.year, d.month, d.first = number(parts[0], 4), number(parts[1], 2), number(parts[2], 2)
			return d, clock, d.year > 0 && d.month > 0 && d.first > 0
		}
		d.first, d.second, d.year = number(parts[0], 2), number(parts[1], 2), number(parts[2], 4)
		if d.first < 1 || d.second < 1 || d.year < 1 || len(parts[2]) != 4 {
			return d, "", false
		}
		if separator == "." { // 22.11.2026: where points are written, the day comes first
			d.month = d.second
			return d, clock, true
		}
		d.slashed = true
		return d, clock, true
	}
	// 22 November 2026, Nov 22 2026
	words := strings.SplitN(cell, " ", 4)
	if len(words) < 3 {
		return d, "", false
	}
	clock = ""
	if len(words) == 4 {
		clock = words[3]
	}
	d.year = number(words[2], 4)
	if d.month = monthOf(words[1]); d.month > 0 {
		d.first = number(strings.TrimSuffix(words[0], "."), 2)
	} else if d.month = monthOf(words[0]); d.month > 0 {
		d.first = number(words[1], 2)
	}
	return d, clock, d.month > 0 && d.first > 0 && len(words[2]) == 4 && d.year > 0
}

// monthOf is 1 to 12 for a month's English name, whole or its first letters, else 0.
func monthOf(word string) int {
	word = strings.ToLower(strings.TrimSuffix(word, "."))
	if len(word) < 3 {
		return 0
	}
	for i, name := range monthNames {
		if word == name || word == strings.ToLower(time.Month(i+1).String()) || word == "sept" && name == "sep" {
			return i + 1
		}
	}
	return 0
}

// number reads at most so many digits; 0 for anything else.
func number(s string, digitsMost int) int {
	if len(s) > digitsMost || s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.Atoi(s) // digits, four at most
	return n
}

func (d date) resolve(cell string, order Order) (year, month, day int, err error) {
	switch {
	case d.month > 0:
		return d.year, d.month, d.first, nil
	case d.first > 12 || order == DayFirst && d.second <= 12:
		return d.year, d.second, d.first, nil
	case d.second > 12 || order == MonthFirst:
		return d.year, d.first, d.second, nil
	case d.first == d.second:
		return d.year, d.first, d.first, nil
	}
	return 0, 0, 0, fmt.Errorf("%s can be read in two ways; write %04d-%02d-%02d or %04d-%02d-%02d", quoted(cell), d.year, d.second, d.first, d.year, d.first, d.second)
}

// ofDay is a time of day as it was written.
type ofDay struct {
	hour, minute, second int
	none                 bool
	offset               *time.Location // nil: of the zone
}

// parseClock reads 8:00, 08:00:30, 8:00 AM, 8 am, 08:00:00.5Z and 08:00+01:00.
func parseClock(clock string) (t ofDay, err error) {
	clock = strings.ToLower(strings.TrimSpace(clock))
	bad := fmt.Errorf("the time of day is not one; write it as 08:00 or 8:00 AM")
	if clock == "" {
		return ofDay{none: true}, nil
	}
	half := ""
	for _, suffix := range []string{"am", "pm", "a.m.", "p.m."} {
		if rest, found := strings.CutSuffix(clock, suffix); found {
			clock, half = strings.TrimSpace(rest), suffix[:1]
		}
	}
	if half == "" {
		if clock, t.offset, err = cutOffset(clock); err != nil {
			return t, bad
		}
	}
	parts := strings.Split(clock, ":")
	if len(parts) > 3 || len(parts) == 1 && half == "" {
		return t, bad
	}
	into := []*int{&t.hour, &t.minute, &t.second}
	for i, part := range parts {
		if i == 2 { // parts of a second are cut off: they are a program's, not a person's
			part, _, _ = strings.Cut(part, ".")
		}
		if part == "" || len(part) > 2 || i > 0 && len(part) != 2 || strings.Trim(part, "0123456789") != "" {
			return t, bad
		}
		*into[i] = number(part, 2)
	}
	if half != "" {
		if t.hour < 1 || t.hour > 12 {
			return t, bad
		}
		t.hour %= 12
		if half == "p" {
			t.hour += 12
		}
	}
	if t.hour > 23 || t.minute > 59 || t.second > 59 {
		return t, bad
	}
	return t, nil
}

// cutOffset takes Z or an offset such as +01:00 off a time of day.
func cutOffset(clock string) (string, *time.Location, error) {
	if rest, utc := strings.CutSuffix(clock, "z"); utc {
		return rest, time.UTC, nil
	}
	at := strings.LastIndexAny(clock, "+-")
	if at < 0 {
		return clock, nil, nil
	}
	digits := strings.ReplaceAll(clock[at+1:], ":", "")
	if len(digits) != 4 || strings.Trim(digits, "0123456789") != "" {
		return "", nil, errors.New("not an offset")
	}
	seconds := (number(digits[:2], 2)*60 + number(digits[2:], 2)) * 60
	if seconds > 14*60*60 {
		return "", nil, errors.New("not an offset")
	}
	if clock[at] == '-' {
		seconds = -seconds
	}
	return strings.TrimSpace(clock[:at]), time.FixedZone("", seconds), nil
}
