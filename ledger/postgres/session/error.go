package session

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger"
)

// ErrSchema is what to do about a table, a column or a function that is not there.
var ErrSchema = errors.New("the schema is older than this version: run 'spillway migrate'")

// Sorted gives err, of doing what, the meaning that a caller decides on:
// *ledger.PoisonError when the data is at fault, ledger.ErrUnavailable when time
// heals it, and err itself when nobody knows.
func Sorted(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ledger.ErrFenced) {
		return fmt.Errorf("%s: %w", what, err)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		// Not the server's word: the connection, its pool, a deadline, a protocol
		// that broke in the middle. None of them is the data's fault.
		return fmt.Errorf("%s: %w: %w", what, ledger.ErrUnavailable, err)
	}
	switch pg.Code {
	case "3F000", "42P01", "42703", "42883": // no such schema, table, column, function
		// Time heals it too: processes are started in any order.
		return fmt.Errorf("%s: %w: %w: %w", what, ledger.ErrUnavailable, ErrSchema, err)
	}
	if len(pg.Code) == 5 {
		switch pg.Code[:2] {
		case "22", // data exception: a value out of range, bytes that are no text
			"23", // integrity constraint
			"54": // program limit exceeded: a row too large for a page or an index
			return fmt.Errorf("%s: %w", what, &ledger.PoisonError{Err: &refusal{pg}})
		case "08", // connection
			"25", // transaction state: a server that became a read-only standby
			"26", // prepared statement unknown: the pooler gave another session
			"28", // authorisation
			"3D", // database does not exist
			"3F", // schema
			"40", // serialization failure, deadlock
			"42", // right missing: not migrated yet
			"53", // out of disk, memory, connections
			"55", // lock not available
			"57", // shutdown, cancel, statement timeout
			"58", // system error, input and output
			"F0", // configuration file
			"XX": // internal error, corruption: the operator's, never the donor's
			return fmt.Errorf("%s: %w: %w", what, ledger.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// refusal is a server's error without the values that it quotes, which may be a
// donor's.
type refusal struct{ pg *pgconn.PgError }

func (r *refusal) Error() string {
	if r.pg.ConstraintName != "" {
		return r.pg.Code + " " + r.pg.ConstraintName
	}
	return r.pg.Code + " " + r.pg.Routine
}

func (r *refusal) Unwrap() error { return r.pg }
