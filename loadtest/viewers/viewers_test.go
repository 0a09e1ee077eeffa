package viewers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/loadtest/viewers"
)

// stage is a front-end whose streams say what the test wants.
type stage struct {
	*httptest.Server
	watching atomic.Int64
	paths    sync.Map
	age      time.Duration // of what it shows
	mute     bool          // no totals, only a day and a wall
	quit     chan struct{} // closed: streams end
}

func newStage(t *testing.T) *stage {
	s := &stage{quit: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.RawQuery, "nobody") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.paths.Store(r.URL.RequestURI(), true)
	s.watching.Add(1)
	defer s.watching.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Connection", "close") // as the real one ends
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		kind := "totals"
		if s.mute {
			kind = "day"
		}
		asOf := time.Now().Add(-s.age).UTC().Format("2006-01-02T15:04:05.000000Z")
		_, err := fmt.Fprintf(w, "event: %s\ndata: {\"campaign\":\"a\",\"as_of\":%q}\n\nevent: wall\ndata: {\"message\":%q,\"as_of\":\"1999-01-01T00:00:00.000000Z\"}\n\n",
			kind, asOf, strings.Repeat("x", 8<<10))
		if err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-s.quit:
			return
		case <-tick.C:
		}
	}
}

// patience bounds every wait for something that happens soon when all is well.
const patience = 30 * time.Second

// watch has an audience watch until enough has happened.
func watch(t *testing.T, a *viewers.Audience, enough func(events, lost, rounds int64) bool) *viewers.Seen {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	begin := make(chan struct{})
	seen := make(chan *viewers.Seen)
	go func() { seen <- a.Watch(ctx, begin) }()
	close(begin)
	for end := time.Now().Add(patience); !enough(a.Progress()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within %v", patience)
			break
		}
	}
	leave()
	return <-seen
}

