package trace

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// rowsOf reads a whole source in blocks of this size, and holds it to what every
// source promises.
func rowsOf(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, s Source, block int) []Row {
	stream, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	var all []Row
	for {
		rows := make([]Row, block)
		n, err := stream.Next(rows)
		all = append(all, rows[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != s.Rows() {
		t.Fatalf("%d rows, told %d", len(all), s.Rows())
	}
	if !slices.IsSortedFunc(all, func(a, b Row) int { return int(a.Planned - b.Planned) }) {
		t.Fatal("not in order of time")
	}
	if last := all[len(all)-1].Planned; last != s.Span() {
		t.Fatalf("the last row is planned for %v, told %v", last, s.Span())
	}
	seen := map[[2]int64]bool{}
	sums := make([]Campaign, len(s.Campaigns()))
	for _, r := range all {
		key := [2]int64{r.Number, int64(r.Copy)}
		if seen[key] || r.AmountMinor <= 0 || r.Planned < 0 {
			t.Fatalf("row %+v", r)
		}
		seen[key] = true
		for l := range r.Lines {
			sums[l.Campaign].Rows++
			sums[l.Campaign].SumMinor += l.AmountMinor
		}
	}
	for i, c := range s.Campaigns() {
		if sums[i].Rows != c.Rows || sums[i].SumMinor != c.SumMinor {
			t.Fatalf("campaign %s: %+v, told %+v", c.Name, sums[i], c)
		}
	}
	return all
}

func TestSynthetic_KeepTheirPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		campaigns := rapid.IntRange(1, 40).Draw(t, "campaigns")
		length := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "for"))
		var s Source
		var err error
		if shape := rapid.SampledFrom(append([]Shape{""}, Shapes...)).Draw(t, "shape"); shape == "" {
			s, err = NewDay(DayConfig{Gifts: rapid.Int64Range(1, 3000).Draw(t, "gifts"), For: length, Campaigns: campaigns, Seed: seed})
		} else {
			s, err = NewShape(ShapeConfig{Shape: shape, Rate: 3000 / length.Seconds(), For: length, Campaigns: campaigns, Seed: seed})
		}
		if err != nil {
			t.Fatal(err)
		}
		if s.Span() > length {
			t.Fatalf("ends after %v, asked for %v", s.Span(), length)
		}
		if s.Rows() > 0 {
			base := rowsOf(t, s, 7)
			if again := rowsOf(t, s, 1000); !slices.Equal(base, again) {
				t.Fatal("other rows at the second reading")
			}
		}
	})
}

