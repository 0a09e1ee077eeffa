// Package charge works off the queue of charges: it makes attempts of recorded
// donations, claims them at the pace the processor allows, calls the processor,
// and applies what is learnt. Answers to calls, webhooks, the sweeper's findings,
// donors' wishes and the passing of time are all facts, applied on one road.
//
// The one invariant: whatever was learnt from the processor is applied or comes
// again. An answer is held until its transaction has committed; an event is
// acknowledged after it was applied, parked or set aside, each durably.
//
// Goroutines, all started by Run and all ended when it returns:
//   - per book: expand, claim, one per call under way, apply, wishes, cancels,
//     refunds, commands, parked, figures;
//   - of all books: webhooks with its heartbeat, and sweep.
package charge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"spillway/ledger"
)

// Config bounds the work. Zero fields take the default that is named with them.
type Config struct {
	// Account names the account at the processor, whose pace all processes share.
	// "default".
	Account string
	// Simulator says that the processor moves no money; without it rehearsals are
	// not charged.
	Simulator bool
	// Mode says whether the account's key is of the processor's live or test mode;
	// events of the other one are ignored, whatever they claim. Zero takes both.
	Mode Mode
	// Holder names this process in claims. It must differ from every other process's.
	Holder string

	// CallsMax bounds the calls under way of one book, and with it what is lost from
	// sight, for ClaimFor, when the process dies: pace times latency, with room for a
	// processor that has become slow. 1024.
	CallsMax int
	// CallTimeout bounds one call. Longer than the adapter's own, which knows more. 20 s.
	CallTimeout time.Duration
	// ClaimFor is after how long an unanswered claim lapses: longer than a call and
	// its commit take, so that a live process is not doubled for nothing. 45 s.
	ClaimFor time.Duration
	// ClaimEvery is the least time between two claims: at 250/s five are then
	// claimed in one transaction. 20 ms.
	ClaimEvery time.Duration
	// Poll is the pace of looking for work that nobody announces. 100 ms.
	Poll time.Duration
	// ActWithin is how long a donor who must act (3-D Secure) may take before the payment
	// is canceled. payments.ActWithinDefault.
	ActWithin time.Duration
	// ExpandBatch bounds the attempts made in one transaction. 500.
	ExpandBatch int

	// ApplyMax bounds the facts of one transaction, but for one submission's own. 256.
	ApplyMax int
	// ApplyWait is how long a fact waits for others to share its transaction. 3 ms.
	ApplyWait time.Duration

	// AckWait is the broker's patience with webhooks and commands. 10 s.
	AckWait time.Duration
	// HoldMax ends the reports that a message is in progress: see consumer.Config. 1 min.
	HoldMax time.Duration

	// AskAfter is how long a payment waits for its answer, or a capture for its fee, before
	// the processor is asked: most answers come within seconds. 2 min.
	AskAfter time.Duration
	// SweepEvery is the pace of asking the processor about what never came. 1 min.
	SweepEvery time.Duration
	// SweepGrace is how old an event must be before it is taken not to have come: the
	// processor delivers nearly all of them within seconds. 1 min.
	SweepGrace time.Duration
	// SweepPages bounds one sweep's list calls, which are rationed beside: what it can
	// catch up is a hundred events each. 600, a tenth of what Stripe lets an account ask.
	SweepPages int

	// StopTimeout bounds what happens after Run's context has ended: calls under way
	// are answered, and what they said is committed. 30 s.
	StopTimeout time.Duration
}

// Mode is one of the two worlds that a processor keeps apart.
type Mode int

// The modes.
const (
	AnyMode  Mode = 0
	LiveMode Mode = 1 // real money
	TestMode Mode = 2
)

