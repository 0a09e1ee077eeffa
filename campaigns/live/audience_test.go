package live_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"spillway/campaigns/live"
)

// All viewers of a hot campaign at once would stand before every donor: they are
// woken in turn, each finds the newest, and none is forgotten when others leave.
func TestWatch_ManyAreWokenInTurn(t *testing.T) {
	const viewers, most = 500, 2000 // a quarter of a second for all
	running(t, live.Config{WritesMost: most, HeartbeatEvery: time.Hour}, func(t *testing.T, f *front, _ context.CancelFunc) {
		var all []*viewer
		for range viewers {
			all = append(all, watch(t, f.hub, "a", nil))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, v := range all {
			v.take()
		}
		begun := time.Now()
		f.show(total("a", 2))
		time.Sleep(100 * time.Millisecond)
		for _, v := range all[:10] { // some have had their turn, some have not
			_ = v.leave()
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		windows := map[time.Duration]int{}
		for i, v := range all[10:] {
			sent := v.take()
			if kinds(sent) != "totals 1.2" {
				t.Fatalf("viewer %d was sent %q", i, kinds(sent))
			}
			windows[sent[0].at.Sub(begun).Truncate(20*time.Millisecond)]++
		}
		var most20 int
		for _, n := range windows {
			most20 = max(most20, n)
		}
		if len(windows) < 5 || most20 > 2*most/50+10 { // those who leave have others woken out of turn
			t.Errorf("sent in bursts: %v", windows)
		}
		// News that goes on: each has an event every quarter of a second, and the newest.
		for version := int64(3); version < 400; version++ {
			f.show(total("a", version))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		for i, v := range all[10:] {
			sent := v.take()
			if len(sent) < 13 || len(sent) > 24 {
				t.Errorf("viewer %d: %d events in four seconds", i, len(sent))
			}
			if !slices.IsSortedFunc(sent, func(a, b event) int { return int(a.Version - b.Version) }) {
				t.Errorf("viewer %d: versions went back", i)
			}
			for _, e := range sent {
				if e.Lag > 110 {
					t.Fatalf("viewer %d was sent what was %d ms old", i, e.at.Sub(e.AsOf).Milliseconds())
				}
				if late := e.at.Sub(e.AsOf); late > 120*time.Millisecond {
					t.Fatalf("viewer %d was sent what was %v old", i, late)
				}
			}
			_ = v.leave()
		}
	})
}
