package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"spillway/campaigns"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// giftCommand books a gift that came by another road.
type giftCommand struct {
	Campaign string `arg:"" help:"The campaign's slug."`
	Amount   string `required:"" env:"-" placeholder:"12.50" help:"What was given, in the campaign's currency."`
	Key      string `required:"" env:"-" placeholder:"TEXT" help:"Names this gift, such as a cheque's number: under one key it is booked once."`
	config.Order
}

// Help is shown by --help.
func (giftCommand) Help() string {
	return `Books a cheque or cash: the campaign has raised it from then on. Asked twice under one key, it is booked once. Flags beside these may come from the environment: --nats-url is SPILLWAY_NATS_URL.

Exit status: 0 when it is booked; 1 when it will not be; 2 when nothing is known yet: the same command again tells.

Example:
    spillway gift river-school --amount 250 --key 'cheque 100231' --actor ann --reason 'handed in at the desk'`
}

// Run books the gift.
func (g *giftCommand) Run(p *process) error {
	group := lifecycle.New(p.log)
	err := g.run(p, group)
	return errors.Join(err, group.Stop())
}

func (g *giftCommand) run(p *process, group *lifecycle.Group) error {
	c, err := openCounter(p, group, g.Order, "spillway gift")
	if err != nil {
		return err
	}
	campaign, err := c.campaign(p.ctx, g.Campaign)
	if err != nil {
		return err
	}
	if campaign.Rehearsal {
		return fmt.Errorf("campaign %s is a rehearsal's: it takes no real money", g.Campaign)
	}
	minor, err := money.Parse(g.Amount, campaign.Currency)
	if err != nil {
		return err
	}
	return c.book(p.ctx, &payments.Command{
		ID: commandID("offline gift", g.Key), At: now(), Actor: g.Actor, Reason: g.Reason,
		Offline: &payments.OfflineGift{Campaign: g.Campaign, AmountMinor: minor, Currency: campaign.Currency},
	})
}

// correctCommand moves money between two accounts of the journal.
type correctCommand struct {
	Debit    string `required:"" env:"-" placeholder:"ACCOUNT" help:"The account that is debited, such as gifts:river-school: what it is owed gets less."`
	Credit   string `required:"" env:"-" placeholder:"ACCOUNT" help:"The account that is credited."`
	Amount   string `required:"" env:"-" placeholder:"12.50" help:"How much."`
	Currency string `required:"" env:"-" placeholder:"USD" help:"Of which currency."`
	Donation string `env:"-" placeholder:"ID" help:"The donation that it is about, if it is about one."`
	Key      string `required:"" env:"-" placeholder:"TEXT" help:"Names this correction, such as a ticket's number: under one key it is booked once."`
	config.Order
}

// Help is shown by --help.
func (correctCommand) Help() string {
	return `Nothing in the journal is ever changed: a mistake is corrected with another entry. A campaign's account moves what the campaign has raised. The chart of accounts is in ledger/DESIGN.md. Flags beside these may come from the environment: --nats-url is SPILLWAY_NATS_URL.

Exit status: 0 when it is booked; 1 when it will not be; 2 when nothing is known yet: the same command again tells.

Example:
    spillway correct --debit gifts:river-school --credit gifts:hill-school --amount 250 --currency USD \
        --key 'ticket 77' --actor ann --reason 'the cheque was for the other school'`
}

// Run books the correction.
func (k *correctCommand) Run(p *process) error {
	group := lifecycle.New(p.log)
	err := k.run(p, group)
	return errors.Join(err, group.Stop())
}

