package stripesim

// The objects as they are kept: numbers in place of IDs, and only what cannot be
// derived. Times are Unix seconds as Stripe's are, due times Unix milliseconds.

// intentStatus is where a payment intent stands.
type intentStatus uint8

const (
	needsMethod    intentStatus = 1
	needsConfirm   intentStatus = 2
	needsAction    intentStatus = 3
	intentInWork   intentStatus = 4
	intentCanceled intentStatus = 5
	intentPaid     intentStatus = 6
)

var intentStatusWords = [...]string{
	needsMethod: "requires_payment_method", needsConfirm: "requires_confirmation", needsAction: "requires_action",
	intentInWork: "processing", intentCanceled: "canceled", intentPaid: "succeeded",
}

func (s intentStatus) String() string { return intentStatusWords[s] }

type intent struct {
	n        uint32
	created  int64
	amount   int64
	currency string
	status   intentStatus
	// card is what the last confirmation was made with, and method the number of its
	// payment method.
	card   card
	method uint32
	// decline is why the last confirmation failed, none when it did not.
	decline decline
	// charge is the latest charge, good or bad.
	charge       uint32
	tries        uint16 // confirmations so far
	canceledAt   int64
	cancelReason string
	returnURL    string
	useSDK       bool
	description  string
	metadata     string // pairs, see encodePairs
	draw         chance
	dueAt        int64 // when the donor acts or the bank decides, by itself; 0 is never
}

type charge struct {
	n        uint32
	intent   uint32
	previous uint32 // the intent's charge before this one
	created  int64
	amount   int64
	currency string
	status   chargeStatus
	decline  decline
	card     card
	method   uint32
	txn      uint32
	refund   uint32 // the latest of its refunds
	refunded int64
	dispute  uint32
	dueAt    int64 // when it is disputed; 0 is never
	metadata string
	draw     chance
}

// chargeStatus is what became of a charge.
type chargeStatus uint8

const (
	chargePaid   chargeStatus = 1
	chargeFailed chargeStatus = 2
)

var chargeStatusWords = [...]string{chargePaid: "succeeded", chargeFailed: "failed"}

// txnType is a balance transaction's type.
type txnType uint8

const (
	txnCharge          txnType = 1
	txnRefund          txnType = 2
	txnRefundFailure   txnType = 3
	txnDispute         txnType = 4
	txnDisputeReversal txnType = 5
	txnPayout          txnType = 6
	txnPayoutFailure   txnType = 7
)

// txnWords are the type and the reporting category (docs.stripe.com/reports/balance-transaction-types).
var txnWords = [...]struct{ word, category string }{
	txnCharge: {"charge", "charge"}, txnRefund: {"refund", "refund"}, txnRefundFailure: {"refund_failure", "refund_failure"},
	txnDispute: {"adjustment", "dispute"}, txnDisputeReversal: {"adjustment", "dispute_reversal"},
	txnPayout: {"payout", "payout"}, txnPayoutFailure: {"payout_failure", "payout_reversal"},
}

// txn is a movement of the balance: amount less fee is net.
type txn struct {
	n           uint32
	kind        txnType
	source      uint32 // the charge, refund, dispute or payout
	payout      uint32 // the automatic payout that paid it out; 0 is not yet
	created     int64
	availableOn int64
	amount      int64
	fee         int64
	currency    string
}

func (t *txn) net() int64 { return t.amount - t.fee }

// sourceKind is what the source of a transaction is.
func (t *txn) sourceKind() kind {
	switch t.kind {
	case txnCharge:
		return chargeKind
	case txnRefund, txnRefundFailure:
		return refundKind
	case txnDispute, txnDisputeReversal:
		return disputeKind
	default:
		return payoutKind
	}
}

// settleStatus is where a refund or payout stands.
type settleStatus uint8

const (
	settlePending  settleStatus = 1
	settleDone     settleStatus = 2
	settleFailed   settleStatus = 3
	settleCanceled settleStatus = 4
)

var (
	refundWords = [...]string{settlePending: "pending", settleDone: "succeeded", settleFailed: "failed", settleCanceled: "canceled"}
	payoutWords = [...]string{settlePending: "pending", settleDone: "paid", settleFailed: "failed", settleCanceled: "canceled"}
)

type refund struct {
	n        uint32
	charge   uint32
	intent   uint32
	previous uint32 // the charge's refund before this one
	created  int64
	amount   int64
	currency string
	status   settleStatus
	reason   string
	txn      uint32
	failTxn  uint32
	dueAt    int64 // when it settles
	metadata string
}

