package sheet

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
	"pgregory.net/rapid"
)

// rowsOf reads a file and gives the header and the rows back as text.
func rowsOf(t *testing.T, data []byte) [][]string {
	t.Helper()
	table, err := Read(data)
	if err != nil {
		t.Fatalf("%.60q: %v", data, err)
	}
	all := [][]string{table.Header.Cells}
	for _, r := range table.Rows {
		all = append(all, r.Cells)
	}
	return all
}

func utf16le(s string, mark bool) []byte {
	var out []byte
	if mark {
		out = append(out, 0xFF, 0xFE)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func TestRead_EveryHabitOfOffices(t *testing.T) {
	want := [][]string{{"Name", "Ziel"}, {"Café „Süd\"", "12,50"}, {"b", "3"}}
	plain := "Name,Ziel\r\n\"Café „Süd\"\"\",\"12,50\"\r\nb,3\r\n"
	old, err := charmap.Windows1252.NewEncoder().String(strings.ReplaceAll(plain, "\"Café „Süd\"\"\",\"12,50\"", "\"Café „Süd\"\"\";12,50"))
	if err != nil {
		t.Fatal(err)
	}
	old = strings.NewReplacer("Name,", "Name;", "b,3", "b;3").Replace(old)
	var be []byte
	for _, u := range utf16.Encode([]rune("\uFEFF" + plain)) {
		be = binary.BigEndian.AppendUint16(be, u)
	}
	for name, data := range map[string][]byte{
		"UTF-8":                   []byte(plain),
		"UTF-8 with a mark":       []byte("\uFEFF" + plain),
		"UTF-16":                  utf16le(plain, true),
		"UTF-16, no mark":         utf16le(plain, false),
		"UTF-16, the other order": be,
		"Windows-1252, semicolon": []byte(old),
		"tabs":                    []byte("Name\tZiel\n\"Café „Süd\"\"\"\t12,50\nb\t3"),
		"a Mac's lines":           []byte(strings.ReplaceAll(plain, "\r\n", "\r")),
		"its separator said":      []byte("sep=|\r\nName|Ziel\r\n\"Café „Süd\"\"\"|12,50\r\nb|3"),
		"blank lines":             []byte("\r\n,\r\n" + plain + "\r\n,,,\r\n\r\n"),
		"spaces":                  []byte("Name , Ziel\r\n\"Café „Süd\"\"\",\" 12,50\u00a0\"\r\n b ,3"),
	} {
		if got := rowsOf(t, data); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRead_CountsRowsAsASpreadsheetProgramDoes(t *testing.T) {
	table, err := Read([]byte("sep=,\nName\n\n\"a\nb\nc\"\nd\n"))
	if err != nil {
		t.Fatal(err)
	}
	if table.Header.Number != 2 || table.Rows[0].Number != 4 || table.Rows[1].Number != 5 {
		t.Errorf("header %d, rows %d and %d", table.Header.Number, table.Rows[0].Number, table.Rows[1].Number)
	}
}

// What a CSV writer writes is read as it was.
func TestRead_CSVComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		separator := rapid.SampledFrom([]rune{',', ';', '\t', '|'}).Draw(t, "separator")
		cell := rapid.StringMatching(`[a-zé,;|\t"\n1.]{0,6}x`)
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 3, 3), 1, 5).Draw(t, "rows")
		var file bytes.Buffer
		w := csv.NewWriter(&file)
		w.Comma, w.UseCRLF = separator, rapid.Bool().Draw(t, "crlf")
		if err := w.Write([]string{"one", "two", "three"}); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		table, err := Read(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			for j := range row {
				if got := table.Rows[i].Cells[j]; got != strings.TrimSpace(row[j]) {
					t.Fatalf("%q became %q", row[j], got)
				}
			}
		}
	})
}

