package sheet

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/xuri/excelize/v2"
)

// helpSheet is the second worksheet of a template; reading leaves it out in silence.
const helpSheet = "How to fill this in"

// TemplateXLSX is a workbook to fill in: the names of the columns, a row of examples, and
// what may stand in each. All cells are text, so that a program changes nothing of what
// is typed into them.
func TemplateXLSX(worksheet string, columns []Column) (_ []byte, err error) {
	book := excelize.NewFile()
	defer func() {
		if e := book.Close(); err == nil && e != nil {
			err = fmt.Errorf("template: %w", e)
		}
	}()
	steps := []func() error{
		func() error { return book.SetSheetName("Sheet1", worksheet) },
		func() error { _, err := book.NewSheet(helpSheet); return err },
	}
	bold, err := book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	// Number format 49 is "@", text.
	text, err := book.NewStyle(&excelize.Style{NumFmt: 49})
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	set := func(sheet, cell, value string, style int) {
		steps = append(steps,
			func() error { return book.SetCellStr(sheet, cell, value) },
			func() error { return book.SetCellStyle(sheet, cell, cell, style) })
	}
	set(helpSheet, "A1", "Column", bold)
	set(helpSheet, "B1", "Must be there", bold)
	set(helpSheet, "C1", "What stands in it", bold)
	for i, c := range columns {
		letter := Letters(i)
		steps = append(steps,
			func() error { return book.SetColStyle(worksheet, letter, text) },
			func() error { return book.SetColWidth(worksheet, letter, letter, widthOf(c)) })
		set(worksheet, letter+"1", c.Title, bold)
		set(worksheet, letter+"2", c.Example, text)
		must := ""
		if c.Required {
			must = "yes"
		}
		row := i + 2
		set(helpSheet, Ref(row, 0), c.Title, text)
		set(helpSheet, Ref(row, 1), must, text)
		set(helpSheet, Ref(row, 2), c.Help, text)
	}
	steps = append(steps,
		func() error { return book.SetColWidth(helpSheet, "A", "B", 18) },
		func() error { return book.SetColWidth(helpSheet, "C", "C", 90) },
		func() error {
			return book.SetPanes(worksheet, &excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
		})
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
	}
	var out bytes.Buffer
	if err := book.Write(&out); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return out.Bytes(), nil
}

// widthOf is a column's width in characters: its name and its example are seen.
func widthOf(c Column) float64 {
	const least, most = 12, 40
	return float64(min(most, max(least, len(c.Title)+2, len(c.Example)+2)))
}

// TemplateCSV is a CSV to fill in, with the names of the columns and a row of examples:
// UTF-8 with a mark, so that Excel reads it as such.
func TemplateCSV(columns []Column) []byte {
	titles, examples := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		titles[i], examples[i] = c.Title, c.Example
	}
	out := []byte("\xEF\xBB\xBF")
	out = AppendCSV(out, titles)
	return AppendCSV(out, examples)
}

// AppendCSV adds a row of CSV. What a spreadsheet program would take for a formula gets an
// apostrophe before it, which shows it as text and computes nothing.
func AppendCSV(to []byte, cells []string) []byte {
	for i, cell := range cells {
		if i > 0 {
			to = append(to, ',')
		}
		cell = harmless(cell)
		if strings.ContainsAny(cell, "\",;\r\n") {
			cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		to = append(to, cell...)
	}
	return append(to, '\r', '\n')
}

// harmless puts an apostrophe before what a spreadsheet program would take for a formula:
// where a cell begins, and behind what another one begins with for a program that was
// told another separator than the comma, as Excel is in many countries. For that one
// quotes inside a line hold nothing together. Wide signs count where people write wide.
func harmless(cell string) string {
	var out []byte
	done, begin, begins := 0, 0, true
	if cell != "" && strings.IndexByte("\t\r\n", cell[0]) >= 0 {
		out = append(out, '\'') // some programs look behind these too
	}
	for i, c := range cell {
		switch {
		case c == ';' || c == '\t' || c == '\r' || c == '\n':
			begin, begins = i+1, true
		case !begins || c == '"' || c == ' ':
		default:
			if begins = false; strings.ContainsRune("=+-@＝＋－＠", c) {
				out = append(append(out, cell[done:begin]...), '\'')
				done = begin
			}
		}
	}
	if out == nil {
		return cell
	}
	return string(append(out, cell[done:]...))
}
