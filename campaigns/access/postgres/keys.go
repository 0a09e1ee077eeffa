package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

const keyColumns = "id, name, scopes, campaigns, created_by, created_at, expires_at, revoked_at, used_at"

func scanKey(row pgx.CollectableRow, more ...any) (k access.Key, err error) {
	var scopes []string
	var expires, revoked, used *time.Time
	err = row.Scan(append([]any{&k.ID, &k.Name, &scopes, &k.Campaigns, &k.CreatedBy, &k.CreatedAt, &expires, &revoked, &used}, more...)...)
	for _, name := range scopes {
		// A scope of a newer build's is one that this build has no route for.
		if p, ok := access.ParsePermission(name); ok {
			k.Scopes |= access.SetOf(p)
		}
	}
	k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.UsedAt = k.CreatedAt.UTC(), orZero(expires), orZero(revoked), orZero(used)
	return k, err
}

// AddKey stores an API key under the sum of its secret.
func (s *Store) AddKey(ctx context.Context, k access.Key, sum credential.Sum, by access.Entry) error {
	return s.change(ctx, "add API key", by, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO keys (id, name, scopes, campaigns, created_by, created_at, expires_at, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			k.ID, k.Name, k.Scopes.Names(), k.Campaigns, k.CreatedBy, k.CreatedAt, moment(k.ExpiresAt), sum[:])
		return err
	})
}

// Key returns an API key and the sum of its secret. Errors: access.ErrUnknown.
func (s *Store) Key(ctx context.Context, id string) (k access.Key, sum credential.Sum, err error) {
	rows, err := s.pool.Query(ctx, "SELECT "+keyColumns+", sum FROM keys WHERE id = $1", id)
	if err != nil {
		return k, sum, sorted("get API key", err)
	}
	var b []byte
	k, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (access.Key, error) { return scanKey(row, &b) })
	copy(sum[:], b)
	return k, sum, sorted("get API key", err)
}

// Keys returns the API keys, those that work first, then the newest, at most 500.
func (s *Store) Keys(ctx context.Context) ([]access.Key, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+keyColumns+" FROM keys ORDER BY revoked_at IS NOT NULL, created_at DESC, id LIMIT 500")
	if err != nil {
		return nil, sorted("list API keys", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (access.Key, error) { return scanKey(row) })
	return all, sorted("list API keys", err)
}

// RevokeKey ends an API key for good; again is harmless. Errors: access.ErrUnknown.
func (s *Store) RevokeKey(ctx context.Context, id string, by access.Entry) error {
	return s.change(ctx, "revoke API key", by, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1", id)
		if err == nil && tag.RowsAffected() == 0 {
			return access.ErrUnknown
		}
		return err
	})
}

// KeyUsed notes when an API key was used.
func (s *Store) KeyUsed(ctx context.Context, id string, at time.Time) error {
	_, err := s.pool.Exec(ctx, "UPDATE keys SET used_at = greatest(used_at, $2) WHERE id = $1", id, at)
	return sorted("note an API key's use", err)
}
