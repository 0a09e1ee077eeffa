package stripe

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"spillway/ledger/payments"
)

// Codes that decide, out of docs.stripe.com/error-codes (read 2026-11).
const (
	codeLockTimeout     = "lock_timeout"           // another call has the object; this one was not begun
	codeKeyInUse        = "idempotency_key_in_use" // a call under this very key is under way
	codeUnexpectedState = "payment_intent_unexpected_state"
	typeIdempotency     = "idempotency_error"
	typeAPI             = "api_error"
	paramToken          = "confirmation_token"
)

// Details that begin with "alarm_" are about the installation and not about one
// gift: a person must look, and the charge waits meanwhile.
const (
	alarmUnauthorized = "alarm_unauthorized"      // the key is wrong or was rolled
	alarmForbidden    = "alarm_forbidden"         // the key may not do this
	alarmAccount      = "alarm_account"           // the account cannot charge
	alarmMissing      = "alarm_not_found"         // the intent is not on this account, or this is no such API
	alarmRefused      = "alarm_call_refused"      // the call's form, or a refusal that we do not know
	alarmParameters   = "alarm_parameters_differ" // the key was used with another body
	alarmReplayed     = "alarm_replayed"          // the processor keeps giving a stored failure
	alarmBalance      = "alarm_balance_insufficient"
	alarmLook         = "alarm_look_unending" // more pages than we read
)

// alarmWait is when a call is worth making again that no gift is to blame for: soon
// enough after a person has mended it, and late enough to leave the pace to others.
const alarmWait = 30 * time.Second

// alarmWords lists them all, for their metric.
var alarmWords = []string{
	alarmUnauthorized, alarmForbidden, alarmAccount, alarmMissing, alarmRefused, alarmParameters, alarmReplayed, alarmBalance, alarmLook,
}

// accountCodes are refusals that no other gift would escape.
var accountCodes = map[string]bool{
	"api_key_expired": true, "platform_api_key_expired": true, "secret_key_required": true,
	"account_invalid": true, "account_closed": true, "no_account": true, "platform_account_required": true,
	"testmode_charges_only": true, "livemode_mismatch": true, "tls_version_unsupported": true,
	"not_allowed_on_standard_account": true,
}

// giftCodes are refusals of this one gift, whatever the card.
var giftCodes = map[string]bool{
	"amount_too_small": true, "amount_too_large": true, "invalid_charge_amount": true,
	"charge_exceeds_source_limit": true, "country_unsupported": true, "state_unsupported": true,
}

// giftParams are parameters whose value is the gift's own.
var giftParams = map[string]bool{"amount": true, "currency": true}

// tokenCodes say that the confirmation token cannot be used, be it that it expired
// or that something used it.
var tokenCodes = map[string]bool{
	"token_already_used": true, "token_in_use": true, "token_expired": true,
	"confirmation_token_already_used": true, "confirmation_token_expired": true,
}

// about says what a refused call was about, of what we have to tell apart.
type about uint8

const (
	aboutGift     about = iota // the charge itself
	aboutToken                 // its confirmation token
	aboutKey                   // its idempotency key
	aboutAnswered              // there is an answer already: nothing more to find out
)

