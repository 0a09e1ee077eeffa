package frame

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
)

// Surroundings are what the console gives to every request.
type Surroundings struct {
	Context   context.Context
	Principal access.Principal
	// Session is the ID of the principal's session, "" for keys.
	Session string
	// Network is the address prefix that the request comes from.
	Network string
	Now     time.Time
	Log     *slog.Logger
	// Audit writes one entry, durably, before it returns.
	Audit func(context.Context, access.Entry) error
	// Keep holds an entry in memory until the database is back, and writes it then.
	// Errors: access.ErrUnavailable when it holds too many. Nil keeps none.
	Keep func(access.Entry) error
	// Shell puts a page's content into the console's layout.
	Shell func(*Request, Content) ([]byte, error)
	// Stream registers a stream that may last so long: a context that ends with it or
	// with the console, and what is called at its end. ok is false when there are too many.
	Stream func(longest time.Duration) (ctx context.Context, done func(), ok bool)
	// Beside runs what goes on after the handler returned, in a goroutine of the
	// console's. What it does stands in a Stream, which the console waits for.
	Beside func(run func())
	// Secure tells whether the browser reached us over TLS.
	Secure bool
}

// Request is one request to the console, and the answer to it. It must not be kept
// when its handler has returned.
type Request struct {
	// Principal is who asks; it may do what the route needs.
	Principal access.Principal
	// Session is the ID of the principal's session, "" for keys.
	Session string

	s      Surroundings
	ctx    *fasthttp.RequestCtx
	params []Param
	status int
}

// Param is one segment of the path, by the name that the route gives it.
type Param struct{ Name, Value string }

// NewRequest makes a request of what was received.
func NewRequest(ctx *fasthttp.RequestCtx, params []Param, s Surroundings) *Request {
	return &Request{Principal: s.Principal, Session: s.Session, s: s, ctx: ctx, params: params, status: fasthttp.StatusOK}
}

// Context ends when the route's time is over or the console stops. It is not the
// request's own context and may be kept only by what ends before the handler.
func (r *Request) Context() context.Context { return r.s.Context }

// Now is when the request was taken.
func (r *Request) Now() time.Time { return r.s.Now }

// Log is the console's log. No donor's data and no secrets go there.
func (r *Request) Log() *slog.Logger { return r.s.Log }

// Raw is the request as fasthttp has it, for what is not offered here.
func (r *Request) Raw() *fasthttp.RequestCtx { return r.ctx }

// Method is the HTTP method; HEAD is told as GET.
func (r *Request) Method() string {
	if r.ctx.IsHead() {
		return fasthttp.MethodGet
	}
	return string(r.ctx.Method())
}

// Path is the request's path.
func (r *Request) Path() string { return string(r.ctx.Path()) }

// Network is the prefix of the address that the request comes from.
func (r *Request) Network() string { return r.s.Network }

// Secure tells whether the browser reached us over TLS.
func (r *Request) Secure() bool { return r.s.Secure }

// WantsJSON tells whether the answer is JSON: the path lies below JSONRoot.
func (r *Request) WantsJSON() bool { return IsJSON(r.Path()) }

// IsJSON tells whether a path lies below JSONRoot.
func IsJSON(path string) bool {
	rest, ok := strings.CutPrefix(path, JSONRoot)
	return ok && (rest == "" || rest[0] == '/')
}

