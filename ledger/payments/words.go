package payments

// declines maps the processor's decline codes, and those of its error codes that
// stand for one, to what a donor can do (docs.stripe.com/declines/codes and
// docs.stripe.com/error-codes, read 2026-11). What is not in it is generic, and so,
// on purpose, are lost, stolen and fraudulent: the bank tells its customer, we do not
// tell whoever holds the card.
var declines = map[string]Decline{
	"insufficient_funds": DeclineFunds,

	"expired_card":         DeclineExpired,
	"invalid_expiry_month": DeclineDetails,
	"invalid_expiry_year":  DeclineDetails,

	"incorrect_address":   DeclineDetails,
	"incorrect_cvc":       DeclineDetails,
	"incorrect_number":    DeclineDetails,
	"incorrect_zip":       DeclineDetails,
	"invalid_account":     DeclineDetails,
	"invalid_cvc":         DeclineDetails,
	"invalid_number":      DeclineDetails,
	"postal_code_invalid": DeclineDetails,

	"authentication_required":               DeclineAuthentication,
	"authentication_not_handled":            DeclineAuthentication,
	"mobile_device_authentication_required": DeclineAuthentication,
	"payment_intent_authentication_failure": DeclineAuthentication,
	"incorrect_pin":                         DeclineAuthentication,
	"invalid_pin":                           DeclineAuthentication,
	"offline_pin_required":                  DeclineAuthentication,
	"online_or_offline_pin_required":        DeclineAuthentication,
	"pin_try_exceeded":                      DeclineAuthentication,

	"card_not_supported":                DeclineUnsupported,
	"currency_not_supported":            DeclineUnsupported,
	"not_permitted":                     DeclineUnsupported,
	"restricted_card":                   DeclineUnsupported,
	"service_not_allowed":               DeclineUnsupported,
	"transaction_not_allowed":           DeclineUnsupported,
	"new_account_information_available": DeclineDetails,

	"card_velocity_exceeded":           DeclineLimit,
	"card_decline_rate_limit_exceeded": DeclineLimit,
	"invalid_amount":                   DeclineLimit, // exceeds what the card allows
	"withdrawal_count_limit_exceeded":  DeclineLimit,

	"approve_with_id":      DeclineTryLater,
	"issuer_not_available": DeclineTryLater,
	"processing_error":     DeclineTryLater,
	"reenter_transaction":  DeclineTryLater,
	"try_again_later":      DeclineTryLater,
}

// ParseDecline sorts the processor's decline code, or the error code when there is no
// decline code. "" is DeclineNone; a code that is unknown is DeclineGeneric.
func ParseDecline(code string) Decline {
	if code == "" {
		return DeclineNone
	}
	if d, ok := declines[code]; ok {
		return d
	}
	return DeclineGeneric
}

// declineWords says to the donor what the bank said and what helps.
var declineWords = map[Decline]string{
	DeclineFunds:          "The card does not have enough funds. Nothing was charged. Please try another card.",
	DeclineExpired:        "The card has expired. Nothing was charged. Please try another card.",
	DeclineDetails:        "Some of the card's details are not right. Nothing was charged. Please check the number, the date and the security code, and try again.",
	DeclineAuthentication: "The bank could not confirm that it was you. Nothing was charged. Please try again or use another card.",
	DeclineUnsupported:    "This card cannot be used for this kind of payment. Nothing was charged. Please try another card.",
	DeclineLimit:          "The card has reached its limit. Nothing was charged. Please try another card, or ask the bank.",
	DeclineTryLater:       "The bank could not answer just now. Nothing was charged. Please try again in a little while, or use another card.",
}

// Words tells a donor in one or two plain sentences where the payment stands. decline
// is that of the last attempt. It never holds a code, a name or an amount; "" for a
// status that is none.
func Words(status string, reason FailReason, decline Decline) string {
	switch status {
	case StatusAccepted:
		return "Your donation is safe with us. Your card will be charged soon; there is nothing more to do."
	case StatusCharging:
		return "Your card is being charged. There is nothing more to do."
	case StatusRequiresAction:
		return "Your bank wants to be sure that it is you. Please confirm the payment."
	case StatusSucceeded:
		return "Thank you! Your donation has been paid."
	case StatusRefunded:
		return "Your donation has been given back to you. It can take some days until your bank shows it."
	case StatusDisputed:
		return "Your bank has questioned this payment."
	case StatusCanceled:
		return "The donation was canceled. Your card was not charged."
	case StatusFailed:
		return failWords(reason, decline)
	}
	return ""
}

func failWords(reason FailReason, decline Decline) string {
	switch reason {
	case CardNeeded:
		return "We could not charge your card in time, so we need it once more. Nothing was charged, and your bank did not decline it. Please enter a card again."
	case Abandoned:
		return "The payment was not confirmed in time. Nothing was charged. Please try again if you still want to give."
	case Refused:
		return "This payment cannot be taken. Nothing was charged. Please try another card."
	}
	if words, ok := declineWords[decline]; ok {
		return words
	}
	return "Your bank declined the payment. Nothing was charged. Please try another card, or ask your bank."
}
