package sheet

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/xuri/excelize/v2"
)

// readXLSX reads the first worksheet that can be seen.
//
// Cells are read raw, as they are stored, not as they are shown: what is shown depends
// on the format and the country. Of a formula the value is read that the program
// stored when it computed it last; nothing is computed here.
func (t *Table) readXLSX(data []byte) (err error) {
	if err := weigh(data); err != nil {
		return err
	}
	// The parser is another's and meets hostile files here: if one makes it stumble over
	// its own invariants, the file is refused and the process lives.
	defer func() {
		if recover() != nil {
			err = damaged()
		}
	}()
	book, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		RawCellValue: true,
		// Both limits alike: nothing is unpacked to a temporary file.
		UnzipSizeLimit: unzippedBytesMax, UnzipXMLSizeLimit: unzippedBytesMax,
	})
	if err != nil {
		return damaged()
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	name, notices, err := firstVisible(book)
	if err != nil {
		return err
	}
	if props, err := book.GetWorkbookProps(); err == nil && props.Date1904 != nil {
		t.Date1904 = *props.Date1904
	}
	t.Format, t.Notices, t.Numbers = fmt.Sprintf("XLSX, worksheet %q", name), notices, true
	rows, err := book.Rows(name)
	if err != nil {
		return damaged()
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for number := 1; rows.Next(); number++ {
		cells, err := rows.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return damaged()
		}
		if err := t.add(number, cells); err != nil {
			return err
		}
	}
	if err := rows.Error(); err != nil {
		return damaged()
	}
	return nil
}

// damaged says so without the parser's cause, which helps nobody who chose the file and
// may quote what is in it.
func damaged() error {
	return refuse(ErrFormat, "The .xlsx file is damaged, or not one. Open it in a spreadsheet program and save it again.")
}

// weigh looks at the archive before anything is unpacked. The sizes that an archive
// states are binding: the standard library's reader gives no more than stated.
func weigh(data []byte) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return damaged()
	}
	if len(archive.File) > zipPartsMax {
		return refuse(ErrTooLarge, "The .xlsx file has %d parts; at most %d are read.", len(archive.File), zipPartsMax)
	}
	unpacked, workbook := uint64(0), false
	seen := make(map[string]bool, len(archive.File))
	for _, part := range archive.File {
		if part.UncompressedSize64 > unzippedBytesMax {
			unpacked = unzippedBytesMax + 1
			break
		}
		unpacked += part.UncompressedSize64
		name := strings.ToLower(path.Clean(strings.ReplaceAll(part.Name, `\`, "/")))
		if seen[name] {
			return damaged() // programs disagree on which of the two counts
		}
		seen[name] = true
		if name == "xl/workbook.xml" {
			workbook = true
		}
	}
	switch {
	case unpacked > unzippedBytesMax:
		return refuse(ErrTooLarge, "The .xlsx file is larger than %d MiB when it is unpacked. Delete what is not needed, or divide it.", unzippedBytesMax>>20)
	case seen["content.xml"] && seen["mimetype"]:
		return refuse(ErrFormat, "This is an OpenDocument file (.ods). Save it as .xlsx or .csv.")
	case !workbook && seen["_rels/.rels"]:
		// A workbook part may have another name; the parser finds it or says no.
	case !workbook:
		return refuse(ErrFormat, "This is an archive and not a spreadsheet. Choose the .xlsx or .csv itself.")
	}
	return nil
}

// firstVisible names the first worksheet that can be seen, and says which others are
// not read.
func firstVisible(book *excelize.File) (name string, notices []string, err error) {
	var others []string
	for _, sheet := range book.GetSheetList() {
		if visible, err := book.GetSheetVisible(sheet); err != nil || !visible {
			continue
		}
		switch {
		case name == "":
			name = sheet
			continue
		case sheet == helpSheet:
			continue
		}
		others = append(others, fmt.Sprintf("%q", sheet))
	}
	if name == "" {
		return "", nil, refuse(ErrEmpty, "There is no worksheet in the file.")
	}
	const namedMost = 5
	if len(others) > 0 {
		more := ""
		if len(others) > namedMost {
			more = fmt.Sprintf(" and %d more", len(others)-namedMost)
		}
		notices = append(notices, fmt.Sprintf("Only the first worksheet, %q, is read; not %s%s.", name, strings.Join(others[:min(len(others), namedMost)], ", "), more))
	}
	return name, notices, nil
}
