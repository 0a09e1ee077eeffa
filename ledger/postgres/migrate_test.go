package postgres_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
	"spillway/ledger/postgres"
	"spillway/ledger/postgres/migration"
)

func TestMigrate_ProcessesThatStartTogetherTakeTurns(t *testing.T) {
	url := pgtest.URL(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := postgres.Open(postgres.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			for range 2 { // the second finds nothing to do
				if err := db.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, book := range ledger.Books {
		if n := count(t, url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = $1 AND table_name IN ('donations', 'lines', 'slots', 'slot_terms', 'slot_leases', 'conflicts', 'quarantine', 'installation')", book.Schema()); n != 8 {
			t.Errorf("the %s book has %d of 8 tables", book, n)
		}
	}
	if n := count(t, url, "SELECT epoch FROM installation"); n != 1 {
		t.Errorf("epoch %d", n)
	}
}

func TestMigrate_WhatWasRecordedBeforePaymentsIsDue(t *testing.T) {
	url := pgtest.URL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	earlier := fstest.MapFS{}
	for _, name := range []string{"00001_donations.sql", "00002_slots.sql", "00003_set_aside.sql"} {
		text, err := os.ReadFile("migrations/" + name)
		if err != nil {
			t.Fatal(err)
		}
		earlier["migrations/"+name] = &fstest.MapFile{Data: text}
	}
	if err := migration.Up(t.Context(), config, 1, earlier, "spillway", "rehearsal"); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, url).Exec(t.Context(), `INSERT INTO donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor,
		source, seal_key, anonymous, hide_amount, currency, confirmation_token, sealed)
		SELECT n, md5(n::text)::uuid, md5(n::text)::uuid, now(), now(), 100, 100, 0, 1, 0, false, false, 'USD', 'ctoken', '' FROM generate_series(1, 20000) AS n`); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	for range 2 { // the second changes nothing
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, url, "SELECT count(DISTINCT id) FROM due_batches, unnest(donations) AS id JOIN donations d USING (id)"); n != 20_000 {
		t.Errorf("%d of 20000 earlier donations are due", n)
	}
	if n := count(t, url, "SELECT sum(count) FROM due_batches"); n != 20_000 {
		t.Errorf("%d are due of 20000 donations", n)
	}
}

// A build tells that its tables are not there yet, and does not mind newer ones.
func TestMigrated(t *testing.T) {
	url := pgtest.URL(t)
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	missing := func(when string) {
		t.Helper()
		if err := db.Migrated(t.Context()); !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "spillway migrate") {
			t.Errorf("%s: %v", when, err)
		}
	}
	missing("before the first migration")
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, book := range ledger.Books {
		if err := db.Migrated(t.Context()); err != nil {
			t.Fatal(err)
		}
		table := book.Schema() + ".goose_db_version"
		exec("CREATE TABLE newest AS SELECT * FROM " + table + " WHERE version_id = (SELECT max(version_id) FROM " + table + ")")
		exec("DELETE FROM " + table + " WHERE id = (SELECT id FROM newest)")
		missing("without the newest migration of the " + book.String() + " book")
		exec("INSERT INTO " + table + " OVERRIDING SYSTEM VALUE SELECT * FROM newest")
		exec("DROP TABLE newest")
	}
	exec("INSERT INTO " + ledger.Live.Schema() + ".goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err := db.Migrated(t.Context()); err != nil {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestMigrate_BooksAreApart(t *testing.T) {
	db, url := open(t)
	live, lease := leased(t, db)
	if _, _, err := live.Record(t.Context(), lease, gifts("live", 3, "harbour"), nil); err != nil {
		t.Fatal(err)
	}
	rehearsal := db.Book(ledger.Rehearsal)
	other, err := rehearsal.Acquire(t.Context(), "test", patience)
	if err != nil {
		t.Fatal(err)
	}
	d := gifts("live", 3, "harbour")
	if _, counts, err := rehearsal.Record(t.Context(), other, d, nil); err != nil || counts.New != 3 {
		t.Errorf("the same IDs in the other book: %+v, %v", counts, err)
	}
	states, err := db.States(t.Context(), [][16]byte{d[0].ID, {1}})
	if err != nil || len(states) != 1 {
		t.Errorf("states %+v, %v", states, err)
	}
	if _, err := connect(t, url).Exec(t.Context(), "DROP SCHEMA rehearsal CASCADE"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, url, "SELECT count(*) FROM donations"); n != 3 {
		t.Errorf("without rehearsals the live book holds %d donations", n)
	}
}

func TestTables_OnlyGrow(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	if _, _, err := book.Record(t.Context(), lease, gifts("kept", 3, "harbour"), nil); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"donations", "lines"} {
		for _, change := range []string{"UPDATE %s SET amount_minor = amount_minor", "DELETE FROM %s", "DELETE FROM %s WHERE false", "TRUNCATE %s"} {
			sql := strings.Replace(change, "%s", table, 1)
			_, err := connect(t, url).Exec(t.Context(), sql)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "23001" {
				t.Errorf("%s: got %v, want restrict_violation", sql, err)
			}
		}
	}
}
