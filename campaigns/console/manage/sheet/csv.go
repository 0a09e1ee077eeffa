package sheet

import (
	"bytes"
	"strings"
)

// separators are what stands between cells, and their names for people.
var separators = []struct {
	mark byte
	name string
}{{',', "commas"}, {';', "semicolons"}, {'\t', "tabs"}, {'|', "bars"}}

// readCSV reads comma-separated values in the widest sense: RFC 4180, with other
// separators, with lines ended in any of the three ways, with Excel's own first line
// "sep=;" and with blank lines.
func (t *Table) readCSV(data []byte) error {
	text, encoding, err := decode(data)
	if err != nil {
		return err
	}
	if head := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), 512)])); bytes.HasPrefix(head, []byte("<")) {
		return refuse(ErrFormat, "This is a web page or XML, whatever its name says. Save the spreadsheet as .xlsx or .csv.")
	}
	r := records{text: text, row: 1}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimRight(line, "\r"); len(line) == len("sep=;") && bytes.EqualFold(line[:4], []byte("sep=")) && separatorName(line[4]) != "" {
		r.separator, r.text, r.row = line[4], rest, 2
	} else {
		r.separator = guessSeparator(text)
	}
	t.Format = "CSV, " + encoding + ", " + separatorName(r.separator)
	for {
		cells, row, err := r.next()
		if err != nil {
			return err
		}
		if cells == nil {
			return nil
		}
		if err := t.add(row, cells); err != nil {
			return err
		}
	}
}

// separatorName is "" for what is none.
func separatorName(mark byte) string {
	for _, s := range separators {
		if s.mark == mark {
			return s.name
		}
	}
	return ""
}

// guessSeparator takes what divides the first line with something on it into most cells.
func guessSeparator(text []byte) byte {
	best, cells := separators[0].mark, 0
	for _, s := range separators {
		r := records{text: text, row: 1, separator: s.mark}
		for {
			first, _, err := r.next()
			if first != nil && err == nil && strings.Join(first, "") == "" {
				continue // a blank line before the names
			}
			if err == nil && len(first) > cells {
				best, cells = s.mark, len(first)
			}
			break
		}
	}
	return best
}

// records takes rows off a text.
type records struct {
	text      []byte // what is left
	separator byte
	row       int // number of the next row, as a spreadsheet program counts
}

// next returns the next row's cells and its number, nil at the end; a blank line is one
// blank cell. Errors: *Refusal of ErrFormat, ErrTooLarge.
func (r *records) next() (cells []string, row int, err error) {
	row = r.row
	if len(r.text) == 0 {
		return nil, row, nil
	}
	if row > rowNumberMax {
		return nil, row, refuse(ErrTooLarge, "There are more than %d lines.", rowNumberMax)
	}
	r.row++
	for column := 0; ; column++ {
		cell, err := r.cell(row, column)
		switch {
		case err != nil:
			return nil, row, err
		case column < columnsMax:
			cells = append(cells, cell)
		case strings.TrimSpace(cell) != "":
			return nil, row, refuse(ErrTooLarge, "Row %d has something in column %s; at most %d columns are read.", row, Letters(column), columnsMax)
		}
		if len(r.text) == 0 {
			return cells, row, nil
		}
		mark := r.text[0]
		r.text = r.text[1:]
		if mark == r.separator {
			continue
		}
		if mark == '\r' && len(r.text) > 0 && r.text[0] == '\n' {
			r.text = r.text[1:]
		}
		return cells, row, nil
	}
}

// cell takes one cell, up to the separator or the end of the line, which stays.
func (r *records) cell(row, column int) (string, error) {
	if len(r.text) == 0 || r.text[0] != '"' {
		end := bytes.IndexFunc(r.text, func(c rune) bool { return c == rune(r.separator) || c == '\n' || c == '\r' })
		if end < 0 {
			end = len(r.text)
		}
		cell := string(r.text[:end])
		r.text = r.text[end:]
		return cell, nil
	}
	var cell []byte
	for text := r.text[1:]; ; {
		end := bytes.IndexByte(text, '"')
		if end < 0 {
			return "", refuse(ErrFormat, "The quote that opens cell %s is never closed.", Ref(row, column))
		}
		cell = append(cell, text[:end]...)
		text = text[end+1:]
		if len(text) > 0 && text[0] == '"' { // doubled: one quote of the text
			cell, text = append(cell, '"'), text[1:]
			continue
		}
		if len(text) > 0 && text[0] != r.separator && text[0] != '\n' && text[0] != '\r' {
			return "", refuse(ErrFormat, "Cell %s goes on after its closing quote. A quote inside a quoted cell is written twice.", Ref(row, column))
		}
		r.text = text
		return string(cell), nil
	}
}
