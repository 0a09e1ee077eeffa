package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/cache/feed"
	"spillway/campaigns/console/dashboard"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/directory"
	"spillway/campaigns/render"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ledger"
	paymentsdb "spillway/ledger/payments/postgres"
)

// officeMetrics is the prefix of the console's own copies of what front-ends have too:
// `up` runs both in one process.
const officeMetrics = "admin_"

// dashboard wires the console's first page. Totals come by the broker, as they come to
// front-ends, so that it goes on while the database is away.
func (o *office) dashboard(ctx context.Context, group *lifecycle.Group) (frame.Section, error) {
	db, err := paymentsdb.Open(paymentsdb.Config{URL: o.database, Application: "spillway admin"})
	if err != nil {
		return nil, err
	}
	group.Add("dashboard's database", quickStop, db.Close)
	apart := prometheus.WrapRegistererWithPrefix(officeMetrics, o.registry)
	all := directory.New(o.link, nil, o.log, apart)
	o.directory = all
	totals := feed.New(feed.Config{}, o.link, all, o.log, apart)
	tally := &dashboard.Tally{}
	section := dashboard.New(dashboard.Config{Node: nodeName(), Endpoint: endpointIntents}, dashboard.Deps{
		News: o.link, Switches: o.link, Pace: db.Book(ledger.Live), Tally: tally, Log: o.log,
		AsOf: func() time.Time { return totals.Age(ledger.Live).AsOf },
	})
	group.Go(ctx, "console's campaigns", quickStop, all.Run)
	group.Go(ctx, "console's totals", quickStop, func(ctx context.Context) error { return totals.Run(ctx, noCache{}, tally) })
	group.Go(ctx, "dashboard", quickStop, section.Run)
	return section, nil
}

// noCache keeps no rendered totals: the dashboard shows their sum.
type noCache struct{}

// Put does nothing.
func (noCache) Put([]*render.Live) {}
