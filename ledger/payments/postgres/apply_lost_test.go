package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
)

// cutter stands between a client and the database, and cuts the line just before the
// answer to a COMMIT would pass, once armed.
type cutter struct {
	armed atomic.Bool
	cuts  atomic.Int64
	url   string
}

func newCutter(t *testing.T, database string) *cutter {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "cut") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(config.Port))
	name := ".s.PGSQL." + port
	listener, err := net.Listen("unix", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: strings.ReplaceAll(database, url.QueryEscape(config.Host), url.QueryEscape(dir))}
	if c.url == database {
		t.Fatalf("the database's folder %s is not in its URL as it is", config.Host)
	}
	var lines sync.WaitGroup
	lines.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", filepath.Join(config.Host, name))
			if err != nil {
				_ = client.Close()
				continue
			}
			lines.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
			lines.Go(func() { c.answers(client, server) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); lines.Wait(); _ = os.RemoveAll(dir) })
	return c
}

func (c *cutter) answers(client, server net.Conn) {
	defer func() { _ = client.Close(); _ = server.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		// CommandComplete is one small message: on a local socket it comes whole.
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) && c.armed.CompareAndSwap(true, false) {
			c.cuts.Add(1)
			return
		}
		if n > 0 {
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The answer to COMMIT is lost: the caller learns that it knows nothing, everything is
// there once, and the repeat that it makes changes nothing.
func TestApply_AnAnswerLostAtCommit(t *testing.T) {
	b := openBooks(t)
	cut := newCutter(t, b.url)
	paid, err := postgres.Open(postgres.Config{URL: cut.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(paid.Close)
	far := paid.Book(ledger.Live)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.expand(t)
	facts := []payments.Fact{captured(d, noon), refunded(d, "re_1", 515, noon)}

	cut.armed.Store(true)
	if _, _, err := far.Apply(t.Context(), b.lease, facts); !errors.Is(err, ledger.ErrUnavailable) || cut.cuts.Load() != 1 {
		t.Fatalf("%d answers were cut off, error %v", cut.cuts.Load(), err)
	}
	if n := len(b.entries(t)); n != 3 {
		t.Fatalf("%d entries: the transaction was not committed, or not whole", n)
	}
	before := b.census(t)
	rows, outcomes, err := far.Apply(t.Context(), b.lease, facts)
	if err != nil || len(rows) != 0 || outcomes[0].Verdict != payments.NoChange || outcomes[1].Verdict != payments.Duplicate {
		t.Errorf("rows %v, outcomes %+v, error %v", rows, outcomes, err)
	}
	if b.census(t) != before {
		t.Error("the repeat changed something")
	}
	if b.owed(t, "river") != 500 || b.total(t, "river").Raised != 500 {
		t.Errorf("owed %d, raised %d", b.owed(t, "river"), b.total(t, "river").Raised)
	}
}
