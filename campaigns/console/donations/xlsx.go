package donations

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// sheetRowsMax is how many rows a worksheet may have, the header included (ECMA-376
	// part 1, 18.3.1.73; every program's bound).
	sheetRowsMax = 1 << 20
	// cellCharsMax is the longest text of a cell, in characters.
	cellCharsMax = 32767
	// sheetBuffer is what is compressed at a time.
	sheetBuffer = 64 << 10
)

// xlsxFile writes a workbook row by row straight to whoever reads it: a worksheet's XML
// is compressed as it is written, so nothing is kept in memory or on disk however many
// rows there are. What names the worksheets comes last, when their number is known.
//
// Texts are inline strings, which no program computes, and have the style "quote
// prefix", so that they stay texts when somebody edits them.
type xlsxFile struct {
	zip    *zip.Writer
	w      *bufio.Writer // of the worksheet
	titles []string
	sheets int
	filled int // rows of this worksheet, the header included
	max    int // rows of a worksheet
	buffer []byte
	escape strings.Builder
}

func newXLSX(w io.Writer, titles []string) *xlsxFile {
	f := &xlsxFile{zip: zip.NewWriter(w), titles: titles, max: sheetRowsMax}
	f.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	return f
}

func (f *xlsxFile) row(cells []cell) error {
	if f.w == nil || f.filled == f.max {
		if err := f.next(); err != nil {
			return err
		}
	}
	f.filled++
	f.buffer = append(f.buffer[:0], "<row>"...)
	for _, c := range cells {
		switch {
		case c.text == "":
			f.buffer = append(f.buffer, "<c/>"...)
		case c.number:
			f.buffer = append(append(append(f.buffer, "<c><v>"...), c.text...), "</v></c>"...)
		default:
			f.text(c.text, styleText)
		}
	}
	f.buffer = append(f.buffer, "</row>"...)
	_, err := f.w.Write(f.buffer)
	return err
}

// Styles of cells, by their places in styles.xml.
const (
	styleText  = "1" // quote prefix
	styleTitle = "2" // bold
)

// text adds a cell of text. A character that XML does not take is shown as one that is
// not known.
func (f *xlsxFile) text(text, style string) {
	if len(text) > cellCharsMax && utf8.RuneCountInString(text) > cellCharsMax {
		text = string([]rune(text)[:cellCharsMax])
	}
	f.escape.Reset()
	_ = xml.EscapeText(&f.escape, []byte(text)) // a Builder takes everything
	f.buffer = append(f.buffer, `<c t="inlineStr" s="`...)
	f.buffer = append(append(f.buffer, style...), `"><is><t xml:space="preserve">`...)
	f.buffer = append(append(f.buffer, f.escape.String()...), "</t></is></c>"...)
}

const (
	xmlHead   = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	mainSpace = `http://schemas.openxmlformats.org/spreadsheetml/2006/main`
	relSpace  = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
	pkgSpace  = `http://schemas.openxmlformats.org/package/2006/relationships`
	typeSpace = `http://schemas.openxmlformats.org/package/2006/content-types`
	typePre   = `application/vnd.openxmlformats-officedocument.spreadsheetml.`
)

// next begins a worksheet, with the titles in a row that stays in sight.
func (f *xlsxFile) next() error {
	if err := f.end(); err != nil {
		return err
	}
	f.sheets++
	part, err := f.zip.Create("xl/worksheets/sheet" + strconv.Itoa(f.sheets) + ".xml")
	if err != nil {
		return err
	}
	f.w, f.filled = bufio.NewWriterSize(part, sheetBuffer), 1
	f.buffer = append(f.buffer[:0], xmlHead+`<worksheet xmlns="`+mainSpace+`"><sheetViews><sheetView workbookViewId="0">`+
		`<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>`+
		`<cols><col min="1" max="`...)
	f.buffer = append(strconv.AppendInt(f.buffer, int64(len(f.titles)), 10), `" width="20" customWidth="1"/></cols><sheetData><row>`...)
	for _, title := range f.titles {
		f.text(title, styleTitle)
	}
	f.buffer = append(f.buffer, "</row>"...)
	_, err = f.w.Write(f.buffer)
	return err
}

// end ends the worksheet that is being written.
func (f *xlsxFile) end() error {
	if f.w == nil {
		return nil
	}
	if _, err := f.w.WriteString("</sheetData></worksheet>"); err != nil {
		return err
	}
	return f.w.Flush()
}

func (f *xlsxFile) close() error {
	if f.w == nil { // nothing was found: the titles alone
		if err := f.next(); err != nil {
			return err
		}
	}
	if err := f.end(); err != nil {
		return err
	}
	var types, names, relations strings.Builder
	for n := 1; n <= f.sheets; n++ {
		name := "Donations"
		if n > 1 {
			name += " " + strconv.Itoa(n)
		}
		fmt.Fprintf(&types, `<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="%sworksheet+xml"/>`, n, typePre)
		fmt.Fprintf(&names, `<sheet name="%s" sheetId="%d" r:id="rId%d"/>`, name, n, n)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Type="%s/worksheet" Target="worksheets/sheet%d.xml"/>`, n, relSpace, n)
	}
	fmt.Fprintf(&relations, `<Relationship Id="rId%d" Type="%s/styles" Target="styles.xml"/>`, f.sheets+1, relSpace)
	for _, part := range [...]struct{ name, body string }{
		{"xl/styles.xml", `<styleSheet xmlns="` + mainSpace + `"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
			`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders>` +
			`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
			`<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"/>` +
			`<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs></styleSheet>`},
		{"xl/workbook.xml", `<workbook xmlns="` + mainSpace + `" xmlns:r="` + relSpace + `"><sheets>` + names.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + pkgSpace + `">` + relations.String() + `</Relationships>`},
		{"_rels/.rels", `<Relationships xmlns="` + pkgSpace + `"><Relationship Id="rId1" Type="` + relSpace + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"[Content_Types].xml", `<Types xmlns="` + typeSpace + `"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
			`<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="` + typePre + `sheet.main+xml"/>` +
			types.String() + `<Override PartName="/xl/styles.xml" ContentType="` + typePre + `styles+xml"/></Types>`},
	} {
		w, err := f.zip.Create(part.name)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, xmlHead+part.body); err != nil {
			return err
		}
	}
	return f.zip.Close()
}
