package loadtest

import (
	"errors"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/trace"
)

// TestShare_EveryRowIsOneGenerators shares sources out over any number of generators.
func TestShare_EveryRowIsOneGenerators(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.IntRange(1, GeneratorsMax).Draw(t, "generators")
		number, copied := rapid.Int64Range(1, 1<<40).Draw(t, "row"), rapid.Uint16().Draw(t, "copy")
		owners := 0
		for i := range of {
			if (Share{Index: i, Of: of}).Has(number, copied) {
				owners++
			}
		}
		if owners != 1 {
			t.Fatalf("row %d copy %d belongs to %d of %d generators", number, copied, owners, of)
		}
	})
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: 1000, For: 5 * time.Second, Campaigns: 7})
	if err != nil {
		t.Fatal(err)
	}
	const of = 3
	var sum int64
	for i := range of {
		s := Share{Index: i, Of: of}
		d, err := DemandOf(source, s)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := shared{source, s}.Open()
		if err != nil {
			t.Fatal(err)
		}
		var rows int64
		var at time.Duration
		block := make([]trace.Row, 5) // often without a row of the share
		for {
			n, err := stream.Next(block)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || n == 0 {
				t.Fatalf("%d rows, %v", n, err)
			}
			for _, r := range block[:n] {
				if r.Planned < at || !s.Has(r.Number, r.Copy) {
					t.Fatalf("row %d at %v, after one at %v", r.Number, r.Planned, at)
				}
				at = r.Planned
			}
			rows += int64(n)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		// A third each, by a hash: 5,000 rows leave some 50 of deviation.
		if rows != d.Rows || rows < 1400 || rows > 1900 || d.Busiest < 250 || d.Busiest > 450 {
			t.Errorf("share %d has %d rows, counted were %+v", i, rows, d)
		}
		sum += rows
	}
	if whole, err := DemandOf(source, Share{}); err != nil || sum != source.Rows() || whole.Rows != sum || whole.Busiest != 1000 {
		t.Errorf("%d rows in all, the whole is %+v, %v", sum, whole, err)
	}
	for _, s := range []Share{{Index: 2, Of: 2}, {Index: -1, Of: 2}, {Of: GeneratorsMax + 1}, {Index: 1}} {
		if _, err := DemandOf(source, s); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
