package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ingest/envelope"
)

var noteRequestsSQL = statement("note_requests")

// Request stores donors' further wishes, durably, before their message is
// acknowledged; the payments role carries them out. One that is there already
// stays as it was, so a redelivery is harmless. Request keeps no reference to its
// argument, and does not change it.
//
// Errors: *ledger.PoisonError, nothing written; ledger.ErrUnavailable, and any
// other error, when the outcome is not known, and then repeating it is right.
func (b *Book) Request(ctx context.Context, requests []*envelope.Request) error {
	// In one order, as every writer inserts them, so that two never wait for each
	// other in a circle. Stable: of one ID the first to come is the one that stays.
	requests = slices.Clone(requests)
	slices.SortStableFunc(requests, func(a, b *envelope.Request) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	n := len(requests)
	ids, donations := make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	kinds, tokens := make([]string, n), make([]string, n)
	expires, received := make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n)
	for i, r := range requests {
		ids[i] = pgtype.UUID{Bytes: r.ID, Valid: true}
		donations[i] = pgtype.UUID{Bytes: r.Donation, Valid: true}
		kinds[i], tokens[i] = r.Kind.String(), r.ConfirmationToken
		expires[i] = pgtype.Timestamptz{Time: r.TokenExpiresAt, Valid: r.Kind == envelope.Attempt}
		received[i] = pgtype.Timestamptz{Time: r.ReceivedAt, Valid: true}
	}
	_, err := b.record.Exec(ctx, noteRequestsSQL, ids, donations, kinds, tokens, expires, received)
	return sorted("store donors' requests", err)
}
