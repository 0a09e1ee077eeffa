package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/live"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// square is a front with a board beside it, which is behind the totals as the real
// one is.
type square struct {
	*front
	boardMu  sync.Mutex
	day      *render.Day
	walls    map[string]*campaigns.Wall
	switches campaigns.Switches
}

func newSquare() *square {
	return &square{front: newFront(), day: render.NewDay(render.DayFacts{}, render.Unheard), walls: map[string]*campaigns.Wall{}}
}

func (s *square) Document() *render.Day {
	s.boardMu.Lock()
	defer s.boardMu.Unlock()
	return s.day
}

func (s *square) Wall(slug string) *campaigns.Wall {
	s.boardMu.Lock()
	defer s.boardMu.Unlock()
	return s.walls[slug]
}

func (s *square) Name(slug string) string { return "Name of " + slug }

func (s *square) Switches() campaigns.Switches {
	s.boardMu.Lock()
	defer s.boardMu.Unlock()
	return s.switches
}

func (s *square) flip(next campaigns.Switches) {
	s.boardMu.Lock()
	defer s.boardMu.Unlock()
	s.switches = next
}

// renew makes the next snapshot: the age first, then the sum over all totals.
func (s *square) renew(walls ...*campaigns.Wall) {
	age := s.Age(ledger.Live)
	s.mu.Lock()
	var donations int64
	for _, l := range s.places {
		donations += l.Total().Donations
	}
	s.mu.Unlock()
	s.boardMu.Lock()
	s.day = render.NewDay(render.DayFacts{Sums: []render.DaySum{{Currency: "USD", Donations: donations}}}, age)
	for _, w := range walls {
		s.walls[w.Campaign] = w
	}
	s.boardMu.Unlock()
	s.hub.Renewed(walls)
}

func wall(slug string, version int64, names ...string) *campaigns.Wall {
	w := &campaigns.Wall{Campaign: slug, Donors: version, Version: version}
	for _, name := range names {
		w.Gifts = append(w.Gifts, campaigns.Gift{Ref: name, Campaign: "a", Name: name, Currency: "USD", At: time.Unix(1, 0)})
	}
	return w
}

// heard is one event of a session.
type heard struct {
	at   time.Time
	kind string
	data map[string]any
}

func (e heard) String() string {
	switch e.kind {
	case "totals":
		return fmt.Sprintf("%v %v.%v", e.data["campaign"], e.data["epoch"], e.data["version"])
	case "wall":
		var names []string
		for _, g := range e.data["gifts"].([]any) {
			names = append(names, fmt.Sprint(g.(map[string]any)["name"]))
		}
		return fmt.Sprintf("wall %v %v [%s]", e.data["campaign"], e.data["donors"], strings.Join(names, " "))
	case "day":
		if sums := e.data["totals"].([]any); len(sums) > 0 {
			return fmt.Sprintf("day %v", sums[0].(map[string]any)["donations"])
		}
	case "switches":
		return fmt.Sprintf("switches %v %v", e.data["leaderboards"], e.data["feed"])
	}
	return e.kind
}

func (e heard) asOf(t testing.TB) time.Time {
	at, err := time.Parse(time.RFC3339, e.data["as_of"].(string))
	if err != nil {
		t.Error(err)
	}
	return at
}

// topics is what a session watches.
type topics struct {
	Campaigns []string
	Day       bool
}

// session watches in a goroutine of its own and keeps what it was sent.
type session struct {
	mu     sync.Mutex
	all    []heard
	writes int
	gone   chan struct{}
	ended  chan error
}

