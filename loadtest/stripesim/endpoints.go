package stripesim

import (
	"strings"
)

// call is one call to the API.
type call struct {
	at     *endpoint
	id     string // the one in the path, "" when there is none
	params        // of form and query
	key    string // idempotency key
	asked  uint64 // fingerprint of endpoint, path and parameters
	draw   chance
	expand expansion
}

// endpoint is a method and a path, as Stripe's limits count them.
type endpoint struct {
	name string
	// known are its parameters; nil takes any.
	known map[string]bool
	// post changes something; get shows something.
	post func(s *Server, q *call, c *change) (about kind, n uint32, bad *apiError)
	get  func(s *Server, q *call, r *renderer) *apiError
	// intent says that the path names an intent, which one call at a time may change.
	intent bool
	// calm says that no faults but an outage hit it: it is a helper of tests.
	calm bool
}

const searchEndpoint = "GET /v1/payment_intents/search"

func paramSet(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// listParams are those of every list, and the list's own.
func listParams(own ...string) map[string]bool {
	return paramSet(append(own, "limit", "starting_after", "ending_before", "created")...)
}

// endpoints are all that the stand-in has.
var endpoints = func() map[string]*endpoint {
	m := map[string]*endpoint{}
	for _, e := range []*endpoint{
		{name: "POST /v1/payment_intents", known: intentCreateParams, post: (*Server).createIntent},
		{name: "GET /v1/payment_intents", known: listParams("customer"), get: (*Server).listIntents},
		{name: searchEndpoint, known: paramSet("query", "limit", "page"), get: (*Server).searchIntents},
		{name: "GET /v1/payment_intents/:id", known: paramSet("client_secret"), get: show(intentKind, "payment_intent")},
		{name: "POST /v1/payment_intents/:id", known: paramSet("metadata", "description"), post: (*Server).updateIntent, intent: true},
		{name: "POST /v1/payment_intents/:id/confirm", known: intentConfirmParams, post: (*Server).confirmIntent, intent: true},
		{name: "POST /v1/payment_intents/:id/cancel", known: paramSet("cancellation_reason"), post: (*Server).cancelIntent, intent: true},
		{name: "GET /v1/charges", known: listParams("payment_intent", "customer"), get: (*Server).listCharges},
		{name: "GET /v1/charges/:id", known: paramSet(), get: show(chargeKind, "charge")},
		{name: "POST /v1/refunds", known: refundParams, post: (*Server).createRefund},
		{name: "GET /v1/refunds", known: listParams("charge", "payment_intent"), get: (*Server).listRefunds},
		{name: "GET /v1/refunds/:id", known: paramSet(), get: show(refundKind, "refund")},
		{name: "POST /v1/refunds/:id", known: paramSet("metadata"), post: (*Server).updateRefund},
		{name: "GET /v1/disputes", known: listParams("charge", "payment_intent"), get: (*Server).listDisputes},
		{name: "GET /v1/disputes/:id", known: paramSet(), get: show(disputeKind, "dispute")},
		{name: "POST /v1/disputes/:id", known: disputeParams, post: (*Server).updateDispute},
		{name: "POST /v1/disputes/:id/close", known: paramSet(), post: (*Server).acceptDispute},
		{name: "GET /v1/balance", known: paramSet(), get: (*Server).showBalance},
		{name: "GET /v1/balance_transactions", known: listParams("source", "type", "payout", "currency"), get: (*Server).listTxns},
		{name: "GET /v1/balance_transactions/:id", known: paramSet(), get: show(txnKind, "balance transaction")},
		{name: "POST /v1/payouts", known: payoutParams, post: (*Server).createPayout},
		{name: "GET /v1/payouts", known: listParams("status", "arrival_date", "destination"), get: (*Server).listPayouts},
		{name: "GET /v1/payouts/:id", known: paramSet(), get: show(payoutKind, "payout")},
		{name: "GET /v1/events", known: listParams("type", "types", "delivery_success"), get: (*Server).listEvents},
		{name: "GET /v1/events/:id", known: paramSet(), get: (*Server).showEvent},
		{name: "GET /v1/confirmation_tokens/:id", known: paramSet(), get: (*Server).showToken},
		{name: "POST /v1/test_helpers/confirmation_tokens", known: tokenParams, post: (*Server).createToken, calm: true},
	} {
		m[e.name] = e
	}
	return m
}()

// find returns the endpoint of a path, and the ID in it.
func findEndpoint(method, path string) (e *endpoint, id string) {
	if e := endpoints[method+" "+path]; e != nil {
		return e, ""
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return nil, ""
	}
	noun, rest, ok := strings.Cut(rest, "/")
	if !ok || rest == "" {
		return nil, ""
	}
	id, verb, more := strings.Cut(rest, "/")
	name := method + " /v1/" + noun + "/:id"
	if more {
		name += "/" + verb
	}
	return endpoints[name], id
}

// show retrieves an object.
func show(k kind, what string) func(*Server, *call, *renderer) *apiError {
	return func(s *Server, q *call, r *renderer) *apiError {
		if !r.object(k, s.ids.number(k, q.id)) {
			return noSuch(what, q.id)
		}
		return nil
	}
}
