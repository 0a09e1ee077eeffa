package sheet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ledger/money"
)

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		cell     string
		numbers  bool
		decimal  Decimal
		currency money.Currency
		minor    int64
		says     string // of the error; "" for none
	}{
		{"50", false, Undecided, "USD", 5000, ""},
		{"12.5", false, Undecided, "USD", 1250, ""},
		{"12,5", false, Undecided, "EUR", 1250, ""},
		{"1,234.50", false, Undecided, "USD", 123450, ""},
		{"1.234,50", false, Undecided, "EUR", 123450, ""},
		{"1 234,50", false, Undecided, "EUR", 123450, ""},
		{"1\u202f234,50 €", false, Undecided, "EUR", 123450, ""},
		{"1'234.50", false, Undecided, "CHF", 123450, ""},
		{"$1,234,567", false, Undecided, "USD", 123456700, ""},
		{"USD 50", false, Undecided, "USD", 5000, ""},
		{"50.00 usd", false, Undecided, "USD", 5000, ""},
		{"12,34,567", false, Undecided, "INR", 123456700, ""},
		{"500", false, Undecided, "JPY", 500, ""},
		{"500.00", false, Undecided, "JPY", 500, ""},
		{".50", false, Undecided, "USD", 50, ""},
		{"12.50000", false, Point, "USD", 1250, ""},
		{"1,234", false, Point, "USD", 123400, ""},
		{"1.234", false, Comma, "EUR", 123400, ""},
		{"1,234", false, Undecided, "USD", 0, "two ways"},
		{"1.234", false, Undecided, "USD", 0, "two ways"},
		{"0.500", false, Undecided, "USD", 0, "write 0.50 or 500"},
		{",500", false, Undecided, "USD", 0, "write 0.50 or 500"},
		{"1 234,567", false, Undecided, "EUR", 0, "write 1234.56 or 1234567"},
		{"1,500", false, Undecided, "JPY", 0, "write 1 or 1500"},
		{"0.500", false, Point, "USD", 50, ""},
		{"0.500", false, Comma, "USD", 0, "odd places"},
		{"0,500", false, Point, "USD", 0, "odd places"},
		{"0,500.00", false, Undecided, "USD", 0, "odd places"},
		{"1234,567", false, Point, "USD", 0, "odd places"},
		{"1234,567", false, Comma, "USD", 0, "more decimals"},
		{"1.234", true, Undecided, "USD", 0, "more decimals"},
		{"1.23", true, Undecided, "USD", 123, ""},
		{"12345.670000000002", true, Undecided, "USD", 1234567, ""},
		{"0.30000000000000004", true, Undecided, "USD", 30, ""},
		{"2.5E+4", true, Undecided, "USD", 2500000, ""},
		{"1E999", true, Undecided, "USD", 0, "amount"},
		{"1,5", true, Undecided, "EUR", 150, ""},
		{"12.345,6", false, Point, "EUR", 1234560, ""}, // both marks: the last one decides
		{"-5", false, Undecided, "USD", 0, "below zero"},
		{"-5", true, Undecided, "USD", 0, "below zero"},
		{"(5.00)", false, Undecided, "USD", 0, "below zero"},
		{"50 EUR", false, Undecided, "USD", 0, "not an amount"},
		{"about 50", false, Undecided, "USD", 0, "not an amount"},
		{"", false, Undecided, "USD", 0, "not an amount"},
		{"$", false, Undecided, "USD", 0, "not an amount"},
		{"1,23,4.50", false, Undecided, "USD", 0, "odd places"},
		{"1.2.3", false, Undecided, "USD", 0, "odd places"},
		{"1,234 567.00", false, Undecided, "USD", 0, "odd places"},
		{"12.505", false, Point, "USD", 0, "more decimals"},
		{"#REF!", false, Undecided, "USD", 0, "formula"},
		{"=1+1", false, Undecided, "USD", 0, "not an amount"},
		{"99999999999999999999", false, Undecided, "USD", 0, "overflow"},
		{"5", false, Undecided, "XXX", 0, "not known"},
	} {
		minor, err := ParseAmount(c.cell, c.numbers, c.decimal, c.currency)
		if c.says == "" && (err != nil || minor != c.minor) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q (%v, %d, %s): %d, %v; want %d, %q", c.cell, c.numbers, c.decimal, c.currency, minor, err, c.minor, c.says)
		}
	}
}

