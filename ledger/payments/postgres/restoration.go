package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/payments"
)

var (
	restorationSQL = statement("restoration")
	endReplaySQL   = statement("end_replay")
)

// Restoration tells of the book's last restore; the zero value when there was none.
// Errors: ledger.ErrUnavailable.
func (b *Book) Restoration(ctx context.Context) (r payments.Restoration, err error) {
	var waiting pgtype.Timestamptz
	err = b.asks.QueryRow(ctx, restorationSQL).Scan(&r.Epoch, &r.LostSince, &r.ReplayTo, &r.RestoredAt, &r.Now, &r.Replayed, &waiting, &r.Looking, &r.Charged)
	if errors.Is(err, pgx.ErrNoRows) {
		return payments.Restoration{}, nil
	}
	r.WaitingSince = moment(waiting)
	return r, sorted("ask for the last restore", err)
}

// EndReplay notes that everything was replayed that the streams held when the database
// was restored, and gives at most so many of the attempts that waited for it their
// turn. It returns how many it gave it; an attempt that is made or changed at this very
// moment is given it the next time. Errors: ledger.ErrUnavailable.
func (b *Book) EndReplay(ctx context.Context, epoch int64, most int) (given int, err error) {
	tag, err := b.queue.Exec(ctx, endReplaySQL, epoch, most, b.offset())
	return int(tag.RowsAffected()), sorted("end the replay", err)
}
