// Package plan decides what becomes of every row of an organiser's spreadsheet before
// anything is done: pure functions of the file and of what is there.
//
// The one invariant: a plan is complete. Each row has one outcome and, where it is
// refused, the cell and the reason; applying a plan does what it says, or nothing.
//
// No goroutines, no I/O, no clock.
package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

// Outcome is what becomes of a row.
type Outcome string

// The outcomes.
const (
	New       Outcome = "new"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged" // as it is there; of a gift: booked already
	Refused   Outcome = "refused"
)

// Row is what becomes of one row. It holds no donor's name.
type Row struct {
	Number  int     `json:"row"` // as a spreadsheet program shows it
	Outcome Outcome `json:"outcome"`
	// Subject is a campaign's slug; of a gift, the campaign that it is for.
	Subject string `json:"subject"`
	// Title tells people which row it is: a campaign's name, a gift in a few words.
	Title    string   `json:"title"`
	Changes  []Change `json:"changes,omitempty"`
	Faults   []Fault  `json:"faults,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Change is one field's.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Fault is why a row is refused.
type Fault struct {
	Cell   string `json:"cell"`   // such as C7
	Column string `json:"column"` // its title
	Reason string `json:"reason"`
}

// Counts are how many rows have each outcome.
type Counts struct {
	Rows      int `json:"rows"`
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
	Warned    int `json:"warned"` // of those not refused
}

// Count counts the rows.
func Count(rows []Row) (c Counts) {
	for i := range rows {
		c.Rows++
		switch rows[i].Outcome {
		case New:
			c.New++
		case Changed:
			c.Changed++
		case Unchanged:
			c.Unchanged++
		case Refused:
			c.Refused++
		}
		if len(rows[i].Warnings) > 0 && rows[i].Outcome != Refused {
			c.Warned++
		}
	}
	return c
}

// Sum is how many there are in a currency, and what they come to.
type Sum struct {
	Currency money.Currency `json:"currency"`
	Count    int64          `json:"count"`
	Minor    int64          `json:"amount_minor"`
}

// Sums are one for each currency, in order of its code.
type Sums []Sum

// Add returns the sums with one more. Errors: money.ErrOverflow.
func (s Sums) Add(c money.Currency, minor int64) (Sums, error) {
	at := 0
	for at < len(s) && s[at].Currency < c {
		at++
	}
	if at == len(s) || s[at].Currency != c {
		s = append(s[:at:at], append(Sums{{Currency: c}}, s[at:]...)...)
	} else {
		s = append(Sums(nil), s...)
	}
	sum, err := money.Add(s[at].Minor, minor)
	if err != nil {
		return nil, err
	}
	s[at].Minor, s[at].Count = sum, s[at].Count+1
	return s, nil
}

// String is "2 in USD 150.00, 1 in EUR 5.00", "none" for nothing.
func (s Sums) String() string {
	text := ""
	for i, sum := range s {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d in %s", sum.Count, money.Amount{Minor: sum.Minor, Currency: sum.Currency})
	}
	if text == "" {
		return "none"
	}
	return text
}

// Clear is what is written into a cell to have a value taken away; a blank one leaves
// it as it is.
const Clear = "-"

// reader reads one row and keeps what is wrong with it.
type reader struct {
	*sheet.Reading
	columns []sheet.Column
	row     *sheet.Row
	faults  []Fault
}

func (r *reader) fault(key, format string, args ...any) {
	r.faults = append(r.faults, Fault{Cell: r.At(r.row, key), Column: title(r.columns, key), Reason: fmt.Sprintf(format, args...)})
}

// text reads a text of at most so many characters. set is false for a blank cell; clear
// is true for one that takes the value away.
func (r *reader) text(key string, charsMost int) (text string, set, clear bool) {
	text = r.Cell(r.row, key)
	switch {
	case text == "":
		return "", false, false
	case text == Clear:
		return "", true, true
	case sheet.IsError(text):
		r.fault(key, "the formula in it failed: %s", text)
		return "", false, false
	case utf8.RuneCountInString(text) > charsMost:
		r.fault(key, "it is longer than %d characters", charsMost)
		return "", false, false
	}
	return text, true, false
}

func title(columns []sheet.Column, key string) string {
	for _, c := range columns {
		if c.Key == key {
			return c.Title
		}
	}
	return key
}

// Sort puts the sums into the order of their currencies.
func (s Sums) Sort() {
	slices.SortFunc(s, func(a, b Sum) int { return strings.Compare(string(a.Currency), string(b.Currency)) })
}
