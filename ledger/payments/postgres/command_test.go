package postgres_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
)

// asked is a command by a number that stands for its ID.
func asked(n byte, c payments.Command) *payments.Command {
	c.ID, c.At, c.Actor, c.Reason = [16]byte{15: n}, noon, "ada", "the donor called"
	return &c
}

func refundOf(n byte, d *envelope.Donation, minor int64, lines ...int64) *payments.Command {
	return asked(n, payments.Command{Refund: &payments.RefundAsked{Donation: d.ID, AmountMinor: minor, Lines: lines}})
}

func (b *books) command(t testing.TB, c *payments.Command) payments.CommandResult {
	t.Helper()
	_, result, err := b.pay.Command(context.Background(), b.lease, c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

var done = payments.CommandResult{Word: payments.CommandDone}

func refusedFor(detail string) payments.CommandResult {
	return payments.CommandResult{Word: payments.CommandRefused, Detail: detail}
}

func TestCommand_ARefundIsAskedForOnce(t *testing.T) {
	b := openBooks(t)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 700}, ingest.Line{Campaign: "hill", AmountMinor: 300})
	if got := b.command(t, refundOf(1, d, 0)); got.Word != payments.CommandNotYet {
		t.Errorf("before it is recorded: %+v", got)
	}
	b.record(t, d)
	if got := b.command(t, refundOf(2, d, 0)); got != refusedFor(payments.RefusedNotCaptured) {
		t.Errorf("before the capture: %+v", got)
	}
	b.apply(t, captured(d, noon))
	for range 2 {
		if got := b.command(t, refundOf(3, d, 103)); got != done {
			t.Errorf("part of it: %+v", got)
		}
	}
	if result, err := b.pay.Commanded(t.Context(), [16]byte{15: 3}); err != nil || result != done {
		t.Errorf("afterwards %+v, %v", result, err)
	}
	if got := b.command(t, refundOf(4, d, 928)); got != refusedFor(payments.RefusedExceeds) {
		t.Errorf("more than is left: %+v", got)
	}
	if got := b.command(t, refundOf(5, d, 0)); got != done {
		t.Errorf("the rest: %+v", got)
	}
	if got := b.command(t, refundOf(6, d, 1)); got != refusedFor(payments.RefusedExceeds) {
		t.Errorf("beyond the rest: %+v", got)
	}
	due, err := b.pay.OpenRefunds(t.Context(), 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("due %+v, %v", due, err)
	}
	slices.SortFunc(due, func(x, y payments.RefundDue) int { return int(x.AmountMinor - y.AmountMinor) })
	if r := due[0]; r.Refund != postgres.RefundID([16]byte{15: 3}) || r.AmountMinor != 103 || !slices.Equal(r.Lines, []int64{70, 30}) ||
		r.Charge != captured(d, noon).Intent.Charge || r.Currency != "USD" || !r.FirstCalledAt.Equal(noon) {
		t.Errorf("due %+v", r)
	}
	if r := due[1]; r.AmountMinor != 927 || !slices.Equal(r.Lines, []int64{630, 270}) {
		t.Errorf("due %+v", r)
	}
	if again, err := b.pay.OpenRefunds(t.Context(), 10); err != nil || len(again) != 0 {
		t.Errorf("claimed twice: %+v, %v", again, err)
	}
}

func TestCommand_ARefundByLines(t *testing.T) {
	b := openBooks(t)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 700}, ingest.Line{Campaign: "hill", AmountMinor: 300})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	for n, c := range []struct {
		amount int64
		lines  []int64
		want   payments.CommandResult
	}{
		{701, []int64{701, 0}, refusedFor(payments.RefusedLines)}, // more than the line
		{100, []int64{100}, refusedFor(payments.RefusedLines)},    // not its lines
		{131, []int64{100, 0}, refusedFor(payments.RefusedLines)}, // more than the covered fee
		{130, []int64{100, 0}, done},                              // a line and the whole fee
		{601, []int64{600, 0}, refusedFor(payments.RefusedLines)}, // the fee is gone
		{900, []int64{600, 300}, done},                            // the rest
		{1, []int64{0, 1}, refusedFor(payments.RefusedExceeds)},   // beyond it
	} {
		if got := b.command(t, refundOf(byte(n+1), d, c.amount, c.lines...)); got != c.want {
			t.Errorf("%d by %v: %+v, want %+v", c.amount, c.lines, got, c.want)
		}
	}
}

