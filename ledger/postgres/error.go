package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger/postgres/session"
)

// SQLSTATEs that this package decides on (Postgres manual, appendix A).
const (
	uniqueViolation = "23505"
	donationsKey    = "donations_pkey"
)

// sorted gives an error the meaning that a caller decides on.
func sorted(what string, err error) error { return session.Sorted(what, err) }

// lostRace tells whether another writer recorded one of the donations between our
// look and our insert: the next look sees it.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation && pg.ConstraintName == donationsKey
}
