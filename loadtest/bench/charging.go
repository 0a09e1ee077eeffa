package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ingest/webhook"
	"spillway/ledger/payments/stripe"
)

// chargingPace is the pace of charging beside the acknowledgements, ten times what
// Stripe allows by default: the offered rate is far above it, so that there is a
// backlog from the first second on.
const chargingPace = 250

// webhookSecret signs what the processor's stand-in tells the front-end.
const webhookSecret = "whsec_bench"

// ackTolerance and ackToleranceMS: with charging beside, p99 of acknowledgements may
// be half above that without, or 5 ms where that is more.
const (
	ackTolerance   = 1.5
	ackToleranceMS = 5
)

// charging measures what donors feel of cards being charged beside them: the same
// load on two fresh services in turn, one that charges and one that does not.
func (b *bench) charging(ctx context.Context, hooks Hooks) error {
	for i := range b.Repeats {
		p99 := map[bool]float64{}
		order := []bool{false, true}
		if i%2 == 1 { // each is as often the first as the second
			slices.Reverse(order)
		}
		var rate float64
		for _, charges := range order {
			got, perSecond, err := b.offeredBeside(ctx, hooks, filepath.Join(b.dir, fmt.Sprintf("charging%d", i)), charges)
			if err != nil {
				return err
			}
			p99[charges] = ms(got.AckP99)
			if charges {
				rate = perSecond
			}
		}
		allowed := max(ackTolerance*p99[false], p99[false]+ackToleranceMS)
		r := b.report
		r.add("charging_off_ack_p99_ms", p99[false])
		r.add("charging_on_ack_p99_ms", p99[true])
		r.add("charging_calls_per_second", rate)
		r.add("charging_ack_p99_over_allowed", p99[true]/allowed)
		b.say("charging %d/%d: ack p99 %.1f ms without, %.1f ms with %.0f charges/s beside (%.2f of what is allowed)", i+1, b.Repeats,
			p99[false], p99[true], rate, p99[true]/allowed)
	}
	return nil
}

// processor starts the stand-in for Stripe, which tells the front-end what became of
// the cards. The real one has machines of its own: so that this one takes nothing of
// the disk that acknowledgements wait for, its books are in memory.
func (b *bench) processor(ctx context.Context, address, frontEnd string) (*process, error) {
	p, err := start(b.dir, "processor", "http://"+address, "stripesim", "--listen", address, "--limit-endpoint", "0", "--limit-account", "0",
		"--webhook-url", frontEnd+webhook.Path, "--webhook-secret", webhookSecret, "--webhook-events", strings.Join(stripe.EventTypes, ","))
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, "/sim/stats"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// offeredBeside offers the load to a fresh service, and says how many charges were
// called per second meanwhile.
func (b *bench) offeredBeside(ctx context.Context, hooks Hooks, data string, charges bool) (got Offered, perSecond float64, err error) {
	address, err := freeAddress()
	if err != nil {
		return got, 0, err
	}
	args := []string{"--no-payments"}
	if charges {
		args = []string{"--pace", fmt.Sprint(chargingPace), "--simulator", "http://" + address, "--stripe-webhook-secrets", webhookSecret}
	}
	s, err := b.up(ctx, hooks, data, 0, args...)
	if err != nil {
		return got, 0, err
	}
	defer func() { err = errors.Join(err, s.stop(), os.RemoveAll(data)) }()
	if charges {
		processor, err := b.processor(ctx, address, s.HTTP)
		if err != nil {
			return got, 0, err
		}
		defer func() { err = errors.Join(err, processor.stop()) }()
	}
	began := time.Now()
	if got, err = hooks.Rehearse(ctx, data, b.Offered, 2*b.Short); err != nil {
		return got, 0, err
	}
	if !got.Proven {
		return got, 0, errors.New("the rehearsal's proof did not hold")
	}
	c, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return got, 0, err
	}
	defer c.Close(ctx)
	var calls int64
	if err := c.QueryRow(ctx, "select coalesce(sum(calls), 0)::bigint from rehearsal.attempts").Scan(&calls); err != nil {
		return got, 0, err
	}
	if charges != (calls > 0) {
		return got, 0, fmt.Errorf("%d charges were called, charging %v", calls, charges)
	}
	return got, float64(calls) / time.Since(began).Seconds(), nil
}
