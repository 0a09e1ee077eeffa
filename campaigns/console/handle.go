package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// policy is the Content-Security-Policy of every page: own files only, nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// hsts has browsers come back over TLS only, for a year.
const hsts = "max-age=31536000"

// protect sets the headers that every answer has.
func protect(h *fasthttp.ResponseHeader, secure bool) {
	h.Set(fasthttp.HeaderContentSecurityPolicy, policy)
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	h.Set(fasthttp.HeaderXFrameOptions, "DENY")
	// Not no-referrer: browsers then send the origin "null" with forms, which no
	// check of where a form comes from could tell from a stranger's.
	h.Set(fasthttp.HeaderReferrerPolicy, "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	if secure {
		h.Set(fasthttp.HeaderStrictTransportSecurity, hsts)
	}
}

// handle answers one request: the one way to every route.
func (c *Console) handle(ctx *fasthttp.RequestCtx) {
	way := c.wayOf(ctx)
	protect(&ctx.Response.Header, way.secure)
	ctxTimeout := requestTimeout
	route, params, allow := c.mux.Find(string(ctx.Method()), string(ctx.Path()))
	if route != nil && route.Timeout > 0 {
		ctxTimeout = route.Timeout
	}
	bounded, cancel := context.WithTimeout(c.streams.ctx, ctxTimeout)
	defer cancel()
	r := c.request(bounded, ctx, params, way, identity{})
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic in the console", "route", pathOf(route), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			ctx.Response.Reset()
			protect(&ctx.Response.Header, way.secure)
			c.refuse(r, errors.New("panic"))
		}
		c.metrics.requests.WithLabelValues(class(ctx.Response.StatusCode())).Inc()
	}()
	switch {
	case route == nil && len(allow) > 0:
		ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(allow, ", "))
		c.refuse(r, &frame.Problem{Status: fasthttp.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "The Allow header lists the methods of this path."})
		return
	case route == nil:
		if id, err := c.identify(bounded, &ctx.Request.Header, way); err == nil { // for the menu alone
			r = c.request(bounded, ctx, params, way, id)
		}
		c.refuse(r, &frame.Problem{Status: fasthttp.StatusNotFound, Code: "no_such_route", Detail: "No page of the console has this address."})
		return
	case !sameSite(&ctx.Request.Header, string(ctx.Host())):
		c.refuse(r, &frame.Problem{Status: fasthttp.StatusForbidden, Code: "cross_site", Detail: "The request was sent by a page of another site; nothing was done."})
		return
	case len(ctx.Request.Header.ContentEncoding()) > 0:
		// Bounds hold for what was sent; fasthttp unpacks forms without one, for anybody.
		c.refuse(r, errPacked)
		return
	case route.Needs != access.Public && !way.allowed():
		c.refuse(r, errPlain)
		return
	}
	id, err := c.identify(bounded, &ctx.Request.Header, way)
	if err != nil {
		if route.Needs != access.Public {
			c.refuse(r, err)
			return
		}
		id = identity{} // login says itself that the database is away
	}
	r = c.request(bounded, ctx, params, way, id)
	if err := c.admit(r, route); err != nil {
		c.refuse(r, err)
		return
	}
	if err := route.Handle(r); err != nil {
		c.refuse(r, err)
	}
}

// errPlain refuses what must not travel in the open.
var errPlain = &frame.Problem{Status: fasthttp.StatusForbidden, Code: "tls_required",
	Detail: "The console is used over TLS, or on the machine itself by way of http://127.0.0.1 or http://localhost. " +
		"Put a proxy with TLS in front, have it set X-Forwarded-Proto, and name its network with --admin-trusted-proxy; or reach it through a tunnel: " +
		"ssh -L 8082:127.0.0.1:8082 <machine>, then http://127.0.0.1:8082/admin."}

// errPacked refuses bodies that would have to be unpacked.
var errPacked = &frame.Problem{Status: fasthttp.StatusUnsupportedMediaType, Code: "unsupported_media_type",
	Detail: "Send the body as it is, without Content-Encoding."}

// errNobody asks to sign in.
var errNobody = &frame.Problem{Status: fasthttp.StatusUnauthorized, Code: "not_signed_in",
	Detail: "Sign in, or send an API key that works as Authorization: Bearer."}

// admit tells whether the principal may use the route.
func (c *Console) admit(r *frame.Request, route *frame.Route) error {
	if route.Needs != access.Public && !r.Principal.Known() {
		return errNobody
	}
	slug := ""
	if route.Scope != nil {
		slug = route.Scope(r)
	}
	if !r.Principal.Can(route.Needs, slug) {
		return &frame.Problem{Status: fasthttp.StatusForbidden, Code: "forbidden",
			Detail: "This needs the permission " + route.Needs.String() + ", for what it is asked for."}
	}
	return nil
}

// request puts together what a handler gets.
func (c *Console) request(bounded context.Context, ctx *fasthttp.RequestCtx, params []frame.Param, way way, id identity) *frame.Request {
	return frame.NewRequest(ctx, params, frame.Surroundings{
		Context: bounded, Principal: id.principal, Session: id.session, Network: network(way.client), Now: c.now().UTC(), Log: c.log,
		Audit: c.audit, Keep: c.kept.add, Shell: c.render, Stream: c.streams.add, Beside: func(run func()) { go run() }, Secure: way.secure,
	})
}

