package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/ledger/search"
)

var wallsSQL = statement("walls")

const (
	changedWallsSQL = "SELECT campaign, version FROM search_campaigns WHERE version > $1 ORDER BY version LIMIT $2"
	hideSQL         = "INSERT INTO search_hidden AS h (seq, id, what, actor) VALUES ($1, $2, $3, $4)" +
		" ON CONFLICT (seq) DO UPDATE SET what = excluded.what, actor = excluded.actor, hidden_at = now() WHERE h.what <> excluded.what"
	unhideSQL = "DELETE FROM search_hidden WHERE seq = $1"
)

// ChangedWalls lists at most so many walls that changed after a version, in the order
// of their changes. A change that is committed later has a higher version. Errors:
// ledger.ErrUnavailable.
func (s *Store) ChangedWalls(ctx context.Context, after int64, most int) ([]search.ChangedWall, error) {
	rows, err := s.follow.Query(ctx, changedWallsSQL, after, most)
	if err != nil {
		return nil, sorted("look for changed walls", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w search.ChangedWall, err error) {
		return w, row.Scan(&w.Campaign, &w.Version)
	})
	return all, sorted("look for changed walls", err)
}

// Walls returns the walls of some campaigns as everybody may see them; AsOf is for the
// caller to fill in. One that nothing was ever given to is left out. Errors:
// ledger.ErrUnavailable.
func (s *Store) Walls(ctx context.Context, slugs []string) ([]*campaigns.Wall, error) {
	rows, err := s.follow.Query(ctx, wallsSQL, slugs, campaigns.WallGiftsMax)
	if err != nil {
		return nil, sorted("read walls", err)
	}
	var (
		walls                                   []*campaigns.Wall
		slug                                    string
		donors, version                         int64
		id                                      pgtype.UUID
		received                                pgtype.Timestamptz
		currencyCode, name, message, dedication pgtype.Text
		anonymous, hideAmount                   pgtype.Bool
		lineCampaigns                           []string
		amounts                                 []int64
		what                                    int16
	)
	fields := []any{&slug, &donors, &version, &id, &received, &currencyCode, &anonymous, &hideAmount, &name, &message, &dedication, &lineCampaigns, &amounts, &what}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		if len(walls) == 0 || walls[len(walls)-1].Campaign != slug {
			walls = append(walls, &campaigns.Wall{Campaign: slug, Donors: donors, Version: version})
		}
		if !id.Valid {
			return nil // a wall without gifts
		}
		g := campaigns.Gift{Ref: s.keys.GiftRef(id.Bytes), At: received.Time.UTC(), Currency: money.Currency(currencyCode.String)}
		line := shownLine(slug, lineCampaigns, amounts)
		g.Campaign = lineCampaigns[line]
		if !hideAmount.Bool {
			g.AmountMinor = amounts[line]
		}
		if !anonymous.Bool && search.Hide(what)&search.HideName == 0 {
			g.Name = name.String
		}
		if search.Hide(what)&search.HideMessage == 0 {
			g.Message, g.Dedication = message.String, dedication.String
		}
		w := walls[len(walls)-1]
		w.Gifts = append(w.Gifts, g)
		return nil
	})
	return walls, sorted("read walls", err)
}

// shownLine is the line that a wall shows of a donation: the campaign's own, and the
// largest on the wall of the day.
func shownLine(wall string, slugs []string, amounts []int64) int {
	shown := 0
	for i := range slugs {
		if slugs[i] == wall {
			return i
		}
		if amounts[i] > amounts[shown] {
			shown = i
		}
	}
	return shown
}

// Now is the database's clock, of which versions are made. Errors: ledger.ErrUnavailable.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.follow.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now.UTC(), sorted("ask the clock", err)
}

// Hide keeps the name, the message and dedication, or both of a gift from everybody
// from now on, in place of what was hidden of it before. The walls on which it counts
// get their next version, so that whoever publishes them does. actor is who asks; the
// audit log says more.
//
// Errors: search.ErrUnknown when the ledger has no such donation; search.ErrQuery;
// ledger.ErrUnavailable.
func (s *Store) Hide(ctx context.Context, id ingest.ID, what search.Hide, actor string) error {
	if what > search.HideBoth {
		return fmt.Errorf("hide %d: %w", what, search.ErrQuery)
	}
	err := pgx.BeginFunc(ctx, s.ask, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, turnSQL, s.turnLock()); err != nil {
			return err
		}
		t, err := s.truthOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if what == search.HideNone {
			_, err = tx.Exec(ctx, unhideSQL, t.seq)
		} else {
			_, err = tx.Exec(ctx, hideSQL, t.seq, pgtype.UUID{Bytes: id, Valid: true}, int16(what), actor)
		}
		if err != nil {
			return err
		}
		walls := map[string]int64{}
		for _, campaign := range t.walls() {
			walls[campaign] = 0
		}
		return moveWalls(ctx, tx, walls)
	})
	return sorted("hide", err)
}

// truthOf reads one donation. Errors: search.ErrUnknown.
func (s *Store) truthOf(ctx context.Context, tx pgx.Tx, id ingest.ID) (found *truth, err error) {
	rows, err := tx.Query(ctx, s.ledger.truth, uuids([]ingest.ID{id}))
	if err != nil {
		return nil, err
	}
	if err := eachTruth(rows, func(t *truth) { found = t }); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("%s: %w", id, search.ErrUnknown)
	}
	return found, nil
}
