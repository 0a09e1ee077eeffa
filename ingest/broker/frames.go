package broker

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/campaigns/wire"
	"spillway/ledger"
)

// partBytesMax is what the rows of one message of news may take: half of a stock
// broker's limit, so that head, part and headers never matter.
const partBytesMax = 512 << 10

// PublishFrame returns once the broker has the whole frame. A frame whose rows
// take more than partBytesMax travels in several messages, which readers see as
// one. After an error the frame may be there and may not; readers see a gap or
// the frame, never a part of it.
//
// Errors: ErrUnavailable, ctx's; wire.PartsMax parts are not enough.
func (b *Broker) PublishFrame(ctx context.Context, f *campaigns.Frame) error {
	parts := wire.SplitRows(f.Rows, partBytesMax)
	if len(parts) > wire.PartsMax {
		return fmt.Errorf("frame %d of slot %d: %d rows do not fit %d messages", f.Number, f.Slot, len(f.Rows), wire.PartsMax)
	}
	part := wire.Part{Count: len(parts), ID: rand.Uint64()}
	subject := frameSubject(f.Book, f.Slot)
	for i, rows := range parts {
		part.Index = i
		data := wire.AppendFramePart(nil, &campaigns.Frame{FrameHead: f.FrameHead, Rows: rows}, part)
		if err := b.publishNews(ctx, framesStream, subject, data); err != nil {
			return fmt.Errorf("frame %d of slot %d: %w", f.Number, f.Slot, err)
		}
	}
	return nil
}

// publishNews waits for the broker's ack from the expected stream.
func (b *Broker) publishNews(ctx context.Context, stream, subject string, data []byte, opts ...jetstream.PublishOpt) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	_, err := b.js.Publish(ctx, subject, data, append(opts, jetstream.WithExpectStream(stream))...)
	if err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// ReadFrames calls handle for every frame that the broker keeps and then for each
// new one, in the order of the stream, from one goroutine, until ctx ends. Frames
// may be missing after a while without the broker, and come again when their
// stream was made anew: their terms and numbers tell.
func (b *Broker) ReadFrames(ctx context.Context, handle func(*campaigns.Frame)) error {
	assembly := make(assembly)
	unreadable := 0
	t := &tail{b: b, stream: framesStream, handle: func(sequence uint64, m *nats.Msg) error {
		f, part, err := wire.DecodeFramePart(m.Data)
		if err != nil {
			// Its slot has a gap now, and is read from its snapshot.
			if unreadable++; unreadable == 1 {
				b.log.Error("frame cannot be read", "subject", m.Subject, "sequence", sequence, "error", err)
			}
			return nil
		}
		unreadable = 0
		if whole := assembly.add(f, part); whole != nil {
			handle(whole)
		}
		return nil
	}}
	return t.run(ctx)
}

// slotKey names a slot of a book.
type slotKey struct {
	book ledger.Book
	slot int32
}

// assembly puts frames together that travelled in parts. A writer sends the parts
// of one frame in order, with nothing of its slot between them: whatever does not
// continue a frame drops it. At most one unfinished frame is kept for each slot.
type assembly map[slotKey]*unfinished

type unfinished struct {
	frame *campaigns.Frame
	part  wire.Part // the last that was added
}

// add returns the frame when part is its last, else nil.
func (a assembly) add(f *campaigns.Frame, part wire.Part) *campaigns.Frame {
	key := slotKey{f.Book, f.Slot}
	if part.Index == 0 {
		delete(a, key)
		if part.Count == 1 {
			return f
		}
		a[key] = &unfinished{f, part}
		return nil
	}
	u := a[key]
	if u == nil || part.ID != u.part.ID || part.Count != u.part.Count || part.Index != u.part.Index+1 || f.FrameHead != u.frame.FrameHead {
		delete(a, key)
		return nil
	}
	u.frame.Rows = append(u.frame.Rows, f.Rows...)
	u.part = part
	if part.Index < part.Count-1 {
		return nil
	}
	delete(a, key)
	return u.frame
}
