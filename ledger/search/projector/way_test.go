package projector

import (
	"testing"
	"time"
)

func TestWayFor_GivesWayToTheLedger(t *testing.T) {
	now := time.Now()
	c := Config{}.withDefaults()
	for name, one := range map[string]struct {
		rate   float64
		oldest time.Time
		want   way
	}{
		"nobody gives":                {0, time.Time{}, wayFree},
		"a few give":                  {100_000, time.Time{}, wayShared},
		"one is being recorded":       {0, now.Add(-time.Millisecond), wayShared},
		"very many give":              {c.GiveWayBytes + 1, now.Add(-time.Millisecond), wayStates},
		"the ledger is behind":        {0, now.Add(-2 * c.GiveWayAge), wayClosed},
		"behind, and very many give":  {c.GiveWayBytes + 1, now.Add(-2 * c.GiveWayAge), wayClosed},
		"as fast as is still allowed": {c.GiveWayBytes, now.Add(-c.GiveWayAge), wayShared},
	} {
		if got := c.wayFor(one.rate, one.oldest, now); got != one.want {
			t.Errorf("%s: way %d, want %d", name, got, one.want)
		}
	}
}

func TestChanged_IsBoundedAndForgets(t *testing.T) {
	c := newChanged()
	ids := make([][16]byte, changedMax+10)
	for i := range ids {
		ids[i] = [16]byte{byte(i), byte(i >> 8), byte(i >> 16)}
	}
	c.add(ids)
	c.add(ids[:5])
	taken := 0
	for n := len(c.take(100)); n > 0; n = len(c.take(100)) {
		taken += n
	}
	if taken != changedMax {
		t.Errorf("%d were kept, want %d", taken, changedMax)
	}
}
