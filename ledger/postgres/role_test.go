package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
	"spillway/ledger/postgres"
)

// SQLSTATEs of the two who say no.
const (
	noRight       = "42501" // the role has no such right
	triggerSaysNo = "23001" // the trigger refuses everybody
)

// refused runs a change and says who refused it, "" for nobody.
func refused(t testing.TB, conn *pgx.Conn, sql string) string {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql)
	if err == nil {
		return ""
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("%s: %v", sql, err)
	}
	return pg.Code
}

func changes(table, column string) []string {
	return []string{
		fmt.Sprintf("UPDATE %s SET %s = %s", table, column, column), fmt.Sprintf("UPDATE %s SET %s = %s WHERE false", table, column, column),
		"DELETE FROM " + table, "DELETE FROM " + table + " WHERE false", "TRUNCATE " + table,
	}
}

func TestRole_TheApplicationCannotChangeWhatOnlyGrows(t *testing.T) {
	db, address := open(t)
	book, lease := leased(t, db)
	if _, _, err := book.Record(t.Context(), lease, gifts("kept", 3, "harbour"), nil); err != nil {
		t.Fatal(err)
	}
	if guarded, err := db.Guarded(t.Context()); !guarded || err != nil {
		t.Errorf("guarded: %v, %v", guarded, err)
	}
	for _, book := range ledger.Books {
		owner, app := connect(t, address), connect(t, address)
		for conn, set := range map[*pgx.Conn]string{owner: "", app: "; SET ROLE " + postgres.AppRole} {
			if _, err := conn.Exec(t.Context(), "SET search_path = "+book.Schema()+set); err != nil {
				t.Fatal(err)
			}
		}
		for table, column := range map[string]string{
			"donations": "amount_minor", "lines": "amount_minor", "entries": "amounts", "conflicts": "record", "quarantine": "payload",
		} {
			for _, sql := range changes(table, column) {
				if got := refused(t, app, sql); got != noRight {
					t.Errorf("%s as %s, %s: %q, want %s", book, postgres.AppRole, sql, got, noRight)
				}
				if table == "conflicts" || table == "quarantine" {
					continue // a person clears them away
				}
				if got := refused(t, owner, sql); got != triggerSaysNo {
					t.Errorf("%s as the owner, %s: %q, want %s", book, sql, got, triggerSaysNo)
				}
			}
		}
		// What changes is never removed, and nobody takes the guards away.
		for _, sql := range []string{
			"DELETE FROM payments", "DELETE FROM attempts", "DELETE FROM slots", "DELETE FROM slot_terms", "DELETE FROM chain_heads", "TRUNCATE payments",
			"UPDATE installation SET epoch = epoch + 1", "DELETE FROM goose_db_version",
			"ALTER TABLE donations DISABLE TRIGGER ALL", "DROP TRIGGER donations_only_grow ON donations", "DROP TABLE lines", "CREATE TABLE mine (n int)",
			"SET session_replication_role = replica",
		} {
			if got := refused(t, app, sql); got != noRight {
				t.Errorf("%s as %s, %s: %q, want %s", book, postgres.AppRole, sql, got, noRight)
			}
		}
	}
	if n := count(t, address, "SELECT count(*) FROM donations"); n != 3 {
		t.Errorf("%d donations are left of 3", n)
	}
}

// as is a server's address for another login.
func as(t testing.TB, address, login string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(login)
	if q := u.Query(); q.Has("user") {
		q.Set("user", login)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// A database of a login that may not make roles, as a hosting service gives it.
func TestRole_ALoginWithoutTheRightGoesOnWithout(t *testing.T) {
	cluster := pgtest.Private(t)
	address := cluster.Database(t)
	admin := connect(t, address)
	run := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("CREATE ROLE hosted LOGIN")
	run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO hosted', current_database()); END $$")

	mine := func(login string) (*postgres.DB, *postgres.Book) {
		db, err := postgres.Open(postgres.Config{URL: as(t, address, login)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db, db.Book(ledger.Live)
	}
	record := func(db *postgres.DB, key string, wantGuarded bool) {
		t.Helper()
		book, lease := leased(t, db)
		if _, counts, err := book.Record(t.Context(), lease, gifts(key, 2, "harbour"), nil); err != nil || counts.New != 2 {
			t.Errorf("%s: recorded %+v, %v", key, counts, err)
		}
		if guarded, err := db.Guarded(t.Context()); guarded != wantGuarded || err != nil {
			t.Errorf("%s: guarded %v, %v", key, guarded, err)
		}
	}

	db, _ := mine("hosted")
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("a login that may not make roles cannot migrate: %v", err)
	}
	record(db, "without the role", false)

	// An operator makes the role and lets the login take it; the next migration
	// gives it its rights.
	run("CREATE ROLE " + postgres.AppRole)
	run("GRANT " + postgres.AppRole + " TO hosted")
	again, _ := mine("hosted")
	if err := again.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(again, "with the role", true)

	// A login that is nothing but a member works too.
	run("CREATE ROLE worker LOGIN IN ROLE " + postgres.AppRole)
	worker, _ := mine("worker")
	record(worker, "as a member", true)
	if err := worker.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), noRight) {
		t.Errorf("a member migrates: %v", err)
	}
}

func TestRole_TablesOfLaterMigrationsGetTheirRights(t *testing.T) {
	db, address := open(t)
	owner := connect(t, address)
	for _, sql := range []string{
		"CREATE TABLE later (n int)", "CREATE TABLE later_facts (n int)",
		"CREATE TRIGGER later_facts_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON later_facts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
		"GRANT ALL ON later_facts TO " + postgres.AppRole, // somebody's mistake
	} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := connect(t, address)
	if _, err := app.Exec(t.Context(), "SET ROLE "+postgres.AppRole); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		"INSERT INTO later VALUES (1)": "", "UPDATE later SET n = 2": "", "DELETE FROM later": "", "TRUNCATE later": noRight,
		"INSERT INTO later_facts VALUES (1)": "", "UPDATE later_facts SET n = 2": noRight, "DELETE FROM later_facts": noRight, "TRUNCATE later_facts": noRight,
	} {
		if got := refused(t, app, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
