package stripesim

import (
	"slices"
	"strings"
	"time"
)

// intentCreateParams are those that the stand-in takes; most change nothing here.
var intentCreateParams = paramSet("amount", "currency", "confirm", "confirmation_token", "payment_method", "metadata",
	"description", "automatic_payment_methods", "payment_method_types", "capture_method", "confirmation_method", "return_url",
	"use_stripe_sdk", "error_on_requires_action", "off_session", "statement_descriptor", "statement_descriptor_suffix",
	"receipt_email", "payment_method_options", "setup_future_usage", "shipping", "transfer_group", "mandate_data", "customer")

var intentConfirmParams = paramSet("confirmation_token", "payment_method", "return_url", "use_stripe_sdk", "error_on_requires_action",
	"off_session", "payment_method_options", "payment_method_types", "receipt_email", "setup_future_usage", "shipping", "mandate_data", "capture_method")

// createIntent makes an intent, and confirms it when asked to.
func (s *Server) createIntent(q *call, c *change) (kind, uint32, *apiError) {
	amount, there, bad := q.number("amount")
	if bad != nil {
		return 0, 0, bad
	}
	if !there {
		return 0, 0, missingParam("amount")
	}
	if q.text("currency") == "" {
		return 0, 0, missingParam("currency")
	}
	currency, bad := checkCurrency(q.text("currency"))
	if bad != nil {
		return 0, 0, bad
	}
	if bad := checkAmount(amount, currency); bad != nil {
		return 0, 0, bad
	}
	if bad := q.supported(); bad != nil {
		return 0, 0, bad
	}
	metadata, bad := q.metadata("")
	if bad != nil {
		return 0, 0, bad
	}
	p := intent{
		n: s.intents.last + 1, created: c.at / 1000, amount: amount, currency: currency, status: needsMethod,
		description: strings.Clone(q.text("description")), metadata: metadata, draw: q.draw,
	}
	if q.flag("confirm") {
		if bad := s.confirmable(q, &p); bad != nil {
			return 0, 0, bad
		}
	} else if q.text("confirmation_token") != "" {
		return 0, 0, malformed("parameter_invalid", "confirmation_token", "You can only provide `confirmation_token` when `confirm` is `true`.")
	}
	c.tell(intentCreatedEvent, p.n)
	if !q.flag("confirm") {
		c.intents = append(c.intents, p)
		return intentKind, p.n, nil
	}
	bad = s.confirm(q, c, p)
	return intentKind, p.n, bad
}

// supported refuses what the stand-in does not do, rather than doing something else.
func (q *call) supported() *apiError {
	if m := q.text("capture_method"); m != "" && m != "automatic" && m != "automatic_async" {
		return malformed("parameter_invalid", "capture_method", "This stand-in captures automatically only.")
	}
	if m := q.text("confirmation_method"); m != "" && m != "automatic" {
		return malformed("parameter_invalid", "confirmation_method", "This stand-in confirms automatically only.")
	}
	return nil
}

// confirmIntent confirms, again or for the first time.
func (s *Server) confirmIntent(q *call, c *change) (kind, uint32, *apiError) {
	p, bad := s.intentOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	if bad := q.supported(); bad != nil {
		return 0, 0, bad
	}
	if allowed := []intentStatus{needsMethod, needsConfirm, needsAction}; !slices.Contains(allowed, p.status) {
		c.intents = append(c.intents, p)
		return 0, 0, wrongState(&p, "confirm", needsConfirm, needsAction)
	}
	if bad := s.confirmable(q, &p); bad != nil {
		c.intents = append(c.intents, p)
		return 0, 0, bad
	}
	bad = s.confirm(q, c, p)
	return intentKind, p.n, bad
}

// intentOf finds the intent that a call's path names.
func (s *Server) intentOf(q *call) (intent, *apiError) {
	p, ok := s.intents.get(s.ids.number(intentKind, q.id))
	if !ok {
		return intent{}, noSuch("payment_intent", q.id)
	}
	return *p, nil
}

// confirmable checks what a confirmation is made with, and notes it in the intent.
func (s *Server) confirmable(q *call, p *intent) *apiError {
	text, method := q.text("confirmation_token"), q.text("payment_method")
	switch {
	case text != "" && method != "":
		return malformed("parameters_exclusive", "confirmation_token", "You may only specify one of these parameters: confirmation_token, payment_method.")
	case text != "":
		if len(text) <= len(tokenPrefix) || text[:len(tokenPrefix)] != tokenPrefix {
			return noToken(text)
		}
		if bad := s.tokenGood(p, text, s.now()); bad != nil {
			return bad
		}
	case method != "":
		number, ok := cardOfMethod(method)
		if !ok {
			e := noSuch("PaymentMethod", method)
			e.param, e.status = "payment_method", 400
			return e
		}
		p.card = number
	default:
		e := invalid("payment_intent_unexpected_state", "", "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.")
		e.early = true
		return e
	}
	if u := q.text("return_url"); u != "" {
		p.returnURL = strings.Clone(u) // and not the whole body with it
	}
	p.useSDK = q.flag("use_stripe_sdk")
	return nil
}

