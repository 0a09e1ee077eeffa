package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/ingest/webhook"
	"spillway/loadtest/stripesim"
)

// What the simulator inside `up` is like: a quick processor with the limits that
// the pace expects. Faults are switched on live, see 'spillway stripesim --help'.
const (
	simulatorMedian = 120 * time.Millisecond
	simulatorP99    = 600 * time.Millisecond
	// simulatorStop is what it gets for the calls inside and the end of its log.
	simulatorStop = 15 * time.Second
)

// processor sees to who charges: Stripe, a simulator elsewhere, or one in this
// process, on a loopback port, with its log in the data folder. That one tells its
// events to the front-end like the real one would.
func (u *up) processor(ctx context.Context) error {
	switch {
	case u.Simulator != "":
		u.run.SimulatorURL = u.Simulator
		u.progress.note("processor   a simulator at %s", u.Simulator)
		return nil
	case u.StripeKey != "":
		u.progress.note("processor   Stripe, %s", map[bool]string{true: "live: real money", false: "test mode"}[u.Live()])
		return nil
	case u.DatabaseURL != "" && !u.Demo:
		// Gifts of a database that was named are not told to be paid by a simulator
		// that nobody asked for.
		u.progress.note("processor   none: gifts stay accepted until SPILLWAY_STRIPE_KEY or --simulator is given")
		return nil
	}
	return u.progress.step("processor", func() error { return u.simulate(ctx) }, func() string { return "is simulated; no money moves" })
}

// simulate starts the simulator and makes it the processor.
func (u *up) simulate(ctx context.Context) error {
	sim, err := stripesim.New(stripesim.Config{
		Data: u.folder.Path("stripesim"), Key: simulatorKey,
		WebhookURL: u.run.HTTPURL + webhook.Path, WebhookSecret: u.StripeWebhookSecrets[0].Reveal(),
		Limits:  stripesim.Limits{PerEndpoint: u.Pace, PerAccount: accountShare * u.Pace, Search: stripesim.StripeLimits().Search},
		Latency: stripesim.Latency{Median: simulatorMedian, P99: simulatorP99},
		Log:     u.p.log.With("component", "simulator"),
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, sim.Close())
	}
	u.Simulator = "http://" + ln.Addr().String()
	u.run.SimulatorURL = u.Simulator
	u.group.Go(ctx, "simulator", simulatorStop, func(ctx context.Context) error { return sim.Run(ctx, ln) })
	return nil
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
