package remove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	searchdb "spillway/ledger/search/postgres"
)

// One installation for all: making one takes longer than all that is done with it. Each
// leaves no rehearsal behind.
func TestRun(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"removes rehearsals and nothing else", removesRehearsalsAndNothingElse},
		{"whoever is stopped begins again", whoeverIsStoppedBeginsAgain},
		{"live traffic goes on", liveTrafficGoesOn},
		{"returns everything when something else would change", returnsEverythingWhenSomethingElseWouldChange},
		{"refuses what it may not do", refusesWhatItMayNotDo},
		{"takes the slots from who holds them", takesTheSlotsFromWhoHoldsThem},
		{"says what is left", saysWhatIsLeft},
		{"waits for whoever is projecting what goes", waitsForWhoeverIsProjecting},
	} {
		t.Run(test.name, func(t *testing.T) {
			mine := *r
			mine.T = t
			test.run(t, &mine)
		})
	}
}

func removesRehearsalsAndNothingElse(t *testing.T, r *rig) {
	r.fill()
	before := r.dump()
	var shown *Plan
	deps := r.deps()
	deps.Confirm = func(p *Plan) error { shown = p; return nil }

	report, err := Run(t.Context(), Config{DryRun: true}, deps)
	if err != nil || shown != nil || report.Epoch != 0 {
		t.Fatalf("a look: %+v, %v", report, err)
	}
	for _, table := range report.Plan.Tables {
		// A table of a later migration wants a line in `filling`, and a thought.
		if table.Rows == 0 {
			t.Errorf("nothing was put into %s: the test says nothing about it", table.Name)
		}
	}
	if p := report.Plan; p.Empty() || p.AmountMinor != 20_000 || p.FirstAt.IsZero() || !slices.Equal(p.Runs, []string{"friday"}) ||
		!slices.Equal(p.Organisations, []string{"Rehearsal"}) || p.Broker.Donations != 1 || p.Broker.Commands != 1 || p.Broker.News != 2 {
		t.Errorf("there is %+v", p)
	}

	report, err = Run(t.Context(), Config{Run: "friday"}, deps)
	if err != nil || !report.Proven || report.Left != (Left{}) || shown == nil || shown.Empty() {
		t.Fatalf("%+v, %v", report, err)
	}
	if report.Campaigns != 1 || report.Epoch != 2 || report.LastSlot != 1 || report.Compared.Rows < 100 || report.Compared.Tables < 30 || len(report.Compared.Unread) > 0 || report.Streams < 9 {
		t.Errorf("%+v", report)
	}
	var rows int64
	for _, removed := range report.Removed {
		rows += removed.Rows
	}
	if rows < 150 {
		t.Errorf("%d rows removed", rows)
	}
	if after := r.dump(); after != before {
		t.Errorf("what is no rehearsal's differs:\n%s\nwas\n%s", after, before)
	}
	r.nothing()
	r.must(deps.Database.vacuum(t.Context(), report.Removed, 1))
	var text strings.Builder
	if err := report.Write(&text); err != nil || !strings.Contains(text.String(), "Nothing else changed") {
		t.Errorf("%s, %v", &text, err)
	}

	shown = nil
	report, err = Run(t.Context(), Config{}, deps)
	if err != nil || !report.Proven || !report.Plan.Empty() || shown != nil {
		t.Errorf("again: %+v, %v; asked about %+v", report, err, shown)
	}
	if after := r.dump(); after != before {
		t.Error("the second time changed something")
	}
}

func whoeverIsStoppedBeginsAgain(t *testing.T, r *rig) {
	stopped := errors.New("killed")
	for _, step := range []string{stepStreams, stepBook, stepSlots, stepCampaigns, stepLeft, stepCompare, stepSpace} {
		r.fill()
		before := r.dump()
		deps, reached := r.deps(), false
		deps.before = func(next string) error {
			if next == step {
				reached = true
				return stopped
			}
			return nil
		}
		if _, err := Run(t.Context(), Config{}, deps); !reached || !errors.Is(err, stopped) {
			t.Fatalf("stopped before %q: %v", step, err)
		}
		r.remove()
		r.nothing()
		if after := r.dump(); after != before {
			t.Errorf("stopped before %q: what is no rehearsal's differs", step)
		}
	}
}