func TestGuessDecimal(t *testing.T) {
	for cells, want := range map[string]Decimal{
		"1,234|12.50": Point, "1.234|12,5": Comma, "1.234|5": Undecided, "12.50|12,50": Undecided, "1.234.567": Comma, "1,234.00": Point,
		"Mr. Smith|1,234": Undecided, "": Undecided,
	} {
		if got := GuessDecimal(strings.Split(cells, "|")); got != want {
			t.Errorf("%s: %d, want %d", cells, got, want)
		}
	}
}

// Every way of writing an amount that keeps its cents reads as the same amount.
func TestParseAmount_HoweverItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(0, 9_999_999_999_99).Draw(t, "minor")
		group := rapid.SampledFrom([]string{"", ",", ".", " ", "'", "\u00a0"}).Draw(t, "group")
		decimal := rapid.SampledFrom([]string{".", ","}).Draw(t, "decimal")
		if group == decimal {
			return
		}
		digits := strconv.FormatInt(minor/100, 10)
		whole := ""
		for i, d := range digits {
			if i > 0 && (len(digits)-i)%3 == 0 {
				whole += group
			}
			whole += string(d)
		}
		cell := fmt.Sprintf("%s%s%02d", whole, decimal, minor%100)
		if got, err := ParseAmount(cell, false, Undecided, "USD"); err != nil || got != minor {
			t.Fatalf("%q: %d, %v", cell, got, err)
		}
		// As a program stores it: a binary fraction, with noise behind the fifteenth digit.
		stored := strconv.FormatFloat(float64(minor)/100, 'g', 17, 64)
		stored = strings.ToUpper(stored)
		if got, err := ParseAmount(stored, true, Undecided, "USD"); err != nil || got != minor {
			t.Fatalf("%q: %d, %v", stored, got, err)
		}
	})
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestParseMoment(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	for _, c := range []struct {
		cell  string
		order Order
		mac   bool
		want  string // RFC 3339, UTC; with a d for a date alone
		says  string
	}{
		{"2026-11-22 08:00", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"2026-11-22T08:00", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"2026-11-22T08:00:30.5Z", OrderUnknown, false, "2026-11-22T08:00:30Z", ""},
		{"2026-11-22 08:00+05:30", OrderUnknown, false, "2026-11-22T02:30:00Z", ""},
		{"2026-11-22", OrderUnknown, false, "2026-11-21T23:00:00Zd", ""},
		{"2026/7/1 9:05", OrderUnknown, false, "2026-07-01T07:05:00Z", ""},
		{"22.11.2026 8:00", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"1.2.2026", OrderUnknown, false, "2026-01-31T23:00:00Zd", ""},
		{"11/22/2026 8:00 PM", OrderUnknown, false, "2026-11-22T19:00:00Z", ""},
		{"22/11/2026, 20:00", OrderUnknown, false, "2026-11-22T19:00:00Z", ""},
		{"3/4/2026", DayFirst, false, "2026-04-02T22:00:00Zd", ""},
		{"3/4/2026", MonthFirst, false, "2026-03-03T23:00:00Zd", ""},
		{"3/4/2026", OrderUnknown, false, "", "2026-04-03 or 2026-03-04"},
		{"5/5/2026 12 am", OrderUnknown, false, "2026-05-04T22:00:00Z", ""},
		{"5/5/2026 12:30pm", OrderUnknown, false, "2026-05-05T10:30:00Z", ""},
		{"22 Nov 2026 08:00", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"22-Nov-2026", OrderUnknown, false, "2026-11-21T23:00:00Zd", ""},
		{"November 22, 2026 8:00 AM", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"22. Sept. 2026", OrderUnknown, false, "2026-09-21T22:00:00Zd", ""},
		{"46348", OrderUnknown, false, "2026-11-21T23:00:00Zd", ""},
		{"46348.333333333336", OrderUnknown, false, "2026-11-22T07:00:00Z", ""},
		{"46348.999999999", OrderUnknown, false, "2026-11-22T23:00:00Z", ""},
		{"44886", OrderUnknown, true, "2026-11-21T23:00:00Zd", ""},
		{"2026-03-29 02:30", OrderUnknown, false, "", "clocks go forward"},
		{"2026-10-25 02:30", OrderUnknown, false, "2026-10-25T00:30:00Z", ""}, // the first of two
		{"2026-02-29", OrderUnknown, false, "", "does not exist"},
		{"2026-13-01", OrderUnknown, false, "", "does not exist"},
		{"31/04/2026", OrderUnknown, false, "", "does not exist"},
		{"22/11/26", OrderUnknown, false, "", "not a date"},
		{"1899-01-01", OrderUnknown, false, "", "year 1899"},
		{"2026-11-22 25:00", OrderUnknown, false, "", "time of day"},
		{"2026-11-22 8", OrderUnknown, false, "", "time of day"},
		{"2026-11-22 13:00 PM", OrderUnknown, false, "", "time of day"},
		{"tomorrow", OrderUnknown, false, "", "not a date"},
		{"12", OrderUnknown, false, "", "not a date"},
		{"#VALUE!", OrderUnknown, false, "", "formula"},
	} {
		at, dateOnly, err := ParseMoment(c.cell, c.order, c.mac, vienna)
		got := at.Format(time.RFC3339)
		if dateOnly {
			got += "d"
		}
		if c.says == "" && (err != nil || got != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: %s, %v; want %s %s", c.cell, got, err, c.want, c.says)
		}
	}
	if _, _, err := ParseMoment("2026-03-29 02:30", OrderUnknown, false, vienna); !errors.Is(err, ErrGap) {
		t.Error(err)
	}
	// Where summer time begins at midnight the day still has a beginning.
	if at, _, err := ParseMoment("2026-04-24", OrderUnknown, false, zone(t, "Africa/Cairo")); err != nil || at.Format(time.RFC3339) != "2026-04-23T22:00:00Z" {
		t.Errorf("%v, %v", at, err)
	}
}

