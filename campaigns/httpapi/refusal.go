package httpapi

import (
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ingest/problem"
)

// refusal is a problem with the sentence that fits a reader, where the kind's own
// is made for donors.
type refusal struct {
	kind   problem.Kind
	detail string
}

var (
	noSuchRoute     = refusal{kind: problem.NoSuchRoute}
	unknownCampaign = refusal{problem.UnknownCampaign, "No campaign has this slug."}
	warming         = refusal{problem.NotReady, "Totals are being loaded; ask again."}
	tooManyViewers  = refusal{problem.Overloaded, "As many viewers are connected as may be; poll the totals instead, or come back."}
	draining        = refusal{problem.NotReady, "This server is about to stop; connect again."}
	badLimit        = refusal{problem.BadQuery, "limit must be a whole number from 1 to " + strconv.Itoa(render.PageSizeMax) + "."}
	switchedOff     = refusal{kind: problem.SwitchedOff}
	badSearch       = refusal{problem.BadQuery, "search must be at most " + strconv.Itoa(board.TextBytesMax) + " bytes of UTF-8, phase open, upcoming or closed, sort raised, donors, name or ending."}
	badLeaderboard  = refusal{problem.BadQuery, "by must be raised or donors, limit a whole number from 1 to " + strconv.Itoa(leadersMax) + ", currency, with by=raised only, an ISO 4217 code."}
	badTopics       = refusal{problem.BadQuery, "Name 1 to " + strconv.Itoa(topicsMax) + " campaigns by campaign=, or day=1, or both; rehearsals go with rehearsals only."}
	badAfter        = refusal{problem.BadQuery, "after must be the next of an earlier page."}
)

// refuseError answers what looking for a campaign or its total ended in.
func (a *API) refuseError(ctx *fasthttp.RequestCtx, err error) {
	switch {
	case errors.Is(err, campaigns.ErrUnknown):
		a.refuse(ctx, unknownCampaign)
	case errors.Is(err, campaigns.ErrWarming):
		a.refuse(ctx, warming)
	default:
		a.deps.Log.Error("a read failed", "path", string(ctx.Path()), "err", err)
		a.refuse(ctx, refusal{kind: problem.Internal})
	}
}

func (a *API) refuseMethod(ctx *fasthttp.RequestCtx, allow string) {
	a.refuse(ctx, refusal{kind: problem.MethodNotAllowed})
	ctx.Response.Header.Set(fasthttp.HeaderAllow, allow)
}

// refuse answers with a problem document.
func (a *API) refuse(ctx *fasthttp.RequestCtx, r refusal) {
	p := problem.Problem{Kind: r.kind, Detail: r.detail, Instance: string(ctx.Path())}
	ctx.Response.Reset()
	ctx.SetStatusCode(r.kind.Status())
	ctx.SetContentType(problem.ContentType)
	if seconds := r.kind.RetryAfter(rand.Uint32()); seconds > 0 {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	ctx.Response.SetBodyRaw(p.AppendJSON(nil))
	a.metrics.refused(r.kind)
}