// Donors give while rehearsals are removed, and nothing of theirs is missed or told of.
func liveTrafficGoesOn(t *testing.T, r *rig) {
	r.fill()
	before := r.count("SELECT count(*) FROM spillway.donations")
	book := r.ledger.Book(ledger.Live)
	lease, err := book.Acquire(t.Context(), "donors", time.Minute)
	r.must(err)
	giving, stop := context.WithCancel(t.Context())
	var recorded int64
	begun := make(chan struct{})
	var donors sync.WaitGroup
	donors.Go(func() {
		for n := 0; n == 0 || giving.Err() == nil; n++ {
			if _, counts, err := book.Record(t.Context(), lease, gifts(fmt.Sprint("meanwhile ", n), "school", 5, false), nil); err != nil {
				t.Error(err)
			} else {
				recorded += int64(counts.New)
			}
			if n == 0 {
				close(begun)
			}
			if _, err := r.js.Publish(t.Context(), "donations.v1.0", []byte("another")); err != nil {
				t.Error(err)
			}
		}
	})
	<-begun
	r.remove()
	stop()
	donors.Wait()
	r.nothing()
	if n := r.count("SELECT count(*) FROM spillway.donations"); n != before+recorded {
		t.Errorf("%d donations, want %d and %d", n, before, recorded)
	}
}

