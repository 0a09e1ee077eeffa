package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/access/postgres"
	"spillway/deploy/onebox/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(t *testing.T) (*postgres.Store, string) {
	t.Helper()
	url := pgtest.URL(t)
	s, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var wg sync.WaitGroup
	for range 3 { // several at once take turns
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return s, url
}

var byAnn = access.Entry{Actor: "a", Name: "ann@example.org", Network: "192.0.2.0/24", Action: "test.done", Subject: "s", Detail: "d"}

func add(t *testing.T, s *postgres.Store, email string, role access.Role, password string, bound ...string) access.User {
	t.Helper()
	u := access.User{ID: credential.NewID(16), Email: email, Role: role, Campaigns: bound}
	if err := s.AddUser(t.Context(), u, byAnn); err != nil {
		t.Fatal(err)
	}
	if password != "" {
		if err := s.SetPassword(t.Context(), u.ID, password, "", byAnn); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func session(t *testing.T, s *postgres.Store, u access.User, pending bool) (string, credential.Sum) {
	t.Helper()
	_, sum := credential.NewToken()
	now := time.Now()
	n := access.Session{ID: credential.NewID(8), User: u.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := s.StartSession(t.Context(), sum, n, pending, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	return n.ID, sum
}

func log(t *testing.T, s *postgres.Store, q access.LogQuery) []access.Entry {
	t.Helper()
	q.Limit = 100
	all, err := s.Log(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever is tried with it, the log only grows.
func TestAudit_OnlyGrows(t *testing.T) {
	s, url := open(t)
	if err := s.Audit(t.Context(), byAnn); err != nil {
		t.Fatal(err)
	}
	long := byAnn
	long.Detail, long.Subject = strings.Repeat("é", 10_000)+"\x00\xff", strings.Repeat("x", 1000)
	if err := s.Audit(t.Context(), long); err != nil {
		t.Errorf("a long entry: %v", err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range []string{"UPDATE access.audit SET name = 'eve'", "DELETE FROM access.audit", "TRUNCATE access.audit", "INSERT INTO access.audit (id, actor, name, network, action, subject, detail) VALUES (1, '', '', '', '', '', '')"} {
		if _, err := conn.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s: done", statement)
		}
	}
	all := log(t, s, access.LogQuery{})
	if len(all) != 2 || len(all[0].Subject) != access.SubjectBytesMax {
		t.Fatalf("%d entries", len(all))
	}
	if diff := cmp.Diff(byAnn, all[1], cmpopts.IgnoreFields(access.Entry{}, "ID", "At")); diff != "" || all[1].At.IsZero() || all[1].ID >= all[0].ID {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Where the installation has its role, the console works under it, and not even the
// trigger is needed to keep it from changing the log.
func TestMigrate_GivesTheRoleNoRightToChangeTheLog(t *testing.T) {
	cluster := pgtest.Private(t) // roles are the cluster's
	url := cluster.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE ROLE spillway_app"); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	u := add(t, s, "ann@example.org", access.Owner, "$hash")
	session(t, s, u, false)
	if err := s.Audit(t.Context(), byAnn); err != nil {
		t.Error(err)
	}
	var may string
	if err := conn.QueryRow(t.Context(), `SELECT string_agg(p, ' ') FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER}'::text[]) AS p
		WHERE has_table_privilege('spillway_app', 'access.audit', p)`).Scan(&may); err != nil || may != "SELECT INSERT" {
		t.Errorf("the role may %s, %v", may, err)
	}
	var working int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'spillway console'").Scan(&working); err != nil || working == 0 {
		t.Errorf("%d connections, %v", working, err)
	}
}

func TestLog_IsNarrowedAndPaged(t *testing.T) {
	s, _ := open(t)
	for _, e := range []access.Entry{
		{Name: "ann", Action: "user.add", Subject: "bob"}, {Name: "ann", Action: "key.add", Subject: "k"}, {Name: "bob", Action: "user.disable", Subject: "ann"},
	} {
		if err := s.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	all := log(t, s, access.LogQuery{})
	for name, c := range map[string]struct {
		q    access.LogQuery
		want int
	}{
		"by name": {access.LogQuery{Name: "ann"}, 2}, "by action": {access.LogQuery{Action: "user."}, 2}, "by subject": {access.LogQuery{Subject: "ann"}, 1},
		"older": {access.LogQuery{Before: all[0].ID}, 2}, "since": {access.LogQuery{From: all[0].At}, 1}, "until": {access.LogQuery{To: all[0].At}, 2},
		"nothing": {access.LogQuery{Name: "ann", Action: "user.disable"}, 0}, "no pattern": {access.LogQuery{Action: "%"}, 0},
	} {
		if got := log(t, s, c.q); len(got) != c.want {
			t.Errorf("%s: %d, want %d", name, len(got), c.want)
		}
	}
}

// A change that is refused is not in the log; one that is made is.
func TestChanges_AndTheirEntriesAreOne(t *testing.T) {
	s, _ := open(t)
	ann := add(t, s, "ann@example.org", access.Owner, "$hash")
	entries := func() int { return len(log(t, s, access.LogQuery{})) }
	before := entries()
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"taken":               {s.AddUser(t.Context(), access.User{ID: credential.NewID(16), Email: ann.Email, Role: access.Viewer}, byAnn), access.ErrTaken},
		"no role":             {s.AddUser(t.Context(), access.User{ID: credential.NewID(16), Email: "x@y.z", Role: "king"}, byAnn), access.ErrInvalid},
		"an owner of some":    {s.AddUser(t.Context(), access.User{ID: credential.NewID(16), Email: "x@y.z", Role: access.Owner, Campaigns: []string{"a"}}, byAnn), access.ErrInvalid},
		"unknown":             {s.SetDisabled(t.Context(), "nobody", true, byAnn), access.ErrUnknown},
		"last owner":          {s.SetDisabled(t.Context(), ann.ID, true, byAnn), access.ErrLastOwner},
		"last owner, lowered": {s.SetAccess(t.Context(), ann.ID, access.Viewer, nil, byAnn), access.ErrLastOwner},
		"no key":              {s.RevokeKey(t.Context(), "nokey", byAnn), access.ErrUnknown},
		"a link of nobody":    {s.AddLink(t.Context(), credential.Sum{}, "nobody", time.Now(), byAnn), access.ErrUnknown},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if got := entries(); got != before {
		t.Errorf("%d entries of changes that were refused", got-before)
	}
	add(t, s, "bob@example.org", access.Viewer, "", "river-school")
	if got := entries(); got != before+1 {
		t.Errorf("%d entries of one change", got-before)
	}
	bob, err := s.UserByEmail(t.Context(), "bob@example.org")
	if err != nil || bob.HasPassword || bob.TOTP || len(bob.Campaigns) != 1 || bob.Role != access.Viewer || bob.CreatedAt.IsZero() {
		t.Errorf("%+v, %v", bob, err)
	}
}

// Of two owners who disable each other at once, one stays.
func TestLastOwner_StaysWhateverComesAtOnce(t *testing.T) {
	s, _ := open(t)
	for range 5 {
		a, b := add(t, s, credential.NewID(4)+"@example.org", access.Owner, "$hash"), add(t, s, credential.NewID(4)+"@example.org", access.Owner, "$hash")
		var wg sync.WaitGroup
		for _, do := range []func() error{
			func() error { return s.SetDisabled(t.Context(), a.ID, true, byAnn) },
			func() error { return s.SetAccess(t.Context(), b.ID, access.Viewer, nil, byAnn) },
		} {
			wg.Go(func() {
				if err := do(); err != nil && !errors.Is(err, access.ErrLastOwner) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		users, err := s.Users(t.Context(), "", 100)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, u := range users {
			if u.Role == access.Owner && u.DisabledAt.IsZero() {
				left++
			}
		}
		if left == 0 {
			t.Fatal("no owner is left")
		}
	}
}

func TestSessions_EndWithWhatTheyWereBuiltOn(t *testing.T) {
	s, _ := open(t)
	add(t, s, "owner@example.org", access.Owner, "$hash")
	u := add(t, s, "ann@example.org", access.Viewer, "$hash")
	alive := func(sum credential.Sum) bool {
		_, err := s.Session(t.Context(), sum)
		if err != nil && !errors.Is(err, access.ErrUnknown) {
			t.Fatal(err)
		}
		return err == nil
	}
	for name, do := range map[string]func(kept string) error{
		"password":      func(kept string) error { return s.SetPassword(t.Context(), u.ID, "$other", kept, byAnn) },
		"second factor": func(kept string) error { return s.SetFactor(t.Context(), u.ID, []byte("x"), 1, nil, kept, byAnn) },
		"end":           func(kept string) error { return s.EndSessions(t.Context(), u.ID, "", kept, byAnn) },
	} {
		kept, keptSum := session(t, s, u, false)
		_, other := session(t, s, u, false)
		if err := do(kept); err != nil {
			t.Fatal(err)
		}
		if !alive(keptSum) || alive(other) {
			t.Errorf("%s: kept %v, other %v", name, alive(keptSum), alive(other))
		}
	}
	_, sum := session(t, s, u, false)
	_, link := credential.NewToken()
	if err := s.AddLink(t.Context(), link, u.ID, time.Now().Add(time.Hour), byAnn); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDisabled(t.Context(), u.ID, true, byAnn); err != nil {
		t.Fatal(err)
	}
	if alive(sum) {
		t.Error("a disabled user's session lives")
	}
	if _, _, err := s.Link(t.Context(), link, time.Now()); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("a disabled user's link: %v", err)
	}
	if err := s.StartSession(t.Context(), credential.Sum{1}, access.Session{ID: "x", User: u.ID}, false, byAnn); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("a disabled user's new session: %v", err)
	}
	if err := s.SetDisabled(t.Context(), u.ID, false, byAnn); err != nil || alive(sum) {
		t.Errorf("let in again, %v: the session before lives: %v", err, alive(sum))
	}

	id, pending := session(t, s, u, true)
	if got, err := s.Session(t.Context(), pending); err != nil || !got.Pending || got.ID != id || got.Owner.Email != u.Email || got.User != u.ID {
		t.Errorf("%+v, %v", got, err)
	}
	for range 3 {
		if !alive(pending) {
			t.Fatal("ended too soon")
		}
		if err := s.Failed(t.Context(), pending, 3); err != nil {
			t.Fatal(err)
		}
	}
	if alive(pending) {
		t.Error("a pending session outlives three wrong codes")
	}
	_, old := session(t, s, u, false)
	if err := s.Sweep(t.Context(), time.Now().Add(2*time.Hour), time.Hour); err != nil || alive(old) {
		t.Errorf("swept, %v: alive %v", err, alive(old))
	}
}

func TestUseStep_NeverGoesBack(t *testing.T) {
	s, _ := open(t)
	u := add(t, s, "ann@example.org", access.Owner, "$hash")
	if err := s.SetFactor(t.Context(), u.ID, []byte("sealed"), 10, nil, "", byAnn); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step int64
		want bool
	}{{10, false}, {9, false}, {11, true}, {11, false}, {10, false}, {13, true}, {12, false}} {
		if ok, err := s.UseStep(t.Context(), u.ID, c.step); ok != c.want || err != nil {
			t.Errorf("step %d: %v, %v", c.step, ok, err)
		}
	}
	p, err := s.Proofs(t.Context(), u.Email)
	if err != nil || p.Step != 13 || string(p.Factor) != "sealed" || p.Password != "$hash" || !p.TOTP {
		t.Errorf("%+v, %v", p, err)
	}
	if err := s.Rehash(t.Context(), u.ID, "$hash", "$dearer"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rehash(t.Context(), u.ID, "$hash", "$late"); err != nil { // the password has changed since
		t.Fatal(err)
	}
	if p, err := s.Proofs(t.Context(), u.ID); err != nil || p.Password != "$dearer" {
		t.Errorf("%q, %v", p.Password, err)
	}
}

func TestKeys_GiveBackWhatWasStored(t *testing.T) {
	s, _ := open(t)
	_, id, sum := credential.NewKey()
	now := time.Now().UTC().Truncate(time.Microsecond)
	want := access.Key{ID: id, Name: "ci", Scopes: access.SetOf(access.Export, access.ViewAudit), Campaigns: []string{"a", "b"}, CreatedBy: "ann@example.org", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := s.AddKey(t.Context(), want, sum, byAnn); err != nil {
		t.Fatal(err)
	}
	got, stored, err := s.Key(t.Context(), id)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || !stored.Same(sum) {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := s.KeyUsed(t.Context(), id, now); err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeKey(t.Context(), id, byAnn); err != nil {
		t.Fatal(err)
	}
	first, _, err := s.Key(t.Context(), id)
	if err != nil || first.RevokedAt.IsZero() || !first.UsedAt.Equal(now) {
		t.Errorf("%+v, %v", first, err)
	}
	if err := s.RevokeKey(t.Context(), id, byAnn); err != nil {
		t.Fatal(err)
	}
	if again, _, err := s.Key(t.Context(), id); err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
		t.Errorf("revoked at %v, then at %v", first.RevokedAt, again.RevokedAt)
	}
	if _, _, err := s.Key(t.Context(), "none"); !errors.Is(err, access.ErrUnknown) {
		t.Error(err)
	}
}

func TestAway_IsUnavailable(t *testing.T) {
	cluster := pgtest.Private(t)
	s, err := postgres.Open(postgres.Config{URL: cluster.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Audit(t.Context(), byAnn); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("before the schema is there: %v", err)
	}
	cluster.Stop()
	if err := s.Ping(t.Context()); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := s.Session(t.Context(), credential.Sum{}); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("stopped: %v", err)
	}
}
