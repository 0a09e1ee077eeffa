package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var (
	claimGlanceSQL  = statement("claim_glance")
	claimPromoteSQL = statement("claim_promote")
	claimPickSQL    = statement("claim_pick")
	claimStoreSQL   = statement("claim_store")
	expiredSQL      = statement("expired")
)

const (
	// promoteRows bounds how many attempts change their line in one claim. A source
	// beyond its share moves two a second; after an outage the repeats come at once.
	promoteRows = 1000
	// claimEvery is the least time between two claims that is asked for while there is
	// a backlog: each is a commit, and one that takes several calls costs the same.
	claimEvery = 40 * time.Millisecond
	// againEvery is the share of the pace that repeats get while first calls wait: one
	// in so many. Live donors go first, and a donor whose call met a 429 is not put
	// off until the last of the day has been served.
	againEvery = 10
)

// errNoParams is our own mistake: a call without its body can never be repeated.
var errNoParams = errors.New("a charge without parameters")

// Claim takes attempts to be called now, and the pace for them, in one transaction:
// first calls of live donors before repeats, those whose tokens expire first in
// front, no source more than its share while others wait. Each comes with its call's
// exact parameters, which are committed when Claim returns: those that were stored
// before, else what params makes of it. From now on the attempt is Calling until a
// fact says otherwise; when none comes in r.For, it may be claimed again with the
// same parameters.
//
// expired are facts about tokens that can no longer be charged, to be applied; they
// are returned again until they are. wait is when it is worth asking again: after 0 at
// the caller's leisure, because nothing waits.
//
// When Claim fails, nothing was claimed as far as is known; what was claimed by a
// commit whose answer was lost lapses.
//
// Errors: ledger.ErrUnavailable.
func (b *Book) Claim(ctx context.Context, r payments.ClaimRequest, params func(*payments.Charge) []byte) (claimed []payments.Charge, expired []payments.Fact, wait time.Duration, err error) {
	there, wait, now, err := b.glance(ctx)
	if err != nil {
		return nil, nil, 0, sorted("glance at the queue", err)
	}
	if expired, err = b.expired(ctx, now, r.Max); err != nil {
		return nil, nil, 0, err
	}
	if !there {
		return nil, expired, wait, nil
	}
	err = within(ctx, b.queue, "claim", func(conn *pgx.Conn) (err error) {
		claimed, wait, err = b.claim(ctx, conn, r, params)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	return claimed, expired, wait, nil
}

// glance tells, without a lock, whether anything may be claimed; if not, when.
func (b *Book) glance(ctx context.Context) (there bool, wait time.Duration, now time.Time, err error) {
	var soonest *time.Time
	if err := b.queue.QueryRow(ctx, claimGlanceSQL, b.offset()).Scan(&now, &there, &soonest); err != nil {
		return false, 0, now, err
	}
	if soonest != nil {
		wait = max(claimEvery, soonest.Sub(now))
	}
	return there, wait, now, nil
}

func (b *Book) claim(ctx context.Context, conn *pgx.Conn, r payments.ClaimRequest, params func(*payments.Charge) []byte) ([]payments.Charge, time.Duration, error) {
	pace, err := lockPace(ctx, conn, r.Account, r.Endpoint)
	if err != nil {
		return nil, 0, err
	}
	granted := pace.granted(r.Max)
	if granted == 0 {
		return nil, max(claimEvery, pace.wait(1)), nil
	}
	claimed, err := b.pick(ctx, conn, granted, params)
	if err != nil {
		return nil, 0, err
	}
	pace.take(len(claimed))
	work := &pgx.Batch{}
	pace.store(work)
	b.queueStore(work, r, claimed)
	if err := conn.SendBatch(ctx, work).Close(); err != nil {
		return nil, 0, err
	}
	if len(claimed) < granted {
		// Nothing else may be claimed. What comes next is seen by the next glance.
		return claimed, claimEvery, nil
	}
	return claimed, max(claimEvery, pace.wait(1)), nil
}

// expired returns facts about tokens that expired before their first call.
func (b *Book) expired(ctx context.Context, now time.Time, most int) ([]payments.Fact, error) {
	rows, err := b.queue.Query(ctx, expiredSQL, now, most)
	if err != nil {
		return nil, sorted("look for expired tokens", err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payments.Fact, error) {
		var donation pgtype.UUID
		over := payments.Overtime{Kind: payments.TokenExpired}
		err := row.Scan(&donation, &over.AttemptNo)
		return payments.Fact{Donation: donation.Bytes, Source: payments.FromClock, At: now, Overtime: &over}, err
	})
	return facts, sorted("look for expired tokens", err)
}

// pick locks what may be called now, chooses at most granted of it, and makes the
// parameters that are missing.
func (b *Book) pick(ctx context.Context, conn *pgx.Conn, granted int, params func(*payments.Charge) []byte) ([]payments.Charge, error) {
	again := (granted + rand.IntN(againEvery)) / againEvery
	var lines [3][]payments.Charge
	work := &pgx.Batch{}
	work.Queue(claimPromoteSQL, b.offset(), promoteRows)
	work.Queue(claimPickSQL, b.offset(), granted, again, keyMemory).Query(func(rows pgx.Rows) error {
		var (
			line     int
			donation pgtype.UUID
			currency string
			called   *time.Time
		)
		for rows.Next() {
			c := payments.Charge{Rehearsal: b.book == ledger.Rehearsal}
			var cancel int16
			if err := rows.Scan(&line, &donation, &c.AttemptNo, &currency, &c.AmountMinor, &c.Intent, &c.Token, &c.Params, &called, &c.LookFirst, &c.Campaigns, &cancel); err != nil {
				return err
			}
			c.Canceled = payments.CancelReason(cancel) == payments.CancelByDonor
			c.Donation, c.Currency = donation.Bytes, money.Currency(currency)
			if called != nil {
				c.FirstCalledAt = *called
			}
			lines[line] = append(lines[line], c)
		}
		return rows.Err()
	})
	if err := conn.SendBatch(ctx, work).Close(); err != nil {
		return nil, err
	}
	chosen := choose(lines, granted, again)
	for i := range chosen {
		if c := &chosen[i]; len(c.Params) == 0 {
			if c.Params = params(c); len(c.Params) == 0 {
				return nil, fmt.Errorf("attempt %d of donation %x: %w", c.AttemptNo, c.Donation, errNoParams)
			}
		}
	}
	return chosen, nil
}

// choose takes n of what was picked: first calls, among them as many repeats as are
// due to those; then the other repeats; then what is beyond its source's share.
func choose(lines [3][]payments.Charge, n, again int) []payments.Charge {
	first, repeats, spare := lines[0], lines[1], lines[2]
	first = first[:min(len(first), n-min(again, len(repeats), n))]
	repeats = repeats[:min(len(repeats), n-len(first))]
	spare = spare[:min(len(spare), n-len(first)-len(repeats))]
	return slices.Concat(first, repeats, spare)
}

func (b *Book) queueStore(work *pgx.Batch, r payments.ClaimRequest, claimed []payments.Charge) {
	if len(claimed) == 0 {
		return
	}
	ids, numbers, bodies := make([][16]byte, len(claimed)), make([]int32, len(claimed)), make([][]byte, len(claimed))
	for i := range claimed {
		ids[i], numbers[i], bodies[i] = claimed[i].Donation, int32(claimed[i].AttemptNo), claimed[i].Params
	}
	work.Queue(claimStoreSQL, uuids(ids), numbers, bodies, r.Holder, b.offset(), r.For)
}