// Param is the value of a {name} of the route's path, "" when it has none.
func (r *Request) Param(name string) string {
	for _, p := range r.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Query is the first value of a query parameter, "" when it is not there.
func (r *Request) Query(name string) string { return string(r.ctx.QueryArgs().Peek(name)) }

// QueryAll are all values of a query parameter, in order.
func (r *Request) QueryAll(name string) []string {
	var all []string
	for _, v := range r.ctx.QueryArgs().PeekMulti(name) {
		all = append(all, string(v))
	}
	return all
}

// Audit writes an entry of the audit log: who (added here), did what (such as
// "campaign.close"), to what, and how it changed. Call it before the change: an entry
// without a change is a question that can be answered, a change without an entry is
// not. No donor's data goes into subject and detail; a donation is named by its ID.
//
// Errors: access.ErrUnavailable. A handler then returns the error and does nothing.
func (r *Request) Audit(action, subject, detail string) error {
	if !access.ValidAction(action) {
		return fmt.Errorf("%w: %q is not an action of the audit log", access.ErrInvalid, action)
	}
	return r.s.Audit(r.s.Context, r.entry(action, subject, detail))
}

func (r *Request) entry(action, subject, detail string) access.Entry {
	return access.Entry{At: r.s.Now, Actor: r.Principal.User, Name: r.Principal.Name, Network: r.s.Network,
		Action: action, Subject: subject, Detail: detail}
}

// auditWait is how long AuditSoon waits for the database.
const auditWait = 500 * time.Millisecond

// AuditSoon is Audit for the few changes that must not wait for the database, because
// they take load off it and are known elsewhere too: switches. While it does not
// answer the entry is held in memory, with the time at which it was made, and written
// when it is back; a process that dies before loses it.
//
// Errors: access.ErrUnavailable, when too many are held already.
func (r *Request) AuditSoon(action, subject, detail string) error {
	if !access.ValidAction(action) {
		return fmt.Errorf("%w: %q is not an action of the audit log", access.ErrInvalid, action)
	}
	ctx, cancel := context.WithTimeout(r.s.Context, auditWait)
	defer cancel()
	e := r.entry(action, subject, detail)
	err := r.s.Audit(ctx, e)
	if err == nil || r.s.Keep == nil || !errors.Is(err, access.ErrUnavailable) {
		return err
	}
	e.Detail += " (at " + e.At.UTC().Format(time.RFC3339) + ", while the database was away)"
	return r.s.Keep(e)
}

// Status sets the status of the Page that follows; 200 without it.
func (r *Request) Status(code int) { r.status = code }

// Redirect answers a form that was carried out: the browser gets path with a GET, and
// shows flash once, "" for nothing.
func (r *Request) Redirect(path, flash string) error {
	r.SetFlash(flash)
	r.ctx.Response.Header.Set(fasthttp.HeaderLocation, path)
	r.ctx.SetStatusCode(fasthttp.StatusSeeOther)
	return nil
}

// Reply answers with v as JSON.
func (r *Request) Reply(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer of %s: %w", r.Path(), err)
	}
	r.ctx.SetContentType("application/json")
	r.ctx.SetStatusCode(status)
	r.ctx.SetBody(body)
	return nil
}

// NoContent answers that it is done and there is nothing to say.
func (r *Request) NoContent() error {
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// Page answers with t executed on data, inside the console's layout. t comes from
// Parse. Nothing is sent when the template fails.
func (r *Request) Page(title string, t *template.Template, data any) error {
	var content strings.Builder
	if err := t.Execute(&content, data); err != nil {
		return fmt.Errorf("page %q: %w", title, err)
	}
	return r.Content(Content{Title: title, HTML: template.HTML(content.String())})
}

// Content is what stands inside the console's layout.
type Content struct {
	Title string
	HTML  template.HTML // written by html/template
	// Bare leaves out the menu, for pages before login.
	Bare bool
	// Retry has the browser load the page again by itself in a few seconds.
	Retry bool
}

// Content answers with c inside the layout.
func (r *Request) Content(c Content) error {
	body, err := r.s.Shell(r, c)
	if err != nil {
		return fmt.Errorf("page %q: %w", c.Title, err)
	}
	r.ctx.SetContentType("text/html; charset=utf-8")
	r.ctx.SetStatusCode(r.status)
	r.ctx.SetBody(body)
	return nil
}

// Stream answers with what write sends, for as long as longest: events of a
// dashboard, rows of an export. It returns at once; write runs when the handler has
// returned, so it must not use the Request. Its context ends after longest or when
// the console stops; an error of the writer means that nobody reads any more. Every
// write has a deadline of its own.
func (r *Request) Stream(contentType string, longest time.Duration, write func(ctx context.Context, w *bufio.Writer) error) error {
	if r.ctx.IsHead() {
		r.ctx.SetContentType(contentType)
		return nil
	}
	ctx, done, ok := r.s.Stream(longest)
	if !ok {
		return Busy("Too many streams are open; try again in a moment.")
	}
	log := r.s.Log
	r.ctx.SetContentType(contentType)
	r.ctx.Response.Header.Set("X-Accel-Buffering", "no")
	r.ctx.Response.ImmediateHeaderFlush = true
	r.ctx.SetStatusCode(fasthttp.StatusOK)
	r.ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer done()
		if err := write(ctx, w); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			log.Debug("a stream ended early", "err", err)
		}
	})
	return nil
}
