package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ledger/payments"
)

var (
	paceLockSQL  = statement("pace_lock")
	paceMakeSQL  = statement("pace_make")
	paceStoreSQL = statement("pace_store")
	paceSetSQL   = statement("pace_set")
	pacePauseSQL = statement("pace_pause")
	paceListSQL  = statement("pace_list")
)

// ErrNoPace says that an account has no such endpoint in its pace.
var ErrNoPace = errors.New("no pace for this account and endpoint")

// What an endpoint and an account may be called until somebody says otherwise: the
// processor's published limits (docs.stripe.com/rate-limits, November 2026).
const (
	endpointPerSecond = 25
	accountPerSecond  = 100
)

const clockSQL = "SELECT clock_timestamp()"

// TakePace takes from an endpoint's bucket, and from its account's, for at most n
// calls that are not claimed: refunds, cancels, look-ups. wait is when it is worth
// asking again, 0 when all n were granted. Errors: ledger.ErrUnavailable.
func (b *Book) TakePace(ctx context.Context, account, endpoint string, n int) (granted int, wait time.Duration, err error) {
	err = within(ctx, b.queue, "take pace", func(conn *pgx.Conn) error {
		pace, err := lockPace(ctx, conn, account, endpoint)
		if err != nil {
			return err
		}
		if granted = pace.granted(n); granted > 0 {
			pace.take(granted)
			work := &pgx.Batch{}
			pace.store(work)
			if err := conn.SendBatch(ctx, work).Close(); err != nil {
				return err
			}
		}
		if granted < n {
			wait = pace.wait(1)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return granted, wait, nil
}

// Slow notes that the processor refused a call of the endpoint because of its rate.
// reason is the processor's word: "global-..." slows the whole account,
// "resource-specific" nothing, anything else the endpoint. Several refusals within a
// second count once: they are one burst. The pace recovers by itself.
// Errors: ledger.ErrUnavailable.
func (b *Book) Slow(ctx context.Context, account, endpoint, reason string) error {
	if reason == "resource-specific" {
		return nil // two calls met on one object: the rate is not at fault
	}
	return within(ctx, b.queue, "slow the pace", func(conn *pgx.Conn) error {
		pace, err := lockPace(ctx, conn, account, endpoint)
		if err != nil {
			return err
		}
		slowed := pace.bucket(endpoint)
		if strings.HasPrefix(reason, "global") {
			slowed = pace.bucket(payments.EndpointAll)
		}
		if !slowed.slow(pace.now) {
			return nil
		}
		work := &pgx.Batch{}
		pace.store(work)
		return conn.SendBatch(ctx, work).Close()
	})
}

// SetPace sets how many calls a second an endpoint may get, payments.EndpointAll for the
// account as a whole, by all processes and both books together. It takes effect with
// the next claim. Errors: a rate that is none; ledger.ErrUnavailable.
func (b *Book) SetPace(ctx context.Context, account, endpoint string, perSecond float64, by string) error {
	if err := checkRate(perSecond); err != nil {
		return err
	}
	_, err := b.queue.Exec(ctx, paceSetSQL, account, endpoint, perSecond, by)
	return sorted("set the pace", err)
}

// EnsurePace is SetPace for an endpoint that has no pace yet; otherwise it does
// nothing, so that a restart never undoes what an operator has set.
func (b *Book) EnsurePace(ctx context.Context, account, endpoint string, perSecond float64, by string) error {
	if err := checkRate(perSecond); err != nil {
		return err
	}
	_, err := b.queue.Exec(ctx, paceMakeSQL, account, []string{endpoint}, []float64{perSecond}, by)
	return sorted("set the first pace", err)
}

// Pause stops all calls of an endpoint, payments.EndpointAll for the account as a
// whole, until Resume. Donations go on being taken; their calls wait. Errors:
// ErrNoPace, ledger.ErrUnavailable.
func (b *Book) Pause(ctx context.Context, account, endpoint, by string) error {
	return b.setPaused(ctx, account, endpoint, true, by)
}

// Resume undoes Pause.
func (b *Book) Resume(ctx context.Context, account, endpoint, by string) error {
	return b.setPaused(ctx, account, endpoint, false, by)
}

func (b *Book) setPaused(ctx context.Context, account, endpoint string, paused bool, by string) error {
	var one int
	err := b.queue.QueryRow(ctx, pacePauseSQL, account, endpoint, paused, by).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("pause %s of %s: %w", endpoint, account, ErrNoPace)
	}
	return sorted("pause or resume", err)
}

// Paces lists all buckets, by account and endpoint. Errors: ledger.ErrUnavailable.
func (b *Book) Paces(ctx context.Context) ([]payments.Pace, error) {
	rows, err := b.asks.Query(ctx, paceListSQL)
	if err != nil {
		return nil, sorted("list the pace", err)
	}
	paces, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p payments.Pace, err error) {
		var k bucket
		var slowed *time.Time
		var now time.Time
		err = row.Scan(&p.Account, &p.Endpoint, &k.perSecond, &k.current, &slowed, &k.tokens, &k.filledAt, &k.paused, &p.ChangedBy, &now)
		if slowed != nil {
			k.slowedAt, p.SlowedAt = *slowed, *slowed
		}
		p.PerSecond, p.Current, p.Paused = k.perSecond, k.rate(now), k.paused
		return p, err
	})
	return paces, sorted("list the pace", err)
}

