package session

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// readOnly is the SQLSTATE of a write at a server that takes none (Postgres manual,
// appendix A: read_only_sql_transaction).
const readOnly = "25006"

// Primary has a connection end up at the server that takes writes, whichever of the
// hosts of its URL that is at the moment: as if the URL had said
// target_session_attrs=read-write, unless it says something else. A URL of one host is
// taken at its word.
//
// A server that becomes a standby under an open connection, as managed databases do,
// refuses the write; the connection is closed then, so that the pool looks for the
// primary again instead of asking the standby for ever.
func Primary(config *pgx.ConnConfig) {
	if config.ValidateConnect == nil && hosts(config) > 1 {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	before := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) (goOn bool) {
		return err.Code != readOnly && (before == nil || before(conn, err))
	}
}

// hosts counts the servers that a URL names; each may be tried with and without TLS.
func hosts(config *pgx.ConnConfig) int {
	type address struct {
		host string
		port uint16
	}
	all := map[address]bool{{config.Host, config.Port}: true}
	for _, f := range config.Fallbacks {
		all[address{f.Host, f.Port}] = true
	}
	return len(all)
}
