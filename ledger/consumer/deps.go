package consumer

import (
	"context"
	"time"

	"spillway/campaigns"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// Message is one envelope as the broker delivered it. Data is the consumer's until
// the message is acknowledged.
type Message struct {
	Data       []byte
	Sequence   uint64    // in its stream
	StoredAt   time.Time // by the broker
	Deliveries uint64    // 1 the first time
	Handle     Handle
}

// Handle answers the broker about a message. None of the answers is known to
// arrive: a lost one makes the broker deliver the message again.
type Handle interface {
	Ack() error
	// Nak asks for delivery to anybody, after a delay.
	Nak(delay time.Duration) error
	// InProgress starts the broker's AckWait anew.
	InProgress() error
}

// Source is one shard of a book on the broker: a durable consumer that many
// processes share.
type Source interface {
	// Fetch returns what is there, at most so many messages and bytes (but always a
	// first message), and waits up to wait for it. No message is no error.
	Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]Message, error)
	// Watermark returns a broker time such that every message stored before it has
	// been acknowledged by a consumer.
	Watermark(ctx context.Context) (time.Time, error)
	// Lag says how far all consumers together are behind.
	Lag(ctx context.Context) (Lag, error)
}

// Lag is how far a shard's consumers are behind its stream.
type Lag struct {
	Waiting uint64    // messages not yet delivered to anybody
	Held    uint64    // messages delivered and not yet acknowledged
	Oldest  time.Time // when the oldest of them was stored; zero when there is none
}

// Shard is a source with the name of its stream.
type Shard struct {
	Stream string
	Source Source
}

// Frames publishes a slot's news. Both return after the broker has stored it; an
// error may mean that it has.
type Frames interface {
	PublishFrame(ctx context.Context, f *campaigns.Frame) error
	PublishSnapshot(ctx context.Context, s *campaigns.Snapshot) error
}

// Store is one book's tables; spillway/ledger/postgres.Book says what each method
// promises. Their errors: ledger.ErrFenced, *ledger.PoisonError, ledger.ErrUnavailable.
type Store interface {
	Record(ctx context.Context, lease ledger.Lease, donations, repeats []*envelope.Donation) ([]campaigns.SlotRow, ledger.Counts, error)
	Request(ctx context.Context, requests []*envelope.Request) error
	Quarantine(ctx context.Context, rejected []ledger.Rejected) error
	Quarantined(ctx context.Context) (int64, error)
	Slots(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, campaigns.ChainHead, error)
	Acquire(ctx context.Context, holder string, ttl time.Duration) (ledger.Lease, error)
	Renew(ctx context.Context, lease ledger.Lease, ttl time.Duration) error
	Release(ctx context.Context, lease ledger.Lease) error
	AdoptLapsed(ctx context.Context, holder string, ttl time.Duration) ([]ledger.Lease, error)
}
