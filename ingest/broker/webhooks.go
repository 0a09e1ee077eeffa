package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

const (
	// WebhooksStream is the name of the stream of the processor's events, of both
	// books: the processor knows of one account and not of our books.
	WebhooksStream   = "WEBHOOKS"
	webhooksSubject  = "webhooks.v1"
	paymentsConsumer = "PAYMENTS"

	// webhooksBytesLeast holds two hundred thousand events of five kilobytes. A full
	// stream loses nothing: the processor is told so and sends again for three days,
	// and its list of events is read beside.
	webhooksBytesLeast = 1 << 30
	webhooksShare      = 8 // per cent

	// depositProofLife is how long it stands that a stream's acknowledgement means
	// disk, on one connection.
	depositProofLife = 30 * time.Second
	// messageIDMax bounds a message ID, in bytes: the processor promises 255.
	messageIDMax = 255
)

// Webhooks reads the processor's events; its users share them.
func (b *Broker) Webhooks() *Source { return b.source(ledger.Live, WebhooksStream, paymentsConsumer) }

func (b *Broker) webhooksStream(storage int64) jetstream.StreamConfig {
	return b.depositStream(WebhooksStream, webhooksSubject, webhooksShare, webhooksBytesLeast, storage)
}

// depositStream is a stream as safe as donations', of share per cent of storage,
// or of the least size where nobody says how much there is.
func (b *Broker) depositStream(name, subject string, share, least, storage int64) jetstream.StreamConfig {
	bytesMax := least
	if storage > 0 {
		bytesMax = storage * share / 100
	}
	return jetstream.StreamConfig{
		Name: name, Subjects: []string{subject},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, DenyDelete: true,
		Replicas: b.cfg.Replicas, MaxBytes: bytesMax,
		Duplicates: duplicatesWindow, AllowDirect: true,
	}
}

// deposits remembers for which streams it was seen that an acknowledgement means
// disk. The gate of donations does not know these streams: none of them may ever
// stop a donation.
type deposits struct {
	mu     sync.Mutex
	proofs map[string]*depositProof // by stream
}

// depositProof is what was last found out about one stream.
type depositProof struct {
	generation uint64    // of the connection
	proven     time.Time // when it was last seen to be so; zero for never
	asked      time.Time
	err        error // of the last time that it was asked
}

// depositable tells why a message cannot be sent, whatever the broker's state.
func (b *Broker) depositable(id string, body []byte) error {
	if id == "" || len(id) > messageIDMax || strings.ContainsAny(id, "\r\n \t") {
		return fmt.Errorf("a message ID of %d bytes cannot be sent", len(id))
	}
	if most := b.nc.MaxPayload(); int64(len(body)) > most-messageIDMax-64 { // its headers count too
		return fmt.Errorf("%d bytes do not fit a message of %d", len(body), most)
	}
	return nil
}

// deposit stores one message, which is depositable, in the stream that want describes.
// One without an ID is never taken for a repeat by the broker.
func (b *Broker) deposit(ctx context.Context, want jetstream.StreamConfig, id string, body []byte) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	if err := b.provenFor(ctx, want); err != nil {
		return err
	}
	options := []jetstream.PublishOpt{jetstream.WithExpectStream(want.Name)}
	if id != "" {
		options = append(options, jetstream.WithMsgID(id))
	}
	_, err := b.js.Publish(ctx, want.Subjects[0], body, options...)
	if err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// provenFor returns nil while an acknowledgement of the stream is known to mean disk.
// It asks on each new connection, every depositProofLife, and every retryProofEvery
// while the answer is no. One caller asks, others wait for it.
func (b *Broker) provenFor(ctx context.Context, want jetstream.StreamConfig) error {
	b.deposits.mu.Lock()
	defer b.deposits.mu.Unlock()
	generation, connected := b.generation()
	if !connected {
		return fmt.Errorf("%w: %w", ErrUnavailable, errDisconnected)
	}
	p, known := b.deposits.proofs[want.Name]
	if !known || p.generation != generation {
		p = &depositProof{generation: generation}
	}
	now := time.Now()
	switch {
	case p.err == nil && !p.proven.IsZero() && now.Sub(p.proven) < depositProofLife:
		return nil
	case p.err != nil && now.Sub(p.asked) < retryProofEvery:
		return p.err
	}
	err := b.proveDeposit(ctx, want)
	if ctx.Err() != nil {
		return unavailable(ctx, ctx.Err()) // nothing was found out
	}
	if after, _ := b.generation(); after != generation {
		return fmt.Errorf("%w: %w", ErrUnavailable, errLost)
	}
	if errors.Is(err, ErrNoProof) && !p.proven.IsZero() && now.Sub(p.proven) < proofLife {
		return nil // somebody did not answer this time, and has not said otherwise
	}
	p.asked, p.err = now, err
	if err == nil {
		p.proven = now
	}
	if b.deposits.proofs == nil {
		b.deposits.proofs = make(map[string]*depositProof)
	}
	b.deposits.proofs[want.Name] = p
	return err
}

// proveDeposit asks for the stream's settings, and the servers that hold it whether
// they sync.
func (b *Broker) proveDeposit(ctx context.Context, want jetstream.StreamConfig) error {
	info, err := b.streamInfo(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: stream %s does not exist; the ledger or `up` creates it", ErrNotDurable, want.Name)
	}
	if err != nil {
		return unavailable(ctx, err)
	}
	if err := checkStream(info.Config, want); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	g := b.NewGate(nil)
	q := g.copies(info)
	holders := make(map[string][]string, len(q.online))
	for _, server := range q.online {
		holders[server] = []string{want.Name}
	}
	if err := g.prove(ctx, holders); err != nil {
		return err
	}
	if len(q.online) < q.needed {
		return fmt.Errorf("%w: %d of %d copies of %s are reachable", ErrNoProof, len(q.online), q.copies, want.Name)
	}
	return nil
}
