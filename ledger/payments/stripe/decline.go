package stripe

import "spillway/ledger/payments"

// declines sorts Stripe's error and decline codes into what a donor can do about it
// (docs.stripe.com/declines/codes, read 2026-11). Codes that are not here, among
// them those that must not be told, such as a stolen card's, are a plain decline.
var declines = map[string]payments.Decline{
	"insufficient_funds": payments.DeclineFunds,

	"expired_card": payments.DeclineExpired,

	"incorrect_number":     payments.DeclineDetails,
	"invalid_number":       payments.DeclineDetails,
	"incorrect_cvc":        payments.DeclineDetails,
	"invalid_cvc":          payments.DeclineDetails,
	"incorrect_zip":        payments.DeclineDetails,
	"incorrect_address":    payments.DeclineDetails,
	"incorrect_pin":        payments.DeclineDetails,
	"invalid_pin":          payments.DeclineDetails,
	"invalid_expiry_month": payments.DeclineDetails,
	"invalid_expiry_year":  payments.DeclineDetails,

	"authentication_required":               payments.DeclineAuthentication,
	"authentication_not_handled":            payments.DeclineAuthentication,
	"payment_intent_authentication_failure": payments.DeclineAuthentication,
	"offline_pin_required":                  payments.DeclineAuthentication,
	"online_or_offline_pin_required":        payments.DeclineAuthentication,

	"card_not_supported":                         payments.DeclineUnsupported,
	"currency_not_supported":                     payments.DeclineUnsupported,
	"transaction_not_allowed":                    payments.DeclineUnsupported,
	"service_not_allowed":                        payments.DeclineUnsupported,
	"not_permitted":                              payments.DeclineUnsupported,
	"invalid_card_type":                          payments.DeclineUnsupported,
	"payment_intent_incompatible_payment_method": payments.DeclineUnsupported,
	"payment_method_unsupported_type":            payments.DeclineUnsupported,
	"payment_method_currency_mismatch":           payments.DeclineUnsupported,
	"payment_method_not_available":               payments.DeclineUnsupported,
	"payment_method_unactivated":                 payments.DeclineUnsupported,

	"card_velocity_exceeded":           payments.DeclineLimit,
	"withdrawal_count_limit_exceeded":  payments.DeclineLimit,
	"card_decline_rate_limit_exceeded": payments.DeclineLimit,
	"invalid_amount":                   payments.DeclineLimit, // beyond what this card may pay

	"processing_error":                payments.DeclineTryLater,
	"issuer_not_available":            payments.DeclineTryLater,
	"reenter_transaction":             payments.DeclineTryLater,
	"try_again_later":                 payments.DeclineTryLater,
	"approve_with_id":                 payments.DeclineTryLater,
	"no_action_taken":                 payments.DeclineTryLater,
	"payment_method_provider_timeout": payments.DeclineTryLater,
}

// decline sorts a last payment error. The bank's own word comes before Stripe's;
// "" only when both are empty.
func decline(code, declineCode string) payments.Decline {
	if d, known := declines[declineCode]; known {
		return d
	}
	if d, known := declines[code]; known {
		return d
	}
	if code == "" && declineCode == "" {
		return payments.DeclineNone
	}
	return payments.DeclineGeneric
}
