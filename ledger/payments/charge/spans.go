package charge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ingest/trace"
	"spillway/ledger/payments"
)

// called is a call of the processor that has been answered, for whoever follows it.
type called struct {
	charge       *payments.Charge
	kind         string // as the metric of calls has it
	outcome      string // likewise
	began, ended time.Time
	booked       time.Time // when what it came to was committed; zero when it was not
}

// traced tells whether a donation is traced, as every process decides from its ID.
func (s *Service) traced(donation [16]byte) bool { return s.deps.Tracer.Samples(trace.ID(donation)) }

// traceCall records the spans of a call and of booking its answer, below the root of
// the donation's trace. A repeat is linked to the attempt's first call.
func (d *desk) traceCall(c called) {
	if !d.s.traced(c.charge.Donation) {
		return
	}
	t := d.s.deps.Tracer
	span := trace.Span{
		Context: trace.Charge(c.charge.Donation, c.charge.AttemptNo), Parent: trace.Donation(c.charge.Donation).Span,
		Name: "charge", Kind: trace.Client, Start: c.began, End: c.ended, Failed: c.outcome == unknownOutcome || c.booked.IsZero(),
		Attributes: []trace.Attribute{
			trace.Text(trace.DonationID, ingest.ID(c.charge.Donation).String()), trace.Text(trace.Book, d.book.Book.String()),
			trace.Number(trace.AttemptNo, int64(c.charge.AttemptNo)), trace.Text(trace.Call, c.kind), trace.Text(trace.Outcome, c.outcome),
		},
	}
	if !c.charge.FirstCalledAt.IsZero() {
		first := span.Context
		first.Sampled = true
		span.Context.Span, span.Links = t.NewSpan(), []trace.Context{first}
	}
	t.Record(span)
	if !c.booked.IsZero() {
		t.Record(trace.Span{
			Context: trace.Context{Trace: span.Context.Trace, Span: t.NewSpan()}, Parent: span.Context.Span,
			Name: "book", Kind: trace.Internal, Start: c.ended, End: c.booked,
		})
	}
}

// traceEvent records that an event of the processor was applied: below the root of its
// donation's trace, linked to the call that brought it about and to its own arrival.
func (s *Service) traceEvent(e *payments.Event, stored, ended time.Time) {
	if e.Donation == ([16]byte{}) || !s.traced(e.Donation) {
		return
	}
	charge := trace.Charge(e.Donation, firstAttempt)
	charge.Sampled = true
	links := []trace.Context{charge}
	if arrival := trace.Event(e.ID); s.deps.Tracer.Samples(arrival.Trace) {
		arrival.Sampled = true
		links = append(links, arrival)
	}
	s.deps.Tracer.Record(trace.Span{
		Context: trace.Context{Trace: e.Donation, Span: s.deps.Tracer.NewSpan()}, Parent: trace.Donation(e.Donation).Span,
		Name: "webhook", Kind: trace.Consumer, Start: stored, End: ended, Links: links,
		Attributes: []trace.Attribute{trace.Text(trace.DonationID, ingest.ID(e.Donation).String()), trace.Text(trace.EventType, eventType(e))},
	})
}

// firstAttempt is the attempt that an event is linked to: it names the donation, and
// not which of its attempts. The intent is one and the same for all of them.
const firstAttempt = 1

// eventType is the event's type where this build knows it; the rest is whatever the
// processor sends.
func eventType(e *payments.Event) string {
	if e.Known {
		return e.Type
	}
	return "other"
}

// observe counts how long something about a donation took, with an example when it
// is traced.
func (s *Service) observe(h prometheus.Observer, took time.Duration, donation [16]byte) {
	if s.traced(donation) {
		if with, ok := h.(prometheus.ExemplarObserver); ok {
			with.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": trace.ID(donation).String()})
			return
		}
	}
	h.Observe(took.Seconds())
}

// example is a traced donation that one of the facts is about; zero for none.
func (s *Service) example(facts []payments.Fact) [16]byte {
	if s.deps.Tracer.On() {
		for i := range facts {
			if s.traced(facts[i].Donation) {
				return facts[i].Donation
			}
		}
	}
	return [16]byte{}
}
