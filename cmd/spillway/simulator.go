package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/ingest/webhook"
	"spillway/ledger/payments/stripe"
	"spillway/loadtest/stripesim"
)

// What the simulator inside `up` is like: a quick processor with the limits that
// the pace expects. Faults are switched on live, see 'spillway stripesim --help'.
const (
	simulatorMedian = 120 * time.Millisecond
	simulatorP99    = 600 * time.Millisecond
	// simulatorStop is what it gets for the calls inside and the end of its log.
	simulatorStop = 15 * time.Second
	// simulatorRetry is the pause before one that ended is started again.
	simulatorRetry = 2 * time.Second
)

// processor sees to who charges: Stripe, a simulator elsewhere, or one in this
// process, on a loopback port, with its log in the data folder. That one tells its
// events to the front-end like the real one would.
func (u *up) processor(ctx context.Context) error {
	switch {
	case u.Simulator != "":
		u.run.SimulatorURL = u.Simulator
		u.simulatorURL.Store(u.Simulator)
		u.progress.note("processor   a simulator at %s", u.Simulator)
		return nil
	case u.StripeKey != "":
		u.progress.note("processor   Stripe, %s", map[bool]string{true: "live: real money", false: "test mode"}[u.Live()])
		return nil
	case !u.simulated():
		// Gifts of a database that was named are not told to be paid by a simulator
		// that nobody asked for.
		u.progress.note("processor   none: gifts stay accepted until SPILLWAY_STRIPE_KEY or --simulator is given")
		return nil
	}
	return u.progress.step("processor", func() error { return u.simulate(ctx) }, func() string { return "is simulated; no money moves" })
}

// simulated tells whether cards are charged at a simulator, here or elsewhere.
func (u *up) simulated() bool {
	return u.Simulator != "" || u.StripeKey == "" && (u.DatabaseURL == "" || u.Demo)
}

// simulatorAddress is what the front-end finds the simulator by, nil without one. The
// front-end starts first.
func (u *up) simulatorAddress() func() string {
	if !u.simulated() {
		return nil
	}
	return func() string {
		address, _ := u.simulatorURL.Load().(string)
		return address
	}
}

// simulate starts the simulator and makes it the processor.
func (u *up) simulate(ctx context.Context) error {
	cfg := stripesim.Config{
		Data: u.folder.Path("stripesim"), Key: simulatorKey,
		WebhookURL: u.run.HTTPURL + webhook.Path, WebhookSecret: u.StripeWebhookSecrets[0].Reveal(), WebhookEvents: stripe.EventTypes,
		Limits:  stripesim.Limits{PerEndpoint: u.Pace, PerAccount: accountShare * u.Pace, Search: stripesim.StripeLimits().Search},
		Latency: stripesim.Latency{Median: simulatorMedian, P99: simulatorP99},
		Log:     u.p.log.With("component", "simulator"),
	}
	sim, ln, err := openSimulator(cfg, "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := ln.Addr().String()
	u.Simulator = "http://" + address
	u.run.SimulatorURL = u.Simulator
	u.simulatorURL.Store(u.Simulator)
	u.group.Go(ctx, "simulator", simulatorStop, func(ctx context.Context) error {
		for {
			err := sim.Run(ctx, ln)
			if ctx.Err() != nil {
				return err
			}
			// Its log cannot be written, as on a full disk: the processor is away for a
			// while, which payments are made for. Nothing else ends with it.
			cfg.Log.Error("the simulator ended; starting it again", "error", err)
			if sim, ln = reopenSimulator(ctx, cfg, address); sim == nil {
				return nil
			}
		}
	})
	return nil
}

// openSimulator rebuilds the simulator from its log and listens.
func openSimulator(cfg stripesim.Config, address string) (*stripesim.Server, net.Listener, error) {
	sim, err := stripesim.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, errors.Join(err, sim.Close())
	}
	return sim, ln, nil
}

// reopenSimulator tries until it is there again, or ctx ends: then it returns nil.
func reopenSimulator(ctx context.Context, cfg stripesim.Config, address string) (*stripesim.Server, net.Listener) {
	tick := time.NewTicker(simulatorRetry)
	defer tick.Stop()
	for said := false; ; {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-tick.C:
		}
		sim, ln, err := openSimulator(cfg, address)
		if err == nil {
			return sim, ln
		}
		if !said {
			cfg.Log.Error("the simulator does not start", "error", err)
			said = true
		}
	}
}

// checkProcessor refuses what would charge wrongly before anything is started, and
// makes the secret that the simulator inside signs its events with.
func (u *up) checkProcessor() error {
	if err := u.Processor.Check(); err != nil {
		return err
	}
	if len(u.StripeWebhookSecrets) > 0 {
		return nil
	}
	if u.StripeKey != "" && u.Simulator == "" {
		return config.ErrNoWebhookSecret
	}
	// Of this run alone: events are signed when they are sent.
	u.StripeWebhookSecrets = []config.Secret{config.Secret("whsec_" + rand.Text())}
	return nil
}
