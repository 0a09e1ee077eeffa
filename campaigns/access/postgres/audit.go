package postgres

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/campaigns/access"
)

// Audit writes an entry, durably, before it returns. Its ID and time are the
// database's.
func (s *Store) Audit(ctx context.Context, e access.Entry) error {
	return sorted("write the audit log", write(ctx, s.pool, e))
}

// write adds an entry. Texts are cut to their bounds: an entry is never refused for
// being long.
func write(ctx context.Context, db interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, e access.Entry) error {
	_, err := db.Exec(ctx, "INSERT INTO audit (actor, name, network, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)",
		clean(e.Actor, access.SubjectBytesMax), clean(e.Name, access.SubjectBytesMax), clean(e.Network, access.SubjectBytesMax), e.Action,
		clean(e.Subject, access.SubjectBytesMax), clean(e.Detail, 4*access.DetailCharsMax))
	return err
}

// clean makes s storable: UTF-8 without NUL, at most max bytes.
func clean(s string, max int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd")
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// Log returns entries, newest first.
func (s *Store) Log(ctx context.Context, q access.LogQuery) ([]access.Entry, error) {
	before := q.Before
	if before <= 0 {
		before = 1<<63 - 1
	}
	// Walks audit_pkey backwards, or audit_by_subject, or audit_by_name.
	rows, err := s.pool.Query(ctx, `
		SELECT id, at, actor, name, network, action, subject, detail
		FROM audit
		WHERE id < $1 AND ($2 = '' OR name = $2) AND ($3 = '' OR starts_with(action, $3)) AND ($4 = '' OR subject = $4)
		  AND at >= coalesce($5, '-infinity'::timestamptz) AND at < coalesce($6, 'infinity'::timestamptz)
		ORDER BY id DESC LIMIT $7`,
		before, q.Name, q.Action, q.Subject, moment(q.From), moment(q.To), q.Limit)
	if err != nil {
		return nil, sorted("read the audit log", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e access.Entry, err error) {
		err = row.Scan(&e.ID, &e.At, &e.Actor, &e.Name, &e.Network, &e.Action, &e.Subject, &e.Detail)
		return e, err
	})
	return all, sorted("read the audit log", err)
}

// moment is t for the database, null for a zero one.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// orZero is a moment of the database, zero for null.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
