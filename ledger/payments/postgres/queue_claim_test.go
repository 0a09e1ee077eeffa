package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
)

const (
	account  = "acct_test"
	endpoint = "payment_intents"
	// ample is a pace that no test exhausts: its bucket holds a quarter of a second.
	ample = 100_000
)

// pace makes both buckets and fills them at once.
func (r *rig) pace(t testing.TB, perSecond float64) {
	t.Helper()
	for _, e := range []string{payments.EndpointAll, endpoint} {
		if err := r.SetPace(context.Background(), account, e, perSecond, "test"); err != nil {
			t.Fatal(err)
		}
	}
	r.exec(t, "UPDATE spillway.pace SET filled_at = clock_timestamp() - interval '1 second'")
}

// expand makes the attempts of everything that is recorded.
func (r *rig) expand(t testing.TB) {
	t.Helper()
	for {
		made, err := r.Expand(context.Background(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if made == 0 {
			return
		}
	}
}

// bodyOf is the body of a call as the tests' processor wants it.
func bodyOf(c *payments.Charge) []byte {
	return fmt.Appendf(nil, "amount=%d&currency=%s&token=%s&attempt=%x-%d", c.AmountMinor, c.Currency, c.Token, c.Donation, c.AttemptNo)
}

func request(most int) payments.ClaimRequest {
	return payments.ClaimRequest{Account: account, Endpoint: endpoint, Max: most, Holder: "test", For: time.Hour}
}

// claim claims once.
func (r *rig) claim(t testing.TB, most int) []payments.Charge {
	t.Helper()
	claimed, _, _, err := r.Claim(context.Background(), request(most), bodyOf)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

func ids(charges []payments.Charge) (all [][16]byte) {
	for _, c := range charges {
		all = append(all, c.Donation)
	}
	return all
}

// expiring is a gift of its own source whose token expires after so many minutes.
func expiring(key string, minutes int) *envelope.Donation {
	d := gift(key, "harbour")
	d.TokenExpiresAt = d.ReceivedAt.Add(time.Duration(minutes) * time.Minute)
	return d
}

func TestClaim_TokensThatExpireFirstGoFirst(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	late, soon, middle := expiring("late", 300), expiring("soon", 5), expiring("middle", 60)
	r.give(t, late, soon, middle)
	r.expand(t)
	claimed := r.claim(t, 2)
	if want := [][16]byte{soon.ID, middle.ID}; !slices.Equal(ids(claimed), want) {
		t.Fatalf("claimed %x, want %x", ids(claimed), want)
	}
	c := claimed[0]
	want := payments.Charge{
		Donation: soon.ID, AttemptNo: 1, Currency: "USD", AmountMinor: 1030, Token: "ctoken_card_visa", Campaigns: []string{"harbour"},
	}
	if body := bodyOf(&want); string(c.Params) != string(body) {
		t.Errorf("parameters %q, want %q", c.Params, body)
	}
	want.Params = c.Params
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("claimed %+v, want %+v", c, want)
	}
	if n := r.count(t, "SELECT count(*) FROM attempts WHERE state = 2 AND params IS NOT NULL AND first_called_at IS NOT NULL AND calls = 1 AND claimed_by = 'test'"); n != 2 {
		t.Errorf("%d attempts are stored as claimed", n)
	}
	if got := ids(r.claim(t, 10)); !slices.Equal(got, [][16]byte{late.ID}) {
		t.Errorf("then claimed %x, want %x", got, late.ID)
	}
	if got := r.claim(t, 10); len(got) != 0 {
		t.Errorf("claimed again: %x", ids(got))
	}
}

func TestClaim_RepeatsGoAfterFirstCallsSaveForTheirShare(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	var donations []*envelope.Donation
	for i := range 200 {
		donations = append(donations, expiring(fmt.Sprint("donor ", i), 60+i))
	}
	r.give(t, donations...)
	r.expand(t)
	// The first hundred were called once and refused by the pace: the processor
	// surely did nothing.
	r.exec(t, "UPDATE attempts SET tier = 3, not_before = now(), params = 'as before', first_called_at = now() - interval '1 minute' WHERE token_expires_at < now() + interval '2 hours 39 minutes 30 seconds'")
	repeats := func(charges []payments.Charge) (n int) {
		for _, c := range charges {
			if !c.FirstCalledAt.IsZero() {
				if n++; string(c.Params) != "as before" {
					t.Errorf("a repeat has the parameters %q", c.Params)
				}
			}
		}
		return n
	}
	if n := repeats(r.claim(t, 50)); n != 5 && n != 6 {
		t.Errorf("%d of 50 were repeats while first calls waited, want a tenth", n)
	}
	rest := r.claim(t, 200)
	if len(rest) != 150 {
		t.Fatalf("claimed %d of 150", len(rest))
	}
	seen := false // once the repeats begin, no first call follows
	for i, c := range rest {
		if again := !c.FirstCalledAt.IsZero(); again != seen {
			if seen {
				t.Fatalf("a first call comes after a repeat, at %d", i)
			}
			seen = true
		}
	}
}

func TestClaim_ASourceThatFillsTheQueueHoldsNobodyBack(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	var junk, others []*envelope.Donation
	for i := range 10_000 {
		d := expiring(fmt.Sprint("junk ", i), 1)
		d.Source = 666
		d.TokenExpiresAt = d.TokenExpiresAt.Add(time.Duration(i) * time.Microsecond)
		junk = append(junk, d)
	}
	for i := range 300 {
		others = append(others, expiring(fmt.Sprint("other ", i), 600))
	}
	began := time.Now()
	r.give(t, junk...) // first, and its tokens expire before all others
	r.give(t, others...)
	r.expand(t)
	isJunk := func(c payments.Charge) bool {
		return r.count(t, "SELECT source FROM attempts WHERE donation_id = $1", c.Donation) == 666
	}
	claimed, junked := 0, 0
	for claimed-junked < len(others) {
		for _, c := range r.claim(t, 50) {
			claimed++
			if isJunk(c) {
				junked++
			}
		}
		// Its share is two a second and one at the start.
		if most := 2 + int(2*time.Since(began).Seconds()); junked > most && claimed-junked < len(others)-50 {
			t.Fatalf("after %v, %d of %d calls went to one source, at most %d are its share", time.Since(began), junked, claimed, most)
		}
	}
	// Now nobody else waits, and it has the whole pace, in the order of its turns.
	if got := r.claim(t, 500); len(got) != 500 || !isJunk(got[499]) {
		t.Errorf("alone, the source was given %d calls of 500", len(got))
	}
	// A newcomer goes before it again.
	newcomer := expiring("newcomer", 600)
	r.give(t, newcomer)
	r.expand(t)
	if got := r.claim(t, 20); !slices.Contains(ids(got), [16]byte(newcomer.ID)) {
		t.Error("a newcomer waits behind the source that fills the queue")
	}
}

func TestClaim_APersistentSourceKeepsItsShare(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	var donations []*envelope.Donation
	for i := range 10 {
		d := expiring(fmt.Sprint("household ", i), 10)
		d.Source = 1
		donations = append(donations, d)
	}
	r.give(t, donations...)
	r.expand(t)
	// Given later, by the same source: its turns follow the earlier ones.
	d := expiring("household once more", 1)
	d.Source = 1
	r.give(t, d)
	r.expand(t)
	var turns []time.Time
	rows, err := r.conn.Query(t.Context(), "SELECT not_before FROM attempts ORDER BY not_before")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var at time.Time
		if err := rows.Scan(&at); err != nil {
			t.Fatal(err)
		}
		turns = append(turns, at)
	}
	if len(turns) != 11 || rows.Err() != nil {
		t.Fatalf("%d turns, %v", len(turns), rows.Err())
	}
	for i := 1; i < len(turns); i++ {
		if apart := turns[i].Sub(turns[i-1]); apart != 500*time.Millisecond {
			t.Errorf("turns %d and %d are %v apart", i-1, i, apart)
		}
	}
	if n := r.count(t, "SELECT count(*) FROM attempts WHERE tier = 0"); n != 1 {
		t.Errorf("%d of the source's attempts stand in the first line", n)
	}
}

func TestClaim_LapsedClaimIsTheSameCallAgain(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	r.give(t, expiring("donor", 60))
	r.expand(t)
	first := r.claim(t, 1)
	if len(first) != 1 || len(r.claim(t, 1)) != 0 {
		t.Fatal("not claimed once")
	}
	r.offset = 2 * time.Hour // the claim lapses, and the token has expired: the call may have been made
	again, expired, _, err := r.Claim(t.Context(), request(1), func(*payments.Charge) []byte {
		t.Error("the parameters were made anew")
		return []byte("others")
	})
	if err != nil || len(again) != 1 || len(expired) != 0 {
		t.Fatalf("claimed %+v, expired %+v, %v", again, expired, err)
	}
	if string(again[0].Params) != string(first[0].Params) || again[0].FirstCalledAt.IsZero() || again[0].Donation != first[0].Donation {
		t.Errorf("the repeat is %+v, the first was %+v", again[0], first[0])
	}
	if n := r.count(t, "SELECT calls FROM attempts"); n != 2 {
		t.Errorf("%d calls noted", n)
	}
	if again[0].LookFirst {
		t.Error("the processor remembers the key for longer than two hours")
	}
	// Everything was away for a day, and nobody has noted yet that the key is forgotten.
	r.offset = 21 * time.Hour
	if again := r.claim(t, 1); len(again) != 1 || !again[0].LookFirst || string(again[0].Params) != string(first[0].Params) {
		t.Errorf("after a day the repeat is %+v", again)
	}
}

func TestClaim_ADeathBeforeTheCommitClaimsNothing(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	r.give(t, expiring("donor", 60))
	r.expand(t)
	_, _, _, err := r.Claim(t.Context(), request(1), func(*payments.Charge) []byte {
		// The server ends the session between picking and storing.
		r.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spillway payments' AND state LIKE 'idle in transaction%'")
		return []byte("never stored")
	})
	if !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if n := r.count(t, "SELECT count(*) FROM attempts WHERE state = 1 AND params IS NULL AND first_called_at IS NULL AND calls = 0"); n != 1 {
		t.Error("the attempt is not as it was")
	}
	if got := r.claim(t, 1); len(got) != 1 || !got[0].FirstCalledAt.IsZero() {
		t.Errorf("afterwards claimed %+v", got)
	}
}

func TestClaim_WithoutParametersStoresNothing(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	r.give(t, expiring("donor", 60))
	r.expand(t)
	if _, _, _, err := r.Claim(t.Context(), request(1), func(*payments.Charge) []byte { return nil }); err == nil {
		t.Error("a call without a body was claimed")
	}
	if got := r.claim(t, 1); len(got) != 1 {
		t.Error("the attempt is gone")
	}
}

func TestClaim_ExpiredTokensAreFactsAndNoCalls(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	dead, alive := expiring("dead", 10), expiring("alive", 600)
	r.give(t, dead, alive)
	r.expand(t)
	r.offset = time.Hour
	claimed, expired, _, err := r.Claim(t.Context(), request(10), bodyOf)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids(claimed), [][16]byte{alive.ID}) {
		t.Errorf("claimed %x", ids(claimed))
	}
	if len(expired) != 1 || expired[0].Donation != dead.ID || expired[0].Overtime == nil || *expired[0].Overtime != (payments.Overtime{AttemptNo: 1, Kind: payments.TokenExpired}) {
		t.Errorf("expired %+v", expired)
	}
}

