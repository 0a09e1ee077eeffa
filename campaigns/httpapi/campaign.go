package httpapi

import (
	"github.com/valyala/fasthttp"

	"spillway/campaigns/render"
)

// campaign answers GET /v1/campaigns/{slug}.
func (a *API) campaign(ctx *fasthttp.RequestCtx, slug []byte) {
	c, err := a.find(slug)
	if err != nil {
		a.refuseError(ctx, err)
		return
	}
	body := render.AppendWholeCampaign(make([]byte, 0, 1024), c, c.PhaseAt(a.cfg.Now()))
	if a.notModified(ctx, render.ETag(body)) {
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(body)
}

// list answers GET /v1/campaigns?after=&limit=, and searches when it is asked to.
func (a *API) list(ctx *fasthttp.RequestCtx) {
	if err := a.deps.Directory.Ready(); err != nil {
		a.refuseError(ctx, err)
		return
	}
	query := ctx.QueryArgs()
	limit, ok := number(query, "limit", render.PageSizeDefault, render.PageSizeMax)
	if !ok {
		a.refuse(ctx, badLimit)
		return
	}
	if searched(query) {
		a.search(ctx, query, limit)
		return
	}
	var after render.Cursor
	if query.Has("after") {
		if after, ok = render.ParseCursor(string(query.Peek("after"))); !ok {
			a.refuse(ctx, badAfter)
			return
		}
	}
	listing := a.deps.Directory.Listing()
	if a.notModified(ctx, listing.AppendETag(nil, after, limit)) {
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(listing.AppendPage(nil, after, limit))
}
