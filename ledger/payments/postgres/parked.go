package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/payments"
)

var (
	findDonationsSQL = statement("find_donations")
	parkEventSQL     = statement("park_event")
	parkedEventsSQL  = statement("parked_events")
	openRequestsSQL  = statement("open_requests")
)

// capturePrefix begins the ref of every charge whose money was booked.
const capturePrefix = "capture:"

// FindDonation finds the donations of charges whose capture is booked. Names that
// are none, intents among them, are not in the answer: an event that tells no
// donation is about money that moved before it, and that has a charge.
// Errors: ledger.ErrUnavailable.
func (b *Book) FindDonation(ctx context.Context, names []string) (map[string][16]byte, error) {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = capturePrefix + name
	}
	found := make(map[string][16]byte, len(names))
	rows, err := b.asks.Query(ctx, findDonationsSQL, refs)
	if err == nil {
		var ref string
		var id pgtype.UUID
		_, err = pgx.ForEachRow(rows, []any{&ref, &id}, func() error {
			found[strings.TrimPrefix(ref, capturePrefix)] = id.Bytes
			return nil
		})
	}
	if err != nil {
		return nil, sorted("find donations", err)
	}
	return found, nil
}

// Park keeps an event whose donation is not recorded yet, whole. One that is parked
// or was dealt with already stays as it is. Errors: ledger.ErrUnavailable,
// *ledger.PoisonError.
func (b *Book) Park(ctx context.Context, e payments.ParkedEvent) error {
	_, err := b.apply.Exec(ctx, parkEventSQL, e.EventID, e.Type, stamp(e.Created), int16(payments.NotYet), optionalUUID(e.Donation), e.Body)
	return sorted("park an event", err)
}

// Parked returns at most so many parked events that can be tried again, oldest
// first: their donation has come, or they name none. Each is returned again later,
// unless Apply has dealt with it by then. Errors: ledger.ErrUnavailable.
func (b *Book) Parked(ctx context.Context, most int) ([]payments.ParkedEvent, error) {
	rows, err := b.apply.Query(ctx, parkedEventsSQL, most)
	if err != nil {
		return nil, sorted("look for parked events", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e payments.ParkedEvent, err error) {
		var created time.Time
		var donation pgtype.UUID
		err = row.Scan(&e.EventID, &e.Type, &created, &e.Body, &donation)
		e.Created, e.Donation = created.UTC(), donation.Bytes
		return e, err
	})
	return events, sorted("look for parked events", err)
}

// Requests returns at most so many wishes of donors that are not dealt with yet,
// oldest first, as facts. Apply marks them with their effect. A request that another
// process applies meanwhile comes back from Apply as a duplicate.
// Errors: ledger.ErrUnavailable.
func (b *Book) Requests(ctx context.Context, most int) ([]payments.Fact, error) {
	rows, err := b.asks.Query(ctx, openRequestsSQL, most)
	if err != nil {
		return nil, sorted("look for requests", err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f payments.Fact, err error) {
		var request, donation pgtype.UUID
		var kind, token string
		var expires pgtype.Timestamptz
		var received time.Time
		err = row.Scan(&request, &donation, &kind, &token, &expires, &received)
		f = payments.Fact{Donation: donation.Bytes, Source: payments.FromDonor, At: received.UTC()}
		if kind == requestAttempt {
			f.Card = &payments.CardOffered{Request: request.Bytes, Token: token, ExpiresAt: moment(expires)}
		} else {
			f.Cancel = &payments.CancelAsked{Request: request.Bytes}
		}
		return f, err
	})
	return facts, sorted("look for requests", err)
}

// requestAttempt is the kind of a request for another card; the other one is a
// cancellation (requests_kind_known).
const requestAttempt = "attempt"