// Whatever the seed, and however few gifts there are, half give what half give on such
// days, and one in a hundred more than what that one gives.
func TestDay_AmountsOfAnySeed(t *testing.T) {
	t.Parallel()
	for _, gifts := range []int64{1000, 6000, 60_000} {
		for seed := range uint64(20) {
			s, err := NewDay(DayConfig{Gifts: gifts, For: time.Minute, Campaigns: 50, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			var amounts []int64
			for _, r := range rowsOf(t, s, 4096) {
				amounts = append(amounts, r.AmountMinor)
			}
			slices.Sort(amounts)
			at := func(q float64) int64 { return amounts[int(q*float64(len(amounts)))] }
			if p50, p99 := at(0.5), at(0.99); p50 < 2000 || p50 > 2500 || p99 < 20000 || p99 > 35000 {
				t.Errorf("%d gifts, seed %d: half give up to %d, one in a hundred more than %d", gifts, seed, p50, p99)
			}
		}
	}
}

// The synthetic day is as uneven, and gives as much, as the days it is fitted to.
func TestDay_Fits(t *testing.T) {
	t.Parallel()
	const gifts, length = 60_000, 10 * time.Minute
	s, err := NewDay(DayConfig{Gifts: gifts, For: length, Campaigns: 500, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, s, 4096)
	seconds := make([]float64, int(length.Seconds()))
	var amounts []int64
	whole := 0
	for _, r := range rows {
		seconds[int(r.Planned.Seconds())]++
		amounts = append(amounts, r.AmountMinor)
		if r.AmountMinor%100 == 0 {
			whole++
		}
	}
	slices.Sort(amounts)
	at := func(q float64) int64 { return amounts[int(q*float64(len(amounts)))] }
	if p50, p99 := at(0.5), at(0.99); p50 < 2000 || p50 > 2600 || p99 < 20000 || p99 > 35000 {
		t.Errorf("half give up to %d, one in a hundred more than %d", p50, p99)
	}
	if part := float64(whole) / float64(len(rows)); part < 0.85 {
		t.Errorf("%.2f of the amounts are whole", part)
	}
	// Dispersion inside ten seconds, in the middle of all such: bursts are the curve's.
	var dispersions []float64
	for window := range slices.Chunk(seconds, 10) {
		mean, variance := 0.0, 0.0
		for _, v := range window {
			mean += v / 10
		}
		for _, v := range window {
			variance += (v - mean) * (v - mean) / 9
		}
		dispersions = append(dispersions, variance/mean)
	}
	slices.Sort(dispersions)
	if middle := dispersions[len(dispersions)/2]; middle < 2.5 || middle > 6 {
		t.Errorf("variance over mean is %.1f", middle)
	}
	// The busiest second is several times the mean; the opening is above the quiet.
	if busiest := slices.Max(seconds); busiest < 4*gifts/length.Seconds() {
		t.Errorf("the busiest second has %.0f gifts of %.0f in the mean", busiest, gifts/length.Seconds())
	}
	if first, second := s.Campaigns()[0].Rows, s.Campaigns()[9].Rows; float64(first) < 8*float64(second) {
		t.Errorf("ranks 1 and 10 get %d and %d", first, second)
	}
	other, err := NewDay(DayConfig{Gifts: gifts, For: length, Campaigns: 500, Seed: 8})
	if err != nil {
		t.Fatal(err)
	}
	if other.Hash() == s.Hash() {
		t.Error("another seed, the same hash")
	}
}

func TestShape_Shapes(t *testing.T) {
	t.Parallel()
	for shape, want := range map[Shape][5]float64{ // part of the gifts in each fifth of the time
		Steps: {1.0 / 15, 2.0 / 15, 3.0 / 15, 4.0 / 15, 5.0 / 15},
		Ramp:  {0.04, 0.12, 0.20, 0.28, 0.36},
		Soak:  {0.2, 0.2, 0.2, 0.2, 0.2},
		Spike: {0.02 / 0.19, 0.02 / 0.19, 0.11 / 0.19, 0.02 / 0.19, 0.02 / 0.19},
	} {
		s, err := NewShape(ShapeConfig{Shape: shape, Rate: 1000, For: 100 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var got [5]float64
		for _, r := range rowsOf(t, s, 999) {
			got[min(4, int(r.Planned/(20*time.Second)))] += 1 / float64(s.Rows())
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 0.005 {
				t.Errorf("%s: fifth %d has %.3f of the gifts, want %.3f", shape, i+1, got[i], want[i])
			}
		}
	}
}

func TestSynthetic_RefuseWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]DayConfig{
		"no gifts":  {For: time.Minute},
		"no time":   {Gifts: 5},
		"too long":  {Gifts: 5, For: 1e6 * time.Hour},
		"campaigns": {Gifts: 5, For: time.Minute, Campaigns: -1},
		"currency":  {Gifts: 5, For: time.Minute, Currency: "dollars"},
	} {
		if _, err := NewDay(c); !errors.Is(err, ErrProfile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]ShapeConfig{
		"no shape": {Rate: 5, For: time.Minute},
		"no rate":  {Shape: Soak, For: time.Minute},
		"nobody":   {Shape: Ramp, Rate: 0.001, For: time.Second},
	} {
		if _, err := NewShape(c); !errors.Is(err, ErrProfile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
