package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	"spillway/ledger/postgres"
)

// Rehearsals are removed by whoever owns them and says so, from their own tables, row
// by row; everything else is refused as ever.
func TestRehearsals_OnlyTheirOwnerRemovesThem(t *testing.T) {
	db, address := open(t)
	for _, b := range ledger.Books {
		book := db.Book(b)
		lease, err := book.Acquire(t.Context(), "test", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := book.Record(t.Context(), lease, gifts("kept", 3, "harbour"), nil); err != nil {
			t.Fatal(err)
		}
	}
	says := func(who string) *pgx.Conn {
		conn := connect(t, address)
		for _, sql := range []string{"SET spillway.removes = 'rehearsal'", who} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		return conn
	}
	owner, app, silent := says(""), says("SET ROLE "+postgres.AppRole), connect(t, address)
	// Somebody's mistake: the trigger says no all the same.
	if _, err := silent.Exec(t.Context(), "GRANT DELETE ON rehearsal.donations TO "+postgres.AppRole); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  string
		conn *pgx.Conn
		sql  string
		want string
	}{
		{"the owner", owner, "DELETE FROM spillway.donations", triggerSaysNo},
		{"the owner", owner, "DELETE FROM spillway.lines WHERE false", triggerSaysNo},
		{"the owner", owner, "DELETE FROM spillway.entries", triggerSaysNo},
		{"the owner", owner, "UPDATE rehearsal.donations SET amount_minor = amount_minor", triggerSaysNo},
		{"the owner", owner, "TRUNCATE rehearsal.lines", triggerSaysNo},
		{"who does not say so", silent, "DELETE FROM rehearsal.donations", triggerSaysNo},
		{"the application", app, "DELETE FROM rehearsal.donations", triggerSaysNo},
		{"the application", app, "DELETE FROM rehearsal.lines", noRight},
		{"the owner", owner, "DELETE FROM rehearsal.donations", ""},
		{"the owner", owner, "DELETE FROM rehearsal.lines", ""},
		{"the owner", owner, "DELETE FROM rehearsal.entries", ""},
		{"the owner", owner, "DELETE FROM rehearsal.commands", ""},
	} {
		if got := refused(t, c.conn, c.sql); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.who, c.sql, got, c.want)
		}
	}
	if live, rehearsed := count(t, address, "SELECT count(*) FROM spillway.donations"), count(t, address, "SELECT count(*) FROM rehearsal.donations"); live != 3 || rehearsed != 0 {
		t.Errorf("%d donations and %d rehearsed ones are left", live, rehearsed)
	}
}

// A slot's number is not used again after its book was emptied.
func TestRehearsals_SlotsGoOn(t *testing.T) {
	db, address := open(t)
	book := db.Book(ledger.Rehearsal)
	first, err := book.Acquire(t.Context(), "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"DELETE FROM rehearsal.slot_leases", "DELETE FROM rehearsal.slot_terms",
		"UPDATE rehearsal.installation SET ended_slot = 7, epoch = epoch + 1, emptied_at = now()",
	} {
		if _, err := connect(t, address).Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.Renew(t.Context(), first, time.Minute); err == nil {
		t.Error("the lease of an emptied book is renewed")
	}
	next, err := book.Acquire(t.Context(), "test", time.Minute)
	if err != nil || next.Slot != 8 || next.Epoch != first.Epoch+1 {
		t.Errorf("%+v, %v", next, err)
	}
}
