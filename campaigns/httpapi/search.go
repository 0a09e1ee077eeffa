package httpapi

import (
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/board"
	"spillway/campaigns/render"
)

// pagesMax bounds how far a search is paged: at the least size that is a million
// campaigns.
const pagesMax = 1 << 20

// searched tells whether the list is to be a search: filtered, or in another order
// than by phase and slug.
func searched(query *fasthttp.Args) bool {
	return query.Has("search") || query.Has("phase") || query.Has("sort") || query.Has("organisation")
}

// search answers GET /v1/campaigns?search=&phase=&sort=&organisation=&after=&limit=.
// What is found moves while money comes in, so a page is the n-th of this moment, and
// after is its number.
func (a *API) search(ctx *fasthttp.RequestCtx, query *fasthttp.Args, limit int) {
	filter := board.Filter{
		Text: string(query.Peek("search")), Phase: string(query.Peek("phase")), Organisation: string(query.Peek("organisation")),
		Sort: board.Sort(query.Peek("sort")), Size: limit,
	}
	if !filter.Valid() || len(filter.Text) > board.TextBytesMax || !utf8.ValidString(filter.Text) {
		a.refuse(ctx, badSearch)
		return
	}
	var ok bool
	if filter.Page, ok = number(query, "after", 1, pagesMax); !ok {
		a.refuse(ctx, badAfter)
		return
	}
	page, total := a.deps.Board.Snapshot().Search(filter)
	body := append(make([]byte, 0, 256*(len(page)+1)), `{"campaigns":[`...)
	for i, e := range page {
		if i > 0 {
			body = append(body, ',')
		}
		body = render.AppendCampaign(body, e.Campaign, e.Phase)
	}
	body = append(body, `],"total":`...)
	body = strconv.AppendInt(body, int64(total), 10)
	if filter.Page*limit < total {
		body = append(body, `,"next":"`...)
		body = strconv.AppendInt(body, int64(filter.Page+1), 10)
		body = append(body, '"')
	}
	body = append(body, '}')
	if a.notModified(ctx, render.ETag(body)) {
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(body)
}
