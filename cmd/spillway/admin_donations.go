package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/campaigns/console/donations"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
)

// donations wires the search, the stories, refunds and exports. Refunds take the road
// of `spillway refund`, keys included: either tells what became of the other's.
func (o *office) donations(_ context.Context, group *lifecycle.Group) (frame.Section, error) {
	db, err := paymentsdb.Open(paymentsdb.Config{URL: o.database, Application: "spillway console refunds"})
	if err != nil {
		return nil, err
	}
	group.Add("console's refunds database", quickStop, db.Close)
	return donations.New(donations.Deps{
		Search: o.search, Refunds: refundRoad{commandRoad{o.link}, db.Book(ledger.Live)}, Log: o.users, Zone: o.zone,
		ExportsOff: func() bool { return o.directory.Switches().ExportsOff },
	}), nil
}

// zone is the giving day's, UTC while there is none.
func (o *office) zone() *time.Location {
	if day := o.directory.Event(); day != nil {
		if zone, err := time.LoadLocation(day.TimeZone); err == nil {
			return zone
		}
	}
	return time.UTC
}

// refundRoad is how the console gives money back.
type refundRoad struct {
	road commandRoad
	book *paymentsdb.Book
}

// Preview implements donations.Refunds.
func (r refundRoad) Preview(ctx context.Context, asked *payments.RefundAsked) (payments.RefundPreview, error) {
	return r.book.PreviewRefund(ctx, asked)
}

// CommandID implements donations.Refunds, as refundCommand.identify does.
func (refundRoad) CommandID(donation ingest.ID, key string) [16]byte {
	return refundKey(donation.String(), key)
}

// Command implements donations.Refunds.
func (r refundRoad) Command(ctx context.Context, c *payments.Command) error {
	err := r.road.Command(ctx, c)
	if errors.Is(err, manage.ErrCommandUnknown) {
		return fmt.Errorf("%w: %w", donations.ErrCommandUnknown, err)
	}
	return err
}

// Commanded implements donations.Refunds.
func (r refundRoad) Commanded(ctx context.Context, command [16]byte) (payments.CommandResult, error) {
	return r.book.Commanded(ctx, command)
}

// State implements donations.Refunds.
func (r refundRoad) State(ctx context.Context, command [16]byte) (payments.RefundState, error) {
	return r.book.RefundState(ctx, paymentsdb.RefundID(command))
}
