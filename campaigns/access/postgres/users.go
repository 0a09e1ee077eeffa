package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

// userColumns are what scanUser reads.
const userColumns = "id, email, role, campaigns, totp IS NOT NULL, password IS NOT NULL, disabled_at, created_at, seen_at"

func scanUser(row pgx.CollectableRow) (access.User, error) { return scanUserAnd(row) }

// scanUserAnd reads the columns that follow the user's into more.
func scanUserAnd(row pgx.CollectableRow, more ...any) (u access.User, err error) {
	var disabled, seen *time.Time
	err = row.Scan(append([]any{&u.ID, &u.Email, &u.Role, &u.Campaigns, &u.TOTP, &u.HasPassword, &disabled, &u.CreatedAt, &seen}, more...)...)
	u.DisabledAt, u.SeenAt, u.CreatedAt = orZero(disabled), orZero(seen), u.CreatedAt.UTC()
	return u, err
}

// Users returns users in order of e-mail address, at most limit of those that follow after.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]access.User, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+userColumns+" FROM users WHERE email > $1 ORDER BY email LIMIT $2", after, limit)
	if err != nil {
		return nil, sorted("list users", err)
	}
	all, err := pgx.CollectRows(rows, scanUser)
	return all, sorted("list users", err)
}

// User returns a user by ID. Errors: access.ErrUnknown.
func (s *Store) User(ctx context.Context, id string) (access.User, error) {
	return s.user(ctx, "id = $1", id)
}

// UserByEmail returns a user by canonical e-mail address. Errors: access.ErrUnknown.
func (s *Store) UserByEmail(ctx context.Context, email string) (access.User, error) {
	return s.user(ctx, "email = $1", email)
}

func (s *Store) user(ctx context.Context, where, value string) (access.User, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+userColumns+" FROM users WHERE "+where, value)
	if err != nil {
		return access.User{}, sorted("get user", err)
	}
	u, err := pgx.CollectExactlyOneRow(rows, scanUser)
	return u, sorted("get user", err)
}

// AnyUser tells whether there is a user at all.
func (s *Store) AnyUser(ctx context.Context) (there bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM users)").Scan(&there)
	return there, sorted("look for users", err)
}

// Proofs returns a user with what login checks, by canonical e-mail address or by ID.
// Errors: access.ErrUnknown.
func (s *Store) Proofs(ctx context.Context, emailOrID string) (p access.Proofs, err error) {
	rows, err := s.pool.Query(ctx, "SELECT "+userColumns+", coalesce(password, ''), totp, totp_step FROM users WHERE email = $1 OR id = $1", emailOrID)
	if err != nil {
		return p, sorted("get user", err)
	}
	p, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (p access.Proofs, err error) {
		p.User, err = scanUserAnd(row, &p.Password, &p.Factor, &p.Step)
		return p, err
	})
	return p, sorted("get user", err)
}

// AddUser makes a user of ID, Email, Role and Campaigns. Errors: access.ErrTaken,
// access.ErrInvalid.
func (s *Store) AddUser(ctx context.Context, u access.User, by access.Entry) error {
	return s.changeUsers(ctx, "add user", by, func(tx pgx.Tx) error { return insertUser(ctx, tx, u, "") })
}

func insertUser(ctx context.Context, tx pgx.Tx, u access.User, password string) error {
	_, err := tx.Exec(ctx, "INSERT INTO users (id, email, role, campaigns, password) VALUES ($1, $2, $3, $4, nullif($5, ''))",
		u.ID, u.Email, string(u.Role), u.Campaigns, password)
	return err
}

// SetAccess changes what a user may do. Errors: access.ErrUnknown,
// access.ErrLastOwner, access.ErrInvalid.
func (s *Store) SetAccess(ctx context.Context, id string, role access.Role, campaigns []string, by access.Entry) error {
	return s.changeUsers(ctx, "set a user's access", by, func(tx pgx.Tx) error {
		return one(ctx, tx, "UPDATE users SET role = $2, campaigns = $3 WHERE id = $1", id, string(role), campaigns)
	})
}

// SetDisabled shuts a user out, ending all sessions and links, or lets them in
// again. Errors: access.ErrUnknown, access.ErrLastOwner.
func (s *Store) SetDisabled(ctx context.Context, id string, disabled bool, by access.Entry) error {
	return s.changeUsers(ctx, "disable or enable a user", by, func(tx pgx.Tx) error {
		if err := one(ctx, tx, "UPDATE users SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END WHERE id = $1", id, disabled); err != nil {
			return err
		}
		if !disabled {
			return nil
		}
		return forget(ctx, tx, id, "")
	})
}

