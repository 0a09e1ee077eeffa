package loadtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"spillway/campaigns"

	"spillway/ingest"
	"spillway/loadtest/audit"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/trace"
)

func wantProof(t *testing.T, r *Report) {
	t.Helper()
	if !r.Holds {
		for _, c := range r.Audit.Checks {
			if c.Broken > 0 {
				t.Errorf("%s %s: %+v", c.Invariant, c.Claim, c.Violations)
			}
		}
		t.Fatalf("the proof does not hold: %q", r.Failures)
	}
}

func TestRun_ProvesAGoodTarget(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	cfg.Probes = true
	var shown []Progress
	deps := g.deps()
	deps.Show = func(p Progress) { shown = append(shown, p) }
	r := rehearse(t, cfg, deps)
	wantProof(t, r)
	for _, c := range r.Audit.Checks {
		if c.Verdict() != audit.Holds {
			t.Errorf("%s (%s) is %s", c.Invariant, c.Claim, c.Verdict())
		}
	}
	s := r.Sending
	if s.Planned != 600 || s.Sent != 600 || s.Accepted != 600 || s.Latency.Count != 600 || s.Exchanges <= 600 || s.CostMicros <= 0 || s.AckRate <= 0 || s.BestSecond == 0 {
		t.Errorf("sending %+v", s)
	}
	if !r.Audit.Sums.Complete || r.Audit.Sums.LedgerRows != 600 || r.Audit.Sums.LedgerMinor != r.Audit.Sums.SourceMinor || r.Audit.Sums.PublicMinor != r.Audit.Sums.SourceMinor {
		t.Errorf("sums %+v", r.Audit.Sums)
	}
	if r.Watch.Readings == 0 || r.Watch.Failures != 0 || r.Watch.Lag.P50.Round(time.Millisecond) != 3*time.Millisecond {
		t.Errorf("watching %+v", r.Watch)
	}
	if g.credited != g.requests {
		t.Errorf("%d of %d requests carried the credential", g.credited, g.requests)
	}
	if r.Before != 0 || r.After != int64(len(g.donations)) || r.Stopped || r.Audit.Counts.OpenedFields == 0 {
		t.Errorf("before %d, after %d, stopped %v", r.Before, r.After, r.Stopped)
	}
	if !slices.ContainsFunc(shown, func(p Progress) bool { return p.Sending && p.Accepted > 0 && p.P99 > 0 }) {
		t.Errorf("progress %+v", shown)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestRun_TheSameRunAgainAddsNothing(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprint("record kept ", keep), func(t *testing.T) {
			t.Parallel()
			theSameAgain(t, keep)
		})
	}
}

func theSameAgain(t *testing.T, keep bool) {
	g := newTarget(t)
	cfg := g.config(t)
	cfg.Probes = true
	wantProof(t, rehearse(t, cfg, g.deps()))
	before := len(g.donations)
	if !keep { // the record is lost, the run is not
		if err := os.Remove(cfg.Record); err != nil {
			t.Fatal(err)
		}
	}
	r := rehearse(t, cfg, g.deps())
	wantProof(t, r)
	if len(g.donations) != before || r.Before != r.After || r.Sending.Accepted != 600 {
		t.Errorf("%d donations became %d", before, len(g.donations))
	}
	if lost := r.Audit.Counts.Orphans > 0; lost == keep {
		t.Errorf("orphans %d", r.Audit.Counts.Orphans)
	}
}

