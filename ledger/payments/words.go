package payments

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
