package payments

import "time"

// ActWithinDefault is how long a donor may take to act (3-D Secure) before the payment
// is given up. Banks end a challenge after some ten minutes; half an hour leaves time
// to find the phone.
const ActWithinDefault = 30 * time.Minute

// AttemptsMax bounds the cards of one donation: a donor has two or three, somebody
// who tests stolen ones has thousands.
const AttemptsMax = 10

// intent applies a payment intent that the processor showed.
func (s *step) intent(i *IntentSeen) {
	if i.Status == IntentSucceeded {
		s.captured(i)
		return
	}
	a := s.p.last()
	switch {
	case i.AttemptNo != 0 && i.AttemptNo != a.No:
		// The answer to an attempt that is over, and it was not a capture.
	case i.AttemptNo != 0 && (a.State == Due || a.State == Calling):
		s.answered(a, i)
	case a.State == RequiresAction || a.State == Processing:
		s.moved(a, i)
	case i.Status == IntentCanceled && (a.State == Failed || a.State == Canceled || a.State == Due && a.FirstCalledAt.IsZero()):
		// A later attempt needs an intent of its own. While a call is under way its own
		// answer will say so.
		s.forgetIntent(i.ID)
	}
}

// answered applies the answer to the attempt's own call, which is authoritative.
func (s *step) answered(a *Attempt, i *IntentSeen) {
	confirmedAgain := s.p.Intent != "" // the call was to confirm this one once more
	if i.ID != "" && i.ID != s.p.Intent {
		if confirmedAgain {
			s.alarm(AlarmOtherIntent)
		}
		s.p.Intent = i.ID
		s.applied()
	}
	if a.FirstCalledAt.IsZero() {
		a.FirstCalledAt = s.f.At
		s.applied()
	}
	if i.Charge != "" {
		a.Charge = i.Charge
	}
	switch i.Status {
	case IntentRequiresAction:
		within := i.ActWithin
		if within <= 0 {
			within = ActWithinDefault
		}
		s.bring(a, RequiresAction)
		a.ClientSecret, a.ActionBy = i.ClientSecret, s.f.At.Add(within)
	case IntentRequiresConfirmation:
		// Made and not confirmed, which our one call never leaves behind. Nobody will
		// confirm it: cancel it, and the donor may offer a card again.
		s.alarm(AlarmUnexpectedIntent)
		s.bring(a, RequiresAction)
		a.ActionBy = s.f.At
		if s.p.Cancel == NoCancel {
			s.p.Cancel = CancelAbandoned
		}
	case IntentRequiresCapture:
		s.alarm(AlarmUnexpectedIntent) // we never ask for a capture of its own
		s.bring(a, Processing)
	case IntentProcessing:
		s.bring(a, Processing)
	case IntentRequiresPaymentMethod:
		s.fail(a, Declined, i.Decline)
	case IntentCanceled:
		if confirmedAgain && s.p.Cancel == NoCancel {
			// Another card for an intent that was given up in the meantime: the card was
			// not declined, it is only needed once more, for a new intent.
			s.fail(a, CardNeeded, DeclineNone)
			s.forgetIntent(s.p.Intent)
			return
		}
		s.gone(a)
	default:
		s.alarm(AlarmUnexpectedIntent)
	}
}

// moved applies what was seen of the intent of an attempt whose call was answered.
// It comes from anywhere and may be old.
func (s *step) moved(a *Attempt, i *IntentSeen) {
	if i.ID != s.p.Intent {
		return
	}
	if i.Status == IntentCanceled { // final at the processor, so never old
		s.gone(a)
		return
	}
	// Events count in whole seconds.
	seen, since := s.f.At.Truncate(time.Second), a.ChangedAt.Truncate(time.Second)
	if seen.Before(since) {
		return
	}
	switch i.Status {
	case IntentProcessing:
		if a.State == RequiresAction {
			s.bring(a, Processing)
		}
	case IntentRequiresPaymentMethod:
		// Without a decline it is how the intent looked before it was confirmed; in the
		// very same second it may be the decline of an earlier card.
		if i.Decline == DeclineNone || seen.Equal(since) && s.earlierCharge(i.Charge) {
			return
		}
		if i.Charge != "" && !s.earlierCharge(i.Charge) {
			a.Charge = i.Charge
		}
		s.fail(a, Declined, i.Decline)
	}
}

// earlierCharge tells whether a charge is of an attempt before the last one.
func (s *step) earlierCharge(charge string) bool {
	if charge == "" || len(s.p.Attempts) == 0 {
		return false
	}
	for i := range s.p.Attempts[:len(s.p.Attempts)-1] {
		if s.p.Attempts[i].Charge == charge {
			return true
		}
	}
	return false
}