func checkRate(perSecond float64) error {
	if !(perSecond > 0 && perSecond <= PerSecondMax) {
		return fmt.Errorf("a pace of %v a second: not above 0 and at most %d", perSecond, PerSecondMax)
	}
	return nil
}

// PerSecondMax is far beyond any processor: a pace with a digit too many is a typo.
const PerSecondMax = 100_000

// heldPace are the buckets of one endpoint and of its account, locked until the
// transaction ends.
type heldPace struct {
	account string
	buckets []*bucket // the account's first
	now     time.Time // the database's clock, after the lock
}

// lockPace locks the buckets, after making those that are not there, and fills them.
func lockPace(ctx context.Context, conn *pgx.Conn, account, endpoint string) (*heldPace, error) {
	pace := &heldPace{account: account}
	want := 2
	if endpoint == payments.EndpointAll {
		want = 1
	}
	for len(pace.buckets) < want {
		if pace.buckets != nil {
			endpoints, rates := []string{payments.EndpointAll, endpoint}, []float64{accountPerSecond, endpointPerSecond}
			if _, err := conn.Exec(ctx, paceMakeSQL, account, endpoints[:want], rates[:want], "default"); err != nil {
				return nil, err
			}
		}
		work := &pgx.Batch{}
		work.Queue(paceLockSQL, account, endpoint).Query(func(rows pgx.Rows) (err error) {
			pace.buckets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*bucket, error) {
				k, slowed := &bucket{}, (*time.Time)(nil)
				err := row.Scan(&k.endpoint, &k.perSecond, &k.current, &slowed, &k.tokens, &k.filledAt, &k.paused)
				if slowed != nil {
					k.slowedAt = *slowed
				}
				return k, err
			})
			return err
		})
		work.Queue(clockSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&pace.now) })
		if err := conn.SendBatch(ctx, work).Close(); err != nil {
			return nil, err
		}
	}
	for _, k := range pace.buckets {
		k.fill(pace.now)
	}
	return pace, nil
}

func (p *heldPace) bucket(endpoint string) *bucket {
	for _, k := range p.buckets {
		if k.endpoint == endpoint {
			return k
		}
	}
	return p.buckets[0]
}

// granted is how many of n calls all buckets allow.
func (p *heldPace) granted(n int) int {
	for _, k := range p.buckets {
		n = min(n, k.whole())
	}
	return n
}

func (p *heldPace) take(n int) {
	for _, k := range p.buckets {
		k.tokens -= float64(n)
	}
}

// wait is how long it takes until all buckets allow n calls.
func (p *heldPace) wait(n int) (wait time.Duration) {
	for _, k := range p.buckets {
		wait = max(wait, k.wait(n, p.now))
	}
	return wait
}

func (p *heldPace) store(work *pgx.Batch) {
	for _, k := range p.buckets {
		var slowed *time.Time
		if !k.slowedAt.IsZero() {
			slowed = &k.slowedAt
		}
		work.Queue(paceStoreSQL, p.account, k.endpoint, k.current, slowed, k.tokens, k.filledAt)
	}
}
