package route

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"spillway/deploy/haproxy/haproxytest"
)

// giving is donors who come by older links, look, and give by whatever page they got.
type giving struct {
	rig *rig
	// at is where new donors of a campaign must arrive; "" while it is being switched.
	at map[string]*atomic.Pointer[string]
	// oldMayFail says that the older system is about to be killed.
	oldMayFail atomic.Bool
	next       atomic.Int64

	sync.Mutex
	given  map[string]Side // answered gifts, and who rendered their page
	unsure map[string]bool // sent to the older system while it was down
	faults []string
}

func (g *giving) fault(format string, args ...any) {
	g.Lock()
	defer g.Unlock()
	g.faults = append(g.faults, fmt.Sprintf(format, args...))
}

func (g *giving) expect(side Side, slugs ...string) {
	text := string(side)
	for _, slug := range slugs {
		g.at[slug].Store(&text)
	}
}

// donor looks and gives once.
func (g *giving) donor(t *testing.T, slug string) {
	client := browser(t)
	want := g.at[slug].Load()
	excused := g.oldMayFail.Load
	page, err := g.rig.send(client, http.MethodGet, "/give/"+slug, "")
	switch {
	case err == nil && page.status == http.StatusServiceUnavailable && excused():
		return
	case err != nil || page.status != http.StatusOK:
		if !excused() || slug == "here" {
			g.fault("page of %s: %d, %v", slug, page.status, err)
		}
		return
	}
	side := Side(strings.SplitN(page.body, " ", 2)[0])
	if want == g.at[slug].Load() && *want != "" && string(side) != *want {
		g.fault("%s was shown by %s, want %s", slug, side, *want)
	}
	gift := fmt.Sprintf("gift-%s-%d", slug, g.next.Add(1))
	if side == Spillway {
		answer, err := g.rig.send(client, http.MethodPost, "/v1/donations", "{}", "Idempotency-Key", gift)
		if err != nil || answer.status != http.StatusAccepted {
			g.fault("gift at Spillway: %d, %v", answer.status, err)
			return
		}
	} else {
		answer, err := g.rig.send(client, http.MethodPost, "/give/"+slug, "gift="+gift)
		if err != nil || answer.status != http.StatusOK || answer.body != "old thanks "+gift {
			if !excused() {
				g.fault("gift at the older system: %d %q, %v", answer.status, answer.body, err)
			}
			g.Lock()
			g.unsure[gift] = true
			g.Unlock()
			return
		}
	}
	g.Lock()
	defer g.Unlock()
	g.given[gift] = side
}

func (g *giving) count() int {
	g.Lock()
	defer g.Unlock()
	return len(g.given)
}