func attend(t testing.TB, h *live.Hub, what topics) *session {
	s := &session{gone: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		s.ended <- h.WatchMany(ledger.Live, what.Campaigns, what.Day, s.gone, func(raw []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.writes++
			for _, text := range strings.SplitAfter(string(raw), "\n\n") {
				if text == "" {
					continue
				}
				kind, data, ok := strings.Cut(strings.TrimPrefix(text, "event: "), "\ndata: ")
				e := heard{at: time.Now(), kind: kind}
				if err := json.Unmarshal([]byte(data), &e.data); err != nil || !ok || !strings.HasSuffix(text, "\n\n") {
					t.Errorf("%q: %v", text, err)
				}
				s.all = append(s.all, e)
			}
			return nil
		})
	}()
	return s
}

func (s *session) leave() error { close(s.gone); return <-s.ended }

// take returns what was sent since the last call, and in how many writes.
func (s *session) take() ([]heard, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, writes := s.all, s.writes
	s.all, s.writes = nil, 0
	return all, writes
}

func hears(t *testing.T, s *session, want ...string) {
	t.Helper()
	synctest.Wait()
	all, _ := s.take()
	var got []string
	for _, e := range all {
		got = append(got, e.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func onSquare(t *testing.T, cfg live.Config, do func(t *testing.T, s *square, stop context.CancelFunc)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquare()
		s.hub = live.New(cfg, live.Deps{Latest: s, Ages: s, Board: s, Switches: s})
		s.show(total("a", 1), total("b", 1))
		s.renew(wall("a", 3, "Ada", "Bob"), wall(campaigns.DayWall, 5, "Ada"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.hub.Run(ctx) }()
		synctest.Wait()
		do(t, s, cancel)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestWatchMany_EverythingFirstThenChanges(t *testing.T) {
	onSquare(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, s *square, _ context.CancelFunc) {
		v := attend(t, s.hub, topics{Campaigns: []string{"a", "b"}, Day: true})
		hears(t, v, "switches true true", "a 1.1", "wall a 3 [Ada Bob]", "b 1.1", "day 2", "wall _day 5 [Ada]")
		time.Sleep(time.Second)
		s.show(total("b", 2), total("c", 1))
		hears(t, v, "b 1.2")
		time.Sleep(time.Second)
		s.renew(wall("b", 1, "Cy"), wall("c", 1, "Di"))
		time.Sleep(200 * time.Millisecond)
		hears(t, v, "wall b 1 [Cy]", "day 4")
		s.show(total("a", 1)) // rendered again, no change
		s.renew()
		time.Sleep(2 * time.Second)
		hears(t, v)
		if err := v.leave(); err != nil {
			t.Errorf("leaving ended with %v", err)
		}
		// Whoever comes after everybody left finds what happened meanwhile.
		s.show(total("a", 2))
		s.renew(wall("a", 4), wall(campaigns.DayWall, 6))
		v = attend(t, s.hub, topics{Campaigns: []string{"a"}, Day: true})
		hears(t, v, "switches true true", "a 1.2", "wall a 4 []", "day 5", "wall _day 6 []")
		_ = v.leave()
	})
}

func TestWatchMany_OneWriteForWhatChangedTogether(t *testing.T) {
	onSquare(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, s *square, _ context.CancelFunc) {
		var wanted topics
		for i := range 20 {
			wanted.Campaigns = append(wanted.Campaigns, fmt.Sprintf("c%d", i))
			s.show(total(wanted.Campaigns[i], 1))
		}
		v := attend(t, s.hub, wanted)
		synctest.Wait()
		if all, writes := v.take(); len(all) != 21 || writes != 1 {
			t.Errorf("began with %d events in %d writes", len(all), writes)
		}
		for version := int64(2); version <= 1001; version++ { // one campaign after the other
			s.show(total(wanted.Campaigns[version%20], version))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		all, writes := v.take()
		if writes < 8 || writes > 13 {
			t.Errorf("%d writes in a second", writes)
		}
		last := map[string]float64{}
		for _, e := range all {
			slug, version := e.data["campaign"].(string), e.data["version"].(float64)
			if version <= last[slug] {
				t.Errorf("%s: %v after %v", slug, version, last[slug])
			}
			last[slug] = version
		}
		for i, slug := range wanted.Campaigns {
			if want := float64(1001 - (1001-i)%20); last[slug] != want {
				t.Errorf("%s ended at %v, want %v", slug, last[slug], want)
			}
		}
		_ = v.leave()
	})
}

func TestWatchMany_TheDayComesOnceASecond(t *testing.T) {
	onSquare(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, s *square, _ context.CancelFunc) {
		v := attend(t, s.hub, topics{Day: true})
		hears(t, v, "switches true true", "day 2", "wall _day 5 [Ada]")
		for version := int64(2); version <= 40; version++ {
			s.show(total("a", version))
			s.renew()
			time.Sleep(250 * time.Millisecond)
		}
		time.Sleep(time.Second)
		all, _ := v.take()
		if len(all) < 9 || len(all) > 12 {
			t.Errorf("%d events in ten seconds", len(all))
		}
		if last := all[len(all)-1].String(); last != "day 41" {
			t.Errorf("ended with %s", last)
		}
		_ = v.leave()
	})
}

func TestWatchMany_Switches(t *testing.T) {
	onSquare(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, s *square, _ context.CancelFunc) {
		single := watch(t, s.hub, "a", nil)
		v := attend(t, s.hub, topics{Campaigns: []string{"a"}, Day: true})
		hears(t, v, "switches true true", "a 1.1", "wall a 3 [Ada Bob]", "day 2", "wall _day 5 [Ada]")
		expect(t, single, "totals 1.1")
		s.show() // the age moves on
		s.flip(campaigns.Switches{FeedOff: true, Revision: 1})
		time.Sleep(time.Second)
		hears(t, v, "switches true false", "wall a 3 []", "wall _day 5 []")
		late := attend(t, s.hub, topics{Campaigns: []string{"a"}})
		hears(t, late, "switches true false", "a 1.1", "wall a 3 []")
		s.show() // the age moves on
		s.flip(campaigns.Switches{LeaderboardsOff: true, Revision: 2})
		time.Sleep(time.Second)
		hears(t, v, "switches false true", "wall a 3 [Ada Bob]", "wall _day 5 [Ada]")
		expect(t, single, "")
		late.take()
		s.show() // the age moves on
		s.flip(campaigns.Switches{LiveOff: true, Revision: 3})
		time.Sleep(time.Second)
		hears(t, v, "retry")
		hears(t, late, "retry")
		for _, ended := range []chan error{v.ended, late.ended, single.ended} {
			if err := <-ended; !errors.Is(err, live.ErrSwitchedOff) {
				t.Errorf("ended with %v", err)
			}
		}
		if err := <-attend(t, s.hub, topics{Day: true}).ended; !errors.Is(err, live.ErrSwitchedOff) {
			t.Errorf("who came then: %v", err)
		}
	})
}

func TestWatchMany_Ends(t *testing.T) {
	errSend := errors.New("connection broke")
	onSquare(t, live.Config{}, func(t *testing.T, s *square, stop context.CancelFunc) {
		if err := s.hub.WatchMany(ledger.Live, []string{"a", "nobody"}, false, nil, nil); !errors.Is(err, campaigns.ErrUnknown) {
			t.Errorf("unknown campaign: %v", err)
		}
		if err := s.hub.WatchMany(ledger.Live, nil, true, nil, func([]byte) error { return errSend }); !errors.Is(err, errSend) {
			t.Errorf("broken: %v", err)
		}
		v := attend(t, s.hub, topics{Campaigns: []string{"a", "b"}, Day: true})
		synctest.Wait()
		stop()
		if err := <-v.ended; !errors.Is(err, live.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		if err := <-attend(t, s.hub, topics{Day: true}).ended; !errors.Is(err, live.ErrStopped) {
			t.Errorf("came after the stop: %v", err)
		}
	})
}

// Everybody comes and goes while totals, walls and the day move: to each, versions
// only rise, an as_of comes after the totals and sums that it speaks of, a heartbeat's
// never goes back, and the last state reaches whoever stays.
func TestWatchMany_AnAgeNeverOutrunsWhatItSpeaksOf(t *testing.T) {
	onSquare(t, live.Config{EventEvery: 700 * time.Millisecond, HeartbeatEvery: 300 * time.Millisecond}, func(t *testing.T, s *square, _ context.CancelFunc) {
		random := rand.New(rand.NewPCG(1, 2))
		slugs := []string{"a", "b", "c"}
		s.show(total("c", 1))
		versions := map[string]int64{"a": 1, "b": 1, "c": 1}
		type shown struct {
			at       time.Time
			versions map[string]int64
			sum      int64
		}
		var history []shown
		sum := int64(3)
		note := func() {
			copied := map[string]int64{}
			for slug, v := range versions {
				copied[slug] = v
			}
			history = append(history, shown{time.Now(), copied, sum})
		}
		var all []*session
		var watched []topics
		note()
		s.renew()
		for step := range 600 {
			slug := slugs[random.IntN(3)]
			versions[slug]++
			sum++
			note()
			s.show(total(slug, versions[slug]))
			if step%3 == 0 {
				s.renew(wall(slug, int64(step+10)))
			}
			if step%20 == 0 {
				what := topics{Campaigns: slugs[:random.IntN(4)], Day: random.IntN(2) == 0}
				if len(what.Campaigns) == 0 {
					what.Day = true
				}
				watched = append(watched, what)
				all = append(all, attend(t, s.hub, what))
			}
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		s.renew()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		beats := 0
		for i, v := range all {
			events, _ := v.take()
			last := map[string]float64{}
			var lastBeat time.Time
			var daySum float64
			for _, e := range events {
				switch e.kind {
				case "totals":
					slug, version := e.data["campaign"].(string), e.data["version"].(float64)
					if version <= last[slug] {
						t.Fatalf("session %d: %s %v after %v", i, slug, version, last[slug])
					}
					last[slug] = version
					for _, h := range history {
						if !h.at.After(e.asOf(t)) && version < float64(h.versions[slug]) {
							t.Fatalf("session %d: as_of %v with %s %v, version %d was before that", i, e.asOf(t), slug, version, h.versions[slug])
						}
					}
				case "day":
					daySum = e.data["totals"].([]any)[0].(map[string]any)["donations"].(float64)
					for _, h := range history {
						if !h.at.After(e.asOf(t)) && daySum < float64(h.sum) {
							t.Fatalf("session %d: as_of %v with a sum of %v, %d was before that", i, e.asOf(t), daySum, h.sum)
						}
					}
				case "heartbeat":
					beats++
					if e.asOf(t).Before(lastBeat) {
						t.Fatalf("session %d: as_of went back from %v to %v", i, lastBeat, e.asOf(t))
					}
					lastBeat = e.asOf(t)
					for _, h := range history {
						if h.at.After(lastBeat) {
							continue
						}
						for _, slug := range watched[i].Campaigns {
							if last[slug] < float64(h.versions[slug]) {
								t.Fatalf("session %d: heartbeat as of %v with %s %v, version %d was before that", i, lastBeat, slug, last[slug], h.versions[slug])
							}
						}
						if watched[i].Day && daySum < float64(h.sum) {
							t.Fatalf("session %d: heartbeat as of %v with a sum of %v, %d was before that", i, lastBeat, daySum, h.sum)
						}
					}
				}
			}
			for _, slug := range watched[i].Campaigns {
				if last[slug] != float64(versions[slug]) {
					t.Errorf("session %d ended with %s at %v, want %d", i, slug, last[slug], versions[slug])
				}
			}
			if watched[i].Day && daySum != float64(sum) {
				t.Errorf("session %d ended with a sum of %v, want %d", i, daySum, sum)
			}
			_ = v.leave()
		}
		if beats < 300 {
			t.Errorf("%d heartbeats: too few to prove anything", beats)
		}
	})
}