// outcome applies what became of a call that named no intent.
func (s *step) outcome(o *CallOutcome) {
	a := s.p.last()
	if o.AttemptNo != a.No || a.State != Due && a.State != Calling {
		return
	}
	switch o.Kind {
	case Retry:
		if a.State == Due {
			return
		}
		a.NotBefore = o.NotBefore
		s.applied()
		if !o.NothingDone {
			return
		}
		if s.p.Cancel == CancelByDonor {
			s.bring(a, Canceled)
			return
		}
		s.bring(a, Due)
		a.FirstCalledAt = time.Time{} // as if never called
	case Unknown:
		if a.FirstCalledAt.IsZero() {
			a.FirstCalledAt = s.f.At
		}
		if a.State == Due {
			s.bring(a, Calling)
		}
		a.NotBefore = o.NotBefore
		s.applied()
	case Definite:
		reason := o.Reason
		if reason == "" {
			reason = Refused
		}
		s.fail(a, reason, DeclineNone)
	}
}

// card applies another card.
func (s *step) card(c *CardOffered) {
	last := s.p.last()
	if last.State != Failed || s.p.Charge != "" || c.Token == "" || len(s.p.Attempts) >= AttemptsMax {
		return
	}
	// A refund or a dispute proves a capture that is still to be seen.
	if len(s.p.Refunds) > 0 || len(s.p.Disputes) > 0 {
		return
	}
	for i := range s.p.Attempts {
		if s.p.Attempts[i].Request == c.Request && c.Request != [16]byte{} {
			return
		}
	}
	s.p.Cancel = NoCancel
	s.p.Attempts = append(s.p.Attempts, Attempt{
		No: last.No + 1, State: Due, Token: c.Token, TokenExpiresAt: c.ExpiresAt, Request: c.Request, ChangedAt: s.f.At,
	})
	s.applied()
}

// cancel applies a donor's wish to cancel. It wins over every failure, whichever is
// heard of first, and loses to a capture.
func (s *step) cancel() {
	if s.p.Charge != "" {
		return
	}
	a := s.p.last()
	switch a.State {
	case Succeeded, Canceled:
		return
	case Due:
		if a.FirstCalledAt.IsZero() {
			s.bring(a, Canceled)
		}
	case Failed:
		s.bring(a, Canceled)
	}
	if s.p.Cancel != CancelByDonor {
		s.p.Cancel = CancelByDonor
		s.applied()
	}
}

// overtime applies that a time has passed.
func (s *step) overtime(o *Overtime) {
	a := s.p.last()
	if o.AttemptNo != a.No {
		return
	}
	switch {
	case o.Kind == TokenExpired && a.State == Due && a.FirstCalledAt.IsZero():
		s.fail(a, CardNeeded, DeclineNone)
	case o.Kind == ActionExpired && a.State == RequiresAction && s.p.Cancel == NoCancel:
		s.p.Cancel = CancelAbandoned
		s.applied()
	case o.Kind == KeyForgotten && a.State == Calling && !a.LookFirst:
		a.LookFirst = true
		s.applied()
	}
}

// bring brings an attempt into a state and clears what belongs to others.
func (s *step) bring(a *Attempt, state AttemptState) {
	a.State, a.ChangedAt = state, s.f.At
	a.LookFirst = false
	a.ClientSecret, a.ActionBy = "", time.Time{}
	a.Reason, a.Decline = "", DeclineNone
	s.applied()
}

// fail ends an attempt without a capture. A donor who asked for it is told that it
// is canceled; its intent may still be open at the processor, so the wish stays.
func (s *step) fail(a *Attempt, reason FailReason, decline Decline) {
	if s.p.Cancel == CancelByDonor {
		s.bring(a, Canceled)
		return
	}
	s.p.Cancel = NoCancel
	s.bring(a, Failed)
	a.Reason = reason
	if reason == Declined {
		a.Decline = decline
		if decline == DeclineNone {
			a.Decline = DeclineGeneric
		}
	}
}

// gone ends an attempt whose intent is canceled at the processor.
func (s *step) gone(a *Attempt) {
	intent := s.p.Intent
	if s.p.Cancel == CancelAbandoned {
		s.fail(a, Abandoned, DeclineNone)
	} else {
		s.bring(a, Canceled)
	}
	s.forgetIntent(intent)
}

// forgetIntent makes room for another intent: the processor said that this one is
// canceled, so it can never be charged.
func (s *step) forgetIntent(id string) {
	if id == "" || id != s.p.Intent {
		return
	}
	s.p.Intent = ""
	s.applied()
}
