package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/cache"
	"spillway/cache/feed"
	"spillway/campaigns/board/keeper"
	"spillway/campaigns/directory"
	readapi "spillway/campaigns/httpapi"
	"spillway/campaigns/live"
	"spillway/campaigns/render"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/admission"
	"spillway/ingest/broker"
	"spillway/ingest/httpapi"
	"spillway/ingest/keyring"
	"spillway/ingest/webhook"
	"spillway/ledger/payments/stripe"
)

// How long the parts of a front-end may take to stop.
const (
	// publisherStop is longer than an envelope may take to be acknowledged (5 s).
	publisherStop = 8 * time.Second
	// httpDrain is what donors who are inside get: they wait for their envelope.
	httpDrain = 10 * time.Second
	// quickStop is for loops that only have to notice.
	quickStop = 5 * time.Second
)

// knownBurst is how many donations an address of a known network may give at once,
// in seconds of its rate: a school hall that taps at the same moment.
const knownBurst = 10

// burstMax is the most that admission takes.
const burstMax = 1_000_000

// frontEnd is what `ingest` and `up` run for donors. It needs the broker and
// nothing else.
type frontEnd struct {
	public   config.Public
	pages    config.Pages
	cards    config.Cards
	webhooks []string // signing secrets of the processor's events
	broker   broker.Config
	secrets  *keyring.Keyring
	listener net.Listener
	registry prometheus.Registerer
	log      *slog.Logger
	traces   *tracing
	// simulator is the address of the simulated processor, "" until it listens; nil
	// where a real one charges, or none.
	simulator func() string

	server *httpapi.Server
	// ready tells whether donations can be taken and pages shown.
	ready func() error
	// link is the connection that start makes.
	link *broker.Broker
}

// start wires the front-end and adds its parts to the group, in the order in which
// they need each other. It returns when the server answers; ready tells more.
func (f *frontEnd) start(ctx context.Context, group *lifecycle.Group) error {
	files, err := openFiles()
	if err != nil {
		return err
	}
	if few := fewFiles(files); few != "" {
		f.log.Warn(few)
	}
	rules, err := f.admission()
	if err != nil {
		return err
	}
	b, err := connect(ctx, group, f.broker, f.log)
	if err != nil {
		return err
	}
	f.link = b
	gate := b.NewGate(f.registry)
	group.Go(ctx, "durability gate", quickStop, gate.Run)
	publisher := b.NewPublisher(broker.PublisherConfig{Node: nodeName(), Gate: gate}, f.registry)
	group.Go(ctx, "publisher", publisherStop, publisher.Run)

	all := directory.New(b, nil, f.log, f.registry)
	totals := feed.New(feed.Config{}, b, all, f.log, f.registry)
	cached, err := cache.New(cache.Config{}, totals, f.registry)
	if err != nil {
		return err
	}
	group.Add("totals cache", quickStop, cached.Close)
	events, err := f.events(b)
	if err != nil {
		return err
	}
	day := keeper.New(keeper.Config{}, all, totals, f.log, f.registry)
	hub := live.New(live.Config{}, live.Deps{Latest: cached, Ages: totals, Board: day, Switches: all, Registerer: f.registry})
	group.Go(ctx, "live totals", quickStop, hub.Run)
	group.Go(ctx, "giving day's board", quickStop, func(ctx context.Context) error { return day.Run(ctx, cached, b, hub) })
	group.Go(ctx, "totals feed", quickStop, func(ctx context.Context) error { return totals.Run(ctx, cached, watchers{day, hub}) })
	group.Go(ctx, "campaigns", quickStop, all.Run)

	reads, err := readapi.New(readapi.Config{ViewersMax: viewersWith(files)}, readapi.Deps{
		Directory: all, Totals: cached, Ages: totals, Board: day, Switches: all, Hub: hub, Log: f.log, Registerer: f.registry,
	})
	if err != nil {
		return err
	}
	pages, err := f.donorPages(all, cached, totals, day, b)
	if err != nil {
		return err
	}
	demo := func(*fasthttp.RequestCtx) bool { return false }
	if f.simulator != nil {
		demo = (&bank{simulator: f.simulator, secrets: f.secrets, states: b, log: f.log}).handle
	}
	f.server, err = httpapi.New(httpapi.Config{}, httpapi.Deps{
		Keyring: f.secrets, Publisher: publisher, Directory: all, Gate: gate, States: b,
		Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests,
		Next: func(ctx *fasthttp.RequestCtx) bool {
			return events(ctx) || reads.Handle(ctx) || demo(ctx) || pages.Handle(ctx)
		},
		Bodies:     map[string]int{webhook.Path: webhook.BodyBytesMax},
		Checks:     []httpapi.Check{{Name: "totals", Ready: totals.Ready}},
		Tracer:     f.traces.of(frontEndService),
		Registerer: f.registry, Log: f.log,
	})
	if err != nil {
		return err
	}
	group.Go(ctx, "news of payments", quickStop, func(ctx context.Context) error { return b.WatchChanges(ctx, f.server.Changed) })
	f.ready = func() error { return errors.Join(gate.Ready(), all.Ready(), totals.Ready()) }
	group.Go(ctx, "http", f.public.DrainWait+httpDrain+quickStop, func(ctx context.Context) error {
		return f.serve(ctx, reads)
	})
	return nil
}

