package payments

// Status is the donation's status, a word of the public contract, and for
// StatusFailed the reason. It is derived from the payment alone.
func Status(p Payment) (status string, reason FailReason) { return p.status() }

func (p *Payment) status() (string, FailReason) {
	if p.Charge != "" {
		switch {
		case p.disputeStatus() == DisputeOpen || p.disputeStatus() == DisputeLost:
			return StatusDisputed, ""
		case p.refundedMinor() >= p.CapturedMinor:
			return StatusRefunded, ""
		}
		return StatusSucceeded, ""
	}
	a := p.last()
	switch a.State {
	case Due:
		if a.FirstCalledAt.IsZero() {
			return StatusAccepted, ""
		}
		return StatusCharging, ""
	case Calling, Processing:
		return StatusCharging, ""
	case RequiresAction:
		return StatusRequiresAction, ""
	case Failed:
		return StatusFailed, a.Reason
	case Canceled:
		return StatusCanceled, ""
	case Succeeded: // a charge that no gift explains; the donor has paid
		return StatusSucceeded, ""
	}
	return StatusAccepted, "" // no attempt was made yet
}

// Captured tells whether the payment's charge was captured and booked.
func Captured(p Payment) bool { return p.Charge != "" }

// Pledged is what a line counts as pledged, in minor units: its amount unless the
// payment failed or was canceled.
func Pledged(p Payment, line int) int64 {
	if !p.pledged() {
		return 0
	}
	return p.Lines[line].AmountMinor
}

// Raised is what a line has raised, in minor units: once captured, its amount less
// refunds that stand and disputes that were lost. Never negative.
func Raised(p Payment, line int) int64 {
	if p.Charge == "" {
		return 0
	}
	l := &p.Lines[line]
	return l.AmountMinor - l.RefundedMinor - l.LostMinor
}

// Counted is 1 when the donation counts for the campaigns of its lines, else 0: it
// counts while it is pledged.
func Counted(p Payment) int64 {
	if p.pledged() {
		return 1
	}
	return 0
}

func (p *Payment) pledged() bool {
	status, _ := p.status()
	return status != StatusFailed && status != StatusCanceled
}

// Refundable is what may still be given back, in minor units: what was captured less
// refunds that stand and what the donor's bank has taken. Refunds that the processor
// has not named yet are not in it.
func Refundable(p Payment) int64 {
	if p.Charge == "" {
		return 0
	}
	left := p.CapturedMinor - p.refundedMinor()
	for i := range p.Disputes {
		if d := &p.Disputes[i]; p.isMain(d.Charge) && d.Status != DisputeWon {
			left -= d.AmountMinor
		}
	}
	return max(left, 0)
}

// Refunded is the sum of the captured charge's refunds that stand, in minor units.
func Refunded(p Payment) int64 { return p.refundedMinor() }

func (p *Payment) refundedMinor() int64 {
	var sum int64
	for i := range p.Refunds {
		if r := &p.Refunds[i]; p.Charge != "" && p.isMain(r.Charge) && r.Status.standing() {
			sum += r.AmountMinor
		}
	}
	return sum
}

// Disputed says where the captured charge's disputes stand: the worst of them, lost
// before open before won, "" when there is none.
func Disputed(p Payment) DisputeStatus { return p.disputeStatus() }

func (p *Payment) disputeStatus() DisputeStatus {
	var worst DisputeStatus
	for i := range p.Disputes {
		d := &p.Disputes[i]
		if p.Charge == "" || !p.isMain(d.Charge) {
			continue
		}
		if worst == "" || d.Status == DisputeLost || worst == DisputeWon {
			worst = d.Status
		}
	}
	return worst
}

// CancelAtProcessor tells whether the payment's intent is to be canceled at the
// processor now: somebody wants it canceled and no call is under way. The same in
// SQL: cancel <> 0, intent and charge of payments, state of the last attempt.
func CancelAtProcessor(p Payment) bool {
	if p.Cancel == NoCancel || p.Intent == "" || p.Charge != "" {
		return false
	}
	switch p.last().State {
	case RequiresAction, Failed, Canceled:
		return true
	}
	return false
}

// last is the attempt that counts. Of a payment without attempts it is an empty one.
func (p *Payment) last() *Attempt {
	if len(p.Attempts) == 0 {
		return &Attempt{}
	}
	return &p.Attempts[len(p.Attempts)-1]
}

// isMain tells whether a fact that names this charge is about the captured one.
func (p *Payment) isMain(charge string) bool { return charge == "" || charge == p.Charge }

// other returns the index of another charge, or -1.
func (p *Payment) other(charge string) int {
	for i := range p.Others {
		if p.Others[i].Charge == charge {
			return i
		}
	}
	return -1
}

// booked tells whether the capture of this charge was booked.
func (p *Payment) booked(charge string) bool {
	if p.Charge != "" && p.isMain(charge) {
		return true
	}
	i := p.other(charge)
	return i >= 0 && p.Others[i].AmountMinor > 0
}

// standing tells whether a refund counts: the processor tells us when one that was
// made does not.
func (s RefundStatus) standing() bool { return s != RefundFailed && s != RefundCanceled }

// final tells whether nothing more is expected of an attempt.
func (s AttemptState) final() bool { return s >= Failed }