// What would touch something else is rolled back whole.
func returnsEverythingWhenSomethingElseWouldChange(t *testing.T, r *rig) {
	r.fill()
	before := r.dump()
	for damage, table := range map[string]string{
		"DELETE FROM spillway.conflicts":                                    "spillway.conflicts",
		"UPDATE spillway.slots SET pledged_minor = pledged_minor - 1":       "spillway.slots",
		"UPDATE campaigns.campaigns SET goal_minor = 7 WHERE NOT rehearsal": "campaigns.campaigns",
		"CREATE TABLE campaigns.stray AS SELECT 1 AS n":                     "campaigns.stray is new",
	} {
		r.exec(`CREATE OR REPLACE FUNCTION public.damage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + damage + `; RETURN NULL; END $$`)
		r.exec(`CREATE OR REPLACE TRIGGER damage AFTER DELETE ON rehearsal.lines FOR EACH STATEMENT EXECUTE FUNCTION public.damage()`)
		rehearsed := r.count("SELECT count(*) FROM rehearsal.donations")
		report, err := Run(t.Context(), Config{}, r.deps())
		if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), table) || report.Proven {
			t.Errorf("%s: %v", damage, err)
		}
		if after := r.dump(); after != before {
			t.Fatalf("%s: it was done", damage)
		}
		if n := r.count("SELECT count(*) FROM rehearsal.donations"); n != rehearsed || n == 0 {
			t.Errorf("%s: %d donations of rehearsals are left of %d", damage, n, rehearsed)
		}
	}
	r.exec("DROP TRIGGER damage ON rehearsal.lines")
	r.remove()
	r.nothing()
}

func refusesWhatItMayNotDo(t *testing.T, r *rig) {
	r.fill()
	_, err := r.store.Put(t.Context(), &campaigns.Campaign{Slug: "monday-1", Name: "Rehearsal monday: school", Currency: "USD", Rehearsal: true})
	r.must(err)
	declined := errors.New("no")
	refuses := func(what string, config Config, deps Deps, want error, says string) {
		t.Helper()
		report, err := Run(t.Context(), config, deps)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), says) || report.Proven {
			t.Errorf("%s: %v", what, err)
		}
		if n := r.count("SELECT count(*) FROM rehearsal.donations"); n != 20 {
			t.Fatalf("%s: %d donations are left", what, n)
		}
	}
	refuses("one run of two", Config{Run: "friday"}, r.deps(), ErrRun, "monday")
	asked := r.deps()
	asked.Confirm = func(*Plan) error { return declined }
	refuses("somebody said no", Config{}, asked, declined, "no")

	r.exec("INSERT INTO rehearsal.attempts SELECT donation_id, attempt_no + 1, 1, source, token, token_expires_at, request, 0, not_before, '', 0, NULL, NULL, false, changed_at FROM rehearsal.attempts")
	r.exec("UPDATE rehearsal.attempts SET state = 2, params = 'x', first_called_at = now(), not_before = now() + interval '1 minute' WHERE attempt_no = 1")
	refuses("calls under way", Config{}, r.deps(), ErrBusy, "20 charges")
	if n := r.count("SELECT count(*) FROM rehearsal.attempts WHERE state = 1"); n > 0 {
		t.Errorf("%d charges are due all the same", n)
	}
	r.exec("UPDATE rehearsal.attempts SET not_before = now() - interval '1 minute'") // nobody is about to answer

	_, err = r.js.Publish(t.Context(), "rehearsals.v1.0", []byte("a gift on its way"))
	r.must(err)
	book := r.ledger.Book(ledger.Rehearsal)
	lease, err := book.Acquire(t.Context(), "a ledger at work", time.Minute)
	r.must(err)
	refuses("gifts on their way to a ledger", Config{}, r.deps(), ErrBusy, "a ledger at work")
	r.must(book.Release(t.Context(), lease))

	_, err = r.store.Put(t.Context(), &campaigns.Campaign{Slug: "child", Name: "Child", Currency: "USD", Parent: "monday-1"})
	r.must(err)
	if _, err := Run(t.Context(), Config{}, r.deps()); err == nil || !strings.Contains(err.Error(), "child") {
		t.Errorf("a campaign below a rehearsal's: %v", err)
	}
	r.exec("UPDATE campaigns.campaigns SET parent = NULL WHERE slug = 'child'")

	app, err := Open(r.url + "&options=-c%20role%3Dspillway_app")
	r.must(err)
	guest := r.deps()
	guest.Database = app
	refuses("a login that owns nothing", Config{}, guest, ErrOwner, "migrate")

	r.exec("ALTER TABLE rehearsal.installation RENAME COLUMN emptied_at TO another")
	refuses("an older database", Config{}, r.deps(), ErrOldSchema, "migrate")
	r.exec("ALTER TABLE rehearsal.installation RENAME COLUMN another TO emptied_at")
	r.remove()
}

// A process that holds a slot of rehearsals loses it, and takes a new one.
func takesTheSlotsFromWhoHoldsThem(t *testing.T, r *rig) {
	r.fill()
	consumer, err := r.js.Consumer(t.Context(), "REHEARSALS_0", "LEDGER")
	r.must(err)
	batch, err := consumer.Fetch(1)
	r.must(err)
	for m := range batch.Messages() { // recorded, and acknowledged
		r.must(m.DoubleAck(t.Context()))
	}
	book := r.ledger.Book(ledger.Rehearsal)
	lease, err := book.Acquire(t.Context(), "a ledger at work", time.Minute)
	r.must(err)
	report := r.remove()
	if _, _, err := book.Record(t.Context(), lease, gifts("late", "friday-1", 3, true), nil); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("recorded under a lease of before: %v", err)
	}
	if err := book.Renew(t.Context(), lease, time.Minute); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("renewed: %v", err)
	}
	next, err := book.Acquire(t.Context(), "a ledger at work", time.Minute)
	if err != nil || next.Slot <= report.LastSlot || next.Epoch != report.Epoch {
		t.Errorf("the next lease is %+v, %v", next, err)
	}
	r.must(book.Release(t.Context(), next))
}

// Gifts that come after all, of a rehearsal that still runs, are told of.
func saysWhatIsLeft(t *testing.T, r *rig) {
	r.fill()
	deps := r.deps()
	deps.before = func(step string) error {
		if step == stepLeft {
			r.record(ledger.Rehearsal, gifts("late", "friday-1", 3, true))
		}
		return nil
	}
	report, err := Run(t.Context(), Config{}, deps)
	if !errors.Is(err, ErrLeft) || !strings.Contains(err.Error(), "rehearsal.") || report.Proven || report.Left.Rows == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	r.remove()
	r.nothing()
}

// A projection that has read the ledger writes what it has read: it comes before the
// removal, not after it.
func waitsForWhoeverIsProjecting(t *testing.T, r *rig) {
	r.fill()
	tx, err := r.conn.Begin(t.Context())
	r.must(err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", searchdb.TurnLock(ledger.Rehearsal))
	r.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), Config{}, r.deps())
		done <- err
	}()
	for waits := false; !waits; {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		r.must(tx.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waits))
	}
	_, err = tx.Exec(t.Context(), "INSERT INTO search_rehearsal.search_feed (campaign, received_at, seq) VALUES ('late', now(), 4711)")
	r.must(err)
	r.must(tx.Commit(t.Context()))
	r.must(<-done)
	if n := r.count("SELECT count(*) FROM search_rehearsal.search_feed"); n != 0 {
		t.Errorf("%d rows came after the removal", n)
	}
}