// one runs a statement that changes one user, and sees that an owner is left who can
// sign in, unless there was none before.
func one(ctx context.Context, tx pgx.Tx, statement string, args ...any) error {
	before, err := owners(ctx, tx)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, statement, args...)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return access.ErrUnknown
	}
	after, err := owners(ctx, tx)
	if err != nil {
		return err
	}
	if after == 0 && before > 0 {
		return access.ErrLastOwner
	}
	return nil
}

// owners counts the owners who can sign in.
func owners(ctx context.Context, tx pgx.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, "SELECT count(*) FROM users WHERE role = 'owner' AND disabled_at IS NULL AND password IS NOT NULL").Scan(&n)
	return n, err
}

// forget ends a user's sessions and links, but for the session kept, "" for none.
func forget(ctx context.Context, tx pgx.Tx, user, kept string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM sessions WHERE user_id = $1 AND id <> $2", user, kept); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM links WHERE user_id = $1", user)
	return err
}

// SetPassword replaces a user's password, given as a PHC string, and ends all
// sessions but the one kept ("" for none), and all links. Errors: access.ErrUnknown.
func (s *Store) SetPassword(ctx context.Context, id, phc, keptSession string, by access.Entry) error {
	return s.changeUsers(ctx, "set a password", by, func(tx pgx.Tx) error {
		if err := one(ctx, tx, "UPDATE users SET password = $2 WHERE id = $1", id, phc); err != nil {
			return err
		}
		return forget(ctx, tx, id, keptSession)
	})
}

// Rehash replaces the hash of the same password, made at other costs, unless the
// password has changed since. It is no change of the user's.
func (s *Store) Rehash(ctx context.Context, id, from, to string) error {
	_, err := s.pool.Exec(ctx, "UPDATE users SET password = $3 WHERE id = $1 AND password = $2", id, from, to)
	return sorted("rehash a password", err)
}

// SetFactor gives a user a second factor: its sealed secret, the step of the code
// that proved it, and the sums of recovery codes, in place of what there was. With a
// nil secret the second factor is taken away. Other sessions end.
// Errors: access.ErrUnknown.
func (s *Store) SetFactor(ctx context.Context, id string, sealed []byte, step int64, recovery []credential.Sum, keptSession string, by access.Entry) error {
	return s.changeUsers(ctx, "set a second factor", by, func(tx pgx.Tx) error {
		if err := one(ctx, tx, "UPDATE users SET totp = $2, totp_step = $3 WHERE id = $1", id, sealed, step); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM recovery_codes WHERE user_id = $1", id); err != nil {
			return err
		}
		for _, sum := range recovery {
			if _, err := tx.Exec(ctx, "INSERT INTO recovery_codes (user_id, sum) VALUES ($1, $2)", id, sum[:]); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE user_id = $1 AND id <> $2", id, keptSession)
		return err
	})
}

// UseStep takes a step of a user's second factor, once: ok is false when it, or a
// later one, was taken already.
func (s *Store) UseStep(ctx context.Context, id string, step int64) (ok bool, err error) {
	tag, err := s.pool.Exec(ctx, "UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2", id, step)
	return tag.RowsAffected() == 1, sorted("use a code", err)
}

// UseRecovery takes a recovery code of a user, once: ok is false when it is none.
func (s *Store) UseRecovery(ctx context.Context, id string, sum credential.Sum, by access.Entry) (ok bool, err error) {
	err = s.change(ctx, "use a recovery code", by, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM recovery_codes WHERE user_id = $1 AND sum = $2", id, sum[:])
		if err == nil && tag.RowsAffected() == 0 {
			return fmt.Errorf("recovery code: %w", access.ErrUnknown)
		}
		return err
	})
	if err != nil {
		return false, unless(err, access.ErrUnknown)
	}
	return true, nil
}

// RecoveryLeft is how many recovery codes a user has left.
func (s *Store) RecoveryLeft(ctx context.Context, id string) (n int, err error) {
	err = s.pool.QueryRow(ctx, "SELECT count(*) FROM recovery_codes WHERE user_id = $1", id).Scan(&n)
	return n, sorted("count recovery codes", err)
}
