package audit

import "time"

// Payment is what became of being paid for a donation, as the ledger says.
type Payment struct {
	// Status and Reason are words of the public contract; "accepted" before the
	// donation's turn has come.
	Status, Reason string
	Intent, Charge string // the processor's, "" for none
	CapturedMinor  int64
	// FeeMinor is what the processor kept, in FeeCurrency, once FeeKnown.
	FeeMinor    int64
	FeeCurrency string
	FeeKnown    bool
	// RefundedMinor and LostMinor are what was given back of each line, nil for nothing.
	RefundedMinor, LostMinor []int64
	// FellAt is when the donation may first have stopped being pledged, zero for never: of
	// one that came before a restore and fell after it, when it came, because it may have
	// fallen before too and the note of that is lost. Falls is how often it did: each of
	// its attempts that failed or was canceled.
	FellAt time.Time
	Falls  int64
}

// The words of a status that the audit tells apart (the public contract).
const (
	statusSucceeded = "succeeded"
	statusRefunded  = "refunded"
	statusFailed    = "failed"
	statusCanceled  = "canceled"
	reasonRefused   = "refused"
)

// final tells whether nothing more is to be expected of a status by itself.
func final(status string) bool {
	switch status {
	case "accepted", "charging", "requires_action":
		return false
	}
	return true
}

// Pledged tells whether the donation counts.
func (p *Payment) Pledged() bool { return p.Status != statusFailed && p.Status != statusCanceled }

// Raised is what its line with this amount has raised.
func (p *Payment) Raised(line int, minor int64) int64 {
	if p.Charge == "" {
		return 0
	}
	if line < len(p.RefundedMinor) {
		minor -= p.RefundedMinor[line]
	}
	if line < len(p.LostMinor) {
		minor -= p.LostMinor[line]
	}
	return minor
}
