package stripe

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/form"

	"spillway/ledger/payments"
)

// stripeMock names the official stripe-mock's program, which .ci/run builds.
const stripeMock = "STRIPE_MOCK_PROGRAM"

// startMock starts stripe-mock and returns its base URL.
func startMock(t *testing.T) string {
	t.Helper()
	program := os.Getenv(stripeMock)
	if program == "" {
		t.Skipf("%s names no program: the shape of our calls is not compared with Stripe's own specification (.ci/run does)", stripeMock)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-http-addr", "127.0.0.1:")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	base := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, address, ok := strings.Cut(lines.Text(), "Listening for HTTP at address: "); ok {
				base <- "http://" + strings.TrimSpace(address)
			}
		}
		_, _ = io.Copy(io.Discard, out) // it may be gone
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		_ = cmd.Wait() // killed
	})
	select {
	case url := <-base:
		return url
	case <-time.After(time.Minute):
		t.Fatal("stripe-mock does not listen")
		return ""
	}
}

// TestContract makes every call against stripe-mock, which refuses parameters that
// Stripe's specification does not have, and answers with its fixtures: shapes, no
// states. The answers must be readable by us too.
func TestContract(t *testing.T) {
	base := startMock(t)
	var log strings.Builder
	client, err := New(Config{Key: "sk_test_123", BaseURL: base, Account: "acct_123"}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, now := t.Context(), time.Now()

	shows := func(what string, a payments.Answer) {
		t.Helper()
		if a.Intent == nil && a.Refund == nil {
			t.Errorf("%s: %+v", what, a)
		}
	}
	shows("create and confirm", client.Charge(ctx, gift(client)))
	shows("create and confirm for a rehearsal in yen", client.Charge(ctx, gift(client, func(ch *payments.Charge) { ch.Currency, ch.Rehearsal = "JPY", true })))
	shows("confirm again", client.Charge(ctx, gift(client, func(ch *payments.Charge) { ch.Intent, ch.AttemptNo = "pi_1", 2 })))
	shows("cancel", client.CancelIntent(ctx, "pi_1", donationID))
	due := payments.RefundDue{Refund: [16]byte{1}, Donation: donationID, Intent: "pi_1", Charge: "ch_1", AmountMinor: 3000, Currency: "USD"}
	shows("refund", client.Refund(ctx, &due))
	due.Charge = ""
	shows("refund by its intent", client.Refund(ctx, &due))

	// The questions of a look, one by one: the fixtures name somebody else's intent.
	answered := func(what string, a payments.Answer) {
		t.Helper()
		if a.Kind != payments.Retry || a.Detail != lookedNothing {
			t.Errorf("%s: %+v", what, a)
		}
	}
	ch := gift(client, func(ch *payments.Charge) { ch.FirstCalledAt = now })
	answered("token", client.lookAtToken(ctx, ch))
	answered("list around the call", client.lookByList(ctx, ch))
	answered("refunds of a charge", client.LookRefund(ctx, &payments.RefundDue{Refund: [16]byte{2}, Charge: "ch_1"}))
	answered("refunds of an intent", client.LookRefund(ctx, &payments.RefundDue{Refund: [16]byte{2}, Intent: "pi_1"}))
	var search form.Values
	search.Add("limit", "2")
	search.Add("query", "metadata['donation']:'"+donationText+"'")
	if rep := client.do(ctx, call{endpoint: searchIntents, path: "/v1/payment_intents/search", form: []byte(search.Encode())}); rep.status != 200 {
		t.Errorf("search: status %d, %+v", rep.status, rep.problem)
	}
	if _, err := client.Intent(ctx, "pi_1"); err != nil {
		t.Errorf("intent: %v", err)
	}

	since := now.Add(-time.Hour)
	listed := func(what string, rows int, err error) {
		t.Helper()
		// Its intents are not ours, and its dispute is an inquiry.
		if err != nil || rows == 0 && what != "intents" && what != "disputes" {
			t.Errorf("%s: %d rows, %v", what, rows, err)
		}
	}
	intents, err := client.Intents(ctx, since, now, "pi_1")
	listed("intents", len(intents.Rows), err)
	refunds, err := client.Refunds(ctx, since, now, "re_1")
	listed("refunds", len(refunds.Rows), err)
	disputes, err := client.Disputes(ctx, since, now, "dp_1")
	listed("disputes", len(disputes.Rows), err)
	events, err := client.Events(ctx, since, now, "evt_1")
	listed("events", len(events.Rows), err)
	movements, err := client.BalanceTransactions(ctx, since, now, "txn_1")
	listed("movements", len(movements.Rows), err)
	movements, err = client.PayoutTransactions(ctx, "po_1", "txn_1")
	listed("movements of a payout", len(movements.Rows), err)
	payouts, err := client.Payouts(ctx, since, now, "po_1")
	listed("payouts", len(payouts.Rows), err)
	if log.Len() > 0 {
		t.Errorf("rows that cannot be read:\n%s", log.String())
	}

	// It does refuse what is not in the specification; else the test shows nothing.
	ch = gift(client)
	ch.Params = append(ch.Params, "&"+url.QueryEscape("no_such_parameter")+"=1"...)
	if a := client.Charge(ctx, ch); a.Detail != alarmRefused {
		t.Errorf("a parameter that does not exist: %+v", a)
	}
}