// The whole of it: campaigns go to Spillway and back under giving donors, the proxy is
// replaced, the older system dies.
func TestSwitch_WhileDonorsGive(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	slugs := []string{"a", "b", "here", "stays"}
	r.move(t, Old, slugs...)
	r.move(t, Spillway, "here")
	g := &giving{rig: r, at: map[string]*atomic.Pointer[string]{}, given: map[string]Side{}, unsure: map[string]bool{}}
	for _, slug := range slugs {
		g.at[slug] = &atomic.Pointer[string]{}
	}
	g.expect(Old, "a", "b", "stays")
	g.expect(Spillway, "here")

	ctx, cancel := context.WithCancel(context.Background())
	var donors sync.WaitGroup
	for i := range 4 {
		donors.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				g.donor(t, slugs[n%len(slugs)])
			}
		})
	}
	stop := func() { cancel(); donors.Wait() }
	t.Cleanup(stop)
	more := func(what string) {
		enough := g.count() + 24
		haproxytest.Eventually(t, "donors give "+what, func() bool { return g.count() >= enough })
	}
	moved := func(to Side, slugs ...string) {
		g.expect("", slugs...)
		r.move(t, to, slugs...)
		g.expect(to, slugs...)
		more("after " + strings.Join(slugs, " ") + " went to " + string(to))
	}
	more("at the beginning")
	moved(Spillway, "a", "b")
	r.proxy.Reload(t)
	more("after a restart")
	moved(Old, "a")
	moved(Spillway, "a")
	moved(Old, "b")
	r.proxy.Reload(t)
	more("after another restart")
	if faults, err := r.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%q, %v", faults, err)
	}

	g.oldMayFail.Store(true)
	r.old.server.CloseClientConnections()
	r.old.server.Close()
	more("without the older system")
	haproxytest.Eventually(t, "the proxy sees that it is gone", func() bool {
		_, err := r.Switch(t.Context(), movesOf("a"), Old, true)
		return err != nil && strings.Contains(err.Error(), "down")
	})
	moved(Spillway, "b") // and it may be fled from
	stop()

	for _, fault := range g.faults {
		t.Error(fault)
	}
	by := map[Side]int{}
	for gift, side := range g.given {
		by[side]++
		atOld, here := r.old.times(gift), r.spillway.times(gift)
		if side == Old && (atOld != 1 || here != 0) || side == Spillway && (atOld != 0 || here != 1) {
			t.Errorf("%s of a page of %s: taken %d times by the older system, %d times by Spillway", gift, side, atOld, here)
		}
	}
	for gift := range g.unsure {
		if r.old.times(gift) > 1 || r.spillway.times(gift) > 0 {
			t.Errorf("%s, whose answer was lost: taken %d times by the older system, %d times by Spillway", gift, r.old.times(gift), r.spillway.times(gift))
		}
	}
	if all := r.old.count() + r.spillway.count(); all > len(g.given)+len(g.unsure) {
		t.Errorf("%d gifts were taken, %d were given", all, len(g.given)+len(g.unsure))
	}
	t.Logf("%v gifts, %d unsure", by, len(g.unsure))
}

// A page that was open when its campaign was switched, and a page loaded anew: whoever
// is in the middle of giving stays where he is.
func TestSwitch_WhoHasThePageStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.move(t, Old, "a")
	had := browser(t)
	get := func(path string) answer {
		t.Helper()
		got, err := r.send(had, http.MethodGet, path, "")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	get("/give/a")
	r.move(t, Spillway, "a")
	if got := r.see(t, "/give/a"); got != "spillway page /c/a" {
		t.Errorf("a new donor: %q", got)
	}
	if got := get("/give/a"); got.body != "old page /give/a" {
		t.Errorf("loaded anew: %q", got.body)
	}
	if got, err := r.send(had, http.MethodPost, "/give/a", url.Values{"gift": {"g1"}}.Encode()); err != nil || got.body != "old thanks g1" {
		t.Errorf("given: %+v, %v", got, err)
	}
	// A page of before the cookies, or whose two hours are over: the thanks are still seen.
	bare := browser(t)
	if got, err := r.send(bare, http.MethodPost, "/give/a", "gift=g2"); err != nil || got.body != "old thanks g2" {
		t.Errorf("given late: %+v, %v", got, err)
	}
	had = browser(t)
	if got := get("/give/a?utm_source=letter"); got.body != "spillway page /c/a" || got.path != "/c/a" {
		t.Errorf("a link of a letter: %+v", got)
	}
	r.move(t, Old, "a")
	if got := get("/c/a"); got.body != "spillway page /c/a" {
		t.Errorf("Spillway's page loaded anew: %q", got.body)
	}
	if got, err := r.send(had, http.MethodPost, "/v1/donations", "{}", "Idempotency-Key", "g3"); err != nil || got.status != http.StatusAccepted {
		t.Errorf("given there: %+v, %v", got, err)
	}
	if got := r.see(t, "/c/a"); got != "old page /give/a" {
		t.Errorf("a new donor at Spillway's page: %q", got)
	}
	if r.old.times("g1") != 1 || r.old.times("g2") != 1 || r.spillway.times("g3") != 1 {
		t.Errorf("%v, %v", r.old.gifts, r.spillway.gifts)
	}
	// Nobody is kept at a system that is gone.
	r.move(t, Spillway, "a")
	had = bare
	r.old.server.CloseClientConnections()
	r.old.server.Close()
	haproxytest.Eventually(t, "he is led to where he can give", func() bool {
		got, err := r.send(had, http.MethodGet, "/give/a", "")
		return err == nil && got.body == "spillway page /c/a"
	})
}
