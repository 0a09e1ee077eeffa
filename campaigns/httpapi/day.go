package httpapi

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ledger/money"
)

// Bounds of a leaderboard, in campaigns.
const (
	leadersDefault = 10
	leadersMax     = 100
)

// day answers GET /v1/day.
func (a *API) day(ctx *fasthttp.RequestCtx) {
	if err := a.deps.Directory.Ready(); err != nil {
		a.refuseError(ctx, err)
		return
	}
	day, now := a.deps.Board.Document(), a.cfg.Now()
	if a.notModified(ctx, day.ETag()) {
		a.tellAge(ctx, day.Age(), now)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(day.AppendJSON(make([]byte, 0, 1024), now))
}

// leaderboards answers GET /v1/leaderboards?by=&limit=&currency=.
func (a *API) leaderboards(ctx *fasthttp.RequestCtx) {
	if err := a.deps.Directory.Ready(); err != nil {
		a.refuseError(ctx, err)
		return
	}
	if a.switches().LeaderboardsOff {
		a.refuse(ctx, switchedOff)
		return
	}
	query := ctx.QueryArgs()
	limit, ok := number(query, "limit", leadersDefault, leadersMax)
	by, currency := string(query.Peek("by")), money.Currency(query.Peek("currency"))
	if by == "" {
		by = "raised"
	}
	if !ok || by != "raised" && by != "donors" || query.Has("currency") && (by != "raised" || !currency.Valid()) {
		a.refuse(ctx, badLeaderboard)
		return
	}
	d := a.deps.Board.Snapshot()
	var all []*board.Entry
	switch {
	case by == "donors":
		all = d.LeadersByDonors(limit)
	case currency != "":
		all = d.LeadersIn(currency, limit)
	default:
		all = d.LeadersByRaised(limit)
		if len(d.Totals) > 0 {
			currency = d.Totals[0].Currency
		}
	}
	leaders := render.NewLeaders(by, currency)
	for _, e := range all {
		leaders.Add(e.Campaign, e.Total, e.Wall.Donors)
	}
	age, now := render.NewAge(d.AsOf), a.cfg.Now()
	if a.notModified(ctx, leaders.ETag()) {
		a.tellAge(ctx, age, now)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(leaders.AppendJSON(nil, age, now))
}

// gifts answers GET /v1/campaigns/{slug}/gifts with the campaign's wall.
func (a *API) gifts(ctx *fasthttp.RequestCtx, slug []byte) {
	c, err := a.find(slug)
	if err != nil {
		a.refuseError(ctx, err)
		return
	}
	w := &campaigns.Wall{Campaign: c.Slug} // the board has not seen the campaign yet
	if e := a.deps.Board.Snapshot().Find(c.Slug); e != nil {
		w = e.Wall
	}
	a.wall(ctx, w)
}

// dayGifts answers GET /v1/day/gifts.
func (a *API) dayGifts(ctx *fasthttp.RequestCtx) {
	if err := a.deps.Directory.Ready(); err != nil {
		a.refuseError(ctx, err)
		return
	}
	a.wall(ctx, a.deps.Board.Snapshot().Wall)
}

// wall answers with a wall, without gifts while the feed is switched off.
func (a *API) wall(ctx *fasthttp.RequestCtx, w *campaigns.Wall) {
	d := a.deps.Board.Snapshot()
	body := render.AppendWall(make([]byte, 0, 2048), w, !a.switches().FeedOff, func(slug string) string {
		if e := d.Find(slug); e != nil {
			return e.Name
		}
		return ""
	})
	if a.notModified(ctx, render.ETag(body)) {
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(body)
}

// switches is what organisers have turned off.
func (a *API) switches() campaigns.Switches {
	if a.deps.Switches == nil {
		return campaigns.Switches{}
	}
	return a.deps.Switches.Switches()
}

// number reads a whole number from 1 to most, or what stands for none.
func number(query *fasthttp.Args, name string, none, most int) (n int, ok bool) {
	if !query.Has(name) {
		return none, true
	}
	n, err := strconv.Atoi(string(query.Peek(name)))
	return n, err == nil && n >= 1 && n <= most
}
