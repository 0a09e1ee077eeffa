package trace

import (
	"errors"
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

// Ten times the donors of a recorded event.
func TestDonors_OfRecordedEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../shared/data/*/*gifts*.csv.gz")
	if err != nil || len(files) == 0 {
		t.Skip("no recorded events beside the project")
	}
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
	d, err := NewDonors(f, 10, time.Second/8000)
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
