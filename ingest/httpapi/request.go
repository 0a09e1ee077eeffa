package httpapi

import (
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ingest/problem"
	"spillway/ledger"
	"spillway/ledger/payments"
)

// attemptsMax bounds the cards that are taken for one donation. Nobody has as
// many; who tries more is testing stolen ones, or a program that went wild.
const attemptsMax = 20

// requestsRemembered is how many acknowledged requests are remembered, in 32 bytes
// each: half an hour of five a second, which no event has seen.
const requestsRemembered = 8 << 10

// attempt takes another card: POST /v1/donations/{id}/attempts, in the contract's
// order of refusals.
//
// The same key again is the same wish, whatever its token: a page that was
// reloaded mints another one. The ledger carries each wish out once.
func (s *Server) attempt(ctx *fasthttp.RequestCtx, id ingest.ID) {
	q := wish{s: s, ctx: ctx, route: routeAttempt, donation: id}
	if !q.enter() {
		return
	}
	defer s.deps.Requests.Give()
	defer q.record()
	w := s.scratches.Get().(*scratch)
	defer s.scratches.Put(w)

	header := &ctx.Request.Header
	if !isJSON(header) {
		q.refuse(&problem.Problem{Kind: problem.UnsupportedMediaType})
		return
	}
	if !q.clear() {
		return
	}
	if faults := w.parser.parseAttempt(ctx.Request.Body(), &w.donation); len(faults) > 0 {
		q.refuse(&problem.Problem{Kind: problem.MalformedBody, Fields: faults})
		return
	}
	key, err := ingest.ParseKey(onlyHeader(header, keyHeader))
	if err != nil {
		q.refuse(&problem.Problem{Kind: problem.Of(err)})
		return
	}
	request := ingest.DeriveAttemptID(id, key)
	if !q.identified() || q.repeated(request) {
		return
	}
	state, ok := q.held()
	if !ok {
		return
	}
	payment := &w.donation.Payment
	if faults := payment.Validate(q.received, nil); len(faults) > 0 {
		q.refuse(&problem.Problem{Kind: problem.InvalidPayment, Fields: faults})
		return
	}
	switch {
	case state.Status != payments.StatusFailed:
		q.refuse(&problem.Problem{Kind: problem.AttemptNotFailed})
		return
	case state.AttemptNo >= attemptsMax:
		q.refuse(&problem.Problem{Kind: problem.TooManyAttempts})
		return
	}
	q.publish(state.Book, &envelope.Request{
		Kind: envelope.Attempt, ID: request,
		ConfirmationToken: payment.ConfirmationToken, TokenExpiresAt: payment.ExpiresAt,
	})
}

// cancel takes a cancellation: DELETE /v1/donations/{id}. It is answered 202
// whatever became of the donation meanwhile; the state tells who was first.
//
// An Idempotency-Key is not needed: without one there is one cancellation for
// each attempt, however often it is asked for.
func (s *Server) cancel(ctx *fasthttp.RequestCtx, id ingest.ID) {
	q := wish{s: s, ctx: ctx, route: routeCancel, donation: id}
	if !q.enter() {
		return
	}
	defer s.deps.Requests.Give()
	defer q.record()
	if !q.clear() {
		return
	}
	if len(ctx.Request.Body()) > 0 {
		q.refuse(&problem.Problem{Kind: problem.MalformedBody, Detail: "A cancellation has no body."})
		return
	}
	var request ingest.RequestID // zero without a key
	if header := &ctx.Request.Header; len(header.PeekAll(keyHeader)) > 0 {
		key, err := ingest.ParseKey(onlyHeader(header, keyHeader))
		if err != nil {
			q.refuse(&problem.Problem{Kind: problem.Of(err)})
			return
		}
		request = ingest.DeriveCancellationID(id, key)
	}
	if !q.identified() || q.repeated(request) {
		return
	}
	state, ok := q.held()
	if !ok {
		return
	}
	switch state.Status {
	case payments.StatusSucceeded, payments.StatusRefunded, payments.StatusDisputed, payments.StatusCanceled:
		// Nothing that could still be canceled, and no card can follow: there is nothing to store.
		q.accept()
		return
	}
	if request == (ingest.RequestID{}) {
		request = ingest.DeriveCancelLastID(id, state.AttemptNo)
	}
	q.publish(state.Book, &envelope.Request{Kind: envelope.Cancellation, ID: request})
}

// wish is a donor's further wish on its way through the handler. Its methods that
// return false have answered.
type wish struct {
	s        *Server
	ctx      *fasthttp.RequestCtx
	route    route
	donation ingest.ID
	who      asker
	begun    time.Time // by the server's clock
	received time.Time // begun in UTC, whole microseconds: what is stored
	source   uint64
	tracing  tracing
}

// enter takes a place and sees that wishes can be stored at all. Who gets true
// gives the place back.
func (q *wish) enter() bool {
	if !q.s.deps.Requests.Take() {
		q.refuse(&problem.Problem{Kind: problem.Overloaded})
		return false
	}
	if q.s.deps.Gate.Ready() != nil {
		q.s.deps.Requests.Give()
		q.refuse(&problem.Problem{Kind: problem.NotReady})
		return false
	}
	q.begun = q.s.now()
	q.received = q.begun.UTC().Truncate(time.Microsecond)
	q.tracing = q.s.traced(q.donation)
	return true
}

