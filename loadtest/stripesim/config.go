package stripesim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// Config says what the stand-in is and how it behaves.
type Config struct {
	// Data is the folder of the log; made when missing. Empty: the log is a file
	// without a name that ends with the process.
	Data string
	// Key is the secret key that calls must carry, "sk_test_..."; empty accepts any.
	Key string
	// WebhookURL is where events are sent; empty sends none.
	WebhookURL string
	// WebhookEvents are the types that its endpoint subscribes to; none is all of them.
	WebhookEvents []string
	// WebhookSecret signs them ("whsec_..."); required with WebhookURL.
	WebhookSecret string
	// WebhookSenders is how many webhooks are on their way at once; 0 is 8.
	WebhookSenders int
	// WebhookTimeout is how long a receiver may take to answer; 0 is 10 s.
	WebhookTimeout time.Duration
	// WebhookRetry is the pause after the first failed delivery, doubled after each
	// further one up to an hour, for three days in all; 0 is 1 s.
	WebhookRetry time.Duration

	// Seed decides all faults, latencies, declines and IDs. 0 draws one. A log keeps
	// the seed of its IDs from its first start; faults follow the one given.
	Seed uint64
	// Now is the clock of everything that is written; nil is time.Now. Waits are
	// always real. See also Server.Advance.
	Now func() time.Time

	// Limits are the rate limits; the zero value has none. StripeLimits are Stripe's.
	Limits Limits
	// Latency is how long calls take; the zero value takes no longer than it must.
	Latency Latency
	// Fees are what the processor keeps; the zero value is 2.9 % + 30, disputes 15.00.
	Fees Fees
	// Faults are those at the start; they can be changed live.
	Faults Faults

	// SearchLag is how far search is behind; 0 is 1 minute, negative is none.
	SearchLag time.Duration
	// TokenLife is the life of a confirmation token of the test helper; 0 is 12 h.
	TokenLife time.Duration
	// KeyLife is how long idempotency keys are remembered; 0 is 24 h.
	KeyLife time.Duration
	// AvailableAfter is when captured money can be paid out; 0 is 48 h, negative at once.
	AvailableAfter time.Duration
	// PayoutEvery makes automatic payouts of what is available; 0 makes none.
	PayoutEvery time.Duration
	// DisputeAfter is when the dispute of a card that disputes comes; 0 is 1 s.
	DisputeAfter time.Duration
	// SettleAfter is when what is pending settles (refunds, payouts, processing); 0 is 1 s.
	SettleAfter time.Duration
	// Slow is how much longer a slow card takes; 0 is 5 s.
	Slow time.Duration
	// HangMax bounds how long an answer that never comes is not given; 0 is 60 s.
	HangMax time.Duration
	// DonationKey is the metadata that names a donation in the books; empty is "donation".
	DonationKey string

	Log *slog.Logger // nil is slog.Default()
}

// Limits are requests per second, as Stripe counts them: an endpoint is a method
// and a path with its ID left out. A limit of 0 is none.
type Limits struct {
	PerEndpoint int `json:"per_endpoint"` // requests per second
	PerAccount  int `json:"per_account"`  // requests per second over all endpoints
	Search      int `json:"search"`       // requests per second to search; Stripe's own is 20
	// Concurrent is how many calls may be in execution at once over all endpoints.
	Concurrent int `json:"concurrent"`
}

// StripeLimits are those of a live account by default (docs.stripe.com/rate-limits,
// read 2026-11).
func StripeLimits() Limits { return Limits{PerEndpoint: 25, PerAccount: 100, Search: 20} }

// Latency is a log-normal distribution of how long calls take; reads take a quarter.
type Latency struct {
	Median time.Duration
	P99    time.Duration // at least Median; 0 is Median
}

// Fees are what the processor keeps. A charge's fee is BasisPoints of its amount,
// rounded half up to the smallest unit, and Fixed of those units on top.
type Fees struct {
	BasisPoints int64 // 290 is 2.9 %; negative is none
	Fixed       int64 // smallest units of the charge's currency; negative is none
	// Dispute is taken when one is opened, and given back with one that is won only
	// when DisputeReturned.
	Dispute         int64 // smallest units; negative is none
	DisputeReturned bool
}

const (
	webhookSendersDefault = 8
	webhookTimeoutDefault = 10 * time.Second
	webhookRetryDefault   = time.Second
	searchLagDefault      = time.Minute
	tokenLifeDefault      = 12 * time.Hour
	keyLifeDefault        = 24 * time.Hour
	availableAfterDefault = 48 * time.Hour
	settleAfterDefault    = time.Second
	slowDefault           = 5 * time.Second
	hangMaxDefault        = time.Minute
	feeBasisPointsDefault = 290
	feeFixedDefault       = 30
	feeDisputeDefault     = 1500
	donationKeyDefault    = "donation"
)

// Validate reports everything that is wrong at once.
func (c *Config) Validate() error {
	var wrong []error
	if c.WebhookURL != "" {
		if u, err := url.Parse(c.WebhookURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			wrong = append(wrong, errors.New("webhook URL is not an http(s) address"))
		}
		if c.WebhookSecret == "" {
			wrong = append(wrong, errors.New("webhook URL without a secret to sign with"))
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"webhook senders", c.WebhookSenders}, {"limit per endpoint", c.Limits.PerEndpoint},
		{"limit per account", c.Limits.PerAccount}, {"limit of search", c.Limits.Search}, {"limit of concurrent calls", c.Limits.Concurrent},
	} {
		if n.value < 0 {
			wrong = append(wrong, fmt.Errorf("%s is negative: %d", n.name, n.value))
		}
	}
	if c.Latency.Median < 0 || c.Latency.P99 != 0 && c.Latency.P99 < c.Latency.Median {
		wrong = append(wrong, fmt.Errorf("latency: median %s, 99th percentile %s", c.Latency.Median, c.Latency.P99))
	}
	return errors.Join(append(wrong, c.Faults.Validate())...)
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	positive(&c.WebhookTimeout, webhookTimeoutDefault)
	positive(&c.WebhookRetry, webhookRetryDefault)
	positive(&c.SearchLag, searchLagDefault)
	positive(&c.TokenLife, tokenLifeDefault)
	positive(&c.KeyLife, keyLifeDefault)
	positive(&c.AvailableAfter, availableAfterDefault)
	positive(&c.DisputeAfter, settleAfterDefault)
	positive(&c.SettleAfter, settleAfterDefault)
	positive(&c.Slow, slowDefault)
	positive(&c.HangMax, hangMaxDefault)
	positive(&c.Latency.P99, c.Latency.Median)
	positive(&c.Fees.BasisPoints, feeBasisPointsDefault)
	positive(&c.Fees.Fixed, feeFixedDefault)
	positive(&c.Fees.Dispute, feeDisputeDefault)
	if c.WebhookSenders == 0 {
		c.WebhookSenders = webhookSendersDefault
	}
	if c.DonationKey == "" {
		c.DonationKey = donationKeyDefault
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// positive gives a value that was left zero its default, and turns a negative one
// into the zero that it stands for.
func positive[T ~int64](value *T, otherwise T) {
	if *value == 0 {
		*value = otherwise
	}
	*value = max(*value, 0)
}
