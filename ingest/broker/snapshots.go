package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/campaigns/wire"
	"spillway/ledger"
)

// ErrNoSnapshot says that the slot has never published a snapshot.
var ErrNoSnapshot = errors.New("slot has no snapshot")

// ErrSuperseded says that the slot has a snapshot of a later epoch or term: whoever
// publishes has lost the slot and may not know it yet.
var ErrSuperseded = errors.New("slot was taken over")

const (
	// coherentTries is how often a snapshot whose parts are being replaced is read or
	// replaced again, and coherentWait the pause in between: a publication takes about
	// a millisecond a part.
	coherentTries = 20
	coherentWait  = 25 * time.Millisecond
)

// PublishSnapshot returns once the broker has every part. After an error readers
// may find the slot without a whole snapshot until the next is published.
//
// A snapshot never takes the place of one of a later epoch or term, not even when
// this process stands still for minutes in the middle of it: what is there is read
// first, and each part is stored only if its subject has not changed since. Of two
// that publish at once the later term comes out whole.
//
// Errors: ErrSuperseded, nothing was changed after the later one came;
// ErrUnavailable, ctx's; wire.PartsMax parts are not enough.
func (b *Broker) PublishSnapshot(ctx context.Context, s *campaigns.Snapshot) error {
	parts := wire.SplitRows(s.Rows, partBytesMax)
	if len(parts) > wire.PartsMax {
		return fmt.Errorf("snapshot of slot %d: %d rows do not fit %d messages", s.Slot, len(s.Rows), wire.PartsMax)
	}
	for try := 1; ; try++ {
		err := b.replaceSnapshot(ctx, s.FrameHead, parts)
		if err == nil {
			return nil
		}
		if !overtaken(err) || try == coherentTries {
			return fmt.Errorf("snapshot of slot %d: %w", s.Slot, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(coherentWait):
		}
	}
}

// replaceSnapshot publishes the parts over those that are there. All sequences are
// read before the first part is written: whoever begins later changes one of them,
// or finds ours.
func (b *Broker) replaceSnapshot(ctx context.Context, head campaigns.FrameHead, parts [][]campaigns.SlotRow) error {
	sequences, err := b.snapshotSequences(ctx, head, len(parts))
	if err != nil {
		return err
	}
	return b.storeSnapshot(ctx, head, parts, sequences)
}

// snapshotSequences returns the last sequence of each part's subject, 0 for none.
// Errors: ErrSuperseded; ErrUnavailable, ctx's.
func (b *Broker) snapshotSequences(ctx context.Context, head campaigns.FrameHead, parts int) ([]uint64, error) {
	sequences := make([]uint64, parts)
	for i := range sequences {
		data, sequence, err := b.lastOf(ctx, snapshotsStream, snapshotSubject(head.Book, head.Slot, i))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sequences[i] = sequence
		there, _, err := wire.DecodeSnapshotPart(data)
		if err != nil {
			b.log.Warn("snapshot cannot be read; it is replaced", "slot", head.Slot, "part", i, "error", err)
			continue
		}
		// Parts beyond the first may be left over from a larger snapshot of any term.
		if i == 0 && later(there.FrameHead, head) {
			return nil, fmt.Errorf("%w: term %d of epoch %d is there", ErrSuperseded, there.Term, there.Epoch)
		}
	}
	return sequences, nil
}

// storeSnapshot writes each part if the last of its subject is still the sequence given.
func (b *Broker) storeSnapshot(ctx context.Context, head campaigns.FrameHead, parts [][]campaigns.SlotRow, sequences []uint64) error {
	part := wire.Part{Count: len(parts), ID: rand.Uint64()}
	for i, rows := range parts {
		part.Index = i
		data := wire.AppendSnapshotPart(nil, &campaigns.Snapshot{FrameHead: head, Rows: rows}, part)
		if err := b.publishNews(ctx, snapshotsStream, snapshotSubject(head.Book, head.Slot, i), data,
			jetstream.WithExpectLastSequencePerSubject(sequences[i])); err != nil {
			return err
		}
	}
	return nil
}

// later tells whether a is of a later tenure than b.
func later(a, b campaigns.FrameHead) bool {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Term, b.Term)) > 0
}

