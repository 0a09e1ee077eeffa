package stripesim

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an answer that is no success, in Stripe's form
// (docs.stripe.com/api/errors).
type apiError struct {
	status  int    // of HTTP
	kind    string // Stripe's type
	code    string
	message string
	param   string
	// decline is set in card errors; intent and charge are shown beside the error.
	decline decline
	intent  uint32
	charge  uint32
	// reason is the Stripe-Rate-Limited-Reason of a 429. It is never remembered.
	reason string
	// early says that it was refused before its execution began: such an answer is
	// not remembered under the idempotency key.
	early bool
}

// Error says what a developer is told.
func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s %s: %s", e.status, e.kind, e.code, e.message)
}

// The types of Stripe's errors.
const (
	kindAPI         = "api_error"
	kindCard        = "card_error"
	kindIdempotency = "idempotency_error"
	kindInvalid     = "invalid_request_error"
)

func invalid(code, param, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: code, param: param, message: fmt.Sprintf(format, args...)}
}

// malformed is invalid before execution.
func malformed(code, param, format string, args ...any) *apiError {
	e := invalid(code, param, format, args...)
	e.early = true
	return e
}

func missingParam(name string) *apiError {
	return malformed("parameter_missing", name, "Missing required param: %s.", name)
}

func noSuch(what, id string) *apiError {
	e := invalid("resource_missing", "id", "No such %s: '%s'", what, id)
	e.status = http.StatusNotFound
	e.early = true
	return e
}

func rateLimited(reason string) *apiError {
	return &apiError{
		status: http.StatusTooManyRequests, kind: kindInvalid, code: "rate_limit", reason: reason,
		message: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
	}
}

func locked() *apiError {
	return &apiError{
		status: http.StatusTooManyRequests, kind: kindInvalid, code: "lock_timeout", reason: "resource-specific",
		message: "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request.",
	}
}

func keyInUse(key string) *apiError {
	return &apiError{
		status: http.StatusConflict, kind: kindIdempotency, code: "idempotency_key_in_use",
		message: fmt.Sprintf("There is currently another in-progress request using this Idempotency Key: %s. Please try again later.", key),
	}
}

func keyReused(key string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, kind: kindIdempotency,
		message: fmt.Sprintf("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '%s' if you meant to execute a different request.", key),
	}
}

func internal() *apiError {
	return &apiError{status: http.StatusInternalServerError, kind: kindAPI, message: "Sorry, there was an error on our end. Please try again later."}
}

func unavailable() *apiError {
	return &apiError{status: http.StatusServiceUnavailable, kind: kindAPI, message: "The API is temporarily unavailable."}
}

func badKey() *apiError {
	return &apiError{status: http.StatusUnauthorized, kind: kindInvalid, message: "Invalid API Key provided."}
}

func noRoute(method, path string) *apiError {
	return &apiError{status: http.StatusNotFound, kind: kindInvalid, message: fmt.Sprintf("Unrecognized request URL (%s: %s).", method, path)}
}

// declined is the answer to a confirmation that did not work.
func declined(p *intent, charge uint32) *apiError {
	return &apiError{
		status: http.StatusPaymentRequired, kind: kindCard, code: declines[p.decline].code, message: declines[p.decline].message,
		decline: p.decline, intent: p.n, charge: charge,
	}
}

// wrongState is the answer to what an intent's status does not allow.
func wrongState(p *intent, verb string, allowed ...intentStatus) *apiError {
	words := make([]string, len(allowed))
	for i, s := range allowed {
		words[i] = s.String()
	}
	e := invalid("payment_intent_unexpected_state", "", "You cannot %s this PaymentIntent because it has a status of %s. Only a PaymentIntent with one of the following statuses may be %sed: %s.",
		verb, p.status, strings.TrimSuffix(verb, "e"), strings.Join(words, ", "))
	e.intent = p.n
	return e
}
