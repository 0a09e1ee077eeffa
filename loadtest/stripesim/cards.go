package stripesim

import "strings"

// card is a test card: what it does when it is charged. Cards are written to the
// log by number: never renumber, append.
type card uint8

// decline is why a card was not charged; numbers are written to the log.
type decline uint8

const (
	cardVisa card = iota + 1
	cardDeclined
	cardFunds
	cardExpired
	cardCVC
	cardProcessingError
	cardLost
	cardStolen
	cardFraudulent
	cardVelocity
	cardTryLater
	cardUnsupported
	cardAuthenticate
	cardAuthenticateFunds
	cardDispute
	cardDisputeLost
	cardDisputeWon
	cardSlow
	cardTimeout
	cardReset
	cardError
	cardErrorAfter
	cardRefundFails
	cardRefundPending
	cardProcessing
	cardTokenExpired
	cardTokenUsed
)

const (
	notDeclined decline = iota
	declinedGeneric
	declinedFunds
	declinedExpired
	declinedCVC
	declinedProcessing
	declinedLost
	declinedStolen
	declinedFraudulent
	declinedVelocity
	declinedTryLater
	declinedUnsupported
	declinedAuthentication
	declinedNotAsked // authentication is needed, and the call said not to ask for it
)

// declines are in Stripe's words (docs.stripe.com/declines/codes).
var declines = [...]struct{ code, declineCode, message string }{
	declinedGeneric:        {"card_declined", "generic_decline", "Your card was declined."},
	declinedFunds:          {"card_declined", "insufficient_funds", "Your card has insufficient funds."},
	declinedExpired:        {"expired_card", "expired_card", "Your card has expired."},
	declinedCVC:            {"incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."},
	declinedProcessing:     {"processing_error", "processing_error", "An error occurred while processing your card. Try again in a little bit."},
	declinedLost:           {"card_declined", "lost_card", "Your card was declined."},
	declinedStolen:         {"card_declined", "stolen_card", "Your card was declined."},
	declinedFraudulent:     {"card_declined", "fraudulent", "Your card was declined."},
	declinedVelocity:       {"card_declined", "card_velocity_exceeded", "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."},
	declinedTryLater:       {"card_declined", "try_again_later", "Your card was declined."},
	declinedUnsupported:    {"card_declined", "card_not_supported", "Your card is not supported."},
	declinedAuthentication: {"payment_intent_authentication_failure", "", "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again."},
	declinedNotAsked:       {"authentication_required", "authentication_required", "Your card was declined. This transaction requires authentication."},
}

// behaviour of a card.
type behaviour struct {
	name    string // after "pm_card_" and "ctoken_card_"
	last4   string
	decline decline // when charged, after authentication where that is asked
	// authenticate asks the donor to act first.
	authenticate bool
}

// cards are named as Stripe names its test payment methods, where it has one.
var cards = [...]behaviour{
	cardVisa:              {name: "visa", last4: "4242"},
	cardDeclined:          {name: "chargeDeclined", last4: "0002", decline: declinedGeneric},
	cardFunds:             {name: "chargeDeclinedInsufficientFunds", last4: "9995", decline: declinedFunds},
	cardExpired:           {name: "chargeDeclinedExpiredCard", last4: "0069", decline: declinedExpired},
	cardCVC:               {name: "chargeDeclinedIncorrectCvc", last4: "0127", decline: declinedCVC},
	cardProcessingError:   {name: "chargeDeclinedProcessingError", last4: "0119", decline: declinedProcessing},
	cardLost:              {name: "chargeDeclinedLostCard", last4: "9987", decline: declinedLost},
	cardStolen:            {name: "chargeDeclinedStolenCard", last4: "9979", decline: declinedStolen},
	cardFraudulent:        {name: "chargeDeclinedFraudulent", last4: "0019", decline: declinedFraudulent},
	cardVelocity:          {name: "chargeDeclinedVelocityLimitExceeded", last4: "6975", decline: declinedVelocity},
	cardTryLater:          {name: "chargeDeclinedTryAgainLater", last4: "0010", decline: declinedTryLater},
	cardUnsupported:       {name: "chargeDeclinedNotSupported", last4: "0028", decline: declinedUnsupported},
	cardAuthenticate:      {name: "authenticationRequired", last4: "3184", authenticate: true},
	cardAuthenticateFunds: {name: "authenticationRequiredChargeDeclinedInsufficientFunds", last4: "3178", authenticate: true, decline: declinedFunds},
	cardDispute:           {name: "createDispute", last4: "0259"},
	cardDisputeLost:       {name: "createDisputeLost", last4: "0267"},
	cardDisputeWon:        {name: "createDisputeWon", last4: "0275"},
	cardSlow:              {name: "slow", last4: "5001"},
	cardTimeout:           {name: "timeout", last4: "5002"},
	cardReset:             {name: "reset", last4: "5003"},
	cardError:             {name: "error", last4: "5004"},
	cardErrorAfter:        {name: "errorAfterCharge", last4: "5005"},
	cardRefundFails:       {name: "refundFail", last4: "5126"},
	cardRefundPending:     {name: "pendingRefund", last4: "7726"},
	cardProcessing:        {name: "processing", last4: "5006"},
	cardTokenExpired:      {name: "tokenExpired", last4: "5007"},
	cardTokenUsed:         {name: "tokenUsed", last4: "5008"},
}

// cardNumbers finds a card by its name.
var cardNumbers = func() map[string]card {
	m := make(map[string]card, len(cards))
	for i, c := range cards {
		if c.name != "" {
			m[c.name] = card(i)
		}
	}
	return m
}()

const (
	tokenPrefix      = "ctoken_"
	magicTokenPrefix = "ctoken_card_"
	methodPrefix     = "pm_card_"
)

// cardOfToken is the card behind a token that no test helper made. A magic name may
// be followed by "_" and anything, so that each donation can have a token of its
// own; every unknown token is a good Visa's.
func cardOfToken(token string) card {
	name, magic := strings.CutPrefix(token, magicTokenPrefix)
	if !magic {
		return cardVisa
	}
	name, _, _ = strings.Cut(name, "_")
	if c, ok := cardNumbers[name]; ok {
		return c
	}
	return cardVisa
}

// cardOfMethod is the card of a test payment method, "pm_card_visa"; false for others.
func cardOfMethod(method string) (card, bool) {
	name, ok := strings.CutPrefix(method, methodPrefix)
	if !ok {
		return 0, false
	}
	c, ok := cardNumbers[name]
	return c, ok
}

// Tokens lists the magic confirmation tokens, for help texts.
func Tokens() []string {
	var names []string
	for _, c := range cards {
		if c.name != "" {
			names = append(names, magicTokenPrefix+c.name)
		}
	}
	return names
}
