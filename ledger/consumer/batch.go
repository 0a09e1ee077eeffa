package consumer

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// batch is what one transaction records: the donations of some messages.
type batch struct {
	messages  []Message
	bytes     int
	records   int
	seen      map[ingest.ID]*envelope.Donation
	donations []*envelope.Donation // each ID once: the first in the order of the stream
	repeats   []*envelope.Donation // other contents of those IDs
	requests  []*envelope.Request  // donors' further wishes, in the order of the stream
	rejected  []ledger.Rejected    // what cannot be read
	dropped   int                  // the same content again
	traced    []traced             // at most trace.LinksMax, in the order of the stream
	untold    int                  // traced ones beyond
}

func newBatch() *batch { return &batch{seen: map[ingest.ID]*envelope.Donation{}} }

// add decodes a message into the batch. What cannot be read is set aside with its
// bytes; the rest of its envelope is recorded all the same.
func (b *batch) add(book ledger.Book, stream string, m Message) {
	b.messages = append(b.messages, m)
	b.bytes += len(m.Data)
	reject := func(index int, payload []byte, reason ledger.Reason, detail string) {
		b.rejected = append(b.rejected, ledger.Rejected{
			Payload: payload, Stream: stream, Sequence: m.Sequence, Index: index, StoredAt: m.StoredAt, Reason: reason, Detail: detail,
		})
	}
	_, err := envelope.Decode(m.Data, func(index int, r envelope.Record, raw []byte, err error) {
		b.records++
		switch {
		case errors.Is(err, envelope.ErrUnknownKind): // of a later build
			reject(index, raw, ledger.ReasonVersion, err.Error())
		case err != nil:
			reject(index, raw, ledger.ReasonMalformed, err.Error())
		case rehearsed(r) != (book == ledger.Rehearsal):
			// Rehearsed money among the donors', or the reverse: never recorded.
			reject(index, raw, ledger.ReasonRefused, "record of the other book")
		case r.Request != nil:
			b.requests = append(b.requests, r.Request)
			b.follow(r.Request.Donation, time.Time{}, r.Request.Trace)
		default:
			b.place(r.Donation)
			b.follow(r.Donation.ID, r.Donation.ReceivedAt, r.Donation.Trace)
		}
	})
	switch {
	case errors.Is(err, envelope.ErrVersion):
		reject(-1, m.Data, ledger.ReasonVersion, err.Error())
	case err != nil:
		reject(-1, m.Data, ledger.ReasonMalformed, err.Error())
	}
}

// rehearsed tells which book a record says that it is of.
func rehearsed(r envelope.Record) bool {
	if r.Request != nil {
		return r.Request.Rehearsal
	}
	return r.Donation.Rehearsal
}

func (b *batch) place(d *envelope.Donation) {
	first, known := b.seen[d.ID]
	switch {
	case !known:
		b.seen[d.ID] = d
		b.donations = append(b.donations, d)
	case first.Fingerprint == d.Fingerprint:
		b.dropped++
	default:
		b.repeats = append(b.repeats, d)
	}
}

// rejection describes the batch's first record that matches as it came. It looks
// for the record again: keeping every record's place would cost more than this
// rare search.
func (b *batch) rejection(stream string, matches func(envelope.Record) bool) ledger.Rejected {
	r := ledger.Rejected{Stream: stream, Index: -1}
	for _, m := range b.messages {
		_, _ = envelope.Decode(m.Data, func(index int, rec envelope.Record, raw []byte, _ error) {
			if r.Payload == nil && matches(rec) {
				r.Payload, r.Sequence, r.Index, r.StoredAt = raw, m.Sequence, index, m.StoredAt
			}
		})
		if r.Payload != nil {
			break
		}
	}
	return r
}

// sort puts the donations in the order in which every writer inserts them.
func (b *batch) sort() { slices.SortFunc(b.donations, byID) }

func byID(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) }

// halve splits donations in two, and the repeats with the donations of their IDs.
func halve(donations, repeats []*envelope.Donation) (left, leftRepeats, right, rightRepeats []*envelope.Donation) {
	left, right = donations[:len(donations)/2], donations[len(donations)/2:]
	for _, r := range repeats {
		if byID(r, right[0]) < 0 {
			leftRepeats = append(leftRepeats, r)
		} else {
			rightRepeats = append(rightRepeats, r)
		}
	}
	return left, leftRepeats, right, rightRepeats
}
