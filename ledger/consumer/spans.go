package consumer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ingest/trace"
)

// traced is a record of a batch whose trace goes on here.
type traced struct {
	donation ingest.ID
	received time.Time // of a donation; zero for a wish
	from     trace.Context
	setAside bool
}

// follow notes a record that is traced. What is not costs nothing.
func (b *batch) follow(donation ingest.ID, received time.Time, from trace.Context) {
	switch {
	case !from.Sampled:
	case len(b.traced) == trace.LinksMax:
		b.untold++
	default:
		b.traced = append(b.traced, traced{donation: donation, received: received, from: from})
	}
}

// untrace notes that a donation was set aside.
func (b *batch) untrace(donation ingest.ID) {
	for i := range b.traced {
		if b.traced[i].donation == donation {
			b.traced[i].setAside = true
		}
	}
}

// trace records the spans of a batch that is settled: its own, linked to those that
// sent its records, and for each of these one in the donation's trace, linked to the
// batch. A donation's root ends here: it was received, and now it is in the books.
//
// A batch that comes again, its acknowledgement lost, is told again.
func (l *lane) trace(b *batch, began, ended time.Time) {
	t := l.c.tracer
	if !t.On() || len(b.traced) == 0 {
		return
	}
	batch := trace.Span{
		Name: "record batch", Kind: trace.Consumer, Start: began, End: ended, LinksDropped: b.untold,
		Attributes: []trace.Attribute{
			trace.Text(trace.Stream, l.shard.Stream), trace.Text(trace.Book, l.c.book.String()),
			trace.Number(trace.BatchMessages, int64(len(b.messages))), trace.Number(trace.BatchRecords, int64(b.records)),
		},
	}
	// A trace of its own: a batch is of many donations, and below none of them.
	span := t.NewSpan()
	other := t.NewSpan()
	copy(batch.Context.Trace[:], other[:])
	copy(batch.Context.Trace[len(other):], span[:])
	batch.Context.Span, batch.Context.Sampled = span, true
	for _, r := range b.traced {
		batch.Links = append(batch.Links, r.from)
		root := trace.Donation(r.donation)
		t.Record(trace.Span{
			Context: trace.Context{Trace: r.from.Trace, Span: t.NewSpan()}, Parent: r.from.Span, Name: "record", Kind: trace.Consumer,
			Start: began, End: ended, Failed: r.setAside, Links: []trace.Context{batch.Context},
			Attributes: []trace.Attribute{trace.Text(trace.Stream, l.shard.Stream), trace.Text(trace.Book, l.c.book.String())},
		})
		if r.received.IsZero() || r.setAside || r.from.Trace != root.Trace {
			continue
		}
		t.Record(trace.Span{
			Context: root, Name: "donation", Kind: trace.Internal, Start: r.received, End: ended,
			Attributes: []trace.Attribute{trace.Text(trace.DonationID, r.donation.String()), trace.Text(trace.Book, l.c.book.String())},
		})
	}
	t.Record(batch)
}

// observe counts how long a batch took, with an example when one of it is traced.
func (b *batch) observe(h prometheus.Histogram, took time.Duration) {
	if len(b.traced) > 0 {
		if with, ok := h.(prometheus.ExemplarObserver); ok {
			with.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": b.traced[0].from.Trace.String()})
			return
		}
	}
	h.Observe(took.Seconds())
}