func noToken(text string) *apiError {
	return malformed("resource_missing", "confirmation_token", "No such confirmation_token: '%s'", text)
}

// tokenGood finds the card behind a confirmation token that may be used.
func (s *Server) tokenGood(p *intent, text string, now time.Time) *apiError {
	t, made := s.tokens.get(s.ids.number(tokenKind, text))
	if !made {
		p.card = cardOfToken(text)
		switch p.card {
		case cardTokenExpired:
			return tokenExpired(text)
		case cardTokenUsed:
			return tokenUsed(text)
		}
		return nil
	}
	switch {
	case t.usedBy != 0:
		return tokenUsed(text)
	case now.Unix() >= t.expires:
		return tokenExpired(text)
	}
	p.card = t.card
	if t.returnURL != "" {
		p.returnURL = t.returnURL
	}
	return nil
}

func tokenExpired(text string) *apiError {
	return invalid("confirmation_token_expired", "confirmation_token", "The ConfirmationToken '%s' has expired. Create a new ConfirmationToken.", text)
}

func tokenUsed(text string) *apiError {
	return invalid("token_already_used", "confirmation_token", "The ConfirmationToken '%s' has already been used. ConfirmationTokens can be used once only.", text)
}

// confirm confirms an intent with p.card: the token is used up, whatever comes of
// it. The intent is added to the change.
func (s *Server) confirm(q *call, c *change, p intent) *apiError {
	if text := q.text("confirmation_token"); text != "" {
		if t, made := s.tokens.get(s.ids.number(tokenKind, text)); made {
			used := *t
			used.usedBy = p.n
			c.tokens = append(c.tokens, used)
		}
		c.used = append(c.used, tokenUse{hashToken(text), p.n})
	}
	p.tries++
	p.method = s.methods + 1
	p.decline = notDeclined
	p.dueAt = 0
	faults := s.Faults()
	does := cards[p.card]
	if p.card == cardVisa && p.tries == 1 {
		switch {
		case p.draw.hits("decline", faults.DeclineRate):
			does = cards[cardDeclined]
		case p.draw.hits("authenticate", faults.AuthenticateRate):
			does = cards[cardAuthenticate]
		}
	}
	switch {
	case does.authenticate && (q.flag("error_on_requires_action") || q.flag("off_session")):
		return s.refuse(c, p, declinedNotAsked)
	case does.authenticate:
		p.status = needsAction
		if after := time.Duration(faults.Donors.After); after > 0 {
			p.dueAt = c.at + max(after.Milliseconds(), 1)
		}
		c.tell(intentActionEvent, p.n)
		c.intents = append(c.intents, p)
		return nil
	case p.card == cardProcessing:
		p.status = intentInWork
		p.dueAt = c.at + s.cfg.SettleAfter.Milliseconds() + 1
		c.tell(intentProcessingEvent, p.n)
		c.intents = append(c.intents, p)
		return nil
	}
	return s.authorize(c, p, does.decline)
}

// refuse ends a try that made no charge.
func (s *Server) refuse(c *change, p intent, why decline) *apiError {
	p.status, p.decline, p.dueAt = needsMethod, why, 0
	c.tell(intentFailedEvent, p.n)
	c.intents = append(c.intents, p)
	return declined(&p, 0)
}

// authorize charges the card, or has it declined.
func (s *Server) authorize(c *change, p intent, why decline) *apiError {
	h := charge{
		n: s.charges.last + 1, intent: p.n, previous: p.charge, created: c.at / 1000, amount: p.amount, currency: p.currency,
		card: p.card, method: p.method, metadata: p.metadata, draw: chance(mix(uint64(p.draw) + uint64(p.tries))),
	}
	p.charge, p.dueAt = h.n, 0
	if why != notDeclined {
		p.status, p.decline = needsMethod, why
		h.status, h.decline = chargeFailed, why
		c.tell(chargeFailedEvent, h.n)
		c.tell(intentFailedEvent, p.n)
		c.intents = append(c.intents, p)
		c.charges = append(c.charges, h)
		return declined(&p, h.n)
	}
	p.status, p.decline = intentPaid, notDeclined
	h.status = chargePaid
	h.txn = s.book(c, txn{kind: txnCharge, source: h.n, amount: h.amount, fee: s.cfg.Fees.of(h.amount), currency: h.currency})
	if p.card == cardDispute || p.card == cardDisputeLost || p.card == cardDisputeWon || h.draw.hits("dispute", s.Faults().DisputeRate) {
		h.dueAt = c.at + s.cfg.DisputeAfter.Milliseconds() + 1
	}
	c.tell(chargeSucceededEvent, h.n)
	c.tell(intentSucceededEvent, p.n)
	c.intents = append(c.intents, p)
	c.charges = append(c.charges, h)
	return nil
}

