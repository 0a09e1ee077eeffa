package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage"
	managedb "spillway/campaigns/console/manage/postgres"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/campaigns/publish"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/search"
	searchdb "spillway/ledger/search/postgres"
)

const (
	// importsStop is what an import that is under way gets to write down how far it is.
	importsStop = 10 * time.Second
	// commandTimeout bounds having one command of an organiser's stored.
	commandTimeout = 8 * time.Second
	// officePublishEvery is how often the console's publisher looks by itself: it is told of
	// what people change here, and ledgers look twice a second for the rest.
	officePublishEvery = time.Minute
	// alikeMost is how many online gifts of one kind an offline gift is held against.
	alikeMost = 5
)

// manage wires campaigns, giving days, organisations, imports and offline gifts, and has
// what is changed here published at once.
func (o *office) manage(ctx context.Context, group *lifecycle.Group) (frame.Section, error) {
	all, err := campaignsdb.Open(campaignsdb.Config{URL: o.database, Application: "spillway console campaigns"})
	if err != nil {
		return nil, err
	}
	group.Add("console's campaigns database", quickStop, all.Close)
	imports, err := managedb.Open(o.database)
	if err != nil {
		return nil, err
	}
	group.Add("console's imports database", quickStop, imports.Close)
	news := publish.New(publish.Config{Every: officePublishEvery, StubsEvery: officePublishEvery}, all, o.link, o.log,
		prometheus.WrapRegistererWithPrefix(officeMetrics, o.registry))
	group.Go(ctx, "console's news of campaigns", quickStop, news.Run)
	section := manage.New(manage.Deps{
		Campaigns: all, Imports: imports, Commands: commandRoad{o.link}, Lookalikes: lookalikes{o.search}, Auditor: o.users, Nudge: news.Nudge,
	})
	group.Go(ctx, "imports", importsStop, func(ctx context.Context) error { return section.Run(ctx, o.log) })
	return section, nil
}

// commandRoad is the road of people's money commands, as the console takes it.
type commandRoad struct{ broker *broker.Broker }

// Command implements manage.Commands.
func (r commandRoad) Command(ctx context.Context, c *payments.Command) error {
	body, err := payments.EncodeCommand(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	err = r.broker.PublishCommand(ctx, ledger.Live, ingest.ID(c.ID).String(), body)
	// The same again is harmless whatever became of it, so nothing is told apart here.
	if errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrNotDurable) || errors.Is(err, broker.ErrNoProof) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", manage.ErrCommandUnknown, err)
	}
	return err
}

// lookalikes finds online gifts in the projection.
type lookalikes struct{ store *searchdb.Store }

// Alike implements manage.Lookalikes.
func (l lookalikes) Alike(ctx context.Context, p manage.Probe) ([]manage.Alike, error) {
	ask := func(q search.Query, sameName bool) (found []manage.Alike, err error) {
		q.Campaign, q.From, q.To, q.Limit, q.Newest = p.Campaign, p.From, p.To, alikeMost, true
		page, err := l.store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			if sameName && search.Fold(row.Name) != search.Fold(p.Name) {
				continue // the search finds the beginnings of words
			}
			found = append(found, manage.Alike{Donation: row.ID.String(), At: row.AcceptedAt, SameName: sameName})
		}
		return found, nil
	}
	found, err := ask(search.Query{MinMinor: p.AmountMinor, MaxMinor: p.AmountMinor, Currency: p.Currency}, false)
	if err != nil || p.Name == "" {
		return found, err
	}
	named, err := ask(search.Query{Text: p.Name}, true)
	return append(named, found...), err
}
