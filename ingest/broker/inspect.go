package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// ErrNoMessage says that a stream does not hold the message that was asked for.
var ErrNoMessage = errors.New("message is not in the stream")

// Inspection is where one shard's stream and its consumer stand.
type Inspection struct {
	First, Last uint64    // sequences; First = Last+1 when nothing is stored
	FirstAt     time.Time // broker time of the first stored message; zero when nothing is
	AckFloor    uint64    // every message up to it was acked by the ledger
	Pending     uint64    // messages delivered to nobody yet
	Unacked     uint64    // messages delivered and not acked
	// Faults are settings of stream and consumer that are not as EnsureTopology
	// makes them, or that either is missing, in words.
	Faults []string
}

// Inspect asks where a shard stands and changes nothing: what is missing stays
// missing and is a fault. Errors: ErrUnavailable, ctx's.
func (b *Broker) Inspect(ctx context.Context, book ledger.Book, shard int) (Inspection, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	name := Stream(book, shard)
	at := Inspection{First: 1}
	// The consumer first: whatever its ack floor covers is then in the stream's numbers.
	consumer, err := b.js.Consumer(ctx, name, ledgerConsumer)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		at.Faults = append(at.Faults, "stream "+name+" does not exist")
		return at, nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		at.Faults = append(at.Faults, "consumer "+ledgerConsumer+" of "+name+" does not exist")
	case err != nil:
		return Inspection{}, fmt.Errorf("inspect %s: %w", name, unavailable(ctx, err))
	default:
		info := consumer.CachedInfo()
		at.AckFloor, at.Pending, at.Unacked = info.AckFloor.Stream, info.NumPending, uint64(info.NumAckPending)
		if err := checkConsumer(name, ledgerConsumer, info.Config); err != nil {
			at.Faults = append(at.Faults, err.Error())
		}
	}
	stream, err := b.streamInfo(ctx, name)
	if err != nil {
		return Inspection{}, fmt.Errorf("inspect %s: %w", name, unavailable(ctx, err))
	}
	at.First, at.Last = stream.State.FirstSeq, stream.State.LastSeq
	if stream.State.Msgs == 0 {
		at.First = at.Last + 1
	} else {
		at.FirstAt = stream.State.FirstTime
	}
	if err := checkStream(stream.Config, b.donationStream(book, shard, 0)); err != nil {
		at.Faults = append(at.Faults, err.Error())
	}
	if at.AckFloor > at.Last {
		at.Faults = append(at.Faults, fmt.Sprintf("stream %s ends at %d, acked through %d: %v", name, at.Last, at.AckFloor, errAheadOfStream))
	}
	return at, nil
}

// Durable asks once what the gate asks all the time. Errors: ErrNotDurable, ErrNoProof, ErrFull.
func (b *Broker) Durable(ctx context.Context) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.NewGate(nil).judge(ctx)
}

// ShardsThere is how many shards the broker holds streams of, whatever Config
// says: the highest number of either book and one. Errors: ErrUnavailable, ctx's.
func (b *Broker) ShardsThere(ctx context.Context) (int, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	names := b.js.StreamNames(ctx)
	shards := 0
	for name := range names.Name() {
		prefix, number, _ := strings.Cut(name, "_")
		n, err := strconv.Atoi(number)
		if err == nil && n >= 0 && n < ShardsMax && (prefix == "DONATIONS" || prefix == "REHEARSALS") {
			shards = max(shards, n+1)
		}
	}
	if err := names.Err(); err != nil {
		return 0, fmt.Errorf("list streams: %w", unavailable(ctx, err))
	}
	return shards, nil
}

// Scan visits the stored messages with sequences first..last in order, beside the
// ledger and without disturbing it; a broker that is away for a while is waited
// for. data belongs to visit. A message that is not stored is left out; that first
// itself is not is ErrNoMessage, so that a scan of one message says whether it is
// there. An error of visit ends the scan and is returned.
//
// It reads whichever copy the broker chooses, which may be behind; only the stream's
// leader is believed that something is not stored.
//
// Errors: ErrNoMessage, ErrUnavailable, ctx's, visit's.
func (b *Broker) Scan(ctx context.Context, book ledger.Book, shard int, first, last uint64, visit func(sequence uint64, data []byte) error) error {
	if first > last {
		return nil
	}
	name := Stream(book, shard)
	m, err := b.storedFrom(ctx, name, first)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.sequence != first {
		return fmt.Errorf("%w: %d of %s", ErrNoMessage, first, name)
	}
	if err != nil {
		return fmt.Errorf("read %d of %s: %w", first, name, err)
	}
	if err := visit(first, m.data); err != nil || first == last {
		return err
	}
	t := &tail{b: b, stream: name, cursor: first}
	t.handle = func(sequence uint64, m *nats.Msg) error {
		if sequence > last {
			return errScanned
		}
		if err := visit(sequence, m.Data); err != nil {
			return err
		}
		if sequence == last {
			return errScanned
		}
		return nil
	}
	t.idle = func() error { // asked again with every heartbeat
		next, err := b.storedFrom(ctx, name, t.cursor+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && next.sequence > last {
			return errScanned
		}
		return nil // the copy is behind, or the leader away
	}
	err = t.run(ctx)
	if errors.Is(err, errScanned) {
		return nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// errScanned ends a scan that is complete.
var errScanned = errors.New("scanned")

// stored is a message as a stream holds it.
type stored struct {
	sequence uint64
	storedAt time.Time // by the broker's clock
	data     []byte
}

// storedFrom asks a stream's leader for the first message from a sequence on. Errors:
// jetstream.ErrMsgNotFound, ErrUnavailable, ctx's.
func (b *Broker) storedFrom(ctx context.Context, stream string, sequence uint64) (stored, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	// Not the client's GetMsg: that reads directly from any copy.
	m, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, sequence))
	if err != nil {
		return stored{}, unavailable(ctx, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
			Data     []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("a message of %s: %w", stream, err)
	}
	if e := answer.Error; e != nil {
		if e.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return stored{}, jetstream.ErrMsgNotFound
		}
		return stored{}, unavailable(ctx, e)
	}
	return stored{answer.Message.Sequence, answer.Message.Time, answer.Message.Data}, nil
}