// book adds a balance transaction, available later when it brings money in.
func (s *Server) book(c *change, t txn) uint32 {
	t.n = s.txns.last + 1
	for i := range c.txns { // one that is there already may be in the change to be shown
		t.n = max(t.n, c.txns[i].n+1)
	}
	t.created = c.at / 1000
	t.availableOn = t.created
	if t.kind == txnCharge {
		t.availableOn += int64(s.cfg.AvailableAfter / time.Second)
	}
	c.txns = append(c.txns, t)
	return t.n
}

// cancelReasons are those that a caller may give.
var cancelReasons = []string{"", "duplicate", "fraudulent", "requested_by_customer", "abandoned"}

// cancelIntent gives an intent up, for good.
func (s *Server) cancelIntent(q *call, c *change) (kind, uint32, *apiError) {
	p, bad := s.intentOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	reason := q.text("cancellation_reason")
	if !slices.Contains(cancelReasons, reason) {
		return 0, 0, malformed("parameter_invalid", "cancellation_reason", "Invalid cancellation_reason: must be one of duplicate, fraudulent, requested_by_customer, or abandoned")
	}
	if p.status == intentPaid || p.status == intentCanceled {
		c.intents = append(c.intents, p)
		return 0, 0, wrongState(&p, "cancel", needsMethod, needsConfirm, needsAction, intentInWork)
	}
	p.status, p.canceledAt, p.cancelReason, p.dueAt = intentCanceled, c.at/1000, intern(reason), 0
	c.tell(intentCanceledEvent, p.n)
	c.intents = append(c.intents, p)
	return intentKind, p.n, nil
}

// updateIntent changes what may be changed at any time.
func (s *Server) updateIntent(q *call, c *change) (kind, uint32, *apiError) {
	p, bad := s.intentOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	if p.metadata, bad = q.metadata(p.metadata); bad != nil {
		return 0, 0, bad
	}
	if d := q.text("description"); d != "" {
		p.description = strings.Clone(d)
	}
	c.intents = append(c.intents, p)
	return intentKind, p.n, nil
}

// intentDue is what happens to an intent by itself: the donor acts, or the bank
// makes up its mind.
func (s *Server) intentDue(c *change, p intent) {
	if p.dueAt == 0 || p.dueAt > c.at || s.busy[p.n] {
		if s.busy[p.n] { // a call is working on it: it comes first
			s.due.add(c.at+look.Milliseconds(), intentKind, p.n)
		}
		return
	}
	switch p.status {
	case intentInWork:
		s.later(s.authorize(c, p, notDeclined))
	case needsAction:
		donors := s.Faults().Donors
		act := p.draw.of("donor")
		switch {
		case act < donors.SucceedRate:
			s.later(s.authorize(c, p, cards[p.card].decline))
		case act < donors.SucceedRate+donors.FailRate:
			s.later(s.refuse(c, p, declinedAuthentication))
		default: // never comes back
			p.dueAt = 0
			c.intents = append(c.intents, p)
		}
	}
}

// later is where a decline goes that no call is waiting for: into the events.
func (*Server) later(*apiError) {}

// tell adds an event about an object of the change.
func (c *change) tell(t eventType, n uint32) { c.events = append(c.events, told{t, n}) }

// tokenParams are those of the test helper.
var tokenParams = paramSet("payment_method", "payment_method_data", "return_url", "setup_future_usage", "shipping")

// createToken is the test helper that makes a confirmation token, single use.
func (s *Server) createToken(q *call, c *change) (kind, uint32, *apiError) {
	t := token{
		n: s.tokens.last + 1, created: c.at / 1000, expires: c.at/1000 + int64(s.cfg.TokenLife/time.Second),
		card: cardVisa, returnURL: strings.Clone(q.text("return_url")),
	}
	if method := q.text("payment_method"); method != "" {
		number, ok := cardOfMethod(method)
		if !ok {
			e := noSuch("PaymentMethod", method)
			e.param, e.status = "payment_method", 400
			return 0, 0, e
		}
		t.card = number
	}
	c.tokens = append(c.tokens, t)
	return tokenKind, t.n, nil
}