// disputeStatus is where a dispute stands.
type disputeStatus uint8

const (
	disputeOpen  disputeStatus = 1
	disputeWon   disputeStatus = 2
	disputeLost  disputeStatus = 3
	disputeUnder disputeStatus = 4
)

var disputeWords = [...]string{disputeOpen: "needs_response", disputeWon: "won", disputeLost: "lost", disputeUnder: "under_review"}

type dispute struct {
	n          uint32
	charge     uint32
	intent     uint32
	created    int64
	amount     int64
	currency   string
	status     disputeStatus
	reason     string
	withdrawn  uint32 // transactions
	reinstated uint32
	wins       bool  // what the bank will say at dueAt
	dueAt      int64 // when the bank decides; 0 is when told to
	metadata   string
}

type payout struct {
	n         uint32
	created   int64
	arrival   int64
	amount    int64
	currency  string
	status    settleStatus
	automatic bool
	txn       uint32
	failTxn   uint32
	dueAt     int64
	metadata  string
}

// token is a confirmation token that the test helper made: single use.
type token struct {
	n         uint32
	created   int64
	expires   int64
	card      card
	usedBy    uint32 // the intent
	returnURL string
}

// eventType is what an event tells.
type eventType uint8

// The types. They are written to the log: never renumber.
const (
	intentCreatedEvent     eventType = 1
	intentSucceededEvent   eventType = 2
	intentFailedEvent      eventType = 3
	intentActionEvent      eventType = 4
	intentProcessingEvent  eventType = 5
	intentCanceledEvent    eventType = 6
	chargeSucceededEvent   eventType = 7
	chargeFailedEvent      eventType = 8
	chargeRefundedEvent    eventType = 9
	refundCreatedEvent     eventType = 10
	refundUpdatedEvent     eventType = 11
	refundFailedEvent      eventType = 12
	chargeRefundUpdated    eventType = 13
	disputeCreatedEvent    eventType = 14
	disputeWithdrawnEvent  eventType = 15
	disputeClosedEvent     eventType = 16
	disputeReinstatedEvent eventType = 17
	disputeUpdatedEvent    eventType = 18
	payoutCreatedEvent     eventType = 19
	payoutPaidEvent        eventType = 20
	payoutFailedEvent      eventType = 21
	payoutReconciledEvent  eventType = 22
)

var eventWords = [...]struct {
	word  string
	about kind
}{
	intentCreatedEvent:     {"payment_intent.created", intentKind},
	intentSucceededEvent:   {"payment_intent.succeeded", intentKind},
	intentFailedEvent:      {"payment_intent.payment_failed", intentKind},
	intentActionEvent:      {"payment_intent.requires_action", intentKind},
	intentProcessingEvent:  {"payment_intent.processing", intentKind},
	intentCanceledEvent:    {"payment_intent.canceled", intentKind},
	chargeSucceededEvent:   {"charge.succeeded", chargeKind},
	chargeFailedEvent:      {"charge.failed", chargeKind},
	chargeRefundedEvent:    {"charge.refunded", chargeKind},
	refundCreatedEvent:     {"refund.created", refundKind},
	refundUpdatedEvent:     {"refund.updated", refundKind},
	refundFailedEvent:      {"refund.failed", refundKind},
	chargeRefundUpdated:    {"charge.refund.updated", refundKind},
	disputeCreatedEvent:    {"charge.dispute.created", disputeKind},
	disputeWithdrawnEvent:  {"charge.dispute.funds_withdrawn", disputeKind},
	disputeClosedEvent:     {"charge.dispute.closed", disputeKind},
	disputeReinstatedEvent: {"charge.dispute.funds_reinstated", disputeKind},
	disputeUpdatedEvent:    {"charge.dispute.updated", disputeKind},
	payoutCreatedEvent:     {"payout.created", payoutKind},
	payoutPaidEvent:        {"payout.paid", payoutKind},
	payoutFailedEvent:      {"payout.failed", payoutKind},
	payoutReconciledEvent:  {"payout.reconciliation_completed", payoutKind},
}

// event is what happened, told as it was when it happened: the objects are in the
// log's record at offset.
type event struct {
	kind    eventType
	sent    bool // delivered, lost on purpose, or given up
	about   uint32
	record  uint32 // length of the record, bytes
	offset  int64  // of the record in the log
	created int64
	draw    chance
}

// saved is the remembered answer to an idempotency key: which record of the log to
// render, and a fingerprint of what was asked.
type saved struct {
	asked   uint64
	offset  int64
	created int64
	record  uint32
	tries   uint8 // how often it was asked for; saturates
}
