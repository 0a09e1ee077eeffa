// Package session is how the ledger's adapters talk to their database: the settings
// of a connection, the role it works under, and the meaning of an error. Recording
// and payments share it, so that both are fenced, timed out and sorted alike.
//
// The one invariant: nothing waits for ever on a connection made here, and what was
// committed on one is on disk.
//
// No goroutines of its own besides the connection pools'.
package session

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
)

// Limits turn what is stuck into an error that is retried: nothing waits for ever. All
// but Connect are enforced by the server.
type Limits struct {
	// Statement bounds one statement, Lock the waiting for a row or table in it.
	Statement, Lock time.Duration
	// Idle ends a transaction whose process froze between two statements, so that what
	// it had locked is not kept by a corpse; and a connection whose machine vanished.
	Idle time.Duration
	// Connect bounds one try to connect, to each host of the URL.
	Connect time.Duration
}

// ledgerLimits are those of recording and payments. Statement is many times the slowest
// batch seen (0.4 s).
var ledgerLimits = Limits{Statement: 30 * time.Second, Lock: 15 * time.Second, Idle: 10 * time.Second, Connect: 5 * time.Second}

// rollbackTimeout bounds the clean-up of a connection whose caller has run out of time.
const rollbackTimeout = 5 * time.Second

// Parse reads the URL of the ledger's database with the ledger's limits, see ParseWith.
func Parse(url, application string) (*pgxpool.Config, error) {
	return ParseWith(url, application, ledgerLimits)
}

// ParseWith reads a connection string or URL as libpq reads it, and sets what all our
// connections have in common; of several hosts the one that takes writes is used, see
// Primary. application is shown in pg_stat_activity. Errors: a URL that cannot be read,
// without quoting it.
func ParseWith(url, application string, limits Limits) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database url cannot be read") // the cause may quote a password
	}
	Primary(config.ConnConfig)
	config.MinConns = 0
	config.ConnConfig.ConnectTimeout = limits.Connect
	set := func(name, value string) { config.ConnConfig.RuntimeParams[name] = value }
	set("application_name", application)
	set("timezone", "UTC")
	set("statement_timeout", milliseconds(limits.Statement))
	set("lock_timeout", milliseconds(limits.Lock))
	set("idle_in_transaction_session_timeout", milliseconds(limits.Idle))
	// A server whose client's machine vanished learns it in this time and not in
	// the two hours of a default kernel. Ignored on a socket of the same machine.
	set("tcp_user_timeout", milliseconds(limits.Idle))
	// Accepted must mean on disk, whatever the server's default is.
	set("synchronous_commit", "on")
	return config, nil
}

// Pool prepares at most so many connections to a book's schema, under the
// application's role where the login may take it. It does not connect.
func Pool(base *pgxpool.Config, book ledger.Book, connections int) (*pgxpool.Pool, error) {
	config := base.Copy()
	config.MaxConns = int32(connections)
	set := func(name, value string) { config.ConnConfig.RuntimeParams[name] = value }
	set("search_path", book.Schema())
	// Every query here finds its rows by a key. A plan made while a table was empty
	// would scan it and be kept while it grows; a plan per execution would weigh
	// thousands of IDs each time.
	set("enable_seqscan", "off")
	set("plan_cache_mode", "force_generic_plan")
	set("jit", "off")
	config.AfterConnect = TakeRole
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("open pool of the %s book: %w", book, err)
	}
	return pool, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Statement reads sql/<name>.sql of a package's embedded files; a missing one is
// found at start-up.
func Statement(files embed.FS, name string) string {
	b, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		_, file, line, _ := runtime.Caller(2)
		panic(fmt.Sprintf("%s:%d: %v", file, line, err))
	}
	return string(b)
}

// Rollback ends the connection's transaction, or the connection: a transaction
// that nobody ends would keep its locks. It takes its own time when ctx is over.
func Rollback(ctx context.Context, conn *pgx.Conn) {
	pc := conn.PgConn()
	if pc.IsClosed() || pc.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := pc.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = pc.Close(ctx)
	}
}