// TestRun_UnknownAnswersAreRetriedToTheEnd has a target that does everything
// that a target may do, and keeps its word.
func TestRun_UnknownAnswersAreRetriedToTheEnd(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	g.forgetful = true // conflicts are accepted and recorded
	g.do = func(n int) deed {
		if n%4 != 0 {
			return behave
		}
		return []deed{storeAnd503, loseAnd503, storeAndHang, loseAndHang, tooFast}[n/4%5]
	}
	cfg := g.config(t)
	cfg.Probes = true
	r := rehearse(t, cfg, g.deps())
	wantProof(t, r)
	if s := r.Sending; s.Accepted != 600 || s.UnknownAnswers == 0 || s.Deferred == 0 || s.Resolved == 0 || s.Unresolved != 0 || s.Attempts <= s.Sent {
		t.Errorf("%+v", s)
	}
	if len(g.conflicts) == 0 {
		t.Error("no conflict came about")
	}
}

func TestRun_CatchesEveryLie(t *testing.T) {
	t.Parallel()
	once := func(d deed) func(*target) {
		return func(g *target) {
			g.do = func(n int) deed {
				if n == 77 {
					return d
				}
				return behave
			}
		}
	}
	for name, c := range map[string]struct {
		want string
		lie  func(*target)
	}{
		"acknowledged and lost":   {"I1", once(ackAndLose)},
		"stored with other money": {"I1", once(storeWrong)},
		"counted twice":           {"I5", once(countTwice)},
		"a token of another":      {"I1", once(wrongToken)},
		"an amount of another":    {"I1", once(wrongAmount)},
		"open when it is closed":  {"I9", func(g *target) { g.blind = true }},
		"conflicts in silence":    {"I8", func(g *target) { g.forgetful, g.silent = true, true }},
		"as_of runs ahead": {"I6", func(g *target) {
			g.do = func(n int) deed {
				if n == 300 { // g.mu is held
					g.frozen = map[string]campaigns.SlotRow{}
					for slug, s := range g.slots {
						g.frozen[slug] = *s
					}
				}
				return behave
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newTarget(t)
			c.lie(g)
			cfg := g.config(t)
			cfg.Probes = true
			r := rehearse(t, cfg, g.deps())
			if r.Holds || !slices.Contains(broken(r), c.want) {
				t.Errorf("holds %v, broken %v, want %s", r.Holds, broken(r), c.want)
			}
		})
	}
}

func TestRun_GivesUpWithItsPatience(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	g.do = func(n int) deed { return loseAnd503 }
	cfg := g.config(t)
	cfg.Patience = 300 * time.Millisecond
	r := rehearse(t, cfg, g.deps())
	if r.Holds || r.Sending.Unresolved != 600 || r.Sending.Accepted != 0 || len(r.Failures) < 2 {
		t.Errorf("holds %v, %+v, %q", r.Holds, r.Sending, r.Failures)
	}
}

func TestRun_RefusedRowsAreToldAndNotRetried(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	deps := g.deps()
	// The target has closed one of the campaigns long ago.
	run, err := gift.NewRun(cfg.Run, cfg.Source.Name(), cfg.Source.Hash())
	if err != nil {
		t.Fatal(err)
	}
	deps.Campaigns = &closedBefore{g, run.Slug(cfg.Source.Campaigns()[0].Name)}
	r := rehearse(t, cfg, deps)
	want := cfg.Source.Campaigns()[0].Rows
	if !r.Holds || r.Sending.Refused[409] != want || r.Sending.Attempts != 600 || r.Audit.Sums.Complete {
		t.Errorf("holds %v %q, %+v, want %d refused", r.Holds, r.Failures, r.Sending, want)
	}
}

type closedBefore struct {
	*target
	slug string
}

func (o *closedBefore) Put(ctx context.Context, all ...*campaigns.Campaign) (int, error) {
	for _, c := range all {
		if c.Slug == o.slug {
			c.EndsAt = c.StartsAt.Add(time.Hour)
		}
	}
	return o.target.Put(ctx, all...)
}

// TestRun_StopDrainsAndAudits stops half way: what was sent is proven.
func TestRun_StopDrainsAndAudits(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	stop := make(chan struct{})
	g.do = func(n int) deed {
		if n == 200 {
			close(stop)
		}
		return behave
	}
	cfg := g.config(t)
	r, err := Run(t.Context(), stop, cfg, g.deps())
	if err != nil {
		t.Fatal(err)
	}
	wantProof(t, r)
	if !r.Stopped || r.Sending.Sent < 200 || r.Sending.Sent == 600 || r.Sending.Accepted != r.Sending.Sent || r.Audit.Sums.Complete {
		t.Errorf("stopped %v, %+v", r.Stopped, r.Sending)
	}
	if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "stopped early") }) {
		t.Errorf("a rehearsal that was stopped says nothing of it: %q", r.Warnings)
	}

	cfg.Resume = true
	again := rehearse(t, cfg, g.deps())
	wantProof(t, again)
	if again.Skipped != r.Sending.Accepted || again.Sending.Sent != 600-again.Skipped || !again.Audit.Sums.Complete || again.Session != 2 {
		t.Errorf("resumed: skipped %d, %+v", again.Skipped, again.Sending)
	}
}

