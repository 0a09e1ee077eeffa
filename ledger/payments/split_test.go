package payments

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestApportion_LargestRemainder(t *testing.T) {
	for _, c := range []struct {
		minor   int64
		weights []int64
		want    []int64
	}{
		{100, []int64{5000, 3333, 1667}, []int64{50, 33, 17}},
		{1, []int64{1, 1, 1}, []int64{1, 0, 0}},
		{2, []int64{1, 1, 1}, []int64{1, 1, 0}},
		{10, []int64{0, 3, 0, 3}, []int64{0, 3, 0, 3}}, // no more than there is
		{5, []int64{0, 3, 0, 3}, []int64{0, 3, 0, 2}},
		{0, []int64{4, 4}, []int64{0, 0}},
		{9, []int64{4, 4}, []int64{4, 4}},
		{3, nil, []int64{}},
		{999_999_999_999, []int64{1_000_000_000_000, 1_000_000_000_000, 1}, []int64{499_999_999_999, 499_999_999_999, 1}},
	} {
		if got := apportion(c.minor, c.weights); !slices.Equal(got, c.want) {
			t.Errorf("%d over %v: %v, want %v", c.minor, c.weights, got, c.want)
		}
	}
}

// TestApportion_IsFairAndExact: the parts sum to the whole, each is its exact share
// rounded down or up, and equal weights differ by one at most.
func TestApportion_IsFairAndExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 1, 200).Draw(t, "weights")
		var total int64
		for _, w := range weights {
			total += w
		}
		minor := rapid.Int64Range(0, total).Draw(t, "minor")
		parts := apportion(minor, weights)
		sum := int64(0)
		for i, part := range parts {
			sum += part
			if total == 0 {
				continue
			}
			floor := minor * weights[i] / total
			if part < floor || part > floor+1 || part > weights[i] || part == floor+1 && minor*weights[i]%total == 0 {
				t.Fatalf("part %d is %d of %d, exactly %d/%d", i, part, weights[i], minor*weights[i], total)
			}
		}
		if sum != minor {
			t.Fatalf("parts sum to %d, want %d", sum, minor)
		}
	})
}

// TestSplit_WhatIsLeft: a part refund is pro rata to what is left, and the whole of
// what is refundable leaves nothing of any line.
func TestSplit_WhatIsLeft(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(1, IntentSucceeded, 2))
	if got := Split(p, Refundable(p)); !slices.Equal(got, []int64{5000, 3333, 1667}) {
		t.Fatalf("whole: %v", got)
	}
	p = then(p, refundSeen("re_1", 5350, RefundSucceeded, 110, 5000, 0, 0))
	if got := Split(p, 500); !slices.Equal(got, []int64{0, 333, 167}) {
		t.Fatalf("part of the rest: %v", got)
	}
	if got := Refundable(p); got != 5000 {
		t.Fatalf("refundable %d", got)
	}
	if got := Split(p, 1<<40); !slices.Equal(got, []int64{0, 3333, 1667}) {
		t.Fatalf("more than there is: %v", got)
	}
	if got := Split(p, -1); !slices.Equal(got, []int64{0, 0, 0}) {
		t.Fatalf("less than nothing: %v", got)
	}
}