// workbook writes a workbook whose first worksheet has these cells.
func workbook(t testing.TB, edit func(*excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	edit(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead_XLSX(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		set := func(cell string, v any) {
			if err := f.SetCellValue("Sheet1", cell, v); err != nil {
				t.Fatal(err)
			}
		}
		set("A2", "Name")
		set("C2", "Goal")
		set("A4", "  Ünï\u00a0")
		set("C4", 12345.67)
		set("D4", true)
		set("A5", "x")
		if err := f.SetCellFormula("Sheet1", "C5", "1+1"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.NewSheet("Other"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.NewSheet("Hidden"); err != nil {
			t.Fatal(err)
		}
		if err := f.SetSheetVisible("Hidden", false); err != nil {
			t.Fatal(err)
		}
	})
	table, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if table.Header.Number != 2 || len(table.Rows) != 2 || table.Rows[0].Number != 4 || table.Rows[1].Number != 5 {
		t.Fatalf("%+v", table)
	}
	if got := table.Rows[0].Cells; got[0] != "Ünï" || got[1] != "" || got[2] != "12345.67" {
		t.Errorf("%q", got)
	}
	if got := table.Rows[1].Cells; len(got) != 1 || got[0] != "x" { // a formula that no program has computed holds nothing
		t.Errorf("%q", got)
	}
	if len(table.Notices) != 1 || !strings.Contains(table.Notices[0], `"Other"`) || strings.Contains(table.Notices[0], "Hidden") {
		t.Errorf("notices %q", table.Notices)
	}
	if !table.Numbers || !strings.Contains(table.Format, "Sheet1") {
		t.Errorf("%+v", table)
	}
}

// zipped is an archive with these parts.
func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		p, err := w.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte(parts[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead_RefusesWithAReason(t *testing.T) {
	whole := workbook(t, func(f *excelize.File) {
		if err := f.SetCellStr("Sheet1", "A1", "Name"); err != nil {
			t.Fatal(err)
		}
	})
	far := workbook(t, func(f *excelize.File) {
		for _, cell := range []string{"A1", "XFD2"} {
			if err := f.SetCellStr("Sheet1", cell, "x"); err != nil {
				t.Fatal(err)
			}
		}
	})
	many := strings.Repeat("x\n", RowsMax+2)
	// It only states its size: nothing is unpacked before that is looked at.
	var bomb bytes.Buffer
	w := zip.NewWriter(&bomb)
	if _, err := w.CreateRaw(&zip.FileHeader{Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate, UncompressedSize64: unzippedBytesMax + 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		kind error
		says string
	}{
		"nothing":               {nil, ErrEmpty, "empty"},
		"spaces":                {[]byte(" \n\t "), ErrEmpty, "empty"},
		"a header alone":        {[]byte("Name,Goal\n\n,\n"), ErrEmpty, "nothing below"},
		"a workbook's header":   {whole, ErrEmpty, "nothing below"},
		"too many bytes":        {make([]byte, FileBytesMax+1), ErrTooLarge, "MiB"},
		"too many rows":         {[]byte(many), ErrTooLarge, "rows"},
		"too many columns":      {[]byte("a\n" + strings.Repeat(",", columnsMax) + "x"), ErrTooLarge, "column CW"},
		"the last column":       {far, ErrTooLarge, "XFD"},
		"only separators":       {[]byte("a\n" + strings.Repeat(",", 1<<20)), ErrEmpty, "below"},
		"a huge cell":           {[]byte("a\n" + strings.Repeat("x", cellCharsMax+1)), ErrTooLarge, "A2"},
		"an open quote":         {[]byte("a,b\n1,\"2\n3"), ErrFormat, "B2"},
		"a quote in the middle": {[]byte("a,b\n1,\"2\"3"), ErrFormat, "B2"},
		"an old .xls":           {[]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1...."), ErrFormat, ".xls"},
		"a PDF":                 {[]byte("%PDF-1.7"), ErrFormat, "PDF"},
		"a web page":            {[]byte("<html><table>"), ErrFormat, "web page"},
		"a picture":             {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), ErrFormat, "no text"},
		"UTF-8 that is none":    {[]byte("\xEF\xBB\xBFa\n\xFF"), ErrFormat, "UTF-8"},
		"half a letter":         {append(utf16le("a\nb", true), 'x'), ErrFormat, "UTF-16"},
		"another archive":       {zipped(t, "a.txt", "a"), ErrFormat, "archive"},
		"OpenDocument":          {zipped(t, "mimetype", "x", "content.xml", "<x/>"), ErrFormat, ".ods"},
		"half an archive":       {whole[:len(whole)/2], ErrFormat, "damaged"},
		"a workbook of nothing": {zipped(t, "xl/workbook.xml", "rubbish"), ErrFormat, ""},
		"two parts of one name": {zipped(t, "xl/workbook.xml", "a", "XL\\Workbook.xml", "b"), ErrFormat, "damaged"},
		"a bomb":                {bomb.Bytes(), ErrTooLarge, "unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(c.data)
			if !errors.Is(err, c.kind) && !(c.says == "" && err != nil) {
				t.Fatalf("%v, want %v", err, c.kind)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

func TestRefAndLetters(t *testing.T) {
	for column, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA", 16383: "XFD"} {
		if got := Letters(column); got != want {
			t.Errorf("%d: %s, want %s", column, got, want)
		}
	}
	if Ref(7, 2) != "C7" {
		t.Error(Ref(7, 2))
	}
}

var columns = []Column{
	{Key: "slug", Title: "Slug", Names: []string{"id"}},
	{Key: "name", Title: "Name", Names: []string{"campaign name"}, Required: true, Example: "=1+1", Help: "What donors read."},
	{Key: "goal", Title: "Goal", Example: "25000"},
}

func match(t *testing.T, file string) (*Reading, []string) {
	t.Helper()
	table, err := Read([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return Match(table, columns)
}

func TestMatch_FindsColumnsByNameInAnyOrder(t *testing.T) {
	r, faults := match(t, "GOAL (USD),Campaign_Name,,Note\n5,a,,x\n6\n")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if r.Cell(&r.Rows[0], "name") != "a" || r.Cell(&r.Rows[0], "goal") != "5" || r.Cell(&r.Rows[1], "name") != "" || r.Has("slug") {
		t.Errorf("%+v", r)
	}
	if r.At(&r.Rows[1], "goal") != "A3" || r.At(&r.Rows[1], "slug") != "row 3" {
		t.Errorf("%s, %s", r.At(&r.Rows[1], "goal"), r.At(&r.Rows[1], "slug"))
	}
	if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], `"Note"`) {
		t.Errorf("notices %q", r.Notices)
	}
	if got := r.Column("goal"); !slices.Equal(got, []string{"5", "6"}) {
		t.Errorf("%q", got)
	}
}

func TestMatch_SaysWhatIsWrong(t *testing.T) {
	for file, says := range map[string][]string{
		"Goal\n5\n":                     {`no column "Name"`, `"Goal"`},
		"Name,Gaol\na,5\n":              {`B1 is "Gaol". Did you mean "Goal"?`},
		"Nmae,Goal\na,5\n":              {`Did you mean "Name"?`},
		"Name,campaign name,Goal\na\n":  {`Columns A and B are both "Name"`},
		"Name,,Goal\na,forgotten,5\n":   {"Column B has no name in row 1, and something in row 2"},
		"Name\na,more\n":                {"Column B has no name"},
		"slug,slug,Gaol\na,b,c\n":       {"both", "Did you mean", `no column "Name"`},
		"Name,End\na,x\n":               nil, // too short to be taken for a misspelling
		"Name,Goals\na,x\n":             {`Did you mean "Goal"?`},
		"Name,Goal,Goals of last\na,5,": nil,
	} {
		_, faults := match(t, file)
		all := strings.Join(faults, "\n")
		if len(says) == 0 && len(faults) > 0 {
			t.Errorf("%q: %s", file, all)
		}
		for _, want := range says {
			if !strings.Contains(all, want) {
				t.Errorf("%q: %q does not say %q", file, all, want)
			}
		}
	}
}

func TestTemplates_AreReadAgain(t *testing.T) {
	book, err := TemplateXLSX("Campaigns", columns)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"XLSX": book, "CSV": TemplateCSV(columns)} {
		table, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		r, faults := Match(table, columns)
		if len(faults) > 0 || len(r.Rows) != 1 || len(r.Notices) > 0 || r.Cell(&r.Rows[0], "goal") != "25000" {
			t.Errorf("%s: %+v, %q", name, r, faults)
		}
		// Nothing that is written computes anything where it is opened.
		if cell := r.Cell(&r.Rows[0], "name"); cell != "'=1+1" && name == "CSV" || cell != "=1+1" && name == "XLSX" {
			t.Errorf("%s: %q", name, cell)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("Name,Goal\na,5\n"))
	f.Add([]byte("sep=;\r\nName;Goal\r\n\"a\"\"b\";5\r\n"))
	f.Add(utf16le("Name\tGoal\na\t5", true))
	f.Add([]byte("a\n=cmd|' /C calc'!A0,\xFF\x00,#REF!"))
	f.Add(workbook(f, func(w *excelize.File) {
		for cell, v := range map[string]any{"A1": "Name", "B1": "Goal", "A2": "a", "B2": 5.25} {
			if err := w.SetCellValue("Sheet1", cell, v); err != nil {
				f.Fatal(err)
			}
		}
	}))
	f.Add(zipped(f, "xl/workbook.xml", "<workbook/>", "_rels/.rels", "<Relationships/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := Read(data)
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Text == "" {
				t.Fatalf("%v is not a reason for people", err)
			}
			return
		}
		if len(table.Rows) == 0 || len(table.Rows) > RowsMax || len(table.Header.Cells) == 0 {
			t.Fatalf("%d rows", len(table.Rows))
		}
		last := table.Header.Number
		for _, r := range table.Rows {
			if r.Number <= last || len(r.Cells) == 0 || len(r.Cells) > columnsMax || r.Cells[len(r.Cells)-1] == "" {
				t.Fatalf("row %+v after %d", r, last)
			}
			last = r.Number
		}
		Match(table, columns)
	})
}

// An archive that states less than it holds is damaged, and unpacks no further than it states.
func TestRead_ABombThatLiesAboutItsSize(t *testing.T) {
	var packed, lie bytes.Buffer
	f, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("<c/>"), 1<<18)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(&lie)
	for _, name := range []string{"xl/workbook.xml", "xl/worksheets/sheet1.xml"} {
		part, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: 100})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(packed.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(lie.Bytes()); !errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}
