package pgtest

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func query[T any](t *testing.T, url, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestURL_DatabasesAreEmptyAndApart(t *testing.T) {
	a, b := URL(t), URL(t)
	query[int](t, a, `WITH x AS (SELECT 1 AS n) SELECT n FROM x`)
	conn, err := pgx.Connect(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE gifts (n int)`); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	const there = `SELECT count(*) FROM pg_tables WHERE tablename = 'gifts'`
	if got := query[int](t, a, there); got != 1 {
		t.Errorf("table in its own database: %d", got)
	}
	if got := query[int](t, b, there); got != 0 {
		t.Errorf("table in the other database: %d", got)
	}
}

func TestDurable_SyncsAndSurvivesARestart(t *testing.T) {
	c := Durable(t)
	url := c.Database(t)
	if got := query[string](t, url, `SHOW fsync`); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	c.Stop()
	c.Restart(t)
	if got := query[int](t, url, `SELECT 1`); got != 1 {
		t.Errorf("after the restart: %d", got)
	}
}