// watchers are told of changed totals one after the other.
type watchers []feed.Viewers

// Publish notes changed totals with each.
func (all watchers) Publish(totals []*render.Total) {
	for _, v := range all {
		v.Publish(totals)
	}
}

// Aged says that the ages are public now.
func (all watchers) Aged() {
	for _, v := range all {
		v.Aged()
	}
}

// serve answers donors until ctx ends, then drains: readiness off, a wait for load
// balancers, no new connections, live streams closed, the donors inside answered.
func (f *frontEnd) serve(ctx context.Context, reads *readapi.API) error {
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(f.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	f.server.Drain()
	if f.public.DrainWait > 0 {
		timer := time.NewTimer(f.public.DrainWait)
		defer timer.Stop()
		<-timer.C
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpDrain)
	defer cancel()
	// Streams end first: they hold their connections for as long as a viewer looks.
	return errors.Join(reads.Close(drain), f.server.Shutdown(drain), <-served)
}

// events takes the processor's events, when there is a secret to know them by;
// without one the route does not exist, and the processor's dashboard says so.
func (f *frontEnd) events(b *broker.Broker) (func(*fasthttp.RequestCtx) bool, error) {
	if len(f.webhooks) == 0 {
		f.log.Warn("no signing secret: the processor's events are not taken here", "route", webhook.Path)
		return func(*fasthttp.RequestCtx) bool { return false }, nil
	}
	verifier, err := stripe.NewVerifier(f.webhooks, 0, nil)
	if err != nil {
		return nil, err
	}
	endpoint, err := webhook.New(webhook.Deps{
		Verify: verifier.Verify, Store: b.PublishWebhook, Log: f.log, Tracer: f.traces.of(frontEndService), Registerer: f.registry,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx *fasthttp.RequestCtx) bool {
		if string(ctx.URI().PathOriginal()) != webhook.Path {
			return false
		}
		endpoint.Handle(ctx)
		return true
	}, nil
}

// admission turns the flags into the house rules.
func (f *frontEnd) admission() (*admission.Admission, error) {
	cfg := admission.Config{TrustedProxies: f.public.TrustedProxy}
	for network, rate := range f.public.KnownNetwork {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("--known-network: %w", err)
		}
		cfg.Limiter.Networks = append(cfg.Limiter.Networks,
			admission.Network{Prefix: prefix, Rate: admission.Rate{PerSecond: rate, Burst: min(max(1, int(rate*knownBurst)), burstMax)}})
	}
	return admission.New(cfg)
}
