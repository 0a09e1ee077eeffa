package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns/console/manage/plan"
	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var wg sync.WaitGroup
	for range 2 { // several at once take turns
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return s
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func someImport(id byte, at time.Time) *plan.Import {
	hex := make([]byte, 32)
	for i := range hex {
		hex[i] = id
	}
	return &plan.Import{ID: string(hex), Kind: plan.OfGifts, CreatedAt: at, ActorID: "7", Actor: "ann@example.org", Network: "192.0.2.0/24", FileName: "gifts.csv",
		SHA256: sha256.Sum256([]byte{id}), Bytes: 12, Format: "CSV", Notices: []string{"a notice"}, State: plan.Planned,
		Summary: plan.Summary{Counts: plan.Counts{Rows: 2, New: 2}, After: plan.Sums{{Currency: "EUR", Count: 2, Minor: 500}}}}
}

func add(t *testing.T, s *Store, i *plan.Import) {
	t.Helper()
	if err := s.Add(t.Context(), i, []byte("doing "+i.ID)); err != nil {
		t.Fatal(err)
	}
}

func TestImport_ComesBackAsItWas(t *testing.T) {
	t.Parallel()
	s := open(t)
	a, b := someImport('a', noon), someImport('b', noon.Add(time.Second))
	b.ActorID, b.Notices = "8", nil
	add(t, s, a)
	add(t, s, b)
	b.Notices = []string{}
	for _, want := range []*plan.Import{a, b} {
		got, err := s.Import(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if doing, err := s.Plan(t.Context(), a.ID); err != nil || string(doing) != "doing "+a.ID {
		t.Errorf("%q, %v", doing, err)
	}
	for _, c := range []struct {
		kind, actor string
		want        string
	}{{plan.OfGifts, "", "ba"}, {plan.OfGifts, "7", "a"}, {plan.OfCampaigns, "", ""}} {
		all, err := s.Imports(t.Context(), c.kind, c.actor, 10)
		got := ""
		for _, i := range all {
			got += i.ID[:1]
		}
		if err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if _, err := s.Import(t.Context(), "nobody"); !errors.Is(err, plan.ErrNoImport) {
		t.Error(err)
	}
	if _, err := s.Plan(t.Context(), "nobody"); !errors.Is(err, plan.ErrNoImport) {
		t.Error(err)
	}
}

func TestImport_IsCarriedOutByOneAtATime(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	i := someImport('a', noon)
	add(t, s, i)
	claim := func(holder string, hold time.Duration) *plan.Import {
		t.Helper()
		got, err := s.Claim(ctx, plan.OfGifts, holder, hold)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := claim("one", time.Hour); got != nil {
		t.Fatalf("claimed before anybody said so: %+v", got)
	}
	if err := s.Start(ctx, i.ID, true, 2, time.Now(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx, i.ID, true, 2, time.Now(), "ann"); !errors.Is(err, plan.ErrNotPlanned) {
		t.Errorf("started twice: %v", err)
	}
	if err := s.Discard(ctx, i.ID); !errors.Is(err, plan.ErrNotPlanned) {
		t.Errorf("discarded under way: %v", err)
	}
	if got, _ := s.Claim(ctx, plan.OfCampaigns, "one", time.Hour); got != nil {
		t.Error("claimed as another kind")
	}
	// Many at once: one of them holds it.
	var wg sync.WaitGroup
	var lock sync.Mutex
	var holders []string
	for _, name := range []string{"one", "two", "three", "four"} {
		wg.Go(func() {
			got, err := s.Claim(ctx, plan.OfGifts, name, time.Hour)
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				t.Error(err)
			}
			if got != nil {
				holders = append(holders, name)
			}
		})
	}
	wg.Wait()
	if len(holders) != 1 {
		t.Fatalf("held by %v", holders)
	}
	// Its holder falls silent: another one goes on where it was.
	if err := s.Progress(ctx, i.ID, holders[0], 1, -time.Second); err != nil {
		t.Fatal(err)
	}
	if got := claim("next", time.Hour); got == nil || got.Done != 1 || !got.LeaveOut || got.Total != 2 {
		t.Fatalf("%+v", got)
	}
	if err := s.Progress(ctx, i.ID, holders[0], 2, time.Hour); !errors.Is(err, plan.ErrLost) {
		t.Errorf("the one that was silent: %v", err)
	}
	if err := s.End(ctx, i.ID, holders[0], plan.Done, 2, "x"); !errors.Is(err, plan.ErrLost) {
		t.Errorf("the one that was silent: %v", err)
	}
	if err := s.End(ctx, i.ID, "next", plan.Done, 2, "all of it"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Import(ctx, i.ID)
	if err != nil || got.State != plan.Done || got.Outcome != "all of it" || got.EndedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if got := claim("one", time.Hour); got != nil {
		t.Errorf("claimed after its end: %+v", got)
	}
}

func TestPlans_DoNotStayForEver(t *testing.T) {
	t.Parallel()
	s := open(t)
	old := someImport('a', noon)
	add(t, s, old)
	add(t, s, someImport('b', noon.Add(planLife+time.Second)))
	if _, err := s.Plan(t.Context(), old.ID); !errors.Is(err, plan.ErrNoImport) {
		t.Error(err)
	}
	if got, err := s.Import(t.Context(), old.ID); err != nil || got.State != plan.Discarded {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.Start(t.Context(), old.ID, false, 1, time.Now(), "ann"); !errors.Is(err, plan.ErrNotPlanned) {
		t.Error(err)
	}
	if err := s.Discard(t.Context(), someImport('b', noon).ID); err != nil {
		t.Error(err)
	}
}

func TestStore_WithoutDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	s, err := Open("postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.Import(ctx, "a"); !errors.Is(err, ledger.ErrUnavailable) {
		t.Error(err)
	}
	if _, _, err := s.Gifts(ctx, nil, "", 10); !errors.Is(err, ledger.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := Open("postgres://user:secret@%zz"); err == nil {
		t.Error("a url that is none")
	}
}

func FuzzReadCursor(f *testing.F) {
	f.Add(cursor(&plan.Booked{Offline: plan.Offline{ID: [16]byte{1}}, BookedAt: noon}))
	f.Add("rubbish")
	f.Fuzz(func(t *testing.T, text string) {
		at, id, err := readCursor(text)
		if err != nil {
			if !errors.Is(err, ErrCursor) {
				t.Fatal(err)
			}
			return
		}
		again := cursor(&plan.Booked{Offline: plan.Offline{ID: id}, BookedAt: at})
		if back, id2, err := readCursor(again); err != nil || !back.Equal(at) || id2 != id {
			t.Fatalf("%q became %q", text, again)
		}
	})
}