// The processor's answer gives our refund its name: its own split is booked, whoever
// tells first, and it is never called again.
func TestCommand_ARefundThatTheProcessorMade(t *testing.T) {
	b := openBooks(t)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 700}, ingest.Line{Campaign: "hill", AmountMinor: 300})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	b.command(t, refundOf(1, d, 250, 250, 0))
	due, err := b.pay.OpenRefunds(t.Context(), 1)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	webhook := refunded(d, "re_1", 250, noon.Add(time.Hour))
	webhook.Refund.Ours = due[0].Refund
	answer := webhook
	answer.Source, answer.EventID = payments.FromCall, ""
	b.apply(t, webhook, answer)
	b.apply(t, answer)
	if b.owed(t, "river") != 450 || b.owed(t, "hill") != 300 || b.total(t, "river").Raised != 450 {
		t.Errorf("river is owed %d, hill %d", b.owed(t, "river"), b.owed(t, "hill"))
	}
	if n := b.number(t, "SELECT count(*) FROM refunds WHERE refund = $1 AND processor_id = 're_1' AND status = 'succeeded' AND actor = 'ada'", due[0].Refund); n != 1 {
		t.Error("the row that was asked for is not the one that was made")
	}
	if n := b.number(t, "SELECT count(*) FROM refunds"); n != 1 {
		t.Errorf("%d refunds", n)
	}
	b.exec(t, "UPDATE refunds SET not_before = '-infinity'")
	if again, err := b.pay.OpenRefunds(t.Context(), 10); err != nil || len(again) != 0 {
		t.Errorf("called again: %+v, %v", again, err)
	}
}

// After a restore the processor tells of a refund whose command is replayed only
// later: it is neither made nor asked for again.
func TestCommand_AReplayedRefundThatIsMadeAlready(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 700})
	b.record(t, d)
	made := refunded(d, "re_1", 250, noon)
	made.Refund.Ours = postgres.RefundID([16]byte{15: 1})
	b.apply(t, captured(d, noon), made)
	if got := b.command(t, refundOf(1, d, 250)); got != done {
		t.Errorf("the replayed command: %+v", got)
	}
	if due, err := b.pay.OpenRefunds(t.Context(), 10); err != nil || len(due) != 0 {
		t.Errorf("asked for again: %+v, %v", due, err)
	}
	if b.number(t, "SELECT count(*) FROM refunds") != 1 || b.owed(t, "river") != 450 {
		t.Errorf("owed %d", b.owed(t, "river"))
	}
}

// Metadata that names another donation's refund moves nothing.
func TestApply_ARefundOfAnotherDonationIsRefused(t *testing.T) {
	b := openBooks(t)
	d, other := given(0, ingest.Line{Campaign: "river", AmountMinor: 700}), given(0, ingest.Line{Campaign: "river", AmountMinor: 700})
	b.record(t, d, other)
	b.apply(t, captured(d, noon), captured(other, noon))
	b.command(t, refundOf(1, d, 100))
	stolen := refunded(other, "re_1", 100, noon)
	stolen.Refund.Ours = postgres.RefundID([16]byte{15: 1})
	before := b.census(t)
	_, _, err := b.pay.Apply(t.Context(), b.lease, []payments.Fact{refunded(d, "re_2", 1, noon), stolen})
	var poison *ledger.PoisonError
	var named *payments.FactError
	if !errors.As(err, &poison) || !errors.As(err, &named) || named.Index != 1 || errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if b.census(t) != before {
		t.Error("it left a trace")
	}
}

