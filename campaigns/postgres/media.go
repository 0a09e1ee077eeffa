package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

var (
	putMediaSQL   = statement("put_media")
	mediaSQL      = statement("media")
	mediaSinceSQL = statement("media_since")
	markMediaSQL  = statement("mark_media")
	unusedSQL     = statement("unused_media")
	removeSQL     = statement("remove_media")
)

// UnusedMediaMost is how many keys UnusedMedia returns at once.
const UnusedMediaMost = 1000

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

// UnusedMedia returns the keys of pictures that no campaign names for at least so long, as
// far as it was looked: the first look notes it. At most UnusedMediaMost. Errors:
// ledger.ErrUnavailable.
func (s *Store) UnusedMedia(ctx context.Context, least time.Duration) (keys []string, err error) {
	err = s.locked(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, markMediaSQL); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, unusedSQL, least, UnusedMediaMost)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, sorted("look for unused pictures", err)
	}
	return keys, nil
}

// RemoveMedia removes pictures that UnusedMedia named, except those that a campaign names
// by now or that were stored again. Errors: ledger.ErrUnavailable.
func (s *Store) RemoveMedia(ctx context.Context, keys []string) error {
	err := s.locked(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, removeSQL, keys)
		return err
	})
	return sorted("remove unused pictures", err)
}