func TestAudience_SeesTheAgeOfWhatIsShown(t *testing.T) {
	s := newStage(t)
	s.age = 3 * time.Second
	a, err := viewers.Connect(t.Context(), viewers.Config{Target: s.URL, Viewers: 30, Campaigns: []string{"a", "b"}, Day: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.watching.Load(); n != 30 {
		t.Errorf("%d are connected", n)
	}
	seen := watch(t, a, func(events, _, rounds int64) bool { return events >= 200 && rounds >= 2 })
	// It takes what a total says, not when it came, and nothing of days and walls.
	if seen.Viewers != 30 || seen.Lost != 0 || seen.Silent != 0 || seen.Age.P50 < 3000 || seen.Age.P50 > 100_000 || seen.Age.P99 < seen.Age.P50 || seen.Arrival.P50 < 3000 ||
		seen.Events < 200 || seen.Bytes < 30*8<<10 {
		t.Errorf("%+v", seen)
	}
	for _, path := range []string{"/v1/live?campaign=a&day=1", "/v1/live?campaign=b&day=1"} {
		if _, ok := s.paths.Load(path); !ok {
			t.Errorf("nobody asked for %s", path)
		}
	}
}

func TestAudience_CountsWhoIsLostAndWhoSeesNothing(t *testing.T) {
	s := newStage(t)
	s.mute = true
	a, err := viewers.Connect(t.Context(), viewers.Config{Target: s.URL, Viewers: 5, Campaigns: []string{"a"}, Single: true})
	if err != nil {
		t.Fatal(err)
	}
	close(s.quit)
	seen := watch(t, a, func(_, lost, rounds int64) bool { return lost == 5 && rounds > 0 })
	if seen.Silent != 5 || seen.Lost != 5 || seen.Age.Most != 0 {
		t.Errorf("%+v", seen)
	}
	if _, ok := s.paths.Load("/v1/campaigns/a/live"); !ok {
		t.Error("nobody asked for one campaign's stream")
	}
}

func TestConnect_SaysWhyNot(t *testing.T) {
	s := newStage(t)
	for _, cfg := range []viewers.Config{
		{Target: s.URL, Viewers: 3, Campaigns: []string{"nobody"}},
		{Target: s.URL, Viewers: 3},
		{Target: s.URL, Campaigns: []string{"a"}},
		{Target: "https://example.org", Viewers: 1, Campaigns: []string{"a"}},
		{Target: "://", Viewers: 1, Campaigns: []string{"a"}},
	} {
		if _, err := viewers.Connect(t.Context(), cfg); err == nil {
			t.Errorf("%+v connected", cfg)
		}
	}
}

func TestDonors_EachGiftOnceAndTheRefusedCounted(t *testing.T) {
	keys := sync.Map{}
	var n, twice atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var gift struct {
			Lines []struct{ Campaign string }
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &gift); err != nil || r.Header.Get("Spillway-Rehearsal") != "secret" || r.URL.Path != "/v1/donations" {
			t.Errorf("%s %s: %v", r.URL.Path, body, err)
		}
		if _, again := keys.LoadOrStore(r.Header.Get("Idempotency-Key"), true); again {
			twice.Add(1)
		}
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	donors := viewers.Donors{Target: server.URL, Credential: "secret", Campaigns: []string{"a", "b"}, PerSecond: 500, For: 400 * time.Millisecond}
	given, err := donors.Give(t.Context(), "run")
	if err != nil || given.Accepted != 180 || given.Refused != 20 || twice.Load() != 0 || given.P99 < given.P50 || given.P50 <= 0 {
		t.Errorf("%+v, %v; %d keys twice", given, err, twice.Load())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := donors.Give(ended, "again"); err == nil {
		t.Error("gave although it was over")
	}
}

func TestMemoryOf(t *testing.T) {
	collected := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/debug/pprof/heap?gc=1":
			collected = true
		case "/metrics":
			fmt.Fprint(w, "# HELP x y\ngo_memstats_heap_inuse_bytes 3e+06\ngo_memstats_stack_inuse_bytes 500\nprocess_resident_memory_bytes 7e+06\nprocess_cpu_seconds_total 1.25\nother 1\n")
		case "/empty/metrics", "/empty/debug/pprof/heap?gc=1":
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	m, err := viewers.MemoryOf(t.Context(), server.URL)
	if err != nil || m.InUse != 3_000_500 || m.Resident != 7_000_000 || !collected {
		t.Errorf("%+v, %v", m, err)
	}
	if cpu, err := viewers.CPUOf(t.Context(), server.URL); err != nil || cpu != 1.25 {
		t.Errorf("%v, %v", cpu, err)
	}
	for _, url := range []string{server.URL + "/nothing", server.URL + "/empty"} {
		if _, err := viewers.MemoryOf(t.Context(), url); err == nil {
			t.Errorf("%s told something", url)
		}
	}
}

func TestReport_HoldsTheMediansAgainstTheBars(t *testing.T) {
	good := viewers.Pair{Without: viewers.Given{P99: 8}, With: viewers.Given{P99: 12.9, PerSecond: 2000}, Seen: viewers.Seen{Seconds: 10, Age: viewers.Ages{P99: 1000}}, PerView: 25 << 10}
	bad := func(change func(*viewers.Pair)) viewers.Pair { p := good; change(&p); return p }
	for name, c := range map[string]struct {
		worse viewers.Pair
		fails string
	}{
		"age":     {bad(func(p *viewers.Pair) { p.Seen.Age.P99 = 1001 }), "age"},
		"memory":  {bad(func(p *viewers.Pair) { p.PerView++ }), "memory"},
		"slower":  {bad(func(p *viewers.Pair) { p.With.P99 = 13.1 }), "p99, viewers"},
		"rate":    {bad(func(p *viewers.Pair) { p.With.PerSecond = 1900 }), "a second"},
		"lost":    {bad(func(p *viewers.Pair) { p.Seen.Lost = 1 }), "lost"},
		"silent":  {bad(func(p *viewers.Pair) { p.Seen.Silent = 1 }), "lost"},
		"refused": {bad(func(p *viewers.Pair) { p.Without.Refused = 1 }), "refused"},
	} {
		once := viewers.Report{Viewers: 10, PerSecond: 2000, Pairs: []viewers.Pair{good, c.worse, good}}
		if !once.Held() {
			t.Errorf("%s: one of three is not the median: %+v", name, once.Checks())
		}
		twice := viewers.Report{Viewers: 10, PerSecond: 2000, Pairs: []viewers.Pair{c.worse, c.worse, good}}
		var out strings.Builder
		if err := twice.WriteTable(&out); err != nil || twice.Held() || strings.Count(out.String(), "MISSED") != 1 {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "MISSED") && !strings.Contains(line, c.fails) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	if (&viewers.Report{}).Held() {
		t.Error("nothing measured, and held")
	}
	slow := viewers.Report{PerSecond: 2000, Pairs: []viewers.Pair{bad(func(p *viewers.Pair) { p.Without.P99, p.With.P99 = 100, 149 })}}
	if !slow.Held() {
		t.Errorf("half as much again is held: %+v", slow.Checks())
	}
}
