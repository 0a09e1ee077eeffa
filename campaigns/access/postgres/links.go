package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

// AddLink stores a one-time link under the sum of its token: a user's, to set a
// password, or, with user "", the first owner's. A user's earlier links end.
// Errors: access.ErrUnknown.
func (s *Store) AddLink(ctx context.Context, sum credential.Sum, user string, expires time.Time, by access.Entry) error {
	return s.change(ctx, "add a link", by, func(tx pgx.Tx) error {
		if user != "" {
			if _, err := tx.Exec(ctx, "DELETE FROM links WHERE user_id = $1", user); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO links (sum, user_id, expires_at) VALUES ($1, nullif($2, ''), $3)", sum[:], user, expires)
		return err
	})
}

// Link tells whose link it is: first is true for the first owner's.
// Errors: access.ErrUnknown for one that was used, has expired or never was.
func (s *Store) Link(ctx context.Context, sum credential.Sum, now time.Time) (u access.User, first bool, err error) {
	var user string
	err = s.pool.QueryRow(ctx, "SELECT coalesce(user_id, '') FROM links WHERE sum = $1 AND expires_at > $2", sum[:], now).Scan(&user)
	if err != nil {
		return u, false, sorted("look for a link", err)
	}
	if user == "" {
		there, err := s.AnyUser(ctx)
		if err == nil && there {
			err = fmt.Errorf("look for a link: %w", access.ErrUnknown)
		}
		return u, true, err
	}
	u, err = s.User(ctx, user)
	if err == nil && !u.DisabledAt.IsZero() {
		err = fmt.Errorf("look for a link: %w", access.ErrUnknown)
	}
	return u, false, err
}

// ClaimFirst makes the first owner by the first owner's link, once, while there is
// no user at all. Errors: access.ErrUnknown when the link does not hold any more.
func (s *Store) ClaimFirst(ctx context.Context, sum credential.Sum, now time.Time, u access.User, phc string, by access.Entry) error {
	return s.changeUsers(ctx, "make the first owner", by, func(tx pgx.Tx) error {
		if err := take(ctx, tx, sum, "", now); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM users)").Scan(&there); err != nil {
			return err
		}
		if there {
			return access.ErrUnknown
		}
		if err := insertUser(ctx, tx, u, phc); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM links WHERE user_id IS NULL")
		return err
	})
}

// ClaimLink sets a user's password by a link of theirs, once, and ends all their
// sessions. Errors: access.ErrUnknown when the link does not hold any more.
func (s *Store) ClaimLink(ctx context.Context, sum credential.Sum, now time.Time, user, phc string, by access.Entry) error {
	return s.changeUsers(ctx, "set a password by a link", by, func(tx pgx.Tx) error {
		if err := take(ctx, tx, sum, user, now); err != nil {
			return err
		}
		if err := one(ctx, tx, "UPDATE users SET password = $2 WHERE id = $1 AND disabled_at IS NULL", user, phc); err != nil {
			return err
		}
		return forget(ctx, tx, user, "")
	})
}

// take removes a link that still holds.
func take(ctx context.Context, tx pgx.Tx, sum credential.Sum, user string, now time.Time) error {
	tag, err := tx.Exec(ctx, "DELETE FROM links WHERE sum = $1 AND coalesce(user_id, '') = $2 AND expires_at > $3", sum[:], user, now)
	if err == nil && tag.RowsAffected() == 0 {
		return access.ErrUnknown
	}
	return err
}