// The defaults of Config; its comments say why.
const (
	defaultAccount     = "default"
	defaultCallsMax    = 1024
	defaultCallTimeout = 20 * time.Second
	defaultClaimFor    = 45 * time.Second
	defaultClaimEvery  = 20 * time.Millisecond
	defaultPoll        = 100 * time.Millisecond
	defaultExpandBatch = 500
	defaultApplyMax    = 256
	defaultApplyWait   = 3 * time.Millisecond
	defaultAckWait     = 10 * time.Second
	defaultHoldMax     = time.Minute
	defaultAskAfter    = 2 * time.Minute
	defaultSweepEvery  = time.Minute
	defaultSweepGrace  = time.Minute
	defaultSweepPages  = 600
	defaultStop        = 30 * time.Second
)

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, or time.Duration) {
		if *d == 0 {
			*d = or
		}
	}
	number := func(n *int, or int) {
		if *n == 0 {
			*n = or
		}
	}
	if c.Account == "" {
		c.Account = defaultAccount
	}
	number(&c.CallsMax, defaultCallsMax)
	duration(&c.CallTimeout, defaultCallTimeout)
	duration(&c.ClaimFor, defaultClaimFor)
	duration(&c.ClaimEvery, defaultClaimEvery)
	duration(&c.Poll, defaultPoll)
	number(&c.ExpandBatch, defaultExpandBatch)
	number(&c.ApplyMax, defaultApplyMax)
	duration(&c.ApplyWait, defaultApplyWait)
	duration(&c.AckWait, defaultAckWait)
	duration(&c.HoldMax, defaultHoldMax)
	duration(&c.AskAfter, defaultAskAfter)
	duration(&c.SweepEvery, defaultSweepEvery)
	duration(&c.SweepGrace, defaultSweepGrace)
	number(&c.SweepPages, defaultSweepPages)
	duration(&c.StopTimeout, defaultStop)
	return c
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	for name, d := range map[string]time.Duration{
		"CallTimeout": c.CallTimeout, "ClaimFor": c.ClaimFor, "ClaimEvery": c.ClaimEvery, "Poll": c.Poll, "ApplyWait": c.ApplyWait,
		"AckWait": c.AckWait, "HoldMax": c.HoldMax, "AskAfter": c.AskAfter, "SweepEvery": c.SweepEvery, "SweepGrace": c.SweepGrace, "StopTimeout": c.StopTimeout,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("charge: %s is negative", name))
		}
	}
	for name, n := range map[string]int{
		"CallsMax": c.CallsMax, "ExpandBatch": c.ExpandBatch, "ApplyMax": c.ApplyMax, "SweepPages": c.SweepPages,
	} {
		if n < 0 || n > math.MaxInt32 {
			errs = append(errs, fmt.Errorf("charge: %s is out of range", name))
		}
	}
	if c.ClaimFor <= c.CallTimeout {
		errs = append(errs, errors.New("charge: ClaimFor must be longer than CallTimeout"))
	}
	if c.Holder == "" {
		errs = append(errs, errors.New("charge: a holder's name is needed"))
	}
	return errors.Join(errs...)
}

// Service charges some books at one processor.
type Service struct {
	config  Config
	deps    Deps
	desks   []*desk
	metrics *metrics
	log     *slog.Logger
	seen    *seen // events
}

// New makes a service; Run starts it.
func New(config Config, deps Deps) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if len(deps.Books) == 0 || deps.Processor == nil || deps.Webhooks == nil {
		return nil, errors.New("charge: a book, a processor and its webhooks are needed")
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Service{config: config.withDefaults(), deps: deps, log: deps.Log, metrics: newMetrics(deps.Registerer), seen: newSeen()}
	seen := map[ledger.Book]bool{}
	for _, b := range deps.Books {
		switch {
		case seen[b.Book] || b.Store == nil || b.Slot == nil:
			return nil, fmt.Errorf("charge: book %s is given twice, or without a store or a slot", b.Book)
		case b.Book == ledger.Rehearsal && !config.Simulator:
			return nil, errors.New("charge: rehearsals are charged at the simulator alone")
		}
		seen[b.Book] = true
		s.desks = append(s.desks, newDesk(s, b))
	}
	return s, nil
}

// Run charges until ctx ends. Then nothing more is claimed, the calls under way are
// answered and applied, for at most StopTimeout, and Run returns nil. It needs
// neither database, broker nor processor to be there, and survives their absence.
func (s *Service) Run(ctx context.Context) error {
	return s.run(ctx)
}
