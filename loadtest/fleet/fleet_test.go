package fleet

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"spillway/loadtest"
	"spillway/loadtest/bare"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/trace"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own, kept for the process's life.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// hub is a link in memory.
type hub struct {
	mu      sync.Mutex
	hear    func([]byte)
	replies map[string]func([]byte) []byte
	// lossy loses each member's first answer to each kind of question, which was done all the same.
	lossy bool
	lost  map[string]bool
	// change may alter what a member answers to a question; nil for not.
	change func(question, answer) answer
	cut    map[string]bool // members that nobody reaches
}

func newHub() *hub {
	return &hub{replies: map[string]func([]byte) []byte{}, cut: map[string]bool{}, lost: map[string]bool{}}
}

func (h *hub) Hello(_ context.Context, _ string, message []byte) error {
	h.mu.Lock()
	hear := h.hear
	h.mu.Unlock()
	if hear != nil {
		hear(message)
	}
	return nil
}

func (h *hub) Hear(ctx context.Context, _ string, handle func([]byte)) error {
	h.mu.Lock()
	h.hear = handle
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	h.hear = nil
	h.mu.Unlock()
	return nil
}

var errNoAnswer = errors.New("the answer was lost")

func (h *hub) Ask(_ context.Context, _, name string, text []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, err
	}
	h.mu.Lock()
	reply := h.replies[name]
	if h.cut[name] {
		reply = nil
	}
	kind := name + " " + string(q.Do)
	lost, change := h.lossy && !h.lost[kind], h.change
	h.lost[kind] = true
	h.mu.Unlock()
	if reply == nil {
		return nil, ErrAbsent
	}
	out := reply(text)
	if out == nil || lost {
		return nil, errNoAnswer
	}
	if change != nil {
		var a answer
		if err := json.Unmarshal(out, &a); err != nil {
			return nil, err
		}
		return json.Marshal(change(q, a))
	}
	return out, nil
}

func (h *hub) Answer(ctx context.Context, _, name string, ready func(), reply func([]byte) []byte) error {
	h.mu.Lock()
	h.replies[name] = reply
	h.mu.Unlock()
	ready()
	<-ctx.Done()
	h.mu.Lock()
	delete(h.replies, name)
	h.mu.Unlock()
	return nil
}

// world is a target, a source and a fleet that shares it.
type world struct {
	t      *testing.T
	hub    *hub
	source *trace.Profile
	cfg    Config
	folder string // of the leader's copies
}

const worldRun = "shared"

// newWorld has rows gifts come within a tenth of a second.
func newWorld(t *testing.T, generators int, rows int64) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- bare.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, hub: newHub(), source: profile(t, rows, 100*time.Millisecond), folder: t.TempDir()}
	hash := w.source.Hash()
	w.cfg = Config{Generators: generators, Within: time.Minute, Log: slog.New(slog.DiscardHandler), absent: 100 * time.Millisecond,
		Orders: Orders{Run: worldRun, Target: "http://" + ln.Addr().String(), Source: json.RawMessage(`"profile"`), Hash: hex.EncodeToString(hash[:]),
			Connections: 4, Timeout: time.Minute, Patience: time.Minute},
		Beside: func(member string) string { return filepath.Join(w.folder, worldRun+".record."+member) }}
	return w
}

func profile(t *testing.T, rows int64, span time.Duration) *trace.Profile {
	t.Helper()
	p, err := trace.NewProfile(trace.ProfileConfig{Rate: float64(rows) / span.Seconds(), For: span, Campaigns: 3})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// joined is a member under way.
type joined struct {
	leave    context.CancelFunc
	done     chan struct{}
	evidence bool
	err      error
}

func (w *world) join(name string) *joined {
	w.t.Helper()
	ctx, leave := context.WithCancel(w.t.Context())
	j := &joined{leave: leave, done: make(chan struct{})}
	cfg := MemberConfig{Name: name, Folder: w.t.TempDir(), Log: w.cfg.Log,
		Open: func(source json.RawMessage, run, file string) (trace.Source, error) {
			if string(source) != `"profile"` || run != worldRun {
				return nil, fmt.Errorf("orders of %s for %s", source, run)
			}
			if w.cfg.File != "" {
				if text, err := os.ReadFile(file); err != nil || string(text) != replayed {
					return nil, fmt.Errorf("the file came as %.20q: %w", text, err)
				}
			}
			return w.source, nil
		}}
	go func() {
		defer close(j.done)
		j.evidence, j.err = Join(ctx, cfg, w.hub)
	}()
	w.t.Cleanup(func() { leave(); <-j.done })
	return j
}

// lead gathers, prepares and starts.
func (w *world) lead() *Leader {
	w.t.Helper()
	l, err := Gather(w.t.Context(), w.cfg, w.hub)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close(nil) })
	if err := l.Prepare(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := l.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return l
}