// clear refuses what two parsers may read differently.
func (q *wish) clear() bool {
	if isAmbiguous(&q.ctx.Request.Header) {
		q.refuse(&problem.Problem{Kind: problem.BadRequest})
		q.ctx.SetConnectionClose()
		return false
	}
	return true
}

// identified reads the holder token and holds its bearer to the rate.
func (q *wish) identified() bool {
	var ok bool
	if q.who, ok = q.s.identify(q.ctx, q.donation); !ok || q.who.kind == 0 {
		q.refuse(&problem.Problem{Kind: problem.BadToken, Detail: "Send the holder token of this donation as Authorization: Bearer."})
		q.ctx.Response.Header.SetCanonical(challengeName, challengeBearer)
		return false
	}
	return q.slowEnough()
}

// repeated answers 202 for a request that this front-end has seen acknowledged for
// this very holder: by now it may be what moved the donation on. It has answered
// when it returns true. A front-end that does not remember judges by the donation
// as it is, and the ledger carries the request out once in any case.
func (q *wish) repeated(request ingest.RequestID) bool {
	holder, known := q.s.requested.lookup(ingest.ID(request))
	if !known || holder != q.who.fingerprint {
		return false
	}
	q.accept()
	return true
}

// held returns what the ledger says of the donation, to its holder only: the
// bearer of a token of either kind whose content is the one that is stored.
//
// Without the ledger's word nothing is taken. Which of two contents counts, in
// which book the donation is, and whether its last attempt failed are the
// ledger's to say; a wish stored on a guess could be a loser's. A donation that
// is not recorded yet has nothing to cancel at the processor either, and will be
// recorded soon: come back.
func (q *wish) held() (state ledger.State, ok bool) {
	latest := q.s.ask(q.donation)
	switch {
	case latest.stale:
		q.refuse(&problem.Problem{Kind: problem.StateUnavailable, Detail: "The donation's state cannot be read at the moment, and nothing was taken; send the same request again."})
	case !latest.state.Found && q.who.kind == keyring.Accepted:
		q.refuse(&problem.Problem{Kind: problem.StateUnavailable, Detail: "The donation is accepted and not recorded yet, and nothing was taken; send the same request again."})
	case !latest.state.Found:
		q.refuse(&problem.Problem{Kind: problem.UnknownDonation, Retry: true})
	case q.who.fingerprint != latest.state.Fingerprint:
		q.refuse(&problem.Problem{Kind: problem.NotTheHolder})
	default:
		return latest.state, true
	}
	return state, false
}

// slowEnough holds the client to the rate that donations have, together with them.
func (q *wish) slowEnough() bool {
	client := q.s.client(q.ctx)
	q.source = q.s.deps.Keyring.Source(client)
	if credential := onlyHeader(&q.ctx.Request.Header, rehearsalHeader); len(credential) > 0 && q.s.deps.Keyring.IsRehearsal(credential) {
		return true
	}
	if wait, ok := q.s.deps.Limiter.Allow(q.source, client, q.begun); !ok {
		q.s.refuseTooFast(q.ctx, q.route, q.instance(), wait)
		return false
	}
	return true
}

// publish makes the request durable and answers.
func (q *wish) publish(book ledger.Book, r *envelope.Request) {
	r.Donation, r.ReceivedAt, r.Source, r.Rehearsal = q.donation, q.received, q.source, book == ledger.Rehearsal
	r.Trace = q.s.handOver(&q.tracing)
	q.tracing.published = q.s.now()
	err := q.s.deps.Publisher.PublishRequest(book, r)
	q.tracing.settled = q.s.now()
	if err != nil {
		kind := problem.Of(err)
		if kind == problem.Internal {
			// An error that nobody foresaw does not prove that nothing was stored.
			kind = problem.OutcomeUnknown
			q.s.log.Error("publisher failed in a way that is not in the table", "donation", q.donation.String(), "error", err)
		}
		q.refuse(&problem.Problem{Kind: kind})
		return
	}
	q.s.requested.remember(ingest.ID(r.ID), q.who.fingerprint)
	q.accept()
}

// accept answers 202. Whoever calls it knows that the wish is on disk, or that it
// has nothing left to change.
func (q *wish) accept() {
	url := q.instance()
	b := q.donation.AppendText([]byte(`{"id":"`))
	b = append(b, `","status_url":"`...)
	b = append(b, url...)
	b = append(b, `"}`...)
	q.s.metrics.requested[q.route].Inc()
	q.s.answer(q.ctx, fasthttp.StatusAccepted, jsonType, b)
	q.ctx.Response.Header.SetCanonical(locationName, []byte(url))
}

// record records the wish's spans once it is answered.
func (q *wish) record() { q.s.record(q.ctx, &q.tracing, q.route, q.donation, q.begun) }

func (q *wish) refuse(p *problem.Problem) {
	p.Instance = q.instance()
	q.s.refuse(q.ctx, q.route, p)
}

// instance is the donation's own path.
func (q *wish) instance() string { return donationPrefix + q.donation.String() }
