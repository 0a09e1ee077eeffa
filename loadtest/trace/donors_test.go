package trace

import (
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDonors_KeepTheDay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewDay(DayConfig{Gifts: rapid.Int64Range(50, 2000).Draw(t, "gifts"), For: time.Minute, Campaigns: 9, Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		base := map[int64]Row{}
		for _, r := range rowsOf(t, s, 100) {
			base[r.Number] = r
		}
		factor := rapid.Float64Range(0.3, 12).Draw(t, "factor")
		d, err := NewDonors(s, factor, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		more := rowsOf(t, d, 13)
		if !slices.Equal(more, rowsOf(t, d, 500)) {
			t.Fatal("other rows at the second reading")
		}
		// Each gift is drawn by itself: far within six standard deviations.
		if want := factor * float64(len(base)); math.Abs(float64(len(more))-want) > 3*math.Sqrt(float64(len(base)))+1 {
			t.Fatalf("%d rows of %d, factor %g", len(more), len(base), factor)
		}
		for _, r := range more {
			of := base[r.Number]
			late := r.Planned - of.Planned
			if late < 0 || late > time.Second || r.Copy == 0 && late != 0 || r.AmountMinor != of.AmountMinor || r.Campaign != of.Campaign || int(r.Copy) >= d.CopiesMost() {
				t.Fatalf("%+v of %+v", r, of)
			}
		}
		if d.Hash() == s.Hash() {
			t.Fatal("the same hash with other rows")
		}
	})
}

func TestDonors_RefuseWhatCannotBe(t *testing.T) {
	t.Parallel()
	day, err := NewDay(DayConfig{Gifts: 5, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, factor := range []float64{0, -1, math.NaN(), CopiesMax + 1, 1e-9} {
		if _, err := NewDonors(day, factor, time.Second); !errors.Is(err, ErrOptions) {
			t.Errorf("factor %g: %v", factor, err)
		}
	}
	if _, err := NewDonors(day, 2, -1); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

// events are the recorded ones beside the project, by a pattern.
func events(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob("../../../shared/data/" + pattern)
	if err != nil || len(files) == 0 {
		t.Skip("no recorded events beside the project")
	}
	return files
}

// Ten times the donors of a recorded event.
func TestDonors_OfRecordedEvents(t *testing.T) {
	t.Parallel()
	files := events(t, "*/*gifts*.csv.gz")
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	smallest := slices.MinFunc(files, func(a, b string) int { return int(size(a) - size(b)) })
	f, err := Scan(smallest, Options{Speed: 8000})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDonors(f, 10, DonorsSpread/8000)
	if err != nil {
		t.Fatal(err)
	}
	if rows := rowsOf(t, d, 1024); int64(len(rows)) != 10*f.Rows() {
		t.Errorf("%d rows of %d", len(rows), f.Rows())
	}
	for i, c := range d.Campaigns() {
		if c.SumMinor != 10*f.Campaigns()[i].SumMinor {
			t.Errorf("%s: %d of %d", c.Name, c.SumMinor, f.Campaigns()[i].SumMinor)
		}
	}
}

// curveOf sums a source up by its seconds.
type curveOf struct {
	// dispersion is the variance of the gifts of a second over their mean, inside of
	// stretches of ten seconds, all stretches with a gift together.
	dispersion float64
	// second, ten and minute are the most gifts in so many seconds.
	second, ten, minute float64
}

func measure(t *testing.T, s Source) curveOf {
	t.Helper()
	var seconds []float64
	for _, r := range rowsOf(t, s, 4096) {
		at := int(r.Planned / time.Second)
		for len(seconds) <= at {
			seconds = append(seconds, 0)
		}
		seconds[at]++
	}
	most := func(length int) (most float64) {
		sum := 0.0
		for i, n := range seconds {
			sum += n
			if i >= length {
				sum -= seconds[i-length]
			}
			most = max(most, sum)
		}
		return most
	}
	variances, means := 0.0, 0.0
	for stretch := range slices.Chunk(seconds, 10) {
		mean, variance := 0.0, 0.0
		for _, v := range stretch {
			mean += v / float64(len(stretch))
		}
		if len(stretch) < 10 || mean == 0 {
			continue
		}
		for _, v := range stretch {
			variance += (v - mean) * (v - mean) / 9
		}
		variances, means = variances+variance, means+mean
	}
	return curveOf{dispersion: variances / means, second: most(1), ten: most(10), minute: most(60)}
}

// spreads makes the table in DESIGN.md: go test ./loadtest/trace -run Uneven -v -spreads
var spreads = flag.Bool("spreads", false, "measure other spreads of a recorded event's further donors, of all five marathons")

// Ten times the donors are about as uneven from second to second as the recorded ones,
// and their busiest ten seconds and minute are about ten times as busy.
func TestDonors_AreAboutAsUnevenAsTheRecorded(t *testing.T) {
	t.Parallel()
	files, tried := events(t, "gdq/sgdq2014-gifts.csv.gz"), []time.Duration{DonorsSpread}
	if *spreads {
		files = events(t, "gdq/*gifts*.csv.gz")
		tried = []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute}
	}
	for _, path := range files {
		f, err := Scan(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		recorded := measure(t, f)
		t.Logf("%s: dispersion %.2f; most in 1, 10, 60 s: %v %v %v", f.Name(), recorded.dispersion, recorded.second, recorded.ten, recorded.minute)
		for _, spread := range tried {
			d, err := NewDonors(f, 10, spread)
			if err != nil {
				t.Fatal(err)
			}
			more := measure(t, d)
			t.Logf("  spread %v: dispersion %.2f; most in 1, 10, 60 s, over ten times the recorded: %.2f %.2f %.2f", spread, more.dispersion,
				more.second/recorded.second/10, more.ten/recorded.ten/10, more.minute/recorded.minute/10)
			if spread == DonorsSpread && (more.dispersion > recorded.dispersion+0.3 || more.ten < 7*recorded.ten || more.minute < 9*recorded.minute) {
				t.Errorf("%s: %+v, recorded %+v", d.Name(), more, recorded)
			}
		}
	}
}