func TestCommand_ARefundThatTheProcessorRefuses(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 700})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	b.command(t, refundOf(1, d, 0))
	due, err := b.pay.OpenRefunds(t.Context(), 1)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	b.exec(t, "UPDATE refunds SET not_before = '-infinity'")
	again, err := b.pay.OpenRefunds(t.Context(), 1)
	if err != nil || len(again) != 1 || !again[0].FirstCalledAt.Equal(noon) || again[0].Refund != due[0].Refund {
		t.Fatalf("the same call again: %+v, %v", again, err)
	}
	if err := b.pay.RefundRefused(t.Context(), due[0].Refund, "charge_disputed"); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "UPDATE refunds SET not_before = '-infinity'")
	if again, err := b.pay.OpenRefunds(t.Context(), 1); err != nil || len(again) != 0 {
		t.Errorf("called again: %+v, %v", again, err)
	}
	if got := b.command(t, refundOf(2, d, 0)); got != done {
		t.Errorf("what was refused is free to be asked for: %+v", got)
	}
}

func TestCommand_OfflineGiftsAndCorrections(t *testing.T) {
	b := openBooks(t)
	cheque := asked(1, payments.Command{Offline: &payments.OfflineGift{Campaign: "river", AmountMinor: 5000, Currency: "USD"}})
	rows, result, err := b.pay.Command(t.Context(), b.lease, cheque)
	if err != nil || result != done || len(rows) != 1 || rows[0].RaisedMinor != 5000 {
		t.Fatalf("rows %+v, %+v, %v", rows, result, err)
	}
	before := b.census(t)
	if got := b.command(t, cheque); got != done || b.census(t) != before {
		t.Errorf("again: %+v, or something changed", got)
	}
	less := asked(2, payments.Command{Correction: &payments.Correction{Debit: journal.Gifts("river"), Credit: journal.OfflineReceived, AmountMinor: 500, Currency: "USD"}})
	if got := b.command(t, less); got != done {
		t.Errorf("a correction: %+v", got)
	}
	wrong := asked(3, payments.Command{Correction: &payments.Correction{Debit: "gift:river", Credit: journal.Bank, AmountMinor: 500, Currency: "USD"}})
	if got := b.command(t, wrong); got != refusedFor(payments.RefusedAccount) {
		t.Errorf("an account that is none: %+v", got)
	}
	if got := b.total(t, "river"); got != (total{4500, 4500, 1}) || b.owed(t, "river") != 4500 {
		t.Errorf("total %+v, owed %d", got, b.owed(t, "river"))
	}
	if entries := b.entries(t); len(entries) != 2 || entries[0].Actor != "ada" || entries[0].Reason != "the donor called" || !entries[0].OccurredAt.Equal(noon) {
		t.Errorf("entries %+v", entries)
	}
	if _, _, err := b.pay.Command(t.Context(), b.lease, &payments.Command{}); !errors.Is(err, payments.ErrCommand) {
		t.Errorf("no command: %v", err)
	}
}

// Several processes carry the same commands out at once.
func TestCommand_TwoProcessesDoItOnce(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 100})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	var wait sync.WaitGroup
	for range 3 {
		lease := b.newLease(t)
		wait.Go(func() {
			for n := range byte(10) {
				for _, c := range []*payments.Command{
					refundOf(100+n, d, 10),
					asked(1+n, payments.Command{Offline: &payments.OfflineGift{Campaign: "hill", AmountMinor: 7, Currency: "USD"}}),
				} {
					if _, result, err := b.pay.Command(context.Background(), lease, c); err != nil || result != done {
						t.Errorf("%+v, %v", result, err)
					}
				}
			}
		})
	}
	wait.Wait()
	if n := b.number(t, "SELECT sum(amount_minor)::bigint FROM refunds"); n != 100 {
		t.Errorf("refunds of %d", n)
	}
	if got := b.total(t, "hill"); got != (total{70, 70, 10}) || b.owed(t, "hill") != 70 {
		t.Errorf("total %+v, owed %d", got, b.owed(t, "hill"))
	}
}

