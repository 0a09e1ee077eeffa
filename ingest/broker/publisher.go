package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// PublisherConfig bounds the publisher. Every zero means the default.
type PublisherConfig struct {
	// Node names this front-end in its envelopes, for people.
	Node string
	// EnvelopeDonationsMax and EnvelopeBytesMax bound one envelope; a donation that
	// does not fit any more begins the next. 512 donations, and 512 KiB so that it
	// passes a stock broker's limit of 1 MiB a message.
	EnvelopeDonationsMax int
	EnvelopeBytesMax     int
	// WaitingDonationsMax and WaitingBytesMax bound what waits in one lane, filling
	// or in flight; beyond them Publish refuses at once. 8,192 donations (a third of
	// a second at 25,000/s) and 16 MiB.
	WaitingDonationsMax int
	WaitingBytesMax     int
	// InFlight is how many envelopes of a lane may be with the broker at once. 1: the
	// broker syncs them one after the other anyway, and more only makes envelopes
	// smaller (BenchmarkPublish; DESIGN.md). A broker far away may want 2 to 4.
	InFlight int
	// AckTimeout is how long after its first donation joined an envelope may take
	// to be acknowledged; then all of it is unknown. 5 s.
	AckTimeout time.Duration
	// StalledAfter is how long an envelope may be with the broker without an answer
	// until newcomers are refused at once. 3 s, or three fifths of a shorter
	// AckTimeout: beyond the pauses of a loaded disk and of most elections, below
	// the deadline of those who wait.
	StalledAfter time.Duration
	// Gate is asked before every envelope leaves. Nil lets everything leave, which
	// is for measurements of the publisher alone.
	Gate *Gate
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&c.EnvelopeDonationsMax, 512)
	or(&c.EnvelopeBytesMax, 512<<10)
	or(&c.WaitingDonationsMax, 8192)
	or(&c.WaitingBytesMax, 16<<20)
	or(&c.InFlight, 1)
	if c.AckTimeout <= 0 {
		c.AckTimeout = 5 * time.Second
	}
	if c.StalledAfter <= 0 {
		c.StalledAfter = min(3*time.Second, c.AckTimeout*3/5)
	}
	return c
}

// Publisher lets donations that arrive while the broker syncs travel together in
// the next envelope: one message, one sync and one acknowledgement for all. There
// is no timer for gathering; light load gives envelopes of one.
type Publisher struct {
	b         *Broker
	cfg       PublisherConfig
	metrics   *publisherMetrics
	lanes     map[ledger.Book][]*lane // by shard
	envelopes sync.Pool               // *outgoing
}

// NewPublisher prepares a publisher; Publish refuses until Run runs. reg may be nil.
func (b *Broker) NewPublisher(cfg PublisherConfig, reg prometheus.Registerer) *Publisher {
	p := &Publisher{b: b, cfg: cfg.withDefaults(), lanes: make(map[ledger.Book][]*lane)}
	p.envelopes.New = func() any { return new(outgoing) }
	for _, book := range ledger.Books {
		for shard := range b.cfg.Shards {
			p.lanes[book] = append(p.lanes[book], newLane(p, book, shard))
		}
	}
	p.metrics = newPublisherMetrics(reg, p)
	registerStalls(reg, p)
	if p.cfg.Gate != nil {
		p.cfg.Gate.publisher.Store(p)
	}
	return p
}

// Publish returns nil once the broker has d on disk. It blocks for as long as one
// envelope takes and refuses at once when it cannot even wait. It keeps no
// reference to d.
//
// Errors: ingest.ErrBusy and ingest.ErrNotReady, nothing was sent;
// ingest.ErrUnknown, d may be stored or not.
func (p *Publisher) Publish(book ledger.Book, d *envelope.Donation) error {
	lane, err := p.lane(book, d.ID)
	if err != nil {
		return err
	}
	return lane.publish(envelope.Record{Donation: d})
}

// PublishRequest is Publish for a donor's further wish. It travels in the same
// envelopes, by the lane of its donation's shard: what was acknowledged first is
// first in the stream.
func (p *Publisher) PublishRequest(book ledger.Book, r *envelope.Request) error {
	lane, err := p.lane(book, r.Donation)
	if err != nil {
		return err
	}
	return lane.publish(envelope.Record{Request: r})
}

// lane returns the way of a donation, when anything may go it.
func (p *Publisher) lane(book ledger.Book, donation ingest.ID) (*lane, error) {
	if gate := p.cfg.Gate; gate != nil {
		if err := gate.Ready(); err != nil {
			return nil, fmt.Errorf("%w: %w", ingest.ErrNotReady, err)
		}
	}
	lanes := p.lanes[book]
	if len(lanes) == 0 {
		return nil, fmt.Errorf("%w: no book %s", ingest.ErrNotReady, book)
	}
	return lanes[shardOf(donation, len(lanes))], nil
}

// Run takes donations until ctx ends, then sends what is filling, waits for its
// acknowledgement at most AckTimeout, and returns with every caller answered.
func (p *Publisher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, lanes := range p.lanes {
		for _, l := range lanes {
			wg.Go(func() {
				if err := l.run(ctx); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					cancel() // one lane alone is no publisher
				}
			})
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Waiting returns how many donations wait for an answer, and their bytes.
func (p *Publisher) Waiting() (donations, bytes int) {
	for _, lanes := range p.lanes {
		for _, l := range lanes {
			l.mu.Lock()
			donations += l.waitingDonations
			bytes += l.waitingBytes
			l.mu.Unlock()
		}
	}
	return donations, bytes
}

// newEnvelopeID is random, so that no two front-ends and no two lives of one
// share an ID.
func newEnvelopeID() (id [16]byte) {
	rand.Read(id[:]) // never fails (crypto/rand)
	return id
}
