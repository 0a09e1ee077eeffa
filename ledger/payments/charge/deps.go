package charge

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns"
	"spillway/ingest/trace"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// Deps is what the service works with.
type Deps struct {
	// Books are the books that are charged at this processor: at least one, each once.
	// Webhooks of all of them come on one stream.
	Books     []Book
	Processor Processor
	// Webhooks are the processor's events as the endpoint stored them.
	Webhooks Source
	// Tracer records the spans of charges and events of traced donations; nil for none.
	Tracer *trace.Tracer
	// Registerer receives the metrics; nil for none.
	Registerer prometheus.Registerer
	Log        *slog.Logger // slog.Default when nil
	// Now is the clock of the business, in which tokens expire; time.Now when nil.
	// How long this process itself waits is never measured by it.
	Now func() time.Time
	// Hook, when set, is called at every Point: tests end the process there.
	Hook func(Point, [16]byte)
}

// Book is one book that is charged.
type Book struct {
	Book ledger.Book
	// Store is the book's queue and journal.
	Store Store
	// Slot is where its money moves: a consumer that outlives the service's Run.
	Slot Slot
	// Commands are what people ask of the book's money; nil when somebody else
	// carries them out.
	Commands Source
	// Changes tells waiting donors; nil for nobody.
	Changes Changes
}

// Slot lends the lease of the process's slot: see consumer.Move.
type Slot interface {
	Move(ctx context.Context, apply func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error)) error
}

// Changes publishes what donors may be waiting for. Losing a word is harmless: the
// state is asked for again.
type Changes interface {
	PublishChanges(ctx context.Context, changed []payments.Outcome) error
}

// Store is one book's tables. Errors of every method: ledger.ErrUnavailable for what
// time heals; *ledger.PoisonError, with a *payments.FactError inside where the
// culprit is known, for what never can be written; ledger.ErrFenced where a lease is
// given.
type Store interface {
	// Expand makes the attempts of recorded donations, at most so many in its one
	// transaction, and says how many it made: 0 when all are made.
	Expand(ctx context.Context, most int) (made int, err error)
	// Claim takes due attempts and the pace for them, stores each call's parameters,
	// and says when it is worth asking again (0: at the caller's leisure).
	Claim(ctx context.Context, r payments.ClaimRequest, params func(*payments.Charge) []byte) (claimed []payments.Charge, expired []payments.Fact, wait time.Duration, err error)
	// TakePace takes from an endpoint's bucket for calls that are not claimed.
	TakePace(ctx context.Context, account, endpoint string, n int) (granted int, wait time.Duration, err error)
	// Slow notes that the processor said 429 for that reason.
	Slow(ctx context.Context, account, endpoint, reason string) error
	// Queue describes the queue.
	Queue(ctx context.Context, account, endpoint string) (payments.QueueState, error)
	// Overdue finds attempts that a time has passed for.
	Overdue(ctx context.Context, now time.Time, most int) ([]payments.Fact, error)
	// Stuck counts payments that wait for an answer, or for the fee of their capture,
	// since then or before, and returns when the first of their calls was made.
	Stuck(ctx context.Context, then time.Time) (count int64, since time.Time, err error)

	// Apply makes the payments what the facts make of them, in one transaction, and
	// books what moved. Facts of one donation are applied in their order; all facts of
	// one event belong into one call. One outcome for each fact.
	Apply(ctx context.Context, lease ledger.Lease, facts []payments.Fact) ([]campaigns.SlotRow, []payments.Outcome, error)
	// Post books entries that name no payment; those whose Ref is booked already are
	// skipped.
	Post(ctx context.Context, lease ledger.Lease, entries []journal.Entry) ([]campaigns.SlotRow, error)
	// Command carries out what a person asked, once.
	Command(ctx context.Context, lease ledger.Lease, c *payments.Command) ([]campaigns.SlotRow, payments.CommandResult, error)
	// FindDonation finds the donations of charges whose capture is booked here.
	FindDonation(ctx context.Context, names []string) (map[string][16]byte, error)
	// Park keeps an event whose donation is not there yet. It does nothing when the
	// event is parked or was dealt with already.
	Park(ctx context.Context, e payments.ParkedEvent) error
	// Parked returns parked events that are to be tried again, the oldest first.
	Parked(ctx context.Context, most int) ([]payments.ParkedEvent, error)
	// Requests returns what donors asked for that is not done yet, oldest first.
	Requests(ctx context.Context, most int) ([]payments.Fact, error)
	// ToCancel claims intents to be canceled at the processor, for a while.
	ToCancel(ctx context.Context, most int) ([]payments.Cancellation, error)
	// OpenRefunds claims refunds to be made at the processor, for a while.
	OpenRefunds(ctx context.Context, most int) ([]payments.RefundDue, error)
	// RefundRefused notes that the processor will never make a refund.
	RefundRefused(ctx context.Context, refund [16]byte, detail string) error
	// Quarantine sets aside what can never be applied, for a person.
	Quarantine(ctx context.Context, rejected []ledger.Rejected) error
}

// Processor is who charges cards. Its methods do not repeat by themselves, and sort
// every failure into Answer.Kind.
type Processor interface {
	// Params is the exact body of an attempt's call.
	Params(c *payments.Charge) []byte
	// Charge makes the call, under the attempt's idempotency key.
	Charge(ctx context.Context, c *payments.Charge) payments.Answer
	// Look finds out what became of a call that may have been carried out. Retry with
	// the detail LookedNothing says that no call of the attempt was; any other answer
	// without an intent, save Definite, says nothing about it.
	Look(ctx context.Context, c *payments.Charge) payments.Answer
	// CancelIntent cancels an intent and shows it.
	CancelIntent(ctx context.Context, intent string, donation [16]byte) payments.Answer
	// Refund makes a refund under its own ID as the idempotency key. LookRefund looks
	// for one that may have been made; Retry with LookedNothing when there is none.
	Refund(ctx context.Context, r *payments.RefundDue) payments.Answer
	LookRefund(ctx context.Context, r *payments.RefundDue) payments.Answer

	// ParseEvent reads an event as it came. Errors: it is none, of any version.
	ParseEvent(body []byte) (payments.Event, error)
	// Intents lists the payment intents created in [since, until) as facts, one page
	// at a time. Those that name no donation of ours are left out. Errors:
	// *payments.CallError.
	Intents(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Fact], error)
	// Events lists the events created in [since, until), one page at a time. Errors:
	// *payments.CallError.
	Events(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Event], error)
}

// LookedNothing is the Detail of a look that proved that a call was never carried out.
const LookedNothing = "looked_nothing"

// Message is one message of a stream, the service's until it is acknowledged.
type Message struct {
	Data       []byte
	Sequence   uint64    // in its stream
	StoredAt   time.Time // by the broker
	Deliveries uint64    // 1 the first time
	Handle     Handle
}

// Handle answers the broker about a message; a lost answer brings the message again.
type Handle interface {
	Ack() error
	// Nak asks for delivery to anybody, after a delay.
	Nak(delay time.Duration) error
	// InProgress starts the broker's patience anew.
	InProgress() error
}

// Source is a durable consumer of a stream, shared by any number of processes.
type Source interface {
	// Stream names the stream.
	Stream() string
	// Fetch returns what is there, at most so many messages and bytes, and waits up
	// to wait for the first. No message is no error.
	Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]Message, error)
}
