package donations

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"spillway/ingest"
	"spillway/ledger/search"
)

// many finds so many donations, made as they are asked for.
type many struct {
	Search
	n   int
	row func(i int) search.Row
}

func (m many) Each(_ context.Context, _ search.Query, visit func(*search.Row) error) error {
	for i := range m.n {
		row := m.row(i)
		if err := visit(&row); err != nil {
			return err
		}
	}
	return nil
}

// hostile is what a spreadsheet program would compute.
const hostile = `=HYPERLINK("http://evil.example","Click")`

func gift(i int) search.Row {
	return search.Row{
		ID: ingest.ID{byte(i >> 8), byte(i)}, AcceptedAt: time.Date(2026, 11, 22, 23, 30, i%60, 0, time.UTC), Name: hostile, Email: "ada@example.org",
		AmountMinor: 5180, FeeCoverMinor: 180, Currency: "USD", Status: "succeeded", RefundedMinor: 1000,
		Lines:   []search.Line{{Campaign: "river-school", AmountMinor: 3000}, {Campaign: "food-bank", AmountMinor: 2000}},
		Message: "two\nlines; \"quoted\"", Intent: "pi_1", Charge: "ch_1",
	}
}

func exported(t *testing.T, format string, l layout, m many) []byte {
	t.Helper()
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	s := New(Deps{Search: m, ExportsOff: func() bool { return false }})
	n, err := s.write(t.Context(), w, format, &l, search.Query{})
	if err == nil {
		err = w.Flush()
	}
	want := m.n
	if l.perLine {
		want *= 2
	}
	if err != nil || n != want {
		t.Fatalf("%d rows, %v; want %d", n, err, want)
	}
	return out.Bytes()
}

// byTitle is a row as a program reads it.
func byTitle(t *testing.T, titles, cells []string) map[string]string {
	t.Helper()
	row := map[string]string{}
	for i, title := range titles {
		if i < len(cells) {
			row[title] = cells[i]
		}
	}
	return row
}

func vienna(t *testing.T) *time.Location {
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestExport_CSV(t *testing.T) {
	data := exported(t, "csv", layout{of: owner, zone: vienna(t), personal: true}, many{n: 3, row: gift})
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")))).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := byTitle(t, rows[0], rows[1])
	for title, want := range map[string]string{
		"given_at_Europe_Vienna": "2026-11-23 00:30:00", "given_at_utc": "2026-11-22T23:30:00Z", "status": "succeeded", "currency": "USD",
		"amount": "51.80", "amount_minor": "5180", "covered_fee_minor": "180", "refunded": "10.00", "refunded_minor": "1000",
		"campaigns": "river-school 30.00; food-bank 20.00", "email": "ada@example.org", "payment": "pi_1", "anonymous": "no",
	} {
		if got[title] != want {
			t.Errorf("%s is %q, want %q", title, got[title], want)
		}
	}
	if !strings.HasPrefix(got["name"], "'=") {
		t.Errorf("a spreadsheet program would compute %q", got["name"])
	}
}

func TestExport_ARowForEachLine(t *testing.T) {
	data := exported(t, "csv", layout{of: owner, zone: time.UTC, perLine: true}, many{n: 1, row: gift})
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, want := range []map[string]string{
		{"line": "1", "campaign": "river-school", "line_amount": "30.00", "line_amount_minor": "3000"},
		{"line": "2", "campaign": "food-bank", "line_amount": "20.00", "line_amount_minor": "2000"},
	} {
		got := byTitle(t, rows[0], rows[i+1])
		for title, value := range want {
			if got[title] != value {
				t.Errorf("line %d: %s is %q, want %q", i+1, title, got[title], value)
			}
		}
	}
	for _, title := range []string{"name", "email", "message", "dedication"} {
		if slices.Contains(rows[0], title) {
			t.Errorf("without the permission for it there is a column %s", title)
		}
	}
	if bytes.Contains(data, []byte("ada@example.org")) {
		t.Error("without the permission for it an address is in the file")
	}
}

// TestExport_XLSXOpensElsewhere: another program reads the workbook, finds the same, and
// nothing to compute.
func TestExport_XLSXOpensElsewhere(t *testing.T) {
	data := exported(t, "xlsx", layout{of: owner, zone: time.UTC, personal: true}, many{n: 200, row: gift})
	book, err := excelize.OpenReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = book.Close() }()
	name := book.GetSheetList()[0]
	rows, err := book.GetRows(name)
	if err != nil || len(rows) != 201 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := byTitle(t, rows[0], rows[1])
	for title, want := range map[string]string{
		"amount_minor": "5180", "name": hostile, "message": "two\nlines; \"quoted\"", "given_at_utc": "2026-11-22T23:30:00Z", "currency": "USD",
	} {
		if got[title] != want {
			t.Errorf("%s is %q, want %q", title, got[title], want)
		}
	}
	column := slices.Index(rows[0], "name") + 1
	cell, err := excelize.CoordinatesToCellName(column, 2)
	if err != nil {
		t.Fatal(err)
	}
	if formula, err := book.GetCellFormula(name, cell); err != nil || formula != "" {
		t.Errorf("%s computes %q, %v", cell, formula, err)
	}
}

// rowsMemoryMax is what an export may hold, however long it is.
const rowsMemoryMax = 32 << 20

// TestExport_ConstantMemory: what is held does not grow with the rows.
func TestExport_ConstantMemory(t *testing.T) {
	for _, format := range []string{"csv", "xlsx"} {
		const rows = 100_000
		var peak uint64
		m := many{n: rows, row: func(i int) search.Row {
			if i%20_000 == 0 {
				runtime.GC()
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				peak = max(peak, stats.HeapAlloc)
			}
			return gift(i)
		}}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := New(Deps{Search: m, ExportsOff: func() bool { return false }})
		n, err := s.write(t.Context(), bufio.NewWriter(io.Discard), format, &layout{of: owner, zone: time.UTC, personal: true}, search.Query{})
		if err != nil || n != rows {
			t.Fatalf("%s: %d rows, %v", format, n, err)
		}
		if held := int64(peak) - int64(before.HeapAlloc); held > rowsMemoryMax {
			t.Errorf("%s: %d rows held %d bytes", format, rows, held)
		}
	}
}

// BenchmarkExport writes two million rows.
func BenchmarkExport(b *testing.B) {
	for _, format := range []string{"csv", "xlsx"} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				s := New(Deps{Search: many{n: 2_000_000, row: gift}, ExportsOff: func() bool { return false }})
				if n, err := s.write(b.Context(), bufio.NewWriter(io.Discard), format, &layout{of: owner, zone: time.UTC, personal: true}, search.Query{}); err != nil {
					b.Fatalf("%d rows, %v", n, err)
				}
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				b.ReportMetric(float64(stats.HeapSys>>20), "MiB-heap")
			}
		})
	}
}
