package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest/stripesim"
)

// stripesimCommand runs the stand-in for the processor's API by itself. Its variables
// have a prefix of their own: those of the roles beside it are not for it.
type stripesimCommand struct {
	Listen string        `env:"SPILLWAY_STRIPESIM_LISTEN" default:"127.0.0.1:12111" placeholder:"HOST:PORT" help:"Address of the API and of its controls (${default}). Keep it private."`
	Data   string        `env:"SPILLWAY_STRIPESIM_DATA" placeholder:"DIR" type:"path" help:"Folder of the log: everything answered is found again after a crash. Without it, nothing outlives the process."`
	Key    config.Secret `env:"SPILLWAY_STRIPESIM_KEY" placeholder:"KEY" help:"Secret key that calls must carry, sk_test_...; any is taken without it."`
	Seed   uint64        `env:"SPILLWAY_STRIPESIM_SEED" placeholder:"N" help:"Decides faults, latencies and declines: the same calls meet the same fate. One is drawn and logged when none is given."`

	WebhookURL    string        `name:"webhook-url" env:"SPILLWAY_STRIPESIM_WEBHOOK_URL" placeholder:"URL" help:"Where events are sent, such as http://127.0.0.1:8080/v1/webhooks/stripe."`
	WebhookEvents []string      `env:"SPILLWAY_STRIPESIM_WEBHOOK_EVENTS" placeholder:"TYPE,..." help:"Types of the events that are sent; all of them when not given."`
	WebhookSecret config.Secret `env:"SPILLWAY_STRIPESIM_WEBHOOK_SECRET" placeholder:"SECRET" help:"Signs the events, whsec_..."`

	LimitEndpoint int `env:"SPILLWAY_STRIPESIM_LIMIT_ENDPOINT" default:"25" placeholder:"N" help:"Requests per second to one endpoint (${default}); 0 is no limit."`
	LimitAccount  int `env:"SPILLWAY_STRIPESIM_LIMIT_ACCOUNT" default:"100" placeholder:"N" help:"Requests per second in all (${default}); 0 is no limit."`

	Latency    time.Duration `env:"SPILLWAY_STRIPESIM_LATENCY" default:"300ms" help:"Median of how long a call takes (${default})."`
	LatencyP99 time.Duration `name:"latency-p99" env:"SPILLWAY_STRIPESIM_LATENCY_P99" default:"1200ms" help:"99th percentile of it (${default})."`

	Decline          float64       `env:"SPILLWAY_STRIPESIM_DECLINE" placeholder:"RATE" help:"Part of the good cards that is declined, 0..1."`
	Authenticate     float64       `env:"SPILLWAY_STRIPESIM_AUTHENTICATE" placeholder:"RATE" help:"Part that asks for 3-D Secure."`
	DonorsAfter      time.Duration `env:"SPILLWAY_STRIPESIM_DONORS_AFTER" default:"5s" help:"When a donor who is asked acts by himself (${default}); 0s is never."`
	DonorsSucceed    float64       `env:"SPILLWAY_STRIPESIM_DONORS_SUCCEED" default:"0" placeholder:"RATE" help:"Part of those that succeeds; the others stay away."`
	DonorsFail       float64       `env:"SPILLWAY_STRIPESIM_DONORS_FAIL" default:"0" placeholder:"RATE" help:"Part of those that fails."`
	TimeoutRate      float64       `env:"SPILLWAY_STRIPESIM_TIMEOUT_RATE" placeholder:"RATE" help:"Part of the calls that is carried out and never answered."`
	ResetRate        float64       `env:"SPILLWAY_STRIPESIM_RESET_RATE" placeholder:"RATE" help:"Part whose answer ends in a reset connection."`
	ErrorRate        float64       `env:"SPILLWAY_STRIPESIM_ERROR_RATE" placeholder:"RATE" help:"Part that answers 500 and does nothing."`
	ErrorAfterRate   float64       `env:"SPILLWAY_STRIPESIM_ERROR_AFTER_RATE" placeholder:"RATE" help:"Part that answers 500 and is carried out all the same."`
	RateLimitRate    float64       `env:"SPILLWAY_STRIPESIM_RATE_LIMIT_RATE" placeholder:"RATE" help:"Part that answers 429 whatever the limits: a storm."`
	DisputeRate      float64       `env:"SPILLWAY_STRIPESIM_DISPUTE_RATE" placeholder:"RATE" help:"Part of the charges that is disputed."`
	DisputeWon       float64       `env:"SPILLWAY_STRIPESIM_DISPUTE_WON" placeholder:"RATE" help:"Part of the disputes that is won by itself; what is neither won nor lost stays open."`
	DisputeLost      float64       `env:"SPILLWAY_STRIPESIM_DISPUTE_LOST" placeholder:"RATE" help:"Part of them that is lost."`
	Outage           string        `env:"SPILLWAY_STRIPESIM_OUTAGE" enum:",unavailable,hanging,disconnected" default:"" placeholder:"KIND" help:"Not there from the start: unavailable, hanging or disconnected."`
	WebhookLoss      float64       `env:"SPILLWAY_STRIPESIM_WEBHOOK_LOSS" placeholder:"RATE" help:"Part of the events that is never sent."`
	WebhookDuplicate float64       `env:"SPILLWAY_STRIPESIM_WEBHOOK_DUPLICATE" placeholder:"RATE" help:"Part that is sent twice."`
	WebhookReorder   float64       `env:"SPILLWAY_STRIPESIM_WEBHOOK_REORDER" placeholder:"RATE" help:"Part that is held back, so that later ones overtake it."`
	WebhookReorderBy time.Duration `env:"SPILLWAY_STRIPESIM_WEBHOOK_REORDER_BY" default:"5s" help:"By how much at most (${default})."`
	WebhookDelay     time.Duration `env:"SPILLWAY_STRIPESIM_WEBHOOK_DELAY" default:"100ms" help:"Mean time from what happened to its event (${default})."`

	PayoutEvery time.Duration `env:"SPILLWAY_STRIPESIM_PAYOUT_EVERY" default:"0s" help:"How often what is available is paid out; 0s is when told to."`
	SearchLag   time.Duration `env:"SPILLWAY_STRIPESIM_SEARCH_LAG" default:"1m" help:"How far search is behind (${default})."`
	FeeBasis    int64         `env:"SPILLWAY_STRIPESIM_FEE_BASIS" default:"290" placeholder:"N" help:"Fee of a charge in hundredths of a percent (${default})."`
	FeeFixed    int64         `env:"SPILLWAY_STRIPESIM_FEE_FIXED" default:"30" placeholder:"N" help:"Fixed part of the fee in the currency's smallest unit (${default})."`
}

