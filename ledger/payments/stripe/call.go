package stripe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	stripe "github.com/stripe/stripe-go/v76"

	"spillway/ledger/payments"
)

// call is one request to the API.
type call struct {
	endpoint endpoint
	path     string // with its leading slash, its parts escaped
	// form is the body of a POST, the query of a GET, as it is sent.
	form []byte
	// key is the idempotency key of a POST, "" for a GET.
	key string
}

// endpoint names what is called, for metrics: a closed set.
type endpoint string

// The endpoints.
const (
	createIntent  endpoint = "payment_intents.create"
	confirmIntent endpoint = "payment_intents.confirm"
	cancelIntent  endpoint = "payment_intents.cancel"
	getIntent     endpoint = "payment_intents.get"
	listIntents   endpoint = "payment_intents.list"
	searchIntents endpoint = "payment_intents.search"
	getToken      endpoint = "confirmation_tokens.get"
	createRefund  endpoint = "refunds.create"
	listRefunds   endpoint = "refunds.list"
	listDisputes  endpoint = "disputes.list"
	listEvents    endpoint = "events.list"
	listMovements endpoint = "balance_transactions.list"
	listPayouts   endpoint = "payouts.list"
)

const (
	// rateLimitedUnnamed stands for the reason of a 429 that gives none.
	rateLimitedUnnamed = "unnamed"
	// retryAfterMax is where a Retry-After is somebody's mistake.
	retryAfterMax = 10 * time.Minute

	// Headers of answers (docs.stripe.com/api/idempotent_requests, /rate-limits).
	idempotencyReplayed = "Idempotent-Replayed"
	rateLimitedReason   = "Stripe-Rate-Limited-Reason"
)

// reply is what a call came to.
type reply struct {
	// status is the HTTP status; 0 when no answer came.
	status int
	// body is the answer's, whole and JSON; nil otherwise.
	body json.RawMessage
	// problem is what an answer beyond 299 says, never nil then; fields may be empty.
	problem *problem
	// replayed says that this is the stored answer to an earlier call under the same key.
	replayed bool
	// rateLimited and retryAfter are a 429's.
	rateLimited string
	retryAfter  time.Duration
	// nothing says that the call surely did not reach the processor.
	nothing bool
	// reason is a word of ours when there is no usable answer.
	reason string
}

// problem is Stripe's error object, the part we decide on (docs.stripe.com/api/errors).
type problem struct {
	Type          string  `json:"type"`
	Code          string  `json:"code"`
	DeclineCode   string  `json:"decline_code"`
	Param         string  `json:"param"`
	PaymentIntent *intent `json:"payment_intent"`
}

// libraryView is what the library decodes an answer into: nothing, we have the bytes.
type libraryView struct{ stripe.APIResource }

// UnmarshalJSON implements json.Unmarshaler.
func (*libraryView) UnmarshalJSON([]byte) error { return nil }

// userAgent says what the library says of itself, less the name of this machine and
// its kernel.
const userAgent = `{"bindings_version":"` + stripe.ClientVersion + `","lang":"go","publisher":"stripe"}`

// do makes one call, once, within the client's timeout.
func (c *Client) do(ctx context.Context, r call) reply {
	began := time.Now()
	rep := c.exchange(ctx, r)
	c.metrics.called(r.endpoint, &rep, time.Since(began))
	return rep
}

func (c *Client) exchange(ctx context.Context, r call) reply {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var x exchange
	params := &stripe.Params{Context: withExchange(ctx, &x), Headers: http.Header{
		"Stripe-Version":             {apiVersion},
		"X-Stripe-Client-User-Agent": {userAgent},
	}}
	if c.cfg.Account != "" {
		params.StripeAccount = stripe.String(c.cfg.Account)
	}
	method, path, body := http.MethodGet, r.path, (*bytes.Buffer)(nil)
	if r.key != "" {
		method, body = http.MethodPost, bytes.NewBuffer(r.form)
		params.IdempotencyKey = stripe.String(r.key)
	} else if len(r.form) > 0 {
		path += "?" + string(r.form)
	}
	req, err := c.backend.NewRequest(method, path, c.cfg.Key, "application/x-www-form-urlencoded", params)
	if err != nil { // a URL that cannot be built: an ID that is none
		return reply{nothing: true, reason: reasonNoRequest}
	}
	err = c.backend.Do(req, body, &libraryView{})
	return x.reply(ctx, err)
}

