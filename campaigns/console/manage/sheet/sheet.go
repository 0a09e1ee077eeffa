// Package sheet reads the spreadsheets that organisers bring: XLSX of any program, and
// CSV in whatever encoding, separator and habit of writing numbers and dates an office
// has had since 1995. It finds columns by their names, and reads cells as amounts and
// moments.
//
// The one invariant: nothing is guessed about money or time. What can be read in two
// ways is refused with the cell, the reason and what to write instead; and no file, of
// whatever content, takes more memory or time than the bounds below allow.
//
// No goroutines; no I/O besides the bytes that are handed in.
package sheet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a file.
const (
	// FileBytesMax is the largest file: 10,000 campaigns with stories of a paragraph
	// take 5 MiB.
	FileBytesMax = 8 << 20
	// unzippedBytesMax bounds an XLSX's parts unpacked, all together: real ones grow
	// eight- to tenfold.
	unzippedBytesMax = 96 << 20
	// zipPartsMax bounds an XLSX's parts: a workbook of a hundred sheets has 300.
	zipPartsMax = 2000
	// RowsMax bounds the rows with something in them, the header apart.
	RowsMax = 10_000
	// rowNumberMax is the last row of a spreadsheet program; blank rows are walked.
	rowNumberMax = 1 << 20
	// columnsMax bounds a row's cells.
	columnsMax = 100
	// cellCharsMax is what a cell of a spreadsheet program can hold, in characters.
	cellCharsMax = 32_767
)

// Why a file is not read. The text of an error is written for the person who chose it.
var (
	// ErrFormat: it is no spreadsheet that can be read, or it is damaged.
	ErrFormat = errors.New("not a spreadsheet that can be read")
	// ErrTooLarge: it goes beyond a bound.
	ErrTooLarge = errors.New("too large")
	// ErrEmpty: it has no header, or nothing below it.
	ErrEmpty = errors.New("nothing in it")
)

// Refusal is why a file is not read, told to whoever chose it.
type Refusal struct {
	Kind error // ErrFormat, ErrTooLarge or ErrEmpty
	Text string
}

// Error is the text for people.
func (r *Refusal) Error() string { return r.Text }

// Unwrap is the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{kind, fmt.Sprintf(format, args...)}
}

// Table is a file as it was read: text in rows, blank rows left out.
type Table struct {
	// Format says for people how the file was read: "XLSX, worksheet "Campaigns"" or
	// "CSV, Windows-1252, semicolons".
	Format string
	SHA256 [sha256.Size]byte // of the file's bytes
	Bytes  int               // of the file
	// Header is the first row with something in it.
	Header Row
	Rows   []Row // at least one, at most RowsMax
	// Notices say what was not read, such as a second worksheet.
	Notices []string
	// Numbers says that cells that look like a number are one, with a decimal point:
	// so it is in XLSX.
	Numbers bool
	// Date1904 says that days are counted from 1904, as an old Mac did.
	Date1904 bool
}

// Row is a row of a table.
type Row struct {
	Number int      // as a spreadsheet program shows it, from 1
	Cells  []string // trimmed, valid UTF-8 without NUL; the last one is not blank
}

// blank tells whether nothing is in the row.
func (r *Row) blank() bool { return len(r.Cells) == 0 }

// Read reads a file by what is in it, not by its name. It keeps no reference to data.
//
// Errors: *Refusal of ErrFormat, ErrTooLarge or ErrEmpty.
func Read(data []byte) (*Table, error) {
	t := &Table{SHA256: sha256.Sum256(data), Bytes: len(data)}
	var err error
	switch {
	case len(data) > FileBytesMax:
		return nil, refuse(ErrTooLarge, "The file has %.1f MiB; at most %d MiB are read. Divide it into several.", float64(len(data))/(1<<20), FileBytesMax>>20)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, refuse(ErrEmpty, "The file is empty.")
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		err = t.readXLSX(data)
	case bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")):
		return nil, refuse(ErrFormat, "This is an old Excel file (.xls), or one that is protected by a password. Save it as .xlsx or .csv, without a password.")
	case bytes.HasPrefix(data, []byte("%PDF")):
		return nil, refuse(ErrFormat, "This is a PDF. Choose the spreadsheet that it was made from, as .xlsx or .csv.")
	default:
		err = t.readCSV(data)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case t.Header.blank():
		return nil, refuse(ErrEmpty, "There is nothing in the file.")
	case len(t.Rows) == 0:
		return nil, refuse(ErrEmpty, "There is a row of column names, and nothing below it.")
	}
	return t, nil
}

// add takes the next row. Errors: ErrTooLarge.
func (t *Table) add(number int, cells []string) error {
	row := Row{Number: number, Cells: make([]string, 0, len(cells))}
	last := 0
	for i, cell := range cells {
		cell = clean(cell)
		if cell == "" {
			row.Cells = append(row.Cells, "")
			continue
		}
		if i >= columnsMax {
			return refuse(ErrTooLarge, "Row %d has something in column %s; at most %d columns are read.", number, Letters(i), columnsMax)
		}
		if len(cell) > cellCharsMax && utf8.RuneCountInString(cell) > cellCharsMax {
			return refuse(ErrTooLarge, "Cell %s holds more than %d characters.", Ref(number, i), cellCharsMax)
		}
		row.Cells, last = append(row.Cells, cell), i+1
	}
	row.Cells = row.Cells[:last:last]
	switch {
	case row.blank():
		return nil
	case t.Header.blank():
		t.Header = row
		return nil
	case len(t.Rows) == RowsMax:
		return refuse(ErrTooLarge, "There are more than %d rows. Divide the file into several.", RowsMax)
	}
	t.Rows = append(t.Rows, row)
	return nil
}

// clean is a cell's text as it is used: spaces of every kind cut off at both ends, lines
// ended by \n, and what is not text made visible as U+FFFD.
func clean(cell string) string {
	if strings.Contains(cell, "\r") {
		cell = strings.ReplaceAll(strings.ReplaceAll(cell, "\r\n", "\n"), "\r", "\n")
	}
	cell = strings.ToValidUTF8(cell, "\uFFFD")
	if strings.ContainsRune(cell, 0) {
		cell = strings.ReplaceAll(cell, "\x00", "\uFFFD")
	}
	// Zero-width spaces and byte order marks come with copies from web pages.
	return strings.Trim(strings.TrimSpace(strings.Trim(cell, "\uFEFF\u200B")), "\uFEFF\u200B")
}

// Letters is the name of a column as a spreadsheet program shows it; column counts from
// 0: A, B, ... Z, AA.
func Letters(column int) string {
	name := ""
	for column++; column > 0; column = (column - 1) / 26 {
		name = string(rune('A'+(column-1)%26)) + name
	}
	return name
}

// Ref names a cell as a spreadsheet program does, such as C7; column counts from 0.
func Ref(row, column int) string { return fmt.Sprintf("%s%d", Letters(column), row) }
