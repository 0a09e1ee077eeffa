package reconcile

import (
	"strings"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// Class says what kind of money is compared; fees stand apart from what they were
// taken of.
type Class string

// The classes.
const (
	Charge     Class = "charge"
	Fee        Class = "fee" // of charges
	Refund     Class = "refund"
	Dispute    Class = "dispute"
	DisputeFee Class = "dispute_fee"
	Payout     Class = "payout"
	Other      Class = "other"      // the processor's own fees and adjustments
	Correction Class = "correction" // a person's; the processor has no such thing
)

// object names what moved: the same on both sides. A refund and its failure, a
// dispute and its end, a payout and its return are one object each: what counts is
// what they come to.
type object struct {
	class Class
	id    string
}

// move is money of one object that moved at the processor.
type move struct {
	object
	minor int64 // added to our balance there; negative when taken
}

// movesOf are the moves in one of the processor's balance transactions: the amount,
// and its fee.
func movesOf(m *payments.Movement) (moves [2]move, n int) {
	add := func(class Class, id string, minor int64) {
		if minor != 0 {
			moves[n] = move{object{class, id}, minor}
			n++
		}
	}
	class := classOf(m)
	if class == Other {
		add(Other, m.ID, m.AmountMinor-m.FeeMinor)
		return moves, n
	}
	add(class, m.Source, m.AmountMinor)
	switch class {
	case Charge:
		add(Fee, m.ID, -m.FeeMinor)
	case Dispute:
		add(DisputeFee, m.Source, -m.FeeMinor)
	default: // a fee of a refund or a payout names no gift
		add(Other, m.ID, -m.FeeMinor)
	}
	return moves, n
}

// classOf sorts a balance transaction by the processor's category for reports, and by
// its type where an old one has none (docs.stripe.com/reports/reporting-categories,
// docs.stripe.com/reports/balance-transaction-types). Without a source it is Other.
func classOf(m *payments.Movement) Class {
	if m.Source == "" {
		return Other
	}
	switch m.Category {
	case "charge", "charge_failure":
		return Charge
	case "refund", "refund_failure", "partial_capture_reversal":
		return Refund
	case "dispute", "dispute_reversal":
		return Dispute
	case "payout", "payout_reversal":
		return Payout
	case "":
	default:
		return Other
	}
	switch m.Type {
	case "charge", "payment", "payment_failure_refund":
		return Charge
	case "refund", "payment_refund", "refund_failure":
		return Refund
	case "payout", "payout_cancel", "payout_failure":
		return Payout
	case "adjustment":
		if strings.HasPrefix(m.Source, "dp_") || strings.HasPrefix(m.Source, "du_") {
			return Dispute
		}
	}
	return Other
}

// objectOf names what a journal entry moved at the processor, by its ref.
func objectOf(e *journal.Entry) object {
	_, id, _ := strings.Cut(e.Ref, ":")
	switch e.Kind {
	case journal.Capture:
		return object{Charge, id}
	case journal.ProcessingFee:
		return object{Fee, id}
	case journal.RefundMade, journal.RefundFailed:
		return object{Refund, id}
	case journal.DisputeOpened, journal.DisputeWon, journal.DisputeLost, journal.DisputeReversed:
		return object{Dispute, id}
	case journal.DisputeFee, journal.DisputeFeeReturned:
		id, _, _ = strings.Cut(id, ":") // after it stands what the sum grew to
		return object{DisputeFee, id}
	case journal.Payout, journal.PayoutFailed:
		return object{Payout, id}
	case journal.ProcessorOther:
		return object{Other, id}
	}
	return object{Correction, e.Ref}
}