// replayed is longer than a chunk.
var replayed = strings.Repeat("offset_ms,campaign,amount_minor,currency\n", chunkBytes/16)

func TestLeader_TheSharesAreThePlanAndEveryRecordComes(t *testing.T) {
	t.Parallel()
	const rows = 500
	w := newWorld(t, 3, rows)
	w.hub.lossy = true
	w.cfg.File = filepath.Join(t.TempDir(), "event.csv")
	if err := os.WriteFile(w.cfg.File, []byte(replayed), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.cfg.Orders.File, err = Describe(w.cfg.File); err != nil {
		t.Fatal(err)
	}
	members := []*joined{w.join("north"), w.join("south")}
	l := w.lead()
	if err := l.Follow(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	counted := l.Counts()
	parts, err := l.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if <-m.done; m.err != nil || m.evidence {
			t.Errorf("a member ended with %v, evidence %v", m.err, m.evidence)
		}
	}
	// The leader's own share, which is nobody else's, makes the plan whole.
	own, err := loadtest.DemandOf(w.source, loadtest.Share{Of: 3})
	if err != nil {
		t.Fatal(err)
	}
	seen, sum := map[gift.Ref]string{}, own.Rows
	for _, p := range parts {
		if p.Tally.Sent != p.Tally.Rows || p.Tally.Accepted != p.Tally.Rows || p.Tally.Stopped || p.Record.Unsure > time.Minute {
			t.Errorf("%s: %+v, clock ±%v", p.Name, p.Tally, p.Record.Unsure)
		}
		sum += p.Tally.Rows
		if _, _, err := record.Scan(p.Record.Path, record.Visitor{Attempt: func(a *record.Attempt) error {
			if before, twice := seen[a.Ref]; twice {
				t.Errorf("%v was sent by %s and by %s", a.Ref, before, p.Name)
			}
			seen[a.Ref] = p.Name
			return nil
		}}); err != nil {
			t.Error(err)
		}
	}
	if sum != rows || int64(len(seen)) != rows-own.Rows || own.Rows == 0 {
		t.Errorf("%d rows in all, %d by members, %d by the leader; want %d", sum, len(seen), own.Rows, rows)
	}
	if counted.Sent > rows {
		t.Errorf("counted %d", counted.Sent)
	}
}

func TestLeader_StoppingEndsTheSharesEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 100)
	w.source = profile(t, 1_000_000, time.Hour)
	hash := w.source.Hash()
	w.cfg.Orders.Hash = hex.EncodeToString(hash[:])
	member := w.join("north")
	l := w.lead()
	stopped := make(chan struct{})
	var once sync.Once
	w.hub.mu.Lock()
	w.hub.change = func(_ question, a answer) answer {
		if a.State != nil && a.State.Counts.Accepted > 0 { // some have left
			once.Do(func() { close(stopped) })
		}
		return a
	}
	w.hub.mu.Unlock()
	if err := l.Follow(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	parts, err := l.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tally := parts[0].Tally; !tally.Stopped || tally.Sent == 0 || tally.Accepted != tally.Sent || tally.Sent == tally.Rows {
		t.Errorf("%+v", tally)
	}
	if <-member.done; member.err != nil {
		t.Error(member.err)
	}
}

func TestGather_SaysWhoIsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the two seconds are over when all others wait
		w := &world{t: t, hub: newHub(), cfg: Config{Generators: 3, Within: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}}
		member := w.join("north")
		came := false
		w.cfg.Say = func(text string) { came = came || strings.Contains(text, "1 of 2 others came (north)") }
		_, err := Gather(t.Context(), w.cfg, w.hub)
		if !came {
			t.Error("nobody was told who came")
		}
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "(north), 1 missing") || !strings.Contains(err.Error(), "spillway rehearse join") {
			t.Error(err)
		}
		if <-member.done; !errors.Is(member.err, ErrAbandoned) || member.evidence {
			t.Errorf("who came ended with %v", member.err)
		}
	})
}

