package visit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"spillway/loadtest/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing is judged by it.
const patience = 30 * time.Second

// site is a front-end as visitors see it.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	seen   map[string]int // by what was asked for
	tagged int            // polls with the tag of the one before
	status func(path string) int
	cut    bool // streams end after their first event
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{seen: map[string]int{}, status: func(string) int { return http.StatusOK }}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP answers pages, totals and streams.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.URL.Path
	if r.URL.RawQuery != "" {
		what += "?" + r.URL.RawQuery
	}
	s.mu.Lock()
	s.seen[what]++
	status, cut := s.status(r.URL.Path), s.cut
	if r.Header.Get("If-None-Match") == `"1"` {
		s.tagged++
	}
	s.mu.Unlock()
	now := time.Now().UTC().Format(time.RFC3339Nano)
	switch {
	case status != http.StatusOK:
		w.WriteHeader(status)
	case r.URL.Path == "/v1/live":
		raw, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(raw, "HTTP/1.1 200 OK\r\n\r\nevent: totals\ndata: {\"as_of\":%q}\n\n", now)
		if !cut {
			_, _ = io.Copy(io.Discard, raw) // until the visitor goes
		}
		_ = raw.Close()
	case strings.HasPrefix(r.URL.Path, "/v1/") && r.Header.Get("If-None-Match") != "":
		w.Header().Set("Spillway-As-Of", now)
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		w.Header().Set("ETag", `"1"`)
		_, _ = fmt.Fprintf(w, `{"as_of":%q}`, now)
	default:
		_, _ = io.WriteString(w, "<p>page</p>")
	}
}

func (s *site) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[what]
}

