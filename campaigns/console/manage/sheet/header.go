package sheet

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Column is a column that can be read.
type Column struct {
	Key string
	// Title is what the template calls it. It and Names are how it may be called; case,
	// spaces and signs do not matter, nor does what stands in brackets.
	Title    string
	Names    []string
	Required bool
	// Help is a sentence for the template.
	Help string
	// Example is a cell of the template's example row.
	Example string
}

// Reading is a table whose columns are known.
type Reading struct {
	*Table
	at map[string]int // key to column
}

// misspeltMost is how many letters may be wrong in a name that is taken for a misspelt
// one: more, and every short word resembles another.
const misspeltMost = 2

// Match finds the columns by the names in the header, in any order.
//
// faults says what is wrong, a sentence each: a column that must be there and is not, two
// columns of one meaning, a name that is nearly one of ours, which would otherwise be
// left out in silence. With faults there is no reading. Columns of other names are left
// out, and the reading's Notices say so.
func Match(t *Table, columns []Column) (r *Reading, faults []string) {
	r = &Reading{Table: t, at: make(map[string]int, len(columns))}
	names := map[string]int{}
	for i, c := range columns {
		for _, name := range append([]string{c.Key, c.Title}, c.Names...) {
			names[plainName(name)] = i
		}
	}
	var ignored []string
	misspelt := make([]bool, len(columns))
	for at, cell := range t.Header.Cells {
		if cell == "" {
			if below := firstBelow(t, at); below > 0 {
				faults = append(faults, fmt.Sprintf("Column %s has no name in row %d, and something in row %d.", Letters(at), t.Header.Number, below))
			}
			continue
		}
		i, known := names[plainName(cell)]
		if !known {
			near := nearest(plainName(cell), names)
			if near < 0 || hasName(t, columns[near]) {
				ignored = append(ignored, quoted(cell))
				continue
			}
			misspelt[near] = true
			faults = append(faults, fmt.Sprintf("Cell %s is %s. Did you mean %q?", Ref(t.Header.Number, at), quoted(cell), columns[near].Title))
			continue
		}
		if other, twice := r.at[columns[i].Key]; twice {
			faults = append(faults, fmt.Sprintf("Columns %s and %s are both %q. Keep one of them.", Letters(other), Letters(at), columns[i].Title))
			continue
		}
		r.at[columns[i].Key] = at
	}
	for at := len(t.Header.Cells); at < columnsMax; at++ {
		if below := firstBelow(t, at); below > 0 {
			faults = append(faults, fmt.Sprintf("Column %s has no name in row %d, and something in row %d.", Letters(at), t.Header.Number, below))
		}
	}
	for i, c := range columns {
		if _, there := r.at[c.Key]; c.Required && !there && !misspelt[i] {
			faults = append(faults, fmt.Sprintf("There is no column %q. Row %d is read as the names of the columns: %s.", c.Title, t.Header.Number, listed(t.Header.Cells)))
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	if len(ignored) > 0 {
		r.Notices = append(slices.Clone(t.Notices), fmt.Sprintf("Not read: the columns %s.", strings.Join(ignored, ", ")))
	}
	return r, nil
}

// Has tells whether the file has the column.
func (r *Reading) Has(key string) bool { _, there := r.at[key]; return there }

// Cell is the text in a column, "" when the file does not have it.
func (r *Reading) Cell(row *Row, key string) string {
	at, there := r.at[key]
	if !there || at >= len(row.Cells) {
		return ""
	}
	return row.Cells[at]
}

// At names a cell for people, such as C7; the row alone when the file does not have the
// column.
func (r *Reading) At(row *Row, key string) string {
	if at, there := r.at[key]; there {
		return Ref(row.Number, at)
	}
	return fmt.Sprintf("row %d", row.Number)
}

// Column returns every cell of a column, in order of the rows.
func (r *Reading) Column(key string) []string {
	cells := make([]string, len(r.Rows))
	for i := range r.Rows {
		cells[i] = r.Cell(&r.Rows[i], key)
	}
	return cells
}

// spreadsheetErrors are what programs put into a cell whose formula failed.
var spreadsheetErrors = []string{"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!"}

// IsError tells whether a cell holds the failure of a formula.
func IsError(cell string) bool { return slices.Contains(spreadsheetErrors, cell) }

// plainName is a name without what may differ: letters and digits in small, without what
// stands in brackets.
func plainName(name string) string {
	var b strings.Builder
	depth := 0
	for _, c := range name {
		switch {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth = max(0, depth-1)
		case depth == 0 && (unicode.IsLetter(c) || unicode.IsDigit(c)):
			b.WriteRune(unicode.ToLower(c))
		}
	}
	return b.String()
}

// firstBelow is the number of the first row that has something in a column, 0 for none.
func firstBelow(t *Table, at int) int {
	for i := range t.Rows {
		if at < len(t.Rows[i].Cells) && t.Rows[i].Cells[at] != "" {
			return t.Rows[i].Number
		}
	}
	return 0
}

// hasName tells whether one of the header's cells names the column.
func hasName(t *Table, c Column) bool {
	for _, cell := range t.Header.Cells {
		for _, name := range append([]string{c.Key, c.Title}, c.Names...) {
			if plainName(cell) == plainName(name) {
				return true
			}
		}
	}
	return false
}

// nearest is the column whose name is nearly the given one, -1 for none or several.
func nearest(name string, names map[string]int) int {
	best, column := misspeltMost+1, -1
	for known, i := range names {
		// A short name is misspelt by fewer letters: "end" is not "tax".
		most := min(misspeltMost, len(known)/3)
		d := distance(name, known, most)
		switch {
		case d > most || d > best:
		case d < best:
			best, column = d, i
		case i != column:
			column = -1
		}
	}
	return column
}

// distance is how many letters must be changed, added, taken away or swapped with the
// next to come from a to b (Damerau and Levenshtein); anything above most is most+1.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return min(rows[len(a)][len(b)], most+1)
}

// shownMost bounds how many characters of a cell, and how many cells, a text repeats.
const shownMost = 40

func quoted(cell string) string {
	runes := []rune(cell)
	if len(runes) > shownMost {
		return fmt.Sprintf("%q", string(runes[:shownMost])+"…")
	}
	return fmt.Sprintf("%q", cell)
}

func listed(cells []string) string {
	var named []string
	for _, cell := range cells {
		if cell != "" && len(named) < shownMost {
			named = append(named, quoted(cell))
		}
	}
	return strings.Join(named, ", ")
}
