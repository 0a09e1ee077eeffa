package problem

import (
	"errors"

	"spillway/ingest"
)

// Kind is what went wrong, out of a closed set; its Code is the contract's word
// and a metric's label.
type Kind uint8

// The kinds of problem, in order of status.
const (
	// Internal is the zero value on purpose: what nobody named is our fault.
	Internal Kind = iota
	BadRequest
	MalformedBody
	BadIdempotencyKey
	BadQuery
	BadToken
	NotTheHolder
	NoSuchRoute
	UnknownCampaign
	UnknownDonation
	MethodNotAllowed
	RequestTimeout
	CampaignNotOpen
	AttemptNotFailed
	TooManyAttempts
	BodyTooLarge
	UnsupportedMediaType
	InvalidDonation
	InvalidPayment
	KeyReused
	TooManyRequests
	HeaderTooLarge
	Overloaded
	NotReady
	OutcomeUnknown
	StateUnavailable
	SwitchedOff

	kinds // how many there are
)

// row is one line of the table.
type row struct {
	code      string
	status    int
	title     string
	detail    string
	retryable bool
	// retryAfter and spread, in whole seconds: the client is told to come back
	// after retryAfter plus a random part of spread, so that those who were
	// refused together do not come back together. Zero for no Retry-After.
	retryAfter, spread int
}

// table is the only place where a problem gets its status and its words.
var table = [kinds]row{
	Internal:             {"internal", 500, "Something is broken on our side", "The request could not be handled; the cause is in our log.", false, 0, 0},
	BadRequest:           {"bad_request", 400, "The request is not understood", "The bytes received are not one well-formed HTTP/1.1 request.", false, 0, 0},
	MalformedBody:        {"malformed_body", 400, "The body is malformed", "The body must be one JSON object with the members of the contract and no others.", false, 0, 0},
	BadIdempotencyKey:    {"bad_idempotency_key", 400, "The idempotency key is missing or malformed", "Send exactly one Idempotency-Key header of 16 to 255 visible ASCII characters, quoted or not.", false, 0, 0},
	BadQuery:             {"bad_query", 400, "The query is malformed", "wait must be given at most once and be a whole number of seconds from 0 to 30.", false, 0, 0},
	BadToken:             {"bad_token", 401, "The token does not belong to this donation", "Send the holder token of this donation as Authorization: Bearer, or no Authorization at all.", false, 0, 0},
	NotTheHolder:         {"not_the_holder", 403, "The token is not of the donation that counts", "Another donation was recorded first under the same idempotency key; this token shows its status and may do nothing.", false, 0, 0},
	NoSuchRoute:          {"no_such_route", 404, "There is nothing here", "No route has this path.", false, 0, 0},
	UnknownCampaign:      {"unknown_campaign", 404, "The campaign is unknown", "At least one line names a campaign that does not exist; nothing was taken.", false, 0, 0},
	UnknownDonation:      {"unknown_donation", 404, "The donation is unknown", "No donation with this ID is recorded.", false, 0, 0},
	MethodNotAllowed:     {"method_not_allowed", 405, "The method is not allowed here", "The Allow header lists the methods of this path.", false, 0, 0},
	RequestTimeout:       {"request_timeout", 408, "The request took too long to arrive", "The whole request must arrive within the time limit.", true, 0, 0},
	CampaignNotOpen:      {"campaign_not_open", 409, "The campaign is not open", "At least one campaign has not started or has ended; nothing was taken.", false, 0, 0},
	AttemptNotFailed:     {"attempt_not_failed", 409, "The last attempt has not failed", "Another card is taken only while the donation's status is failed; nothing was taken.", false, 0, 0},
	TooManyAttempts:      {"too_many_attempts", 409, "Too many cards were tried", "No further card is taken for this donation; give anew with another idempotency key.", false, 0, 0},
	BodyTooLarge:         {"body_too_large", 413, "The body is too large", "A body may hold 32768 bytes at most.", false, 0, 0},
	UnsupportedMediaType: {"unsupported_media_type", 415, "The body's type is not supported", "Send Content-Type: application/json in UTF-8, without a Content-Encoding.", false, 0, 0},
	InvalidDonation:      {"invalid_donation", 422, "The donation is refused", "At least one value is outside what is allowed; nothing was taken.", false, 0, 0},
	InvalidPayment:       {"invalid_payment", 422, "The payment is refused", "At least one value is outside what is allowed; nothing was taken.", false, 0, 0},
	KeyReused:            {"key_reused", 422, "The idempotency key was used for another donation", "A donation with this key and other content was accepted before; this one was not taken.", false, 0, 0},
	TooManyRequests:      {"too_many_requests", 429, "You are too fast", "Too many donations come from your network; try again after Retry-After.", true, 1, 0},
	HeaderTooLarge:       {"header_too_large", 431, "The header is too large", "Request line and header fields may hold 8192 bytes together.", false, 0, 0},
	Overloaded:           {"overloaded", 503, "We are too slow", "More donations are waiting than we can take; send the same request with the same key again.", true, 1, 3},
	NotReady:             {"not_ready", 503, "We are not ready", "Donations cannot be taken safely at the moment; send the same request with the same key again.", true, 2, 4},
	OutcomeUnknown:       {"outcome_unknown", 503, "The outcome is not known", "The donation may have been taken or not; send the same request with the same key again, it is never taken twice.", true, 1, 3},
	StateUnavailable:     {"state_unavailable", 503, "The state is not available", "The donation's state cannot be read at the moment; ask again.", true, 1, 3},
	SwitchedOff:          {"switched_off", 503, "This is switched off for a while", "An organiser switched this off so that giving has the whole machine; come back later.", true, 5, 5},
}

// Of names the problem behind an error: the one table from error to answer.
// Anything not in it is Internal, and its cause belongs in the log. An unknown
// outcome comes first: whatever else such an error wraps was not the whole story.
func Of(err error) Kind {
	switch {
	case errors.Is(err, ingest.ErrUnknown):
		return OutcomeUnknown
	case errors.Is(err, ingest.ErrBusy):
		return Overloaded
	case errors.Is(err, ingest.ErrNotReady):
		return NotReady
	case errors.Is(err, ingest.ErrBadKey):
		return BadIdempotencyKey
	}
	return Internal
}

// All lists every kind, in order.
func All() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Code is the contract's word for the problem: lower-case letters and '_'.
func (k Kind) Code() string { return table[k].code }

// Status is the HTTP status, 400 to 503.
func (k Kind) Status() int { return table[k].status }

// Title is one short sentence, the same for every occurrence.
func (k Kind) Title() string { return table[k].title }

// Detail is the sentence that is used when the occurrence has none of its own.
func (k Kind) Detail() string { return table[k].detail }

// Retryable tells whether the same request may succeed later as it is.
func (k Kind) Retryable() bool { return table[k].retryable }

// RetryAfter is the number of seconds for the Retry-After header, spread by
// random over the kind's range; 0 means that the header is not sent.
func (k Kind) RetryAfter(random uint32) int {
	r := &table[k]
	if r.retryAfter == 0 {
		return 0
	}
	return r.retryAfter + int(random%uint32(r.spread+1))
}