// chargeAnswer sorts the reply to a call that creates, confirms or cancels an
// intent. attempt is what an intent in it is authoritative for, 0 for none. When
// the second result is aboutToken or aboutKey, the Answer is what to say unless it
// turns out that an earlier call of the same attempt was carried out.
func chargeAnswer(r *reply, attempt int) (payments.Answer, about) {
	if a, ok := r.failed(); ok {
		return a, aboutAnswered
	}
	if r.problem == nil {
		var o intent
		if err := json.Unmarshal(r.body, &o); err != nil {
			return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}, aboutAnswered
		}
		return intentAnswer(&o, attempt, ""), aboutAnswered
	}
	p := r.problem
	detail := code(p)
	alarm := func(word string) (payments.Answer, about) {
		return payments.Answer{Kind: payments.Retry, Detail: word, RetryAfter: alarmWait}, aboutAnswered
	}
	definite := func(reason payments.FailReason, of about) (payments.Answer, about) {
		return payments.Answer{Kind: payments.Definite, Reason: reason, Detail: detail}, of
	}
	unknown := func(detail string, of about) (payments.Answer, about) {
		return payments.Answer{Kind: payments.Unknown, Detail: detail}, of
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return alarm(alarmUnauthorized)
	case r.status == http.StatusForbidden:
		return alarm(alarmForbidden)
	case p.Type == typeAPI:
		return unknown("server_error", aboutAnswered)
	case p.Code == codeLockTimeout:
		return payments.Answer{Kind: payments.Retry, Detail: codeLockTimeout}, aboutAnswered
	case p.Code == codeKeyInUse:
		// This call was not begun, but its twin was: what becomes of that one is open.
		return unknown(codeKeyInUse, aboutAnswered)
	case p.Type == typeIdempotency:
		return unknown(alarmParameters, aboutKey)
	case r.status == http.StatusConflict:
		return unknown("conflict", aboutAnswered)
	case p.PaymentIntent != nil && (r.status == http.StatusPaymentRequired || p.Code == codeUnexpectedState):
		return intentAnswer(p.PaymentIntent, attempt, decline(p.Code, p.DeclineCode)), aboutAnswered
	case r.status == http.StatusPaymentRequired:
		// Declined before there was an intent: nothing was charged, another card may do.
		return definite(payments.CardNeeded, aboutGift)
	case tokenCodes[p.Code], p.Param == paramToken:
		return definite(payments.CardNeeded, aboutToken)
	case accountCodes[p.Code]:
		return alarm(alarmAccount)
	case r.status == http.StatusNotFound:
		return alarm(alarmMissing)
	case declines[p.Code] == payments.DeclineUnsupported:
		return definite(payments.CardNeeded, aboutGift)
	case giftCodes[p.Code], giftParams[p.Param]:
		return definite(payments.Refused, aboutGift)
	case r.status == http.StatusBadRequest:
		// Not valid as it stands, and nothing in it is the donor's: it was not begun, no
		// other gift would fare better, and none is to be failed for it.
		return alarm(alarmRefused)
	}
	return unknown("status_unexpected", aboutAnswered)
}

// intentAnswer is the answer that shows an intent. declined is what the answer
// itself said beside it, "" for nothing.
func intentAnswer(o *intent, attempt int, declined payments.Decline) payments.Answer {
	s, err := o.seen()
	if err != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	}
	s.AttemptNo = attempt
	if s.Status == payments.IntentRequiresPaymentMethod && s.Decline == payments.DeclineNone {
		s.Decline = declined
	}
	return payments.Answer{Intent: s}
}

// refundAnswer sorts the reply to a refund's call.
func refundAnswer(r *reply, due *payments.RefundDue) payments.Answer {
	if a, ok := r.failed(); ok {
		return a
	}
	if r.problem == nil {
		var o refund
		if err := json.Unmarshal(r.body, &o); err != nil {
			return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
		}
		return refundShown(&o, due)
	}
	a, _ := chargeAnswer(r, 0)
	p := r.problem
	switch {
	case a.Intent != nil:
		return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	case p.Code == "balance_insufficient", p.Code == "insufficient_funds": // our own, not the donor's
		return payments.Answer{Kind: payments.Retry, Detail: alarmBalance, RetryAfter: alarmWait}
	case a.Kind == payments.Definite:
		a.Reason = payments.Refused
	case a.Detail == alarmRefused && !strings.HasPrefix(p.Code, "parameter"):
		// Refunds are asked for by people, who are told the code: charge_already_refunded,
		// charge_disputed, and whatever else there is.
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: code(p)}
	}
	return a
}

// code is the processor's code, as we keep it.
func code(p *problem) string {
	if c := word(p.Code); c != "" {
		return c
	}
	return "no_code"
}

// refundShown is the answer that shows a refund which is known to be due's.
func refundShown(o *refund, due *payments.RefundDue) payments.Answer {
	s, err := o.seen()
	if err != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	}
	s.Ours, s.Lines = due.Refund, due.Lines
	if s.Charge == "" {
		s.Charge = due.Charge
	}
	return payments.Answer{Refund: s}
}