// wrongSequenceConstant is nats-server's second code (JSStreamWrongLastSequenceConstantErr)
// for an expectation that does not hold; nats.go names the first only.
const wrongSequenceConstant jetstream.ErrorCode = 10164

// overtaken tells whether somebody else wrote the subject since it was read, or it
// was read from a server that was behind.
func overtaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == wrongSequenceConstant)
}

// Snapshot returns the slot's newest snapshot, all parts of one publication.
// Errors: ErrNoSnapshot, ErrUnavailable, ctx's.
func (b *Broker) Snapshot(ctx context.Context, book ledger.Book, slot int32) (*campaigns.Snapshot, error) {
	for try := 1; ; try++ {
		s, err := b.readSnapshot(ctx, book, slot)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errIncoherent) || try == coherentTries {
			return nil, fmt.Errorf("snapshot of slot %d: %w", slot, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(coherentWait):
		}
	}
}

// errIncoherent says that parts of two publications were read.
var errIncoherent = fmt.Errorf("%w: its parts are being replaced", ErrUnavailable)

func (b *Broker) readSnapshot(ctx context.Context, book ledger.Book, slot int32) (*campaigns.Snapshot, error) {
	whole, first, err := b.readSnapshotPart(ctx, book, slot, 0)
	if err != nil {
		return nil, err
	}
	for i := 1; i < first.Count; i++ {
		s, part, err := b.readSnapshotPart(ctx, book, slot, i)
		if errors.Is(err, ErrNoSnapshot) {
			return nil, errIncoherent
		}
		if err != nil {
			return nil, err
		}
		if part.ID != first.ID || part.Index != i || s.FrameHead != whole.FrameHead {
			return nil, errIncoherent
		}
		whole.Rows = append(whole.Rows, s.Rows...)
	}
	return whole, nil
}

func (b *Broker) readSnapshotPart(ctx context.Context, book ledger.Book, slot int32, part int) (*campaigns.Snapshot, wire.Part, error) {
	data, _, err := b.lastOf(ctx, snapshotsStream, snapshotSubject(book, slot, part))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, wire.Part{}, ErrNoSnapshot
	}
	if err != nil {
		return nil, wire.Part{}, err
	}
	return wire.DecodeSnapshotPart(data)
}

// Snapshots returns the newest snapshot of every slot of both books.
// Errors: ErrUnavailable, ctx's.
func (b *Broker) Snapshots(ctx context.Context) ([]*campaigns.Snapshot, error) {
	info, err := b.subjects(ctx, snapshotsStream, "snapshots.v1.*.*.0")
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	all := make([]*campaigns.Snapshot, 0, len(info))
	for subject := range info {
		book, slot, _, ok := parseSnapshotSubject(subject)
		if !ok {
			continue
		}
		s, err := b.Snapshot(ctx, book, slot)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// subjects counts a stream's messages by subject.
func (b *Broker) subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return info.State.Subjects, nil
}

// lastOf reads the last message of a subject and its sequence. Errors:
// jetstream.ErrMsgNotFound; ErrUnavailable, ctx's.
func (b *Broker) lastOf(ctx context.Context, stream, subject string) (data []byte, sequence uint64, err error) {
	m, err := b.lastMessageOf(ctx, stream, subject)
	if err != nil {
		return nil, 0, err
	}
	return m.Data, sequenceOf(m), nil
}

// lastMessageOf is lastOf with the message's headers.
func (b *Broker) lastMessageOf(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	m, err := b.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	if status := m.Header.Get("Status"); status == "404" {
		return nil, jetstream.ErrMsgNotFound
	} else if status != "" {
		return nil, unavailable(ctx, errors.New(status+" "+m.Header.Get("Description")))
	}
	return m, nil
}

func sequenceOf(m *nats.Msg) (n uint64) {
	for _, c := range []byte(m.Header.Get("Nats-Sequence")) {
		n = n*10 + uint64(c-'0') // the broker's own number
	}
	return n
}