// refuse answers with what an error means.
func (c *Console) refuse(r *frame.Request, err error) {
	p := problemOf(err)
	if p == nil {
		c.log.Error("a request to the console failed", "path", pathWithoutValues(r.Path()), "err", err)
		p = &frame.Problem{Status: fasthttp.StatusInternalServerError, Code: "internal", Detail: "The request could not be handled; the cause is in our log."}
	}
	raw := r.Raw()
	h := &raw.Response.Header
	if p.RetryAfter > 0 {
		h.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(p.RetryAfter))
	}
	if p.Status == fasthttp.StatusUnauthorized {
		if !r.WantsJSON() && r.Method() == fasthttp.MethodGet {
			h.Set(fasthttp.HeaderLocation, "/admin/login?next="+url.QueryEscape(string(raw.RequestURI())))
			raw.SetStatusCode(fasthttp.StatusSeeOther)
			raw.ResetBody()
			return
		}
		h.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
	if r.WantsJSON() {
		raw.SetStatusCode(p.Status)
		raw.SetContentType("application/problem+json")
		raw.SetBody(p.AppendJSON(nil, r.Path()))
		return
	}
	r.Status(p.Status)
	if err := c.problemPage(r, p); err != nil {
		c.log.Error("a page of the console failed", "err", err)
		raw.SetStatusCode(p.Status)
		raw.SetContentType("text/plain; charset=utf-8")
		raw.SetBodyString(p.Title() + "\n" + p.Detail + "\n")
	}
}

// problemOf is what an error means to the one who asked; nil when it is our fault.
func problemOf(err error) *frame.Problem {
	var p *frame.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, access.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &frame.Problem{Status: fasthttp.StatusServiceUnavailable, Code: "unavailable", RetryAfter: 2,
			Detail: "The database does not answer at the moment, so nothing can be looked up or changed here. Donors' pages, totals and giving go on without it."}
	case errors.Is(err, access.ErrUnknown):
		return &frame.Problem{Status: fasthttp.StatusNotFound, Code: "not_found", Detail: "There is no such thing, or no more."}
	case errors.Is(err, access.ErrTaken):
		return &frame.Problem{Status: fasthttp.StatusConflict, Code: "taken", Detail: "A user with this e-mail address exists already."}
	case errors.Is(err, access.ErrLastOwner):
		return &frame.Problem{Status: fasthttp.StatusConflict, Code: "last_owner", Detail: "This is the last owner who can sign in: make another owner first."}
	case errors.Is(err, access.ErrInvalid):
		return &frame.Problem{Status: fasthttp.StatusUnprocessableEntity, Code: "invalid_input", Detail: "At least one value is not allowed; nothing was changed."}
	}
	return nil
}

func pathOf(route *frame.Route) string {
	if route == nil {
		return ""
	}
	return route.Path
}

// pathWithoutValues is a path for the log: links carry secrets in theirs.
func pathWithoutValues(path string) string {
	if strings.HasPrefix(path, linkRoot) {
		return linkRoot
	}
	return path
}

// headerReceived lets larger bodies in where a route says so, and only of those who
// are signed in: whoever is not cannot fill the memory.
func (c *Console) headerReceived(h *fasthttp.RequestHeader) (limits fasthttp.RequestConfig) {
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	route, _, _ := c.mux.Find(string(h.Method()), path)
	if route == nil || route.BodyBytesMax <= frame.BodyBytesDefault {
		return limits
	}
	ctx, cancel := context.WithTimeout(c.streams.ctx, pingTimeout)
	defer cancel()
	for _, w := range []way{{secure: true}, {loopback: true}} {
		id, err := c.identify(ctx, h, w)
		if err == nil && id.principal.Known() && id.principal.Can(route.Needs, access.Some) {
			limits.MaxRequestBodySize = route.BodyBytesMax
		}
	}
	return limits
}

// refuseHTTP answers what is not a request that has a route.
func (c *Console) refuseHTTP(ctx *fasthttp.RequestCtx, err error) {
	ctx.Response.Reset()
	protect(&ctx.Response.Header, false)
	p := &frame.Problem{Status: fasthttp.StatusBadRequest, Code: "bad_request", Detail: "The bytes received are not one well-formed HTTP/1.1 request."}
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		p = &frame.Problem{Status: fasthttp.StatusRequestEntityTooLarge, Code: "body_too_large", Detail: "The body is larger than this route takes, or larger than it takes from somebody who is not signed in."}
	case errors.As(err, &small):
		p = &frame.Problem{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Code: "header_too_large", Detail: "Request line and header fields are too large."}
	}
	c.metrics.requests.WithLabelValues(class(p.Status)).Inc()
	ctx.SetStatusCode(p.Status)
	ctx.SetContentType("application/problem+json")
	ctx.SetBody(p.AppendJSON(nil, ""))
	ctx.SetConnectionClose()
}
