package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/metric"
)

// probePause is the pause between two probes of a stalled stream: after a broker
// was started again donations are taken within about a second, and a broker that
// is in trouble gets next to nothing to do.
const probePause = 500 * time.Millisecond

// ErrStalled says that the broker is connected and acknowledges nothing: its disk
// hangs or was full (a nats-server never again writes to a stream whose write
// failed, until it is started anew), or the stream has had no leader for long.
var ErrStalled = errors.New("broker acknowledges nothing; its disk may hang or be full")

// A lane is stalled when an envelope has been with the broker for StalledAfter
// without an answer. A stalled lane refuses newcomers at once: nothing of theirs was
// sent, and a donor who waits for seconds to hear no learns less than one who hears
// it now. It goes on trying with one envelope at a time, an empty one when no donor's
// is left, so that it heals by itself also when readiness keeps donors away. Any
// answer about the stream, even a refusal or a late one, ends it.

// checkStall notes that the oldest envelope in flight waits for too long.
func (l *lane) checkStall(now time.Time) {
	if l.stalledSince.IsZero() && len(l.inFlight) > 0 && now.Sub(l.inFlight[0].leftAt) >= l.p.cfg.StalledAfter {
		l.setStalled(now)
	}
}

// setStalled begins a stall, or ends one at the zero time.
func (l *lane) setStalled(since time.Time) {
	if l.stalledSince.IsZero() == since.IsZero() {
		return
	}
	if since.IsZero() {
		l.p.b.log.Info("the broker answers again", "stream", l.stream, "after", time.Since(l.stalledSince).Round(time.Millisecond))
	} else {
		l.p.b.log.Error("donations are refused", "stream", l.stream, "reason", ErrStalled, "waited", l.p.cfg.StalledAfter)
	}
	l.stalledSince = since
	l.stalled.Store(!since.IsZero())
}

// probe sends an empty envelope when the lane is stalled and has nothing else to
// try with. The ledger finds nothing in it and acknowledges it.
func (l *lane) probe(now time.Time) {
	if l.stalledSince.IsZero() || len(l.inFlight) > 0 || now.Before(l.probeAt) {
		return
	}
	l.mu.Lock()
	if len(l.queue) > 0 || !l.open {
		l.mu.Unlock()
		return
	}
	o := l.p.newOutgoing(l.stream)
	l.waitingBytes += len(o.data)
	l.places--
	l.mu.Unlock()
	l.inFlight = append(l.inFlight, o)
	l.transmit(o, now)
}

// Stalled returns nil unless the broker acknowledges nothing in any shard of the
// donors' book. One stalled shard of several is a matter of its own donations,
// which are refused; to turn every donor away for it would make things worse.
// Errors: ErrStalled, with the streams.
func (p *Publisher) Stalled() error {
	streams := p.stalledStreams(ledger.Live)
	if len(streams) == 0 || len(streams) < len(p.lanes[ledger.Live]) {
		return nil
	}
	return stalled(streams...)
}

func (p *Publisher) stalledStreams(book ledger.Book) (streams []string) {
	for _, l := range p.lanes[book] {
		if l.stalled.Load() {
			streams = append(streams, l.stream)
		}
	}
	return streams
}

func stalled(streams ...string) error {
	return fmt.Errorf("%w (%s)", ErrStalled, strings.Join(streams, ", "))
}

// errRefusedStalled is what a newcomer to a stalled lane gets: nothing was sent.
func (l *lane) errRefusedStalled() error {
	return fmt.Errorf("%w: %w", ingest.ErrNotReady, stalled(l.stream))
}

func registerStalls(reg prometheus.Registerer, p *Publisher) {
	metric.Register(reg, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ingest_streams_stalled", Help: "Streams whose donations are refused because the broker, though connected, acknowledges nothing.",
	}, func() float64 {
		n := 0
		for book := range p.lanes {
			n += len(p.stalledStreams(book))
		}
		return float64(n)
	})))
}