func TestClaim_SaysWhenToAskAgain(t *testing.T) {
	r := newRig(t)
	r.pace(t, 0.001) // nothing comes while the test runs
	r.exec(t, "UPDATE spillway.pace SET tokens = 1")
	ask := func() (int, time.Duration) {
		claimed, _, wait, err := r.Claim(t.Context(), request(10), bodyOf)
		if err != nil {
			t.Fatal(err)
		}
		return len(claimed), wait
	}
	if n, wait := ask(); n != 0 || wait != 0 {
		t.Errorf("an empty queue gave %d and says to ask again after %v", n, wait)
	}
	r.give(t, expiring("one", 60), expiring("two", 60))
	r.expand(t)
	if n, wait := ask(); n != 1 || wait <= 0 || wait > time.Second {
		t.Errorf("with one call to spend got %d, and another after %v", n, wait)
	}
	if n, wait := ask(); n != 0 || wait <= 0 || wait > time.Second {
		t.Errorf("then got %d, and another after %v", n, wait)
	}
	r.exec(t, "UPDATE attempts SET tier = 3, not_before = now() + interval '5 minutes' WHERE state = 1")
	if n, wait := ask(); n != 0 || wait < 4*time.Minute || wait > 5*time.Minute {
		t.Errorf("with one that waits five minutes got %d, and another after %v", n, wait)
	}
}