func TestGuessOrder(t *testing.T) {
	for cells, want := range map[string]Order{
		"1/2/2026|13/2/2026": DayFirst, "1/2/2026|2/13/2026": MonthFirst, "1/2/2026": OrderUnknown, "13/2/2026|2/13/2026": OrderUnknown, "2026-01-13|x": OrderUnknown,
	} {
		if got := GuessOrder(strings.Split(cells, "|")); got != want {
			t.Errorf("%s: %d, want %d", cells, got, want)
		}
	}
}

// What clocks show is read as the moment at which they show it, and the first of two.
func TestLocal_ShowsWhatWasMeant(t *testing.T) {
	zones := []*time.Location{zone(t, "Europe/Vienna"), zone(t, "America/New_York"), zone(t, "Australia/Lord_Howe"), zone(t, "Asia/Kolkata"), time.UTC}
	rapid.Check(t, func(t *rapid.T) {
		z := rapid.SampledFrom(zones).Draw(t, "zone")
		at := time.Unix(rapid.Int64Range(1_600_000_000, 1_900_000_000).Draw(t, "at"), 0).In(z)
		y, m, d := at.Date()
		h, mi, s := at.Clock()
		got, err := Local(y, int(m), d, h, mi, s, z)
		if err != nil {
			t.Fatal(err)
		}
		if got.In(z).Format(time.DateTime) != at.Format(time.DateTime) || got.After(at) {
			t.Fatalf("%v became %v", at, got.In(z))
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, cell := range []string{"1,234.50", "-5", "2E5", "2026-11-22 08:00", "22 Nov 2026 8:00 PM", "46348.5", "11/22/2026T1:1", "Nov", "....", "1-1-1-1"} {
		f.Add(cell, true, byte(0))
	}
	vienna := zone(f, "Europe/Vienna")
	f.Fuzz(func(t *testing.T, cell string, flag bool, hint byte) {
		for _, c := range []money.Currency{"USD", "JPY"} {
			minor, err := ParseAmount(cell, flag, Decimal(hint%3), c)
			if err == nil && minor < 0 {
				t.Fatalf("%q is %d", cell, minor)
			}
		}
		at, _, err := ParseMoment(cell, Order(hint%3), flag, vienna)
		if y := at.Year(); err == nil && (y < yearLeast-1 || y > yearMost+1) {
			t.Fatalf("%q is %v", cell, at)
		}
		GuessDecimal([]string{cell})
		GuessOrder([]string{cell})
	})
}
