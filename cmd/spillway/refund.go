package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
)

// refundCommand gives a donation's money back.
type refundCommand struct {
	Donation string   `arg:"" help:"The donation's ID."`
	Amount   string   `env:"-" placeholder:"12.50" help:"Give back so much, from all of its campaigns pro rata. All that is left, when neither --amount nor --line is given."`
	Line     []string `env:"-" sep:"none" placeholder:"CAMPAIGN=12.50" help:"Give back so much of one campaign's part; may be repeated. --amount beside it may exceed the sum by a part of the covered fee."`
	Key      string   `env:"-" placeholder:"TEXT" help:"Names this refund: under one key it is made once. Without it, a second refund of the same donation, amount and lines is taken for the first one asked again."`
	config.Order
}

// Help is shown by --help.
func (refundCommand) Help() string {
	return `Stores the refund as a command on the broker, waits until a payments process has carried it out and the processor has answered, and says so. Asked twice, it is done once. Flags beside these may come from the environment: --nats-url is SPILLWAY_NATS_URL.

Exit status: 0 when the money is on its way back; 1 when it is not and will not be; 2 when nothing is known yet: the same command again tells.

Examples:
    spillway refund 0197f1a0-... --actor ann --reason 'given twice by mistake'
    spillway refund 0197f1a0-... --amount 12.50 --actor ann --reason 'as agreed by phone'
    spillway refund 0197f1a0-... --line river-school=5 --line hill-school=7.50 --actor ann --reason 'wrong school'`
}

// Errors of a refund that cannot be asked for.
var (
	errLines   = errors.New("--line is CAMPAIGN=AMOUNT, each of the donation's campaigns once at most")
	errAmounts = errors.New("an amount to give back is above zero, and not less than its lines")
	errKeyUsed = errors.New("this key was used for something else: take another one")
)

// Run asks for the refund; see Help for the exit status.
func (r *refundCommand) Run(p *process) error {
	group := lifecycle.New(p.log)
	err := r.run(p, group)
	return errors.Join(err, group.Stop())
}

func (r *refundCommand) run(p *process, group *lifecycle.Group) error {
	c, err := openCounter(p, group, r.Order, "spillway refund")
	if err != nil {
		return err
	}
	id, gift, err := c.donation(p.ctx, r.Donation)
	if err != nil {
		return err
	}
	asked, err := r.asked(id, gift)
	if err != nil {
		return err
	}
	order := &payments.Command{At: now(), Actor: r.Actor, Reason: r.Reason, Refund: asked}
	before, err := r.identify(p.ctx, c, gift.Book, order)
	if err != nil {
		return err
	}
	if before.Word == payments.CommandDone {
		fmt.Fprintln(c.out, "asked for before: this is what became of it; another refund like it needs a --key of its own")
	} else if before, err = c.submit(p.ctx, gift.Book, order); err != nil {
		return err
	}
	switch before.Word {
	case payments.CommandDone:
	case "":
		return nil // it is not to be waited for
	default:
		return refused(before.Detail, gift)
	}
	return r.await(p.ctx, c, gift, order)
}

// asked says what is to be given back, in minor units and in the order of the
// donation's lines.
func (r *refundCommand) asked(id ingest.ID, gift ledger.State) (*payments.RefundAsked, error) {
	currency := money.Currency(gift.Currency)
	asked := &payments.RefundAsked{Donation: id}
	if len(r.Line) > 0 {
		asked.Lines = make([]int64, len(gift.Lines))
	}
	for _, line := range r.Line {
		campaign, text, ok := strings.Cut(line, "=")
		at := slices.IndexFunc(gift.Lines, func(l ledger.StateLine) bool { return l.Campaign == campaign })
		if !ok || at < 0 || asked.Lines[at] != 0 {
			return nil, fmt.Errorf("%q: %w (%s)", line, errLines, campaignsOf(gift))
		}
		minor, err := money.Parse(text, currency)
		if err != nil {
			return nil, err
		}
		if minor == 0 {
			return nil, fmt.Errorf("%q: %w", line, errAmounts)
		}
		asked.Lines[at] = minor
		if asked.AmountMinor, err = money.Add(asked.AmountMinor, minor); err != nil {
			return nil, err
		}
	}
	if r.Amount == "" {
		return asked, nil
	}
	minor, err := money.Parse(r.Amount, currency)
	if err != nil {
		return nil, err
	}
	if minor == 0 || minor < asked.AmountMinor {
		return nil, fmt.Errorf("%s: %w", r.Amount, errAmounts)
	}
	asked.AmountMinor = minor
	return asked, nil
}

func campaignsOf(gift ledger.State) string {
	all := make([]string, len(gift.Lines))
	for i, l := range gift.Lines {
		all[i] = fmt.Sprintf("%s: %s", l.Campaign, money.Amount{Minor: l.AmountMinor, Currency: money.Currency(gift.Currency)})
	}
	return strings.Join(all, ", ")
}

