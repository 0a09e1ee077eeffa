package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

// unless is err, nil when it is expected.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// StartSession stores a session under the sum of its token. A pending one opens
// nothing but the question for the second factor. by is written with it when it has
// an action; a session that is not pending notes the login at its user.
func (s *Store) StartSession(ctx context.Context, sum credential.Sum, n access.Session, pending bool, by access.Entry) error {
	return s.change(ctx, "start a session", by, func(tx pgx.Tx) error {
		// An account disabled since its password was checked gets no session.
		tag, err := tx.Exec(ctx, `INSERT INTO sessions (sum, id, user_id, created_at, seen_at, expires_at, network, agent, pending)
			SELECT $1, $2, id, $4, $4, $5, $6, $7, $8 FROM users WHERE id = $3 AND disabled_at IS NULL FOR SHARE`,
			sum[:], n.ID, n.User, n.CreatedAt, n.ExpiresAt, n.Network, clean(n.Agent, access.SubjectBytesMax), pending)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return access.ErrUnknown
		}
		if pending {
			return nil
		}
		_, err = tx.Exec(ctx, "UPDATE users SET seen_at = $2 WHERE id = $1", n.User, n.CreatedAt)
		return err
	})
}

// Session returns what is stored under a token's sum. Whether it has expired is the
// caller's to judge; a disabled user has none. Errors: access.ErrUnknown.
func (s *Store) Session(ctx context.Context, sum credential.Sum) (l access.Live, err error) {
	// By sessions_pkey and users_pkey.
	rows, err := s.pool.Query(ctx, `SELECT u.id, email, role, campaigns, totp IS NOT NULL, password IS NOT NULL, disabled_at, u.created_at, u.seen_at,
			s.id, s.created_at, s.seen_at, s.expires_at, s.network, s.agent, s.pending
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.sum = $1 AND u.disabled_at IS NULL`, sum[:])
	if err != nil {
		return l, sorted("get session", err)
	}
	l, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (l access.Live, err error) {
		l.Owner, err = scanUserAnd(row, &l.ID, &l.CreatedAt, &l.SeenAt, &l.ExpiresAt, &l.Network, &l.Agent, &l.Pending)
		l.User = l.Owner.ID
		return l, err
	})
	return l, sorted("get session", err)
}

// Seen notes that a session was used.
func (s *Store) Seen(ctx context.Context, sum credential.Sum, at time.Time) error {
	_, err := s.pool.Exec(ctx, "UPDATE sessions SET seen_at = greatest(seen_at, $2) WHERE sum = $1", sum[:], at)
	return sorted("note a session's use", err)
}

// Failed counts a wrong code of a pending session and ends it when it has had so many.
func (s *Store) Failed(ctx context.Context, sum credential.Sum, most int) error {
	return s.change(ctx, "count a wrong code", access.Entry{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE sessions SET failures = failures + 1 WHERE sum = $1", sum[:]); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE sum = $1 AND failures >= $2", sum[:], most)
		return err
	})
}

// EndSession removes the session of a token, if there is one.
func (s *Store) EndSession(ctx context.Context, sum credential.Sum, by access.Entry) error {
	return s.change(ctx, "end a session", by, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE sum = $1", sum[:])
		return err
	})
}

// Sessions returns a user's sessions, the newest first.
func (s *Store) Sessions(ctx context.Context, user string, now time.Time) ([]access.Session, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, user_id, created_at, seen_at, expires_at, network, agent FROM sessions
		WHERE user_id = $1 AND NOT pending AND expires_at > $2 ORDER BY created_at DESC LIMIT 100`, user, now)
	if err != nil {
		return nil, sorted("list sessions", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n access.Session, err error) {
		err = row.Scan(&n.ID, &n.User, &n.CreatedAt, &n.SeenAt, &n.ExpiresAt, &n.Network, &n.Agent)
		return n, err
	})
	return all, sorted("list sessions", err)
}

// EndSessions ends a user's session of this ID, or with "" all of them but the one kept.
func (s *Store) EndSessions(ctx context.Context, user, id, kept string, by access.Entry) error {
	return s.change(ctx, "end sessions", by, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE user_id = $1 AND ($2 = '' OR id = $2) AND id <> $3", user, id, kept)
		return err
	})
}

// KnowDevice remembers that a user has signed in from the browser with this token.
func (s *Store) KnowDevice(ctx context.Context, sum credential.Sum, user string, now time.Time) error {
	_, err := s.pool.Exec(ctx, "INSERT INTO devices (sum, user_id, seen_at) VALUES ($1, $2, $3) ON CONFLICT ON CONSTRAINT devices_pkey DO UPDATE SET seen_at = excluded.seen_at",
		sum[:], user, now)
	return sorted("remember a browser", err)
}

// KnowsDevice tells whether a user has signed in from that browser.
func (s *Store) KnowsDevice(ctx context.Context, sum credential.Sum, user string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM devices WHERE sum = $1 AND user_id = $2)", sum[:], user).Scan(&known)
	return known, sorted("look for a browser", err)
}
