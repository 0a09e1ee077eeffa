package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// commandsBytesLeast holds a hundred thousand commands of people; they are a
// kilobyte each.
const (
	commandsBytesLeast = 64 << 20
	commandsShare      = 1 // per cent, for each book
)

// CommandsStream is the name of the stream of a book's money commands: refunds,
// offline gifts, corrections, as people asked for them. Each book has its own, so
// that a rehearsal's never stand in front of a real one.
func CommandsStream(book ledger.Book) string {
	if book == ledger.Rehearsal {
		return "REHEARSAL_COMMANDS"
	}
	return "COMMANDS"
}

func commandsSubject(book ledger.Book) string { return "commands.v1." + book.String() }

func (b *Broker) commandsStream(book ledger.Book, storage int64) jetstream.StreamConfig {
	return b.depositStream(CommandsStream(book), commandsSubject(book), commandsShare, commandsBytesLeast, storage)
}

// PublishCommand returns nil once the broker has the command on disk. id is the
// command's own: the same one published again is a repeat to whoever reads. Errors:
// ErrUnavailable, it may be stored or not; ErrNotDurable, ErrNoProof, nothing was
// sent; ctx's.
func (b *Broker) PublishCommand(ctx context.Context, book ledger.Book, id string, body []byte) error {
	err := b.depositable(id, body)
	if err == nil {
		err = b.deposit(ctx, b.commandsStream(book, 0), id, body)
	}
	if err != nil {
		return fmt.Errorf("publish command: %w", err)
	}
	return nil
}

// Commands reads a book's commands; its users share them.
func (b *Broker) Commands(book ledger.Book) *Source {
	return b.source(book, CommandsStream(book), paymentsConsumer)
}
