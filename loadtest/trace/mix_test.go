package trace

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMix_KeepsTimesAndAmounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		day, err := NewDay(DayConfig{Gifts: rapid.Int64Range(1, 1000).Draw(t, "gifts"), For: time.Minute, Campaigns: rapid.IntRange(1, 12).Draw(t, "campaigns"), Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		base := rowsOf(t, day, 100)
		m, err := NewMix(day, MixConfig{Hot: rapid.Float64Range(0, 1).Draw(t, "hot"), Baskets: rapid.Float64Range(0, 1).Draw(t, "baskets")})
		if err != nil {
			t.Fatal(err)
		}
		mixed := rowsOf(t, m, 13)
		if !slices.Equal(mixed, rowsOf(t, m, 500)) {
			t.Fatal("other rows at the second reading")
		}
		for i, r := range mixed {
			var sum int64
			given := map[int32]bool{}
			for l := range r.Lines {
				if l.AmountMinor < 1 || given[l.Campaign] {
					t.Fatalf("%+v", r)
				}
				given[l.Campaign], sum = true, sum+l.AmountMinor
			}
			if sum != base[i].AmountMinor || r.Planned != base[i].Planned || r.Number != base[i].Number {
				t.Fatalf("%+v of %+v", r, base[i])
			}
		}
	})
}

func TestMix_GivesAsManyAsAskedFor(t *testing.T) {
	t.Parallel()
	const gifts = 20_000
	day, err := NewDay(DayConfig{Gifts: gifts, For: time.Minute, Campaigns: 100, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMix(day, MixConfig{Hot: 0.5, Baskets: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	hot, baskets := 0, 0
	for _, r := range rowsOf(t, m, 999) {
		if r.Campaign == 0 { // the first rank
			hot++
		}
		if r.Further[0].AmountMinor > 0 {
			baskets++
		}
	}
	own := float64(day.Campaigns()[0].Rows) / gifts
	if part := float64(hot) / gifts; math.Abs(part-(0.5+0.5*own)) > 0.02 {
		t.Errorf("%.3f of the gifts go to the hot one, which had %.3f", part, own)
	}
	if part := float64(baskets) / gifts; math.Abs(part-0.3) > 0.02 {
		t.Errorf("%.3f of the gifts are baskets", part)
	}
	if m.Hash() == day.Hash() || m.Name() != day.Name()+"-0.5-hot-0.3-baskets" || m.CopiesMost() != 1 {
		t.Errorf("%s with the hash %x", m.Name(), m.Hash())
	}
	for _, c := range []MixConfig{{Hot: -0.1}, {Baskets: 1.1}, {Hot: math.NaN()}} {
		if _, err := NewMix(day, c); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Campaigns of several currencies: nobody's dollars become euros.
func TestMix_KeepsCurrenciesApart(t *testing.T) {
	t.Parallel()
	text := header + "0,a,500,USD\n1,b,500,EUR\n2,a,500,USD\n3,c,1,EUR\n4,d,500,USD\n"
	f, err := Scan(write(t, []byte(text)), Options{Copies: 40})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMix(f, MixConfig{Hot: 0.5, Baskets: 1})
	if err != nil {
		t.Fatal(err)
	}
	several := 0
	for _, r := range rowsOf(t, m, 64) {
		for l := range r.Lines {
			if f.Campaigns()[l.Campaign].Currency != f.Campaigns()[r.Campaign].Currency {
				t.Fatalf("%+v", r)
			}
		}
		if r.Further[0].AmountMinor > 0 {
			several++
		}
	}
	if several == 0 {
		t.Error("no baskets")
	}
	for i, c := range f.Campaigns() {
		if was, is := c.Currency, m.Campaigns()[i].Currency; was != is {
			t.Errorf("%s: %s became %s", c.Name, was, is)
		}
	}
}
