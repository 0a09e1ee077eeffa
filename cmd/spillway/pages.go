package main

import (
	"net"
	_ "time/tzdata" // giving days' zones, on machines that have none

	"spillway/cache"
	"spillway/cache/feed"
	"spillway/campaigns/board/keeper"
	"spillway/campaigns/directory"
	"spillway/campaigns/web"
	"spillway/ingest/broker"
)

// donorPages makes the pages, from what the front-end has in memory; pictures alone are
// asked of the broker.
func (f *frontEnd) donorPages(all *directory.Directory, cached *cache.Totals, totals *feed.Feed, day *keeper.Keeper, b *broker.Broker) (*web.Web, error) {
	return web.New(web.Config{
		PublicURL: f.pages.PublicURL,
		StripeKey: f.cards.StripePublishableKey, DemoCards: f.cards.DemoCards,
		FeeBasisPoints: f.pages.FeeBasisPoints, FeeFixedMinor: f.pages.FeeFixedMinor,
	}, web.Deps{
		Directory: all, Totals: cached, Ages: totals, Board: day, Media: b, Log: f.log, Registerer: f.registry,
	})
}

// ownURL is the address that a listener is reached by from this machine, "" when it
// listens on every address: nobody knows by which of them donors come.
func ownURL(ln net.Listener) string {
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || a.IP.IsUnspecified() {
		return ""
	}
	return "http://" + ln.Addr().String()
}