func TestClaim_LeavesWhatAFactIsBeingAppliedTo(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	busy, free := expiring("busy", 5), expiring("free", 60)
	r.give(t, busy, free)
	r.expand(t)
	tx, err := r.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM payments WHERE donation_id = $1 FOR UPDATE", busy.ID); err != nil {
		t.Fatal(err)
	}
	if got := ids(r.claim(t, 10)); !slices.Equal(got, [][16]byte{free.ID}) {
		t.Errorf("claimed %x, want only %x", got, free.ID)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE attempts SET state = 6 WHERE donation_id = $1", busy.ID); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.claim(t, 10); len(got) != 0 {
		t.Errorf("claimed what was canceled: %x", ids(got))
	}
}

func TestClaim_ProcessesNeverClaimTheSame(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	var donations []*envelope.Donation
	for i := range 1000 {
		donations = append(donations, expiring(fmt.Sprint("donor ", i), 60))
	}
	r.give(t, donations...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[[16]byte]int{}
	deadline := time.Now().Add(patience)
	for w := range 4 {
		book := r.another(t).Book(r.book)
		wg.Go(func() {
			for time.Now().Before(deadline) {
				if _, err := book.Expand(context.Background(), 30+w); err != nil {
					t.Error(err)
					return
				}
				claimed, _, _, err := book.Claim(context.Background(), request(20+w), bodyOf)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range claimed {
					seen[c.Donation]++
				}
				all := len(seen) == len(donations)
				mu.Unlock()
				if all {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != len(donations) {
		t.Errorf("%d of %d were claimed", len(seen), len(donations))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%x was claimed %d times", id, n)
		}
	}
}

func TestClaim_RehearsalsAreMarkedAndShareThePace(t *testing.T) {
	r := newRigOf(t, ledger.Rehearsal)
	r.pace(t, ample)
	r.give(t, expiring("rehearsed", 60))
	r.expand(t)
	live := r.db.Book(ledger.Live)
	if err := live.Pause(t.Context(), account, endpoint, "test"); err != nil {
		t.Fatal(err)
	}
	if got := r.claim(t, 1); len(got) != 0 {
		t.Error("the pause of the account's endpoint does not hold for rehearsals")
	}
	if err := live.Resume(t.Context(), account, endpoint, "test"); err != nil {
		t.Fatal(err)
	}
	if got := r.claim(t, 1); len(got) != 1 || !got[0].Rehearsal {
		t.Errorf("claimed %+v", got)
	}
}

// Whatever is recorded, expanded, claimed and let lapse in whatever portions: an
// attempt is never claimed twice within the time of a claim, its repeat has its first
// parameters, no more is claimed than asked for, and no first call is passed over by
// one whose token expires later.
func TestClaim_AnyOrderOfWorkClaimsEachInOrder(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		r.exec(t, "TRUNCATE attempts, payments, due_batches")
		r.offset = 0
		m := &claimModel{rig: r, given: map[[16]byte]*envelope.Donation{}, claimed: map[[16]byte]madeClaim{}}
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"give", "give", "expand", "one", "claim", "claim", "lapse", "retry"}).Draw(rt, "do") {
			case "give":
				var batch []*envelope.Donation
				for i := range rapid.IntRange(1, 20).Draw(rt, "donations") {
					number++ // never given before, also by a run that failed
					d := expiring(fmt.Sprint("any ", number, i), rapid.IntRange(600, 900).Draw(rt, "minutes"))
					d.Source = uint64(rapid.IntRange(1, 5).Draw(rt, "source"))
					m.given[d.ID] = d
					batch = append(batch, d)
				}
				r.give(t, batch...)
			case "expand":
				if _, err := r.Expand(context.Background(), rapid.IntRange(1, 10).Draw(rt, "part")); err != nil {
					rt.Fatal(err)
				}
			case "one":
				for id := range m.given {
					if err := r.ExpandOne(context.Background(), id); err != nil {
						rt.Fatal(err)
					}
					break
				}
			case "claim":
				m.claim(rt, rapid.IntRange(1, 30).Draw(rt, "most"))
			case "lapse":
				r.offset += modelClaim
			case "retry": // the processor surely did nothing, and says when to come again
				for id, c := range m.claimed {
					r.exec(t, "UPDATE attempts SET state = 1, tier = 3, first_called_at = NULL, not_before = now() + $2::interval WHERE donation_id = $1", id, r.offset+modelClaim)
					m.claimed[id] = madeClaim{until: r.offset + modelClaim, params: c.params, anew: true}
					break
				}
			}
		}
		r.expand(t)
		for len(m.claimed) < len(m.given) {
			before := len(m.claimed)
			if m.claim(rt, 30) == 0 && len(m.claimed) == before {
				rt.Fatalf("%d of %d were claimed, and no more are", before, len(m.given))
			}
		}
		if n := r.count(t, "SELECT count(*) FROM due_batches"); n != 0 {
			rt.Fatalf("%d batches are left", n)
		}
	})
}

