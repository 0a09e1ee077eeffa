package charge

import (
	"context"
	"errors"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/payments"
)

const (
	// commandAgain is when a command is tried again whose donation is not recorded yet,
	// and commandPatience after how long it is set aside: the backlog of a giving day
	// is recorded in minutes, so the donation will never come. commandTries is how often
	// it is tried before that, an hour long: a restore replays commands that are days old
	// together with their donations.
	commandAgain    = 5 * time.Second
	commandPatience = 24 * time.Hour
	commandTries    = uint64(time.Hour / commandAgain)
)

// commandLoop carries out what people ask of the book's money.
func (d *desk) commandLoop(ctx, work context.Context) {
	(&stream{
		config: d.s.config, source: d.book.Commands, log: d.log, handle: d.commands, ackLost: d.metrics.ackLost.Inc,
	}).run(ctx, work)
}

// commands carries out commands one by one: they are few, and each is a person's.
func (d *desk) commands(ctx context.Context, messages []Message) ([]word, error) {
	words := make([]word, len(messages))
	for i, m := range messages {
		var err error
		if words[i], err = d.command(ctx, m); err != nil {
			return nil, err
		}
	}
	return words, nil
}

func (d *desk) command(ctx context.Context, m Message) (word, error) {
	aside := func(reason ledger.Reason, why string) (word, error) {
		return word{}, d.setAside(ctx, ledger.Rejected{
			Payload: m.Data, Stream: d.book.Commands.Stream(), Sequence: m.Sequence, Index: -1, StoredAt: m.StoredAt, Reason: reason, Detail: why,
		})
	}
	c, err := payments.DecodeCommand(m.Data)
	if err != nil {
		return aside(ledger.ReasonMalformed, err.Error())
	}
	var result payments.CommandResult
	err = d.move(ctx, "carry out a command", func(ctx context.Context, lease ledger.Lease) (rows []campaigns.SlotRow, err error) {
		rows, result, err = d.book.Store.Command(ctx, lease, c)
		return rows, err
	})
	var poison *ledger.PoisonError
	switch {
	case errors.As(err, &poison):
		return aside(ledger.ReasonRefused, poison.Err.Error())
	case err != nil:
		return word{}, err
	case result.Word == payments.CommandNotYet && time.Since(m.StoredAt) > commandPatience && m.Deliveries > commandTries:
		return aside(ledger.ReasonUnknown, "its donation never came")
	case result.Word == payments.CommandNotYet:
		return word{again: commandAgain}, nil
	}
	d.metrics.commands.WithLabelValues(string(result.Word)).Inc()
	d.log.Info("command", "command", uuid(c.ID), "result", result.Word, "detail", result.Detail)
	return word{}, nil
}