// repeatsMost bounds how often one refund may have been refused before.
const repeatsMost = 100

// identify gives the order its ID, and tells what became of it when it was asked for
// before. Without a key the content names it, and how often the same was refused: what
// moved no money may be asked for again.
func (r *refundCommand) identify(ctx context.Context, c *counter, book ledger.Book, order *payments.Command) (payments.CommandResult, error) {
	donation := ingest.ID(order.Refund.Donation).String()
	if r.Key != "" {
		order.ID = refundKey(donation, r.Key)
		result, err := c.commanded(ctx, book, order.ID)
		if err != nil || result.Word == "" {
			return result, err
		}
		if result.Word != payments.CommandDone {
			return result, fmt.Errorf("under this key it was refused before (%s): take another key to ask again", result.Detail)
		}
		made, err := c.refund(ctx, book, order.ID)
		if err == nil && differs(made, order.Refund) {
			err = errKeyUsed
		}
		return result, err
	}
	content := []string{"refund", donation, "content", strconv.FormatInt(order.Refund.AmountMinor, 10), fmt.Sprint(order.Refund.Lines)}
	for again := range repeatsMost {
		order.ID = commandID(append(content, strconv.Itoa(again))...)
		result, err := c.commanded(ctx, book, order.ID)
		if err != nil || result.Word == "" {
			return result, err
		}
		if result.Word != payments.CommandDone {
			continue
		}
		made, err := c.refund(ctx, book, order.ID)
		if err != nil || !fruitless(made.Status) {
			return result, err
		}
	}
	return payments.CommandResult{}, fmt.Errorf("this refund was refused %d times; give it a --key of its own to ask once more", repeatsMost)
}

// refundKey is the command that a person's key names, of one donation; the console's
// forms make such keys too.
func refundKey(donation, key string) [16]byte { return commandID("refund", donation, "key", key) }

// differs tells whether a refund that was made is not the one that is asked for now.
func differs(made payments.RefundState, asked *payments.RefundAsked) bool {
	return asked.AmountMinor != 0 && made.AmountMinor != asked.AmountMinor || asked.Lines != nil && !slices.Equal(made.Lines, asked.Lines)
}

// refund asks for what became of the refund that a command asked for.
func (c *counter) refund(ctx context.Context, book ledger.Book, command [16]byte) (payments.RefundState, error) {
	ctx, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	return c.payments.Book(book).RefundState(ctx, paymentsdb.RefundID(command))
}

// fruitless tells whether a refund moved no money, or its money came back.
func fruitless(status string) bool {
	return status == payments.RefundRefused || status == string(payments.RefundFailed) || status == string(payments.RefundCanceled)
}

// await waits for the processor's answer and tells it.
func (r *refundCommand) await(ctx context.Context, c *counter, gift ledger.State, order *payments.Command) error {
	bounded, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	told := ""
	var state payments.RefundState
	err := c.await(bounded, "the refund is in the books, and the processor has not answered", func(ctx context.Context) (bool, error) {
		var err error
		if state, err = c.refund(ctx, gift.Book, order.ID); err != nil {
			return false, err
		}
		amount := money.Amount{Minor: state.AmountMinor, Currency: money.Currency(gift.Currency)}
		if state.Status != told {
			fmt.Fprintf(c.out, "%s: refund of %s\n", state.Status, amount)
			told = state.Status
		}
		return state.ProcessorID != "" || state.Status == payments.RefundRefused || c.noWait, nil
	})
	switch {
	case err != nil:
		return err
	case state.Status == payments.RefundRefused:
		return fmt.Errorf("the processor refuses the refund: %s", state.Detail)
	case fruitless(state.Status):
		return fmt.Errorf("refund %s is %s: the money is with us", state.ProcessorID, state.Status)
	case state.ProcessorID != "":
		fmt.Fprintf(c.out, "done: the processor's refund %s, by %s at %s\n", state.ProcessorID, state.Actor, state.AskedAt.Format("2006-01-02 15:04:05Z"))
	}
	return nil
}

// refused says in words why the ledger does not make a refund.
func refused(detail string, gift ledger.State) error {
	whole := money.Amount{Minor: gift.AmountMinor, Currency: money.Currency(gift.Currency)}
	back := money.Amount{Minor: gift.RefundedMinor, Currency: whole.Currency}
	switch detail {
	case payments.RefusedNotCaptured:
		return fmt.Errorf("nothing was captured of this donation, so there is nothing to give back: its status is %s", gift.Status)
	case payments.RefusedExceeds:
		return fmt.Errorf("that is more than what is left to give back: the gift is %s, %s went back, and refunds under way count too", whole, back)
	case payments.RefusedLines:
		return fmt.Errorf("that is more than what is left of a line (%s)", campaignsOf(gift))
	case payments.RefusedDisputed:
		return errors.New("the donor's bank has taken the money already: a dispute is open or lost")
	}
	return fmt.Errorf("refused: %s", detail)
}