// modelClaim is how long the model's claims hold.
const modelClaim = 10 * time.Minute

// claimModel knows what a claim may give.
type claimModel struct {
	rig     *rig
	given   map[[16]byte]*envelope.Donation
	claimed map[[16]byte]madeClaim
}

// madeClaim is what became of an attempt's last claim.
type madeClaim struct {
	until  time.Duration // as an offset of the clock: earlier it is not given again
	params string
	anew   bool // the call surely was not made: its next one is the first
}

func (m *claimModel) claim(t *rapid.T, most int) int {
	r := request(most)
	r.For = modelClaim
	got, expired, _, err := m.rig.Claim(context.Background(), r, bodyOf)
	if err != nil || len(expired) != 0 || len(got) > most {
		t.Fatalf("claimed %d of %d, %d expired, %v", len(got), most, len(expired), err)
	}
	var firsts []time.Time // expiries of the first calls
	for i, c := range got {
		d := m.given[c.Donation]
		was, again := m.claimed[c.Donation]
		switch {
		case d == nil || c.AttemptNo != 1:
			t.Fatalf("claimed %x %d at %d: nobody's", c.Donation, c.AttemptNo, i)
		case again && (m.rig.offset < was.until || string(c.Params) != was.params || c.FirstCalledAt.IsZero() != was.anew):
			t.Fatalf("claimed %x again at %v, claimed before until %v: %+v", c.Donation, m.rig.offset, was.until, c)
		case !again && !c.FirstCalledAt.IsZero():
			t.Fatalf("the first claim of %x is of a call that was made at %v", c.Donation, c.FirstCalledAt)
		case !again:
			firsts = append(firsts, d.TokenExpiresAt)
		}
		m.claimed[c.Donation] = madeClaim{until: m.rig.offset + modelClaim, params: string(c.Params)}
	}
	// What is left of the first line expires no earlier than what was taken of it.
	var earliest *time.Time
	if err := m.rig.conn.QueryRow(context.Background(), "SELECT min(token_expires_at) FROM attempts WHERE state = 1 AND tier = 0").Scan(&earliest); err != nil {
		t.Fatal(err)
	}
	if earliest == nil {
		return len(got)
	}
	if len(got) < most {
		t.Fatalf("claimed %d of %d and left some of the first line", len(got), most)
	}
	for _, expires := range firsts {
		if expires.After(*earliest) {
			t.Fatalf("%v was claimed, %v was not", expires, *earliest)
		}
	}
	return len(got)
}

func TestClaim_WithoutADatabaseIsUnavailable(t *testing.T) {
	db, err := postgres.Open(postgres.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, _, _, err := db.Book(ledger.Live).Claim(t.Context(), request(1), bodyOf); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("claim: %v", err)
	}
	if _, err := db.Book(ledger.Live).Expand(t.Context(), 1); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("expand: %v", err)
	}
}
