package httpapi

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/render"
	"spillway/ledger"
)

var (
	headerETag         = []byte("Etag")
	headerCacheControl = []byte("Cache-Control")
	headerAsOf         = []byte("Spillway-As-Of")
	headerLag          = []byte("Spillway-Lag-Ms")
	typeJSON           = []byte("application/json")
	// noCache lets a cache keep the answer and has it ask each time whether the tag
	// still holds: the 304 then carries the new age.
	noCache = []byte("no-cache")
)

// totals answers GET /v1/campaigns/{slug}/totals.
func (a *API) totals(ctx *fasthttp.RequestCtx, slug []byte) {
	// Which book the campaign is in is known with its total only, and both ages are
	// to be older than that.
	ages := [...]*render.Age{ledger.Live: a.deps.Ages.Age(ledger.Live), ledger.Rehearsal: a.deps.Ages.Age(ledger.Rehearsal)}
	t, err := a.deps.Totals.Get(slug)
	if err != nil {
		a.refuseError(ctx, err)
		return
	}
	age, now := ages[t.Book], a.cfg.Now()
	if a.notModified(ctx, t.ETag()) {
		a.tellAge(ctx, age, now)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	var body [bodyBytes]byte
	ctx.Response.AppendBody(t.AppendJSON(body[:0], age, now))
}

// tellAge says in headers how old the numbers are that a 304 says still hold.
func (a *API) tellAge(ctx *fasthttp.RequestCtx, age *render.Age, now time.Time) {
	h := &ctx.Response.Header
	var text [32]byte
	h.SetCanonical(headerAsOf, age.AppendAsOf(text[:0]))
	h.SetCanonical(headerLag, strconv.AppendInt(text[:0], age.LagMillis(now), 10))
}

// bodyBytes holds any totals document: 60 bytes of ages and a head of at most 130
// with twenty digits in every number.
const bodyBytes = 320

// notModified sets the headers that 200 and 304 share, and makes the answer a 304
// when the client has this content already.
func (a *API) notModified(ctx *fasthttp.RequestCtx, tag []byte) bool {
	h := &ctx.Response.Header
	h.SetCanonical(headerETag, tag)
	h.SetCanonical(headerCacheControl, noCache)
	if !matches(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), tag) {
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusNotModified)
	return true
}
