package migration_test

import (
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger/postgres/migration"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const lock migration.Lock = 0x74657374

func file(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)} }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

func TestUp_TakesTurnsAndAppliesOnceToEachSchema(t *testing.T) {
	url := pgtest.URL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["statement_timeout"] = "1" // ordinary work's; a migration is not bound by it
	files := fstest.MapFS{
		"migrations/00001_gifts.sql": file("CREATE TABLE gifts (n int); SELECT pg_sleep(0.01);"),
		"migrations/00002_one.sql":   file("INSERT INTO gifts VALUES (1);"),
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := migration.Up(t.Context(), config, lock, files, "live", "odd name"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	conn := connect(t, url)
	for _, schema := range []string{`live`, `"odd name"`} {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+".gifts").Scan(&n); err != nil || n != 1 {
			t.Errorf("schema %s: %d rows, %v", schema, n, err)
		}
	}
	if config.RuntimeParams["statement_timeout"] != "1" || config.RuntimeParams["search_path"] != "" {
		t.Error("the caller's settings were changed")
	}
}

func TestUp_AFailureLeavesWholeMigrationsAndTheTurnToOthers(t *testing.T) {
	url := pgtest.URL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"migrations/00001_gifts.sql": file("CREATE TABLE gifts (n int);"),
		"migrations/00002_wrong.sql": file("INSERT INTO gifts VALUES (1); SELECT 1/0;"),
	}
	if err := migration.Up(t.Context(), config, lock, files, "live"); err == nil {
		t.Fatal("a migration that fails is an error")
	}
	files["migrations/00002_wrong.sql"] = file("INSERT INTO gifts VALUES (2);")
	if err := migration.Up(t.Context(), config, lock, files, "live"); err != nil {
		t.Fatal(err)
	}
	var n, sum int
	if err := connect(t, url).QueryRow(t.Context(), "SELECT count(*), sum(n) FROM live.gifts").Scan(&n, &sum); err != nil || n != 1 || sum != 2 {
		t.Errorf("%d rows that sum to %d, %v", n, sum, err)
	}
}
