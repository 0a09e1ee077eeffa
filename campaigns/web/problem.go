package web

import (
	"math/rand/v2"
	"strconv"

	"github.com/valyala/fasthttp"
)

// trouble is a page that says why there is no other.
type trouble struct {
	Status        int
	Heading, Text string
	Action, Href  string
	// wait is the least Retry-After in seconds, 0 for none.
	wait int
}

var (
	noSuchPage     = trouble{404, "There is no such page", "The address may be mistyped, or the page has moved.", "See all campaigns", pathDay, 0}
	noSuchCampaign = trouble{404, "There is no such campaign", "The address may be mistyped. All campaigns of the day are on one page, with a search.", "Find a campaign", pathDay, 0}
	noSuchGift     = trouble{404, "This is no gift's address", "The link may have been cut off when it was copied. Use it whole, as you were given it.", "See all campaigns", pathDay, 0}
	wrongMethod    = trouble{405, "This page can only be read", "Nothing was sent. Go back and try again.", "See all campaigns", pathDay, 0}
	notYet         = trouble{503, "One moment, please", "The figures are being loaded. Nothing is lost: try again in a few seconds.", "Try again", "", 2}
	broken         = trouble{500, "Something went wrong on our side", "It has been noted. No gift is affected by it.", "See all campaigns", pathDay, 0}
)

// waitSpread is added to a Retry-After at random, in seconds, so that those who were
// sent away do not come back together.
const waitSpread = 4

// problem answers with a page for people.
func (w *Web) problem(ctx *fasthttp.RequestCtx, t trouble) {
	w.metrics.problems.WithLabelValues(strconv.Itoa(t.Status)).Inc()
	p := w.newPage("problem", "", w.deps.Directory.Event())
	p.Title, p.Description, p.NoIndex = t.Heading, t.Text, true
	p.Body = t
	now := w.cfg.Now()
	s, err := w.finish(p, now, zone(nil), now)
	ctx.Response.Reset()
	ctx.SetStatusCode(t.Status)
	h := &ctx.Response.Header
	for _, one := range w.headers.private {
		h.SetCanonical(one.name, one.value)
	}
	h.SetCanonical(headerCacheControl, []byte("no-store"))
	if t.wait > 0 {
		h.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(t.wait+rand.IntN(waitSpread)))
	}
	if err != nil {
		w.deps.Log.Error("a page that says what is wrong could not be made", "status", t.Status, "err", err)
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString(t.Heading + "\n")
		return
	}
	h.SetContentTypeBytes(typeHTML)
	ctx.Response.SetBodyRaw(s.body)
}

// missing answers a browser that asks for what is not there.
func (w *Web) missing(ctx *fasthttp.RequestCtx, _ []byte) { w.problem(ctx, noSuchPage) }
