package live_test

import (
	"context"
	"fmt"
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

// Everybody looks at the same twenty campaigns, which all move: nobody is left out
// while others have their turn in one audience after the other.
func TestWatchMany_TheSameCampaignsForAll(t *testing.T) {
	const sessions, most = 60, 120 // a write every half second for each
	onSquare(t, live.Config{WritesMost: most, HeartbeatEvery: time.Hour}, func(t *testing.T, s *square, _ context.CancelFunc) {
		what := topics{Day: true}
		for i := range 20 {
			what.Campaigns = append(what.Campaigns, fmt.Sprintf("c%d", i))
			s.show(total(what.Campaigns[i], 1))
		}
		var all []*session
		for range sessions {
			all = append(all, attend(t, s.hub, what))
		}
		synctest.Wait()
		for _, v := range all {
			v.take()
		}
		begun := time.Now()
		const long = 4 * time.Second
		for version := int64(2); time.Since(begun) < long; version++ {
			for _, slug := range what.Campaigns {
				s.show(total(slug, version))
			}
			time.Sleep(50 * time.Millisecond)
		}
		ended := time.Now()
		synctest.Wait()
		var writes int
		for i, v := range all {
			events, n := v.take()
			writes += n
			last := begun
			for _, e := range events {
				if gap := e.at.Sub(last); gap > 1200*time.Millisecond {
					t.Fatalf("session %d heard nothing for %v", i, gap)
				}
				last = e.at
			}
			if gap := ended.Sub(last); gap > 1200*time.Millisecond {
				t.Fatalf("session %d heard nothing for the last %v", i, gap)
			}
		}
		if perSecond := float64(writes) / long.Seconds(); perSecond > 1.2*most || perSecond < 0.7*most {
			t.Errorf("%.0f writes a second, want about %d", perSecond, most)
		}
		// What was said last reaches all.
		time.Sleep(time.Second)
		for _, slug := range what.Campaigns {
			s.show(total(slug, 1_000_000))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i, v := range all {
			events, _ := v.take()
			seen := map[any]bool{}
			for _, e := range events {
				if e.data["version"] == 1e6 {
					seen[e.data["campaign"]] = true
				}
			}
			if len(seen) != 20 {
				t.Errorf("session %d heard the end of %d campaigns", i, len(seen))
			}
			_ = v.leave()
		}
	})
}