// Why there is no usable answer: words of ours, for operators and metrics.
const (
	reasonNoRequest    = "no_request"    // it could not even be written
	reasonNoConnection = "no_connection" // nothing was sent
	reasonTimeout      = "timeout"
	reasonStopped      = "stopped" // our own process ends
	reasonLost         = "connection_lost"
	reasonCut          = "answer_cut"
	reasonUnreadable   = "answer_unreadable"
)

// reply sorts what was seen on the wire. err is the library's; of an answer that
// came whole it says nothing that the answer does not say better.
func (x *exchange) reply(ctx context.Context, err error) reply {
	rep := reply{status: x.status}
	if x.status == 0 {
		rep.nothing = !x.connected.Load()
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			rep.reason = reasonStopped
		case rep.nothing:
			rep.reason = reasonNoConnection
		case isTimeout(ctx, err):
			rep.reason = reasonTimeout
		default:
			rep.reason = reasonLost
		}
		return rep
	}
	rep.replayed = x.header.Get(idempotencyReplayed) == "true"
	if x.status == http.StatusTooManyRequests {
		if rep.rateLimited = word(x.header.Get(rateLimitedReason)); rep.rateLimited == "" {
			rep.rateLimited = rateLimitedUnnamed
		}
	}
	if seconds, err := strconv.ParseInt(x.header.Get("Retry-After"), 10, 32); err == nil && seconds > 0 {
		rep.retryAfter = min(time.Duration(seconds)*time.Second, retryAfterMax)
	}
	readable := x.whole && json.Valid(x.body)
	if readable {
		rep.body = x.body
	}
	if x.status > 299 || x.status < 200 {
		var envelope struct {
			Error problem `json:"error"`
		}
		// An error page of something in between has no code; its status must do.
		_ = json.Unmarshal(rep.body, &envelope)
		rep.problem = &envelope.Error
	}
	switch {
	case readable:
	case x.whole:
		rep.reason = reasonUnreadable
	case isTimeout(ctx, err):
		rep.reason = reasonTimeout
	default:
		rep.reason = reasonCut
	}
	return rep
}

func isTimeout(ctx context.Context, err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// wordBytesMax bounds a word of the processor's that we keep: its codes are shorter.
const wordBytesMax = 64

// word returns s when it looks like one of the processor's codes, and "" otherwise,
// so that no free text gets into metrics, logs or books.
func word(s string) string {
	if len(s) > wordBytesMax {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return ""
		}
	}
	return s
}

// failed turns a reply without a usable answer into an Answer: what is sure to
// have done nothing is Retry, the rest Unknown. ok is false when the reply has an
// answer of its own to be looked at.
func (r *reply) failed() (a payments.Answer, ok bool) {
	switch {
	case r.status == http.StatusTooManyRequests:
		// Turned away before anything was done, even when the page that says so was cut.
		a = payments.Answer{Kind: payments.Retry, Detail: "rate_limited", RateLimited: r.rateLimited, RetryAfter: r.retryAfter}
		if r.problem.Code == codeLockTimeout { // about one object, not about our pace
			a.Detail, a.RateLimited = codeLockTimeout, ""
		}
		return a, true
	case r.status == 0 && r.nothing:
		return payments.Answer{Kind: payments.Retry, Detail: r.reason}, true
	case r.status >= 500:
		return payments.Answer{Kind: payments.Unknown, Detail: "server_error", RetryAfter: r.retryAfter}, true
	case r.reason != "":
		return payments.Answer{Kind: payments.Unknown, Detail: r.reason}, true
	case r.status < 200 || r.status > 299 && r.status < 400:
		return payments.Answer{Kind: payments.Unknown, Detail: "status_unexpected"}, true
	}
	return payments.Answer{}, false
}