// gifts is a source of n gifts within a moment, to two campaigns.
func gifts(t testing.TB, n int) trace.Source {
	t.Helper()
	p, err := trace.NewProfile(trace.ProfileConfig{Rate: float64(n) * 10, For: 100 * time.Millisecond, Campaigns: 2})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit has them all come and go.
func visit(t *testing.T, s *site, n int, h Habits) *Report {
	t.Helper()
	v, err := New(Config{Habits: h, Target: s.URL, Source: gifts(t, n), Slugs: []string{"one", "two"}, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v.Begin(time.Now())
	if err := v.Run(ctx); err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	return v.Report()
}

func TestRun_DonorsAndReadersOpenPagesAndThenStreamOrPoll(t *testing.T) {
	s := newSite(t)
	r := visit(t, s, 40, Habits{Look: 1, PerGift: 1.5, Day: 0.5, Stream: 0.5, Poll: 0.5, Think: time.Millisecond, Stay: 150 * time.Millisecond, PollEvery: pollLeast})
	if r.Donors != 40 || r.Visits < 40+40 || r.Visits > 40+80 || r.Begun != r.Visits || r.LeftOut+r.Cut != 0 || r.Failures() != 0 {
		t.Errorf("visits: %+v", r)
	}
	if r.Pages.OK != r.Visits || r.Pages.Latency.Count != r.Visits || r.Pages.Bytes < r.Visits*int64(len("<p>page</p>")) {
		t.Errorf("pages: %+v", r.Pages)
	}
	streamed, day := int64(s.count("/v1/live?campaign=one")+s.count("/v1/live?campaign=two")+s.count("/v1/live?day=1")), s.count("/")
	// Whose stay was over before the answer has not been counted as opened.
	if r.Streams.Opened > streamed || r.Streams.Opened < streamed/2 || r.Streams.Events > r.Streams.Opened || r.Streams.Lost != 0 || r.Streams.Most == 0 || streamed == 0 || streamed == r.Visits {
		t.Errorf("streams: %d, %+v", streamed, r.Streams)
	}
	if day == 0 || s.count("/c/one") <= s.count("/c/two") {
		t.Errorf("of %d: %d at the day's page, %d and %d at the campaigns'", r.Visits, day, s.count("/c/one"), s.count("/c/two"))
	}
	// Each of those who poll does at least once, and those who stay send the tag.
	if pollers := r.Visits - streamed; r.Polls.OK < pollers || r.Polls.OK-int64(s.tagged) > pollers || s.tagged == 0 {
		t.Errorf("%d polls, %d of them with a tag, of %d", r.Polls.OK, s.tagged, pollers)
	}
	if r.Age.Count != r.Polls.OK+r.Streams.Events || r.Lateness.Count < r.Pages.OK+r.Polls.OK+streamed || r.Waiting.Count != r.Pages.OK+r.Polls.OK {
		t.Errorf("measured: ages %d, lateness %d, waiting %d", r.Age.Count, r.Lateness.Count, r.Waiting.Count)
	}
}

func TestRun_WhoIsRefusedLeaves(t *testing.T) {
	s := newSite(t)
	s.status = func(path string) int {
		switch {
		case strings.HasPrefix(path, "/c/two"):
			return http.StatusServiceUnavailable
		case path == "/v1/live":
			return http.StatusTooManyRequests
		}
		return http.StatusOK
	}
	r := visit(t, s, 30, Habits{Look: 1, Stream: 1, Think: time.Millisecond, Stay: time.Hour}) // which nobody stays
	refused := int64(s.count("/c/two"))
	if r.Pages.Refused[503] != refused || refused == 0 || r.Pages.OK != 30-refused {
		t.Errorf("pages: %+v, %d refused", r.Pages, refused)
	}
	// A stream is refused once: nobody comes back for it. Whose time was over before the
	// answer is not counted at all.
	if tried := int64(s.count("/v1/live?campaign=one")); r.Streams.Opened != 0 || r.Streams.Refused[429] == 0 || r.Streams.Refused[429] > tried || tried > r.Pages.OK {
		t.Errorf("streams: %+v of %d", r.Streams, tried)
	}
	if r.Failures() != r.Pages.Refused[503]+r.Streams.Refused[429] {
		t.Errorf("%d failures", r.Failures())
	}
}

func TestRun_WhoeverIsThereAtTheEndIsCutOff(t *testing.T) {
	s := newSite(t)
	v, err := New(Config{Habits: Habits{Look: 1, Stream: 1, Think: time.Millisecond, Stay: time.Hour, Streams: 3}, Target: s.URL, Source: gifts(t, 10), Slugs: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	v.Begin(time.Now())
	for { // three streams, and the seven others found them taken
		v.log.mu.Lock()
		full, open := v.log.report.Streams.Full, v.log.report.Streams.Opened
		v.log.mu.Unlock()
		if full == 7 && open == 3 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := v.Report(); r.Cut > 3 || r.Streams.Most != 3 || r.Streams.Lost != 0 || r.Streams.Events == 0 {
		t.Errorf("%+v", r)
	}
}

func TestRun_AStreamThatIsLostIsOpenedAgain(t *testing.T) {
	s := newSite(t)
	s.cut = true
	v, err := New(Config{Habits: Habits{Look: 1, Stream: 1, Think: time.Millisecond, Stay: time.Hour}, Target: s.URL, Source: gifts(t, 3), Slugs: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	v.pause = func() time.Duration { return time.Millisecond }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	v.Begin(time.Now())
	for s.count("/v1/live?campaign=one")+s.count("/v1/live?campaign=two") < 4 {
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := v.Report(); r.Streams.Lost < 3 || r.Streams.Opened < 3 {
		t.Errorf("%+v", r.Streams)
	}
}

// TestAnswered_ASlowAnswerIsNotTheGeneratorsLateness: the next step of whoever waited
// longer than it would think, or than from one poll to the next, is planned for now.
func TestAnswered_ASlowAnswerIsNotTheGeneratorsLateness(t *testing.T) {
	v, err := New(Config{Habits: Habits{Look: 1, Poll: 1}, Target: "http://x", Source: gifts(t, 1), Slugs: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	v.start = time.Now().Add(-time.Hour)
	var ok fasthttp.Response
	for _, s := range []step{
		{at: time.Minute, visitor: &visitor{way: polls, think: time.Second, stay: time.Hour}},
		{at: time.Minute, visitor: &visitor{way: polls, until: 2 * time.Hour}, watches: true},
	} {
		v.answered(s, &ok, nil, 0, 0)
		if next, _, _ := v.schedule.due(2*time.Hour, nil); len(next) != 1 || next[0].at < time.Hour || !next[0].watches {
			t.Errorf("after %+v: %+v", s, next)
		}
	}
	if v.log.pages.Max() < (58*time.Minute).Microseconds() || v.log.polls.Max() < (58*time.Minute).Microseconds() {
		t.Errorf("latencies: pages %d, polls %d", v.log.pages.Max(), v.log.polls.Max())
	}
}

func TestRun_EndsWithoutABeginning(t *testing.T) {
	v, err := New(Config{Habits: Habits{Look: 1}, Target: "http://127.0.0.1:1", Source: gifts(t, 1), Slugs: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Run(ctx); err != nil || v.Report().Visits != 0 {
		t.Error(err)
	}
}

func TestNew_NobodyVisitsLikeThat(t *testing.T) {
	for _, h := range []Habits{{Look: 2}, {PerGift: 101}, {Stream: 0.6, Poll: 0.6}, {Think: -1}, {PollEvery: 1}, {Streams: -1}, {Connections: ConnectionsMax + 1}} {
		if _, err := New(Config{Habits: h, Target: "http://x", Source: gifts(t, 1), Slugs: []string{"one", "two"}}); !errors.Is(err, ErrHabits) {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if _, err := New(Config{Target: "http://x", Source: gifts(t, 1)}); !errors.Is(err, ErrHabits) {
		t.Error(err)
	}
}

// TestSchedule_IsTheSameAgainAndFollowsTheGifts holds plans against the habits: who
// looks leaves the page when the gift leaves, and nobody is lost between plan and steps.
func TestSchedule_IsTheSameAgainAndFollowsTheGifts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Habits{Look: rapid.Float64Range(0, 1).Draw(t, "look"), PerGift: float64(rapid.IntRange(0, 20).Draw(t, "per gift")) / 4,
			Stream: 0.3, Poll: 0.3, Day: 0.2, Think: time.Duration(rapid.IntRange(1, 5000).Draw(t, "think")) * time.Millisecond}
		if err := h.fill(); err != nil {
			t.Fatal(err)
		}
		seed, rows := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 50).Draw(t, "rows")
		planned := func() *schedule {
			s := &schedule{habits: &h, seed: seed}
			for n := range rows {
				s.visitorsOf(&trace.Row{Number: int64(n + 1), Planned: time.Duration(n) * 100 * time.Millisecond})
			}
			return s
		}
		a, b := planned(), planned()
		if a.planned-a.donors < int64(rows)*int64(h.PerGift) || a.planned-a.donors > int64(rows)*int64(h.PerGift+1) || a.donors > int64(rows) {
			t.Fatalf("%d visits, %d of donors, for %d gifts at %v", a.planned, a.donors, rows, h.PerGift)
		}
		first, _, _ := a.due(time.Hour, nil)
		again, _, _ := b.due(time.Hour, nil)
		if int64(len(first)) != a.planned || len(first) != len(again) {
			t.Fatalf("%d and %d steps of %d visits", len(first), len(again), a.planned)
		}
		for i := range first {
			if first[i].at != again[i].at || *first[i].visitor != *again[i].visitor {
				t.Fatalf("step %d: %+v and %+v", i, first[i].visitor, again[i].visitor)
			}
			if first[i].at < 0 || first[i].visitor.think > longest*h.Think {
				t.Fatalf("step %d at %v, thinking %v", i, first[i].at, first[i].visitor.think)
			}
		}
	})
}