// TestRun_AKilledGeneratorIsResumed drops a session in the middle, and the last
// answers with it, which is what a kill leaves, and resumes.
func TestRun_AKilledGeneratorIsResumed(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	ctx, kill := context.WithCancel(t.Context())
	g.do = func(n int) deed {
		if n == 250 {
			kill()
		}
		return behave
	}
	if _, err := Run(ctx, nil, cfg, g.deps()); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed: %v", err)
	}
	g.mu.Lock() // the killed generator's last requests may still be inside
	g.do = func(int) deed { return behave }
	g.mu.Unlock()
	forgetAnswers(t, &cfg, 20)
	cfg.Resume = true
	r := rehearse(t, cfg, g.deps())
	wantProof(t, r)
	if r.Skipped == 0 || !r.Audit.Sums.Complete || r.Audit.Counts.Keys != 600 || len(g.donations) != 600 {
		t.Errorf("skipped %d, sums %+v, %d in the ledger", r.Skipped, r.Audit.Sums, len(g.donations))
	}
}

// TestRun_StopForgetsWhatNeverLeft has probes planned for an hour ahead.
func TestRun_StopForgetsWhatNeverLeft(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	stop := make(chan struct{})
	g.do = func(n int) deed {
		if n == 50 {
			close(stop)
		}
		return behave
	}
	cfg := g.config(t)
	cfg.Probes, cfg.edgesLeast = true, time.Hour
	r, err := Run(t.Context(), stop, cfg, g.deps())
	if err != nil {
		t.Fatal(err)
	}
	wantProof(t, r)
	if !r.Stopped {
		t.Errorf("%+v", r.Sending)
	}
}