func TestGather_RefusesTwoOfOneNameAndOtherBuilds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hellos []hello
		want   error
	}{
		"name":  {[]hello{{Protocol: protocol, Name: "north", ID: "1"}, {Protocol: protocol, Name: "north", ID: "2"}}, ErrName},
		"build": {[]hello{{Protocol: protocol + 1, Name: "north", ID: "1"}}, ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, 1)
			w.hub.replies["north"] = func([]byte) []byte { return []byte("{}") }
			ended := make(chan struct{})
			var saying sync.WaitGroup
			saying.Go(func() {
				for {
					for _, h := range c.hellos {
						text, err := json.Marshal(h)
						if err != nil {
							t.Error(err)
						}
						_ = w.hub.Hello(t.Context(), DefaultFleet, text) // the hub's never fails
					}
					select {
					case <-ended:
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
			_, err := Gather(t.Context(), w.cfg, w.hub)
			close(ended)
			saying.Wait()
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), `"north"`) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestFollow_NamesAMemberThatDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 100)
	w.source = profile(t, 1_000_000, time.Hour)
	hash := w.source.Hash()
	w.cfg.Orders.Hash = hex.EncodeToString(hash[:])
	dead, other := w.join("north"), w.join("south")
	l := w.lead()
	w.hub.mu.Lock()
	w.hub.cut["north"] = true
	w.hub.mu.Unlock()
	err := l.Follow(t.Context(), nil)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), `"north" is gone`) {
		t.Errorf("followed: %v", err)
	}
	if _, err := l.Collect(t.Context()); err == nil {
		t.Error("collected what is not there")
	}
	l.Close(err)
	if <-other.done; !errors.Is(other.err, ErrAbandoned) || !strings.Contains(other.err.Error(), `"north"`) || !other.evidence {
		t.Errorf("the other one ended with %v, evidence %v", other.err, other.evidence)
	}
	dead.leave()
	if <-dead.done; dead.err == nil {
		t.Error("who was cut off ended as if all were well")
	}
}

func TestPrepare_AMemberThatCannotNamesWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 100)
	w.cfg.Orders.Hash = "00" // of another source
	member := w.join("north")
	l, err := Gather(t.Context(), w.cfg, w.hub)
	if err != nil {
		t.Fatal(err)
	}
	err = l.Prepare(t.Context())
	l.Close(err)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), `"north" gave up`) || !strings.Contains(err.Error(), "another one here") {
		t.Error(err)
	}
	if <-member.done; !errors.Is(member.err, ErrVersion) || member.evidence {
		t.Errorf("the member ended with %v, evidence %v", member.err, member.evidence)
	}
}

// TestCollect_RefusesWhatIsNotTheRecord has a member hand over something else.
func TestCollect_RefusesWhatIsNotTheRecord(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(question, answer) answer{
		"a flipped bit": func(q question, a answer) answer {
			if q.Do == read && q.What == whatRecord {
				a.Data[len(a.Data)/2] ^= 1
			}
			return a
		},
		"nothing": func(q question, a answer) answer {
			if q.Do == read && q.What == whatRecord {
				a.Data = nil
			}
			return a
		},
		"more than it said": func(q question, a answer) answer {
			if q.Do == read && q.What == whatRecord {
				a.Data = append(a.Data, 0)
			}
			return a
		},
		"no record": func(_ question, a answer) answer {
			if a.State != nil {
				a.State.Record = nil
			}
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, 50)
			w.hub.change = change
			member := w.join("north")
			l := w.lead()
			if err := l.Follow(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			_, err := l.Collect(t.Context())
			if !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), `"north"`) {
				t.Errorf("collected: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(w.folder, "*")); len(left) > 0 {
				t.Errorf("kept %v", left)
			}
			l.Close(err)
			if <-member.done; !errors.Is(member.err, ErrAbandoned) || !member.evidence {
				t.Errorf("the member ended with %v, evidence %v", member.err, member.evidence)
			}
		})
	}
}

