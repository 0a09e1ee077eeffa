package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Generators of one rehearsal talk over core messages: nothing is stored, and whoever is
// away hears nothing. A generator that another one leads says that it is there on one
// subject, answers on another one of its own, and needs no further rights
// (deploy/nats-roles.conf, the user generator).
const (
	generatorsPrefix = "generators.v1."
	// hellosWaitingMax bounds what a leader has not looked at; generators repeat themselves.
	hellosWaitingMax = 256
	// asksWaitingMax bounds the questions that a generator has not answered; its leader
	// asks one at a time, and after a time-out the next.
	asksWaitingMax = 16
	// GeneratorMessageBytesMax bounds a message between generators, as a broker's default
	// max_payload (1 MiB) does.
	GeneratorMessageBytesMax = 1 << 20
)

// ErrNoGenerator says that nobody answers under that name: it has not come, has ended, or
// has lost its connection.
var ErrNoGenerator = errors.New("no generator of that name is connected")

func hellosSubject(fleet string) string { return generatorsPrefix + fleet + ".hello" }

func generatorSubject(fleet, name string) string {
	return generatorsPrefix + fleet + ".member." + name
}

// HelloGenerator tells whoever leads the fleet that a generator is there; nobody is known
// to hear. fleet is a token of a subject: no dots, spaces or wildcards. Errors:
// ErrUnavailable.
func (b *Broker) HelloGenerator(_ context.Context, fleet string, message []byte) error {
	if err := b.nc.Publish(hellosSubject(fleet), message); err != nil {
		return fmt.Errorf("say hello: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// WatchGenerators calls handle with what HelloGenerator sends anywhere, until ctx ends,
// from one goroutine. Errors: ErrUnavailable.
func (b *Broker) WatchGenerators(ctx context.Context, fleet string, handle func(message []byte)) error {
	return b.hear(ctx, hellosSubject(fleet), hellosWaitingMax, func() {}, func(m *nats.Msg) { handle(m.Data) })
}

// AskGenerator asks a generator and returns its answer. Errors: ErrNoGenerator,
// ErrUnavailable when it does not answer until ctx ends; ctx's own cancellation.
func (b *Broker) AskGenerator(ctx context.Context, fleet, name string, question []byte) ([]byte, error) {
	if len(question) > GeneratorMessageBytesMax {
		return nil, fmt.Errorf("ask generator %s: %d bytes, at most %d are possible", name, len(question), GeneratorMessageBytesMax)
	}
	answer, err := b.nc.RequestWithContext(ctx, generatorSubject(fleet, name), question)
	switch {
	case err == nil:
		return answer.Data, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("ask generator %s: %w", name, ErrNoGenerator)
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("ask generator %s: %w: %w", name, ErrUnavailable, err)
}

// ServeGenerator answers what AskGenerator asks under a name, one question after the
// other, until ctx ends. reply returns nil for no answer. ready is called once questions arrive.
func (b *Broker) ServeGenerator(ctx context.Context, fleet, name string, ready func(), reply func(question []byte) []byte) error {
	return b.hear(ctx, generatorSubject(fleet, name), asksWaitingMax, ready, func(m *nats.Msg) {
		if answer := reply(m.Data); answer != nil {
			if err := m.Respond(answer); err != nil {
				b.log.Warn("an answer to the leader of this rehearsal could not be sent", "error", err)
			}
		}
	})
}

// generatorFlush bounds the wait for the broker to know a subscription.
const generatorFlush = 5 * time.Second

// hear calls handle with the messages of a subject, from one goroutine, until ctx ends;
// ready before, once the broker knows of it.
func (b *Broker) hear(ctx context.Context, subject string, waitingMax int, ready func(), handle func(*nats.Msg)) error {
	messages := make(chan *nats.Msg, waitingMax)
	sub, err := b.nc.ChanSubscribe(subject, messages)
	if err != nil {
		return fmt.Errorf("hear %s: %w", subject, err)
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	flushing, done := context.WithTimeout(ctx, generatorFlush)
	err = b.nc.FlushWithContext(flushing)
	done()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("hear %s: %w: %w", subject, ErrUnavailable, err)
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			handle(m)
		}
	}
}