// forgetAnswers writes the record anew without its last answers.
func forgetAnswers(t *testing.T, cfg *Config, last int) {
	t.Helper()
	answers := 0
	header, _, err := record.Scan(cfg.Record, record.Visitor{Answer: func(*record.Answer) error { answers++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	path := cfg.Record + ".cut"
	w, err := record.Open(path, header, record.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = record.Scan(cfg.Record, record.Visitor{
		Session:  w.Session,
		Campaign: func(_ int32, c record.Campaign) error { _, err := w.Campaigns([]record.Campaign{c}); return err },
		Attempt:  func(a *record.Attempt) error { w.Attempt(a); return nil },
		Answer: func(a *record.Answer) error {
			if answers--; answers >= last {
				w.Answer(a)
			}
			return nil
		},
		Observation: func(o *record.Observation) error { w.Observation(o); return nil },
		Finding:     w.Finding,
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	cfg.Record = path
}

func TestRun_ATargetThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	address := strings.TrimPrefix(g.url, "http://")
	down, up := make(chan struct{}), make(chan struct{})
	g.do = func(n int) deed {
		if n == 150 {
			close(down)
		}
		return behave
	}
	go func() {
		defer close(up)
		<-down
		g.stop()
		var ln net.Listener
		for ln == nil {
			ln, _ = net.Listen("tcp", address)
		}
		g.serve(ln)
	}()
	r := rehearse(t, cfg, g.deps())
	<-up
	wantProof(t, r)
	if r.Sending.Accepted != 600 {
		t.Errorf("%+v", r.Sending)
	}
}

func TestRun_ErrorsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	good := g.config(t)
	for name, c := range map[string]struct {
		want   error
		change func(*Config, *Deps)
	}{
		"no source":         {ErrConfig, func(c *Config, _ *Deps) { c.Source = nil }},
		"no url":            {ErrConfig, func(c *Config, _ *Deps) { c.Target = "localhost:8080" }},
		"bad name":          {gift.ErrRunName, func(c *Config, _ *Deps) { c.Run = "a b" }},
		"connections":       {ErrConfig, func(c *Config, _ *Deps) { c.Connections = -1 }},
		"nothing to resume": {ErrNothingToResume, func(c *Config, _ *Deps) { c.Resume = true }},
		"no store":          {net.ErrClosed, func(_ *Config, d *Deps) { d.Campaigns = failing{} }},
		"no ledger": {net.ErrClosed, func(_ *Config, d *Deps) {
			d.Count = func(context.Context, string) (int64, error) { return 0, net.ErrClosed }
		}},
	} {
		cfg, deps := good, g.deps()
		cfg.Record = filepath.Join(t.TempDir(), "r")
		c.change(&cfg, &deps)
		if _, err := Run(t.Context(), nil, cfg, deps); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if g.requests != 0 {
		t.Errorf("%d requests were sent", g.requests)
	}
}

type failing struct{ Campaigns }

func (failing) Put(context.Context, ...*campaigns.Campaign) (int, error) { return 0, net.ErrClosed }

func TestRun_ARecordOfAnotherSourceIsRefused(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	wantProof(t, rehearse(t, cfg, g.deps()))
	other, err := trace.NewProfile(trace.ProfileConfig{Rate: 10, For: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Source = other
	if _, err := Run(t.Context(), nil, cfg, g.deps()); !errors.Is(err, record.ErrOther) {
		t.Error(err)
	}
}

// TestResumption_SendsWhatIsLeftOnce holds for any record of any broken session:
// what was answered is left out, everything else is sent once, in order, and no row
// waits longer than in the whole schedule.
func TestResumption_SendsWhatIsLeftOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.IntRange(1, 3).Draw(t, "copies")
		total := rapid.IntRange(1, 200).Draw(t, "rows")
		h := newHistory(copies, true)
		v := h.visitor()
		var rows []trace.Row
		planned := time.Duration(0)
		left := rapid.IntRange(0, total*copies).Draw(t, "left") // how far the schedule got
		answered := map[int64]bool{}
		for i := range total * copies {
			if i%copies == 0 {
				planned += time.Duration(rapid.IntRange(0, 5).Draw(t, "gap"))
			}
			row := trace.Row{Number: int64(i/copies + 1), Copy: uint16(i % copies), Planned: planned}
			rows = append(rows, row)
			if i >= left {
				continue
			}
			ref := gift.Ref{Kind: gift.Row, Number: row.Number, Copy: row.Copy}
			_ = v.Attempt(&record.Attempt{Ref: ref})
			outcome := record.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome"))
			if outcome != 0 {
				_ = v.Answer(&record.Answer{Ref: ref, Outcome: outcome})
			}
			answered[int64(i)] = outcome == record.Accepted || outcome == record.Refused
		}
		r := resumption{history: h}
		var got []trace.Row
		for rest := slices.Clone(rows); len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 64).Draw(t, "block"))
			got = append(got, r.left(rest[:n:n])...)
			rest = rest[n:]
		}
		var want []trace.Row
		for i, row := range rows {
			if !answered[int64(i)] {
				want = append(want, row)
			}
		}
		if len(got) != len(want) || h.resume && h.skipped()+int64(len(got)) != int64(len(rows)) {
			t.Fatalf("%d rows are left, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i].Number != want[i].Number || got[i].Copy != want[i].Copy || got[i].Planned < 0 || got[i].Planned > want[i].Planned {
				t.Fatalf("row %d is %+v, want %+v", i, got[i], want[i])
			}
			if i > 0 && got[i].Planned < got[i-1].Planned {
				t.Fatal("out of order")
			}
		}
		if left < len(rows) && len(got) > 0 {
			last := got[len(got)-1]
			if want := rows[len(rows)-1].Planned - rows[left].Planned; last.Planned != want {
				t.Fatalf("the schedule ends at %v, want %v", last.Planned, want)
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		try        int
		retryAfter time.Duration
		random     float64
		want       time.Duration
	}{
		{1, 0, 0, 25 * time.Millisecond}, {1, 0, 1, 50 * time.Millisecond}, {2, 0, 1, 100 * time.Millisecond}, {6, 0, 0, 800 * time.Millisecond},
		{7, 0, 1, 2 * time.Second}, {50, 0, 1, 2 * time.Second}, {1, 3 * time.Second, 0, 3025 * time.Millisecond}, {1, time.Hour, 0, 30*time.Second + 25*time.Millisecond},
	} {
		if got := backoff(c.try, c.retryAfter, func() float64 { return c.random }); got != c.want {
			t.Errorf("try %d after %v: %v, want %v", c.try, c.retryAfter, got, c.want)
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	for code, want := range map[int]record.Outcome{202: record.Accepted, 200: record.Unknown, 301: record.Unknown, 400: record.Refused, 404: record.Refused,
		408: record.Unknown, 409: record.Refused, 413: record.Refused, 415: record.Refused, 422: record.Refused, 429: record.Deferred, 500: record.Unknown,
		502: record.Unknown, 503: record.Unknown, 504: record.Unknown} {
		if got := outcomeOf(code); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}

func TestWatched_CoversHotAndOthers(t *testing.T) {
	source := make([]trace.Campaign, 50)
	for i := range source {
		source[i].Rows = int64(i) // the hottest is the last
	}
	chosen := watched(source, 8)
	if chosen[0] != 49 || chosen[1] != 49 || chosen[4] != 48 || chosen[5] != 48 {
		t.Errorf("the hottest are not watched twice: %v", chosen)
	}
	distinct := map[int32]bool{}
	for _, c := range chosen {
		distinct[c] = true
	}
	if len(distinct) < 5 {
		t.Errorf("only %d campaigns are watched: %v", len(distinct), chosen)
	}
	if one := watched(source[:1], 4); !slices.Equal(one, []int32{0, 0, 0, 0}) {
		t.Errorf("of one campaign: %v", one)
	}
}

func TestQueue_IsFirstInFirstOutAndEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		next, expected := 0, 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				batch := make([]job, rapid.IntRange(0, 700).Draw(t, "batch"))
				for i := range batch {
					batch[i].try = next
					next++
				}
				q.push(batch)
				continue
			}
			for range rapid.IntRange(0, next-expected).Draw(t, "pops") {
				if j, ok := q.pop(); !ok || j.try != expected {
					t.Fatalf("popped %d, %v, want %d", j.try, ok, expected)
				}
				expected++
			}
		}
		if q.len() != next-expected {
			t.Fatalf("%d left, want %d", q.len(), next-expected)
		}
		q.close()
		if _, ok := q.pop(); ok {
			t.Fatal("popped from a closed queue")
		}
	})
}

// TestDispatcher_StaysOpen has a target that answers nothing for a while: rows
// leave at their time all the same, and the wait is in the latency.
func TestDispatcher_StaysOpen(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	release := make(chan struct{})
	inner := g.server.Handler
	g.server.Handler = func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == donationsPath {
			<-release
		}
		inner(ctx)
	}
	cfg := g.config(t)
	cfg.Watchers = 0
	cfg.Timeout = time.Minute
	deps := g.deps()
	released := false
	deps.Show = func(p Progress) {
		if p.Sent == 600 && p.Accepted == 0 && !released {
			released = true
			close(release)
		}
	}
	r := rehearse(t, cfg, deps)
	wantProof(t, r)
	// The first rows waited for the last ones to leave, a second later.
	if r.Sending.Latency.Max < 900*time.Millisecond || r.Sending.Lateness.P99 > 500*time.Millisecond || r.Sending.Waiting.Max < time.Second/2 {
		t.Errorf("latency %+v, lateness %+v, waiting %+v", r.Sending.Latency, r.Sending.Lateness, r.Sending.Waiting)
	}
}

// TestAccepted_CheckReadsEitherWay holds the quick reading against the parser: an
// answer in our own words and the same with blanks in it say the same.
func TestAccepted_CheckReadsEitherWay(t *testing.T) {
	run, err := gift.NewRun("check", "f", [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	g := run.Make(gift.Ref{Kind: gift.Row, Number: 1}, "USD", []ingest.Line{{Campaign: "c", AmountMinor: 500}})
	fp := g.Donation.Fingerprint()
	token := append(append([]byte{'a'}, fp[:]...), make([]byte, 16)...)
	text := base64.RawURLEncoding.EncodeToString(token)
	good := fmt.Sprintf(`{"id":"%s","token":"%s","status":"accepted","accepted_at":"2026-11-22T17:00:00.123456Z","amount_minor":%d,"currency":"USD","status_url":"/v1/donations/%s"}`,
		g.ID, text, g.AmountMinor(), g.ID)
	spaced := strings.Replace(good, `,"token"`, `, "token"`, 1)
	var quick, parsed accepted
	if !quick.scan([]byte(good), g.ID.String(), &g) || parsed.scan([]byte(spaced), g.ID.String(), &g) {
		t.Fatal("which one is read quickly")
	}
	quick = accepted{}
	if wrong := quick.check([]byte(good), &g); wrong != "" {
		t.Error(wrong)
	}
	if wrong := parsed.check([]byte(spaced), &g); wrong != "" {
		t.Error(wrong)
	}
	if quick != parsed || quick.AcceptedAt.IsZero() {
		t.Errorf("read quickly %+v, parsed %+v", quick, parsed)
	}
	other := g.ID
	other[0]++
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "{", "no object": "[]", "id of another type": `{"id":5}`, "more after it": good + "x",
		"another id":        strings.ReplaceAll(good, g.ID.String(), other.String()),
		"another status":    strings.Replace(good, `"accepted"`, `"charging"`, 1),
		"another amount":    strings.Replace(good, fmt.Sprint(g.AmountMinor()), "1", 1),
		"another currency":  strings.Replace(good, "USD", "EUR", 1),
		"another address":   strings.Replace(good, "/v1/", "/v2/", 1),
		"no time":           strings.Replace(good, "2026-11-22T17:00:00.123456Z", "0001-01-01T00:00:00Z", 1),
		"a bad time":        strings.Replace(good, "2026-11-22T17:00:00.123456Z", "yesterday", 1),
		"a short token":     strings.Replace(good, text, text[1:], 1),
		"a token not coded": strings.Replace(good, text, "!"+text[1:], 1),
		"a token of kind u": strings.Replace(good, text, base64.RawURLEncoding.EncodeToString(append([]byte{'u'}, token[1:]...)), 1),
		"another's token":   strings.Replace(good, text, base64.RawURLEncoding.EncodeToString(append([]byte{'a', fp[0] + 1}, token[2:]...)), 1),
	} {
		var a accepted
		if wrong := a.check([]byte(body), &g); wrong == "" {
			t.Errorf("%s passed: %s", name, body)
		}
	}
}