// Help is shown by --help.
func (stripesimCommand) Help() string {
	return `Speaks the part of Stripe's HTTP API that payments need, over real HTTP and with real state: payment intents, confirmation tokens, charges, refunds, disputes, balance transactions, payouts, events, signed webhooks, idempotency keys and rate limits. 'spillway up' runs one inside when no Stripe key is set.

Confirmation tokens that do something: ` + strings.Join(stripesim.Tokens(), ", ") + `. "_" and anything may follow the name; every other ctoken_... is a good Visa's. POST /v1/test_helpers/confirmation_tokens makes single-use ones.

Controls, beside the API: GET /sim/books, /sim/stats, /sim/faults; POST /sim/faults, /sim/limits, /sim/clock?advance=1h, /sim/intents/ID/authenticate?outcome=succeed|fail|abandon, /sim/charges/ID/dispute, /sim/disputes/ID/close?outcome=won|lost, /sim/payouts, /sim/payouts/ID/fail, /sim/events/ID/resend.

Examples:
    spillway stripesim --data /tmp/sim --seed 7
    spillway stripesim --decline 0.05 --authenticate 0.02 --timeout-rate 0.01 --webhook-loss 0.03
    curl -X POST localhost:12111/v1/payment_intents -d amount=5000 -d currency=usd \
        -d confirm=true -d confirmation_token=ctoken_card_visa
    curl -X POST localhost:12111/sim/faults -d '{"outage":"hanging"}'
    curl localhost:12111/sim/books`
}

// config is the stand-in's, from the flags.
func (c *stripesimCommand) config(p *process) stripesim.Config {
	zeroIsNone := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	return stripesim.Config{
		Data: c.Data, Key: c.Key.Reveal(), Seed: c.Seed, Log: p.log,
		WebhookURL: c.WebhookURL, WebhookSecret: c.WebhookSecret.Reveal(), WebhookEvents: c.WebhookEvents,
		Limits:      stripesim.Limits{PerEndpoint: c.LimitEndpoint, PerAccount: c.LimitAccount, Search: stripesim.StripeLimits().Search},
		Latency:     stripesim.Latency{Median: c.Latency, P99: c.LatencyP99},
		Fees:        stripesim.Fees{BasisPoints: zeroIsNone(c.FeeBasis), Fixed: zeroIsNone(c.FeeFixed)},
		PayoutEvery: c.PayoutEvery,
		SearchLag:   time.Duration(zeroIsNone(int64(c.SearchLag))),
		Faults: stripesim.Faults{
			Outage: stripesim.Outage(c.Outage), DeclineRate: c.Decline, AuthenticateRate: c.Authenticate, TimeoutRate: c.TimeoutRate,
			ResetRate: c.ResetRate, ErrorRate: c.ErrorRate, ErrorAfterRate: c.ErrorAfterRate, RateLimitRate: c.RateLimitRate, DisputeRate: c.DisputeRate,
			DisputeWonRate: c.DisputeWon, DisputeLostRate: c.DisputeLost,
			Donors: stripesim.Donors{After: stripesim.Span(c.DonorsAfter), SucceedRate: c.DonorsSucceed, FailRate: c.DonorsFail},
			Webhooks: stripesim.WebhookFaults{
				LossRate: c.WebhookLoss, DuplicateRate: c.WebhookDuplicate, ReorderRate: c.WebhookReorder,
				ReorderBy: stripesim.Span(c.WebhookReorderBy), Delay: stripesim.Span(c.WebhookDelay),
			},
		},
	}
}

// Run serves until it is told to stop.
func (c *stripesimCommand) Run(p *process) error {
	sim, err := stripesim.New(c.config(p))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		if e := sim.Close(); e != nil {
			p.log.Warn("close the log", "error", e)
		}
		return fmt.Errorf("listen: %w", err)
	}
	p.log.Info("a stand-in for Stripe, no money moves", "address", ln.Addr().String(), "seed", sim.Seed())
	return sim.Run(p.ctx, ln)
}
