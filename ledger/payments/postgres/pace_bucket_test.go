package postgres

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestBucket_SavesUpAQuarterOfASecond(t *testing.T) {
	k := bucket{perSecond: 100, current: 100, filledAt: noon}
	k.fill(noon.Add(time.Hour))
	if got := k.whole(); got != 26 {
		t.Errorf("after an hour %d calls may be made at once, want 26", got)
	}
	slow := bucket{perSecond: 0.5, current: 0.5, filledAt: noon}
	slow.fill(noon.Add(time.Hour))
	if got := slow.whole(); got != 1 {
		t.Errorf("after an hour at one in two seconds %d may be made, want 1", got)
	}
}

func TestBucket_AClockSetBackNeitherGivesNorStops(t *testing.T) {
	k := bucket{perSecond: 100, current: 100, tokens: 3, filledAt: noon}
	k.fill(noon.Add(-time.Hour))
	if k.whole() != 3 {
		t.Errorf("%d tokens, want 3", k.whole())
	}
	k.fill(noon.Add(-time.Hour).Add(100 * time.Millisecond))
	if k.whole() != 13 {
		t.Errorf("100 ms later %d tokens, want 13", k.whole())
	}
}

func TestBucket_SlowsOnceForABurstAndRecoversByItself(t *testing.T) {
	k := bucket{perSecond: 100, current: 100, tokens: 20, filledAt: noon}
	if !k.slow(noon) || k.rate(noon) != 70 || k.whole() != 0 {
		t.Errorf("after one 429: %v a second, %d tokens", k.rate(noon), k.whole())
	}
	if k.slow(noon.Add(999*time.Millisecond)) || k.current != 70 {
		t.Errorf("a second 429 of the same moment counts: %v", k.current)
	}
	if got := k.rate(noon.Add(2 * time.Second)); math.Abs(got-90) > 1e-9 {
		t.Errorf("two seconds later %v a second, want 90", got)
	}
	if got := k.rate(noon.Add(3 * time.Second)); got != 100 {
		t.Errorf("three seconds later %v a second, want all", got)
	}
	if got := k.rate(noon.Add(time.Hour)); got != 100 {
		t.Errorf("an hour later %v a second: more than is allowed", got)
	}
	for i := range 100 { // a storm
		k.slow(noon.Add(time.Duration(10+i) * time.Second))
	}
	if got := k.rate(noon.Add(109 * time.Second)); got < 5 || got > 40 {
		t.Errorf("in a storm %v a second", got)
	}
}

func TestBucket_WaitIsUntilTheTokensAreThere(t *testing.T) {
	k := bucket{perSecond: 40, current: 40, tokens: 0.5, filledAt: noon}
	if got := k.wait(1, noon); got != 12500*time.Microsecond {
		t.Errorf("wait %v, want 12.5ms", got)
	}
	if got := k.wait(0, noon); got != 0 {
		t.Errorf("wait %v for nothing", got)
	}
	k.paused = true
	if k.wait(0, noon) != pausedWait || k.whole() != 0 {
		t.Error("a paused bucket gives")
	}
}

// However it is asked, a bucket never gives more than what came; and whoever asks for
// everything at least four times a second loses nothing.
func TestBucket_GivesWhatCame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 5000).Draw(t, "rate")
		storms, greedy := rapid.Bool().Draw(t, "storms"), rapid.Bool().Draw(t, "greedy")
		k := bucket{perSecond: rate, current: rate, filledAt: noon}
		now, taken := noon, 0
		for range rapid.IntRange(1, 200).Draw(t, "asks") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(bucketHolds)).Draw(t, "step")))
			k.fill(now)
			if storms && rapid.IntRange(0, 20).Draw(t, "429") == 0 {
				k.slow(now)
			}
			n := k.whole()
			if !greedy {
				n = min(n, rapid.IntRange(0, 2000).Draw(t, "want"))
			}
			k.tokens -= float64(n)
			taken += n
			if k.tokens < -1e-9 {
				t.Fatalf("gave more than it held: %v left", k.tokens)
			}
		}
		came := rate * now.Sub(noon).Seconds()
		if float64(taken) > came+1e-6 {
			t.Fatalf("gave %d, %v came", taken, came)
		}
		if greedy && !storms && float64(taken) < came-1-1e-6 {
			t.Fatalf("gave %d, %v came", taken, came)
		}
	})
}

func TestLate(t *testing.T) {
	at := func(minute int, count int64) dueMinute {
		return dueMinute{minute: noon.Add(time.Duration(minute) * time.Minute), count: count}
	}
	for name, c := range map[string]struct {
		minutes   []dueMinute
		perSecond float64
		want      int64
	}{
		"empty":                         {nil, 25, 0},
		"in time":                       {[]dueMinute{at(0, 1500)}, 25, 0},
		"one too many":                  {[]dueMinute{at(0, 1501)}, 25, 1},
		"those before it spoil it":      {[]dueMinute{at(0, 1500), at(1, 1600)}, 25, 100},
		"the dead are not called":       {[]dueMinute{at(0, 9000), at(1, 1500)}, 25, 7500},
		"paused":                        {[]dueMinute{at(0, 10), at(600, 10)}, 0, 20},
		"expired already":               {[]dueMinute{at(-10, 7), at(0, 5)}, 25, 7},
		"a long queue of patient cards": {[]dueMinute{at(600, 100_000)}, 25, 0},
	} {
		if got := late(c.minutes, noon, c.perSecond); got != c.want {
			t.Errorf("%s: %d late, want %d", name, got, c.want)
		}
	}
}
