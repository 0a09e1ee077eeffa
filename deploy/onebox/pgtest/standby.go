package pgtest

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/postgres"
)

// standbyPoll is how often a primary is asked whether its standby follows.
const standbyPoll = 20 * time.Millisecond

// Standby starts a standby of the cluster, on the same machine, and returns when it
// follows. A synchronous one has every commit before it is answered, from then on.
func (c *Cluster) Standby(t testing.TB, synchronous bool) *Cluster {
	t.Helper()
	s, err := prepare(c.config.Settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.Follower(ctx, s.config.Dir); err != nil {
		t.Fatal(err)
	}
	if s.Cluster, err = postgres.Start(ctx, s.config); err != nil {
		t.Fatal(err)
	}
	state := "async"
	if synchronous {
		state = "sync"
		for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
			if err := c.exec(sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }() // it only read
	tick := time.NewTicker(standbyPoll)
	defer tick.Stop()
	for follows := false; !follows; {
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = $1)", state).Scan(&follows); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the standby does not follow in time")
		}
	}
	return s
}

// Either is the address of a database at whichever of the clusters takes writes. The
// clusters are one and its standbys; database is an address that the first one gave.
func Either(t testing.TB, database string, clusters ...*Cluster) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, c := range clusters {
		hosts = append(hosts, c.SocketDir())
	}
	q := u.Query()
	q.Set("host", strings.Join(hosts, ","))
	u.RawQuery = q.Encode()
	return u.String()
}

// Backup copies the running cluster into a folder of the test's own and returns a
// function that starts a cluster on the copy: what a restore from a base backup is.
func (c *Cluster) Backup(t testing.TB) (restore func() *Cluster) {
	t.Helper()
	s, err := prepare(c.config.Settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.BaseBackup(ctx, s.config.Dir); err != nil {
		t.Fatal(err)
	}
	return func() *Cluster {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if s.Cluster, err = postgres.Start(ctx, s.config); err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// At is the address on this cluster of a database that another one, of which this is
// a copy, gave.
func (c *Cluster) At(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return c.URL(filepath.Base(u.Path))
}