func (k *correctCommand) run(p *process, group *lifecycle.Group) error {
	c, err := openCounter(p, group, k.Order, "spillway correct")
	if err != nil {
		return err
	}
	currency, ok := money.ParseCurrency([]byte(k.Currency))
	if !ok {
		return fmt.Errorf("%q is no currency that is taken here", k.Currency)
	}
	minor, err := money.Parse(k.Amount, currency)
	if err != nil {
		return err
	}
	for _, account := range []string{k.Debit, k.Credit} {
		slug, ok := journal.CampaignOf(account)
		if !ok {
			continue
		}
		campaign, err := c.campaign(p.ctx, slug)
		if err != nil {
			return err
		}
		if campaign.Currency != currency {
			return fmt.Errorf("campaign %s is held in %s", slug, campaign.Currency)
		}
	}
	order := &payments.Command{
		ID: commandID("correction", k.Key), At: now(), Actor: k.Actor, Reason: k.Reason,
		Correction: &payments.Correction{Debit: k.Debit, Credit: k.Credit, AmountMinor: minor, Currency: currency},
	}
	if k.Donation != "" {
		id, gift, err := c.donation(p.ctx, k.Donation)
		if err != nil {
			return err
		}
		if gift.Book != ledger.Live {
			return fmt.Errorf("donation %s is a rehearsal's: its journal is no account of anybody's", id)
		}
		order.Correction.Donation = id
	}
	return c.book(p.ctx, order)
}

// campaign finds a campaign: the ledger would book to one that is misspelt, too.
func (c *counter) campaign(ctx context.Context, slug string) (*campaigns.Campaign, error) {
	db, err := campaignsdb.Open(campaignsdb.Config{URL: c.databaseURL, Application: "spillway people's commands"})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	campaign, err := db.Get(ctx, slug)
	if errors.Is(err, campaigns.ErrUnknown) {
		return nil, fmt.Errorf("there is no campaign %q", slug)
	}
	return campaign, err
}

// book has an entry booked that a key names, and wants it to be this one.
func (c *counter) book(ctx context.Context, order *payments.Command) error {
	result, err := c.commanded(ctx, ledger.Live, order.ID)
	if err != nil {
		return err
	}
	if result.Word != "" {
		fmt.Fprintln(c.out, "asked for before: this is what became of it")
	} else if result, err = c.submit(ctx, ledger.Live, order); err != nil {
		return err
	}
	switch {
	case result.Word == "":
		return nil // it is not to be waited for
	case result.Word == payments.CommandRefused && result.Detail == payments.RefusedAccount:
		return errors.New("refused: an account that is not in the chart of accounts (ledger/DESIGN.md); ask again under another key")
	case result.Word != payments.CommandDone:
		return fmt.Errorf("refused: %s", result.Detail)
	}
	want := entryOf(order)
	bounded, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	found, err := c.journal.Book(ledger.Live).Find(bounded, []string{want.Ref})
	if err != nil {
		return err
	}
	booked := found[want.Ref]
	switch {
	case booked == nil:
		return fmt.Errorf("command %s is done and its entry %s is not in the journal: 'spillway verify' says more", ingest.ID(order.ID), want.Ref)
	case booked.Donation != want.Donation || !slices.Equal(booked.Postings, want.Postings):
		return errKeyUsed
	}
	fmt.Fprintf(c.out, "booked: %s, by %s at %s\n", booked.Ref, booked.Actor, booked.OccurredAt.Format("2006-01-02 15:04:05Z"))
	for _, p := range booked.Postings {
		side, minor := "debit ", p.AmountMinor
		if minor < 0 {
			side, minor = "credit", -minor
		}
		fmt.Fprintf(c.out, "  %s %s %s\n", side, money.Amount{Minor: minor, Currency: p.Currency}, p.Account)
	}
	return nil
}

// entryOf is the entry that a command is booked as.
func entryOf(order *payments.Command) journal.Entry {
	if g := order.Offline; g != nil {
		return journal.NewOfflineGift(order.ID, g.Campaign, g.AmountMinor, g.Currency, order.At, order.Actor, order.Reason)
	}
	k := order.Correction
	return journal.NewCorrection(order.ID, k.Donation, k.Debit, k.Credit, k.AmountMinor, k.Currency, order.At, order.Actor, order.Reason)
}