func TestPost_BooksAMovementOnce(t *testing.T) {
	b := openBooks(t)
	payout := journal.Entry{Kind: journal.Payout, Ref: "payout:po_1", OccurredAt: noon, Postings: []journal.Posting{
		{Account: journal.Bank, Currency: "USD", AmountMinor: 900}, {Account: journal.Processor, Currency: "USD", AmountMinor: -900},
	}}
	other := payout
	other.Ref = "payout:po_2"
	var wait sync.WaitGroup
	for range 3 {
		lease := b.newLease(t)
		wait.Go(func() {
			for range 5 {
				if rows, err := b.pay.Post(context.Background(), lease, []journal.Entry{payout, other}); err != nil || len(rows) != 0 {
					t.Errorf("rows %v, %v", rows, err)
				}
			}
		})
	}
	wait.Wait()
	if n := len(b.entries(t)); n != 2 {
		t.Errorf("%d entries", n)
	}
	payout.Ref, payout.Postings = "payout:po_3", payout.Postings[:1]
	var poison *ledger.PoisonError
	if _, err := b.pay.Post(t.Context(), b.lease, []journal.Entry{payout}); !errors.As(err, &poison) {
		t.Errorf("an entry of one posting: %v", err)
	}
}

// What a person who waits for a refund is told.
func TestRefundState(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 700})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	id := postgres.RefundID([16]byte{15: 1})
	want := func(status, processorID, detail string) {
		t.Helper()
		r, err := b.pay.RefundState(t.Context(), id)
		if err != nil || r.Status != status || r.ProcessorID != processorID || r.Detail != detail {
			t.Errorf("%+v, %v, want %s %s %s", r, err, status, processorID, detail)
		}
		if status != "" && (r.AmountMinor != 250 || !slices.Equal(r.Lines, []int64{250}) || r.Actor != "ada" || r.Donation != d.ID) {
			t.Errorf("%+v", r)
		}
	}
	want("", "", "")
	b.command(t, refundOf(1, d, 250))
	want(payments.RefundRequested, "", "")
	if _, err := b.pay.OpenRefunds(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	want(payments.RefundCalling, "", "")
	if err := b.pay.RefundRefused(t.Context(), id, "charge_disputed"); err != nil {
		t.Fatal(err)
	}
	want(payments.RefundRefused, "", "charge_disputed")
	made := refunded(d, "re_1", 250, noon)
	made.Refund.Ours = id
	b.apply(t, made)
	want(string(payments.RefundSucceeded), "re_1", "charge_disputed")
}

// What is shown before a refund is what the command then asks for, to the cent.
func TestPreviewRefund_SaysWhatTheCommandDoes(t *testing.T) {
	b := openBooks(t)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 700}, ingest.Line{Campaign: "hill", AmountMinor: 300})
	preview := func(minor int64, lines ...int64) payments.RefundPreview {
		t.Helper()
		p, err := b.pay.PreviewRefund(t.Context(), &payments.RefundAsked{Donation: d.ID, AmountMinor: minor, Lines: lines})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if got := preview(0); got.Refused != payments.RefusedNotCaptured {
		t.Errorf("not recorded: %+v", got)
	}
	b.record(t, d)
	b.apply(t, captured(d, noon))
	for n, c := range []struct {
		minor int64
		lines []int64
	}{{103, nil}, {55, []int64{50, 0}}, {2000, nil}, {900, []int64{890, 0}}, {0, nil}, {1, nil}} {
		p := preview(c.minor, c.lines...)
		command := refundOf(byte(n+10), d, c.minor, c.lines...)
		got := b.command(t, command)
		if p.Refused != "" {
			if got != refusedFor(p.Refused) {
				t.Errorf("%+v: shown %q, was %+v", c, p.Refused, got)
			}
			continue
		}
		state, err := b.pay.RefundState(t.Context(), postgres.RefundID(command.ID))
		if err != nil || got != done {
			t.Fatalf("%+v: shown %+v, was %+v, %v", c, p, got, err)
		}
		sum := p.CoverMinor
		for i, part := range p.Lines {
			sum += part.AmountMinor
			if part.AmountMinor != state.Lines[i] || part.AmountMinor > part.LeftMinor || part.LeftMinor > part.GivenMinor {
				t.Errorf("%+v: line %d shown %+v, was %d", c, i, part, state.Lines[i])
			}
		}
		if p.AmountMinor != state.AmountMinor || sum != p.AmountMinor || p.CoverMinor < 0 || p.LeftMinor < p.AmountMinor {
			t.Errorf("%+v: shown %+v, was %+v", c, p, state)
		}
	}
	if left := preview(0); left.Refused != payments.RefusedExceeds || left.LeftMinor != 0 {
		t.Errorf("all of it went back: %+v", left)
	}
}
