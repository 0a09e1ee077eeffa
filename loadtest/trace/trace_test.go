package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const header = "offset_ms,campaign,amount_minor,currency\n"

func write(t interface{ TempDir() string }, text []byte) string {
	path := filepath.Join(t.TempDir(), "gifts.csv")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		panic(err)
	}
	return path
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.Bytes()
}

// all reads a source to its end, a few rows at a time.
func all(t interface {
	Helper()
	Fatal(...any)
}, s Source, step int) []Row {
	t.Helper()
	stream, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var rows []Row
	buf := make([]Row, step)
	for {
		n, err := stream.Next(buf)
		rows = append(rows, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestScan_NamesTheBadLine(t *testing.T) {
	good := "0,a,1,USD\n"
	for name, c := range map[string]struct {
		text string
		line int
		want error
	}{
		"empty file":              {"", 1, ErrHeader},
		"other header":            {"offset,campaign,amount,currency\n" + good, 1, ErrHeader},
		"more columns":            {"offset_ms,campaign,amount_minor,currency,donor\n0,a,1,USD,x\n", 1, ErrHeader},
		"too few fields":          {header + good + "0,a,1\n", 3, csv.ErrFieldCount},
		"too many fields":         {header + good + good + "0,a,1,USD,x\n", 4, csv.ErrFieldCount},
		"offset with a sign":      {header + "+1,a,1,USD\n", 2, ErrField},
		"offset below zero":       {header + "-1,a,1,USD\n", 2, ErrField},
		"offset with a point":     {header + "1.0,a,1,USD\n", 2, ErrField},
		"a stamp for an offset":   {header + good + "1490000000000,a,1,USD\n", 3, ErrField},
		"offset going back":       {header + "5,a,1,USD\n4,a,1,USD\n", 3, ErrOrder},
		"no campaign":             {header + "0,,1,USD\n", 2, ErrField},
		"campaign not UTF-8":      {header + "0,\xff,1,USD\n", 2, ErrField},
		"campaign too long":       {header + "0," + strings.Repeat("x", nameBytesMax+1) + ",1,USD\n", 2, ErrField},
		"amount zero":             {header + "0,a,0,USD\n", 2, ErrField},
		"amount below zero":       {header + "0,a,-5,USD\n", 2, ErrField},
		"amount beyond the limit": {header + "0,a,100000000,USD\n", 2, ErrField},
		"amount empty":            {header + "0,a,,USD\n", 2, ErrField},
		"unknown currency":        {header + "0,a,1,usd\n", 2, ErrField},
		"two currencies":          {header + good + good + "0,a,1,EUR\n", 4, ErrField},
		"quote in the middle":     {header + good + "0,a\"b,1,USD\n", 3, csv.ErrBareQuote},
	} {
		for form, bytes := range map[string][]byte{"plain": []byte(c.text), "gzip": zipped(c.text)} {
			t.Run(name+"/"+form, func(t *testing.T) {
				_, err := Scan(write(t, bytes), Options{})
				var line *LineError
				if !errors.As(err, &line) || line.Line != c.line || !errors.Is(err, c.want) {
					t.Errorf("%v, want line %d and %v", err, c.line, c.want)
				}
			})
		}
	}
	if _, err := Scan(write(t, []byte(header)), Options{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("header alone: %v", err)
	}
	if _, err := Scan(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	cut := zipped(header + good)
	if _, err := Scan(write(t, cut[:len(cut)-6]), Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut gzip: %v", err)
	}
	for _, o := range []Options{{Speed: -1}, {Speed: 1e10}, {Copies: -1}, {Copies: CopiesMax + 1}} {
		if _, err := Scan(write(t, []byte(header+good)), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestFile_DividesOffsetsBySpeed(t *testing.T) {
	path := write(t, zipped(header+"0,a,5,USD\n1500,b,7,USD\n2500,a,9,USD\n"))
	f, err := Scan(path, Options{Speed: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{{Number: 1, AmountMinor: 5}, {Number: 2, Campaign: 1, AmountMinor: 7, Planned: 750 * time.Millisecond},
		{Number: 3, AmountMinor: 9, Planned: 1250 * time.Millisecond}}
	if got := all(t, f, 2); !slices.Equal(got, want) {
		t.Errorf("rows %+v, want %+v", got, want)
	}
	if f.Coarse() || f.Rows() != 3 || f.Span() != 1250*time.Millisecond {
		t.Errorf("coarse %v, rows %d, span %v", f.Coarse(), f.Rows(), f.Span())
	}
	if c := f.Campaigns(); !slices.Equal(c, []Campaign{{"a", "USD", 2, 14}, {"b", "USD", 1, 7}}) {
		t.Errorf("campaigns %+v", c)
	}
}

// TestFile_AnyFileIsSpreadAndOrdered holds whatever the rows: all are there once
// per copy, ordered, within their second, the same at every opening.
func TestFile_AnyFileIsSpreadAndOrdered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1000}).Draw(rt, "resolution")
		var text strings.Builder
		text.WriteString(header)
		var offsets []int64
		offset := int64(0)
		for range rapid.IntRange(1, 60).Draw(rt, "rows") {
			offset += unit * rapid.SampledFrom([]int64{0, 0, 0, 1, 3}).Draw(rt, "gap")
			offsets = append(offsets, offset)
			fmt.Fprintf(&text, "%d,c%d,%d,USD\n", offset, len(offsets)%3, len(offsets))
		}
		o := Options{Speed: rapid.Float64Range(0.5, 1e6).Draw(rt, "speed"), Copies: rapid.IntRange(1, 3).Draw(rt, "copies")}
		f, err := Scan(write(t, []byte(text.String())), o)
		if err != nil {
			rt.Fatal(err)
		}
		rows := all(rt, f, rapid.IntRange(1, 7).Draw(rt, "step"))
		if !slices.Equal(rows, all(rt, f, 16)) {
			rt.Fatal("another opening gives other rows")
		}
		if int64(len(rows)) != f.Rows() || len(rows) != len(offsets)*o.Copies {
			rt.Fatalf("%d rows of %d", len(rows), len(offsets)*o.Copies)
		}
		if !slices.IsSortedFunc(rows, func(a, b Row) int { return int(a.Planned - b.Planned) }) {
			rt.Fatal("rows are out of order")
		}
		seen := map[[2]int64]bool{}
		for _, r := range rows {
			seen[[2]int64{r.Number, int64(r.Copy)}] = true
			from := float64(offsets[r.Number-1]) * 1e6 / o.Speed
			to := from + 1
			if f.Coarse() {
				to += 1e9 / o.Speed
			}
			if p := float64(r.Planned); p < from-1 || p > to {
				rt.Fatalf("row %d at %v, not in [%v, %v]", r.Number, p, from, to)
			}
			if r.AmountMinor != r.Number {
				rt.Fatalf("row %d has amount %d", r.Number, r.AmountMinor)
			}
		}
		if len(seen) != len(rows) {
			rt.Fatalf("%d distinct of %d rows", len(seen), len(rows))
		}
		var sum, want int64
		for _, c := range f.Campaigns() {
			sum += c.SumMinor
		}
		for _, r := range rows {
			want += r.AmountMinor
		}
		if sum != want {
			rt.Fatalf("campaigns sum to %d, rows to %d", sum, want)
		}
	})
}

func TestFile_SpreadsASecondEvenly(t *testing.T) {
	var text strings.Builder
	text.WriteString(header)
	const rows = 5000
	for range rows {
		text.WriteString("7000,a,1,USD\n")
	}
	f, err := Scan(write(t, []byte(text.String())), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var tenths [10]int
	for _, r := range all(t, f, 512) {
		tenths[(r.Planned-7*time.Second)/(100*time.Millisecond)]++
	}
	for i, n := range tenths {
		if n < rows/10*7/10 || n > rows/10*13/10 {
			t.Errorf("tenth %d of the second holds %d of %d rows", i, n, rows)
		}
	}
}

func TestFile_ChangeDuringReplayIsNoticed(t *testing.T) {
	path := write(t, []byte(header+"0,a,1,USD\n"))
	f, err := Scan(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"0,b,1,USD\n", "0,a,1,USD\n1,a,1,USD\n"} {
		if err := os.WriteFile(path, []byte(header+other), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var buf [8]Row
		for err == nil {
			_, err = s.Next(buf[:])
		}
		s.Close()
		if !errors.Is(err, errChanged) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func TestRate_Due(t *testing.T) {
	for _, c := range []struct {
		rate    Rate
		elapsed time.Duration
		want    int64
	}{
		{1, -1, 0}, {1, 0, 1}, {1, time.Second - 1, 1}, {1, time.Second, 2}, {10, time.Second, 11},
		{1000, time.Millisecond - 1, 1}, {1000, time.Millisecond, 2}, {0.5, 3 * time.Second, 2}, {0.5, 4 * time.Second, 3},
		{20000, time.Minute, 1_200_001},
	} {
		if got := c.rate.Due(c.elapsed); got != c.want {
			t.Errorf("%g/s after %v: %d due, want %d", float64(c.rate), c.elapsed, got, c.want)
		}
	}
}

func TestRate_AtIsTheFirstMomentThatDueCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Float64Range(0.01, RateMax).Draw(t, "rate"))
		i := rapid.Int64Range(0, int64(float64(r)*1e6)).Draw(t, "index") // within a million seconds
		at := r.At(i)
		if r.Due(at) <= i || at > 0 && r.Due(at-1) > i {
			t.Fatalf("%g/s: arrival %d at %v, due then %d, before %d", float64(r), i, at, r.Due(at), r.Due(at-1))
		}
	})
}

func TestDue(t *testing.T) {
	rows := []Row{{Planned: 1}, {Planned: 1}, {Planned: 5}}
	for elapsed, want := range map[time.Duration]int{0: 0, 1: 2, 4: 2, 5: 3, 9: 3} {
		if got := Due(rows, elapsed); got != want {
			t.Errorf("after %v: %d, want %d", elapsed, got, want)
		}
	}
}

func TestProfile_LooksLikeAGivingDay(t *testing.T) {
	p, err := NewProfile(ProfileConfig{Rate: 2000, For: 30 * time.Second, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	rows := all(t, p, 300)
	if len(rows) != 60_000 || p.Rows() != 60_000 || !slices.Equal(rows, all(t, p, 7)) {
		t.Fatalf("%d rows, says %d", len(rows), p.Rows())
	}
	if last := rows[len(rows)-1].Planned; last != p.Span() || last >= 30*time.Second {
		t.Errorf("last row at %v, span %v", last, p.Span())
	}
	cents := make([]int64, 0, len(rows))
	var sums = make([]Campaign, DefaultCampaigns)
	for _, r := range rows {
		cents = append(cents, r.AmountMinor)
		sums[r.Campaign].Rows++
		sums[r.Campaign].SumMinor += r.AmountMinor
	}
	for i, c := range p.Campaigns() {
		if sums[i].Rows != c.Rows || sums[i].SumMinor != c.SumMinor {
			t.Fatalf("campaign %d: %+v, rows give %+v", i, c, sums[i])
		}
	}
	slices.Sort(cents)
	for _, c := range []struct {
		q    float64
		want int64
	}{{0.25, 475}, {0.5, 1000}, {0.75, 3000}, {0.95, 10000}, {0.99, 20500}} {
		if got := cents[int(c.q*float64(len(cents)))]; got < c.want*8/10 || got > c.want*12/10 {
			t.Errorf("quantile %g is %d, want about %d", c.q, got, c.want)
		}
	}
	// Rank exponent -1: the first campaign is given about ten times what the tenth is.
	if r := float64(sums[0].Rows) / float64(sums[9].Rows); r < 7 || r > 13 {
		t.Errorf("first campaign has %.1f times the gifts of the tenth", r)
	}
	if one, err := NewProfile(ProfileConfig{Rate: 10, For: time.Second, Campaigns: 1}); err != nil || len(one.Campaigns()) != 1 || one.Campaigns()[0].Rows != 10 {
		t.Errorf("one campaign: %v %+v", err, one)
	}
	for _, c := range []ProfileConfig{{}, {Rate: 1}, {Rate: 1, For: time.Millisecond}, {Rate: 1, For: time.Minute, Campaigns: -1}, {Rate: 1, For: time.Minute, Currency: "XXX"}, {Rate: 1e7, For: time.Second}} {
		if _, err := NewProfile(c); !errors.Is(err, ErrProfile) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(header + "0,a,1,USD\n1000,b,2,USD\n"))
	f.Add(zipped(header + "0,a,1,USD\n"))
	f.Add([]byte(header + "0,\"a\nb\",1,USD\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Scan(write(t, text), Options{})
		if err != nil {
			return
		}
		if rows := all(t, file, 5); int64(len(rows)) != file.Rows() {
			t.Fatalf("%d rows, scanned %d", len(rows), file.Rows())
		}
	})
}

// TestScan_RealEvents reads the published events when SPILLWAY_TEST_DATA names
// their folder; the numbers are those of the folder's own README.
func TestScan_RealEvents(t *testing.T) {
	dir := os.Getenv("SPILLWAY_TEST_DATA")
	if dir == "" {
		t.Skip("SPILLWAY_TEST_DATA does not name the folder of recorded events")
	}
	for _, c := range []struct {
		name      string
		rows      int64
		campaigns int
		sum       int64
		coarse    bool
	}{
		{"gdq/agdq2017-gifts.csv.gz", 43_331, 181, 221_555_347, true},
		{"gitcoin-r9/gifts.csv.gz", 68_230, 641, 69_749_097, false},
		{"composite-day/gifts.csv.gz", 226_320, 4_357, 735_609_634, false},
	} {
		f, err := Scan(filepath.Join(dir, c.name), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		var sum int64
		for _, k := range f.Campaigns() {
			sum += k.SumMinor
		}
		if f.Rows() != c.rows || len(f.Campaigns()) != c.campaigns || sum != c.sum || f.Coarse() != c.coarse {
			t.Errorf("%s: %d rows, %d campaigns, sum %d, coarse %v; want %+v", c.name, f.Rows(), len(f.Campaigns()), sum, f.Coarse(), c)
		}
		if rows := all(t, f, 1024); int64(len(rows)) != c.rows {
			t.Errorf("%s: streamed %d rows", c.name, len(rows))
		}
	}
}
