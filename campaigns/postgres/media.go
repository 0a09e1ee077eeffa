package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

var (
	putMediaSQL   = statement("put_media")
	mediaSQL      = statement("media")
	mediaSinceSQL = statement("media_since")
)

// MediaSinceMost is how many keys MediaSince returns at once; so many mean that
// there may be more.
const MediaSinceMost = 1000

// PutMedia stores a picture and returns its key, which a campaign's Image may be from
// then on. The same bytes again are one picture. Errors: campaigns.ErrInvalid,
// ledger.ErrUnavailable.
func (s *Store) PutMedia(ctx context.Context, contentType string, data []byte) (key string, err error) {
	picture := campaigns.Media{Key: campaigns.MediaKey(data), ContentType: contentType, Data: data}
	if err := picture.Validate(); err != nil {
		return "", err
	}
	err = s.locked(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, putMediaSQL, picture.Key, picture.ContentType, picture.Data)
		return err
	})
	if err != nil {
		return "", sorted("put picture", err)
	}
	return picture.Key, nil
}

// Media returns a picture. Errors: campaigns.ErrUnknown, ledger.ErrUnavailable.
func (s *Store) Media(ctx context.Context, key string) (*campaigns.Media, error) {
	all, err := collect(ctx, s.pool, pgx.RowToAddrOfStructByPos[campaigns.Media], mediaSQL, key)
	if err != nil {
		return nil, sorted("get picture", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("picture %q: %w", key, campaigns.ErrUnknown)
	}
	return all[0], nil
}

// MediaSince returns the keys of the pictures that were stored after revision, in
// that order, at most MediaSinceMost, and the revision of the last, or the one given
// when there are none. Errors: ledger.ErrUnavailable.
func (s *Store) MediaSince(ctx context.Context, revision int64) (keys []string, last int64, err error) {
	type stored struct {
		Key      string
		Revision int64
	}
	all, err := collect(ctx, s.pool, pgx.RowToStructByPos[stored], mediaSinceSQL, revision, MediaSinceMost)
	if err != nil {
		return nil, revision, sorted("list pictures", err)
	}
	last = revision
	for _, m := range all {
		keys, last = append(keys, m.Key), m.Revision
	}
	return keys, last, nil
}