// TestCheck_HoldsARecordAgainstTheOrders doctors a record that would be read.
func TestCheck_HoldsARecordAgainstTheOrders(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0).UTC()
	share := loadtest.Share{Index: 1, Of: 2}
	var ours, others []int64
	for n := int64(1); len(ours) < 3 || len(others) < 1; n++ {
		if share.Has(n, 0) {
			ours = append(ours, n)
		} else {
			others = append(others, n)
		}
	}
	write := func(t *testing.T, h record.Header, sessions, ends int, at time.Time, rows []int64) string {
		path := filepath.Join(t.TempDir(), "record")
		w, err := record.Open(path, h, record.Visitor{})
		if err != nil {
			t.Fatal(err)
		}
		for range sessions {
			err = errors.Join(err, w.Session(record.Session{StartedAt: at}))
		}
		for _, n := range rows {
			ref := gift.Ref{Kind: gift.Row, Number: n}
			w.Attempt(&record.Attempt{Ref: ref, Try: 1, Sent: at, Lines: []record.Line{{AmountMinor: 1}}})
			w.Answer(&record.Answer{Ref: ref, Try: 1, Outcome: record.Accepted, Code: 202, At: at, AcceptedAt: at})
		}
		for range ends {
			err = errors.Join(err, w.End(record.End{At: at}))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	header := record.Header{Run: "r", Source: "s", Hash: "abc", Copies: 1}
	probing, elsewhere := header, header
	probing.Probes, elsewhere.Run = true, "x"
	for name, c := range map[string]struct {
		header         record.Header
		sessions, ends int
		at             time.Time
		rows           []int64
		cut            int64 // bytes
		wrong          bool
	}{
		"its own":         {header, 1, 1, began, ours[:3], 0, false},
		"a row too few":   {header, 1, 1, began, ours[:2], 0, true},
		"another's row":   {header, 1, 1, began, append(append([]int64{}, ours[:2]...), others[0]), 0, true},
		"an older one":    {header, 1, 1, began.Add(-time.Hour), ours[:3], 0, true},
		"no end":          {header, 1, 0, began, ours[:3], 0, true},
		"two sessions":    {header, 2, 2, began, ours[:3], 0, true},
		"of another run":  {elsewhere, 1, 1, began, ours[:3], 0, true},
		"with probes":     {probing, 1, 1, began, ours[:3], 0, true},
		"torn at the end": {header, 1, 1, began, ours[:3], 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.header, c.sessions, c.ends, c.at, c.rows)
			if info, err := os.Stat(path); err != nil || os.Truncate(path, info.Size()-c.cut) != nil {
				t.Fatal(err)
			}
			s := sent{run: "r", hash: "abc", share: share, began: began}
			err := s.check(path, &loadtest.Tally{Sent: 3, Attempts: 3, Accepted: 3})
			if errors.Is(err, ErrRecord) != c.wrong || (err != nil) != c.wrong {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestSpan_HoldsTheTruthWhateverTheNetworkDoes draws clocks and round trips whose ways
// take different times.
func TestSpan_HoldsTheTruthWhateverTheNetworkDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ahead := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "ahead"))
		now := time.Unix(1_800_000_000, 0)
		way := rapid.Int64Range(0, 1e9)
		var s span
		shortest := time.Duration(1 << 62)
		for i := range rapid.IntRange(1, 10).Draw(t, "trips") {
			there, back := time.Duration(way.Draw(t, "there")), time.Duration(way.Draw(t, "back"))
			tr := trip(now, now.Add(there+back), now.Add(there+ahead).UnixNano())
			if i == 0 {
				s = tr
			}
			s = span{max(s.low, tr.low), min(s.high, tr.high)}
			shortest = min(shortest, there+back)
			now = now.Add(there + back)
		}
		off := s.ahead() - ahead
		if off.Abs() > s.unsure() || s.unsure() > shortest/2+1 {
			t.Fatalf("%v ahead is read as %v ± %v, the shortest trip took %v", ahead, s.ahead(), s.unsure(), shortest)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{"north": true, "n_1-B": true, "": false, "a.b": false, "a b": false, ">": false, "*": false, "é": false, strings.Repeat("x", nameCharsMax+1): false} {
		if err := CheckName(name); (err == nil) != good || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if made := NameOf(name); CheckName(made) != nil {
			t.Errorf("%q became %q", name, made)
		}
	}
}
