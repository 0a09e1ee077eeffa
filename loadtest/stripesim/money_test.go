package stripesim

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"pgregory.net/rapid"
)

// serve makes a call without the network.
func serve(s *Server, method, path, form, key string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		panic(err)
	}
	return w.Code, string(body)
}

// failer is *testing.T or *rapid.T.
type failer interface {
	Helper()
	Errorf(string, ...any)
}

// checkBooks is what must hold of any books: every sum is made of its lines, and
// every movement of the balance has its cause.
func checkBooks(t failer, b *Books) {
	t.Helper()
	sums := map[string]*Total{}
	of := func(c string) *Total {
		if sums[c] == nil {
			sums[c] = &Total{Currency: c}
		}
		return sums[c]
	}
	charged, refunded := map[string]int64{}, map[string]int64{}
	for _, c := range b.Charges {
		s := of(c.Currency)
		if c.Status != "succeeded" {
			s.Failed++
			continue
		}
		s.Charges++
		s.Charged += c.Amount
		s.Refunded += c.Refunded
		charged[c.Currency] += c.Amount
		refunded[c.Currency] += c.Refunded
		if c.Refunded < 0 || c.Refunded > c.Amount {
			t.Errorf("charge %+v", c)
		}
	}
	moved := map[string]map[string]int64{}
	paid := map[string]int64{}
	for _, x := range b.Transactions {
		if x.Payout != "" {
			paid[x.Payout] += x.Net
		}
		s := of(x.Currency)
		s.Fees += x.Fee
		s.Net += x.Net
		if x.Payout == "" {
			s.NotPaid += x.Net
		}
		if x.Net != x.Amount-x.Fee || x.Source == "" {
			t.Errorf("transaction %+v", x)
		}
		if moved[x.Currency] == nil {
			moved[x.Currency] = map[string]int64{}
		}
		moved[x.Currency][x.Category] += x.Amount
	}
	for payout, sum := range paid {
		if sum != 0 { // its own transaction is among them
			t.Errorf("payout %s is %d off its transactions", payout, sum)
		}
	}
	for currency, m := range moved {
		if m["charge"] != charged[currency] {
			t.Errorf("%s: charges of %d, transactions of %d", currency, charged[currency], m["charge"])
		}
		if -(m["refund"] + m["refund_failure"]) != refunded[currency] {
			t.Errorf("%s: refunds of %d, transactions of %d", currency, refunded[currency], m["refund"]+m["refund_failure"])
		}
	}
	for _, total := range b.Totals {
		s := of(total.Currency)
		if total.Charged != s.Charged || total.Charges != s.Charges || total.Failed != s.Failed || total.Refunded != s.Refunded ||
			total.Fees != s.Fees || total.Net != s.Net || total.NotPaid != s.NotPaid {
			t.Errorf("total %+v, lines %+v", total, *s)
		}
	}
}

func TestFees_RoundedHalfUp(t *testing.T) {
	fees := Fees{BasisPoints: 290, Fixed: 30}
	for amount, want := range map[int64]int64{50: 31, 100: 33, 500: 45, 1000: 59, 1017: 59, 1018: 60, 5000: 175, 99_999_999: 2_900_030} {
		if got := fees.of(amount); got != want {
			t.Errorf("of %d: %d, want %d", amount, got, want)
		}
	}
	if got := (Config{Fees: Fees{BasisPoints: -1, Fixed: -1}}).withDefaults().Fees.of(5000); got != 0 {
		t.Errorf("none is %d", got)
	}
}

func TestRefunds_WholePartTooMuch(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_visa")
	if err != nil {
		t.Fatal(err)
	}
	refund := func(amount int64) (*stripe.Refund, error) {
		params := &stripe.RefundParams{PaymentIntent: stripe.String(p.ID)}
		if amount > 0 {
			params.Amount = stripe.Int64(amount)
		}
		return r.api.Refunds.New(params)
	}
	part, err := refund(1500)
	if err != nil || part.Status != stripe.RefundStatusSucceeded || part.Amount != 1500 || part.Charge.ID != p.LatestCharge.ID {
		t.Fatalf("%+v, %v", part, err)
	}
	_, err = refund(3501)
	if e := fault(t, err); e.HTTPStatusCode != http.StatusBadRequest || e.Param != "amount" {
		t.Errorf("too much: %v", e)
	}
	rest, err := refund(0)
	if err != nil || rest.Amount != 3500 {
		t.Errorf("%+v, %v", rest, err)
	}
	_, err = refund(0)
	if e := fault(t, err); e.Code != stripe.ErrorCodeChargeAlreadyRefunded {
		t.Errorf("again: %v", e)
	}
	c, err := r.api.Charges.Get(p.LatestCharge.ID, &stripe.ChargeParams{Expand: []*string{stripe.String("refunds")}})
	if err != nil || !c.Refunded || c.AmountRefunded != 5000 || len(c.Refunds.Data) != 2 || c.Refunds.Data[0].ID != rest.ID {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = r.charge("d-2", 5000, "ctoken_card_chargeDeclined")
	declined := fault(t, err)
	_, err = r.api.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(declined.PaymentIntent.ID)})
	if e := fault(t, err); e.Code != stripe.ErrorCodePaymentIntentUnexpectedState {
		t.Errorf("of nothing: %v", e)
	}
	_, err = r.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(declined.ChargeID)})
	if e := fault(t, err); e.Code != "charge_not_refundable" {
		t.Errorf("of a failed charge: %v", e)
	}
	b := r.books()
	checkBooks(t, b)
	if total := b.Totals[0]; total.Net != 5000-175-5000 || total.Refunded != 5000 {
		t.Errorf("%+v", total)
	}
}

func TestRefunds_PendingAndFailing(t *testing.T) {
	r := start(t, Config{SettleAfter: time.Millisecond})
	for _, c := range []struct {
		token        string
		first, later stripe.RefundStatus
		net          int64
	}{
		{"ctoken_card_pendingRefund", stripe.RefundStatusPending, stripe.RefundStatusSucceeded, -175},
		{"ctoken_card_refundFail", stripe.RefundStatusSucceeded, stripe.RefundStatusFailed, 4825 - 175},
	} {
		p, err := r.charge(c.token, 5000, c.token)
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(p.LatestCharge.ID)})
		if err != nil || f.Status != c.first {
			t.Fatalf("%+v, %v", f, err)
		}
		until(t, "the refund settles", func() bool {
			f, err = r.api.Refunds.Get(f.ID, nil)
			return err == nil && f.Status == c.later
		})
		if c.later == stripe.RefundStatusFailed && (f.FailureBalanceTransaction == nil || f.FailureReason == "") {
			t.Errorf("%+v", f)
		}
		b := r.books()
		checkBooks(t, b)
		if b.Totals[0].Net != c.net {
			t.Errorf("after %s: net %d, want %d", c.token, b.Totals[0].Net, c.net)
		}
	}
}

func TestDisputes_WonLostAndAccepted(t *testing.T) {
	r := start(t, Config{DisputeAfter: time.Millisecond, SettleAfter: time.Millisecond, Fees: Fees{DisputeReturned: true}})
	net := int64(0)
	for _, c := range []struct {
		name, token string
		end         func(id string)
		status      stripe.DisputeStatus
	}{
		{"lost by itself", "ctoken_card_createDisputeLost", nil, stripe.DisputeStatusLost},
		{"won by itself", "ctoken_card_createDisputeWon", nil, stripe.DisputeStatusWon},
		{"accepted", "ctoken_card_createDispute", func(id string) {
			if _, err := r.api.Disputes.Close(id, nil); err != nil {
				t.Error(err)
			}
		}, stripe.DisputeStatusLost},
		{"won by evidence", "ctoken_card_createDispute", func(id string) {
			d, err := r.api.Disputes.Update(id, &stripe.DisputeParams{Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String("winning_evidence")}})
			if err != nil || d.Status != stripe.DisputeStatusUnderReview {
				t.Errorf("%+v, %v", d, err)
			}
		}, stripe.DisputeStatusWon},
		{"closed by hand", "ctoken_card_createDispute", func(id string) {
			if status := r.post("/sim/disputes/"+id+"/close?outcome=won", "", nil); status != 200 {
				t.Errorf("status %d", status)
			}
		}, stripe.DisputeStatusWon},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := r.charge(c.name, 5000, c.token)
			if err != nil {
				t.Fatal(err)
			}
			var d *stripe.Dispute
			get := func() bool {
				list := r.api.Disputes.List(&stripe.DisputeListParams{PaymentIntent: stripe.String(p.ID)})
				if !list.Next() {
					return false
				}
				d = list.Dispute()
				return true
			}
			until(t, "the bank disputes", get)
			if c.end != nil {
				_, err = r.api.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(p.ID)})
				if e := fault(t, err); e.Code != stripe.ErrorCodeChargeDisputed {
					t.Errorf("refunded while disputed: %v", e)
				}
				c.end(d.ID)
			}
			until(t, "the dispute ends", func() bool { return get() && d.Status == c.status })
			var sum, fee int64
			for _, x := range d.BalanceTransactions {
				sum += x.Amount
				fee += x.Fee
			}
			net += 4825
			if c.status == stripe.DisputeStatusLost {
				net -= 5000 + 1500
				if len(d.BalanceTransactions) != 1 || sum != -5000 || fee != 1500 {
					t.Errorf("%+v", d.BalanceTransactions)
				}
			} else if len(d.BalanceTransactions) != 2 || sum != 0 || fee != 0 {
				t.Errorf("%+v", d.BalanceTransactions)
			}
			b := r.books()
			checkBooks(t, b)
			if b.Totals[0].Net != net {
				t.Errorf("net %d, want %d", b.Totals[0].Net, net)
			}
		})
	}
	if lost := r.books().Totals[0].Lost; lost != 10000 {
		t.Errorf("lost %d", lost)
	}
}

// TestDisputes_ByRate: what the faults dispute is decided as often as they say.
func TestDisputes_ByRate(t *testing.T) {
	r := start(t, Config{DisputeAfter: time.Millisecond, Faults: Faults{DisputeRate: 1, DisputeWonRate: 0.5, DisputeLostRate: 0.25}})
	const n = 60
	for i := range n {
		if _, err := r.charge(fmt.Sprint(i), 5000, "ctoken_x"); err != nil {
			t.Fatal(err)
		}
	}
	statuses := map[string]int{}
	until(t, "the banks have decided", func() bool {
		clear(statuses)
		for _, c := range r.books().Charges {
			statuses[c.Dispute]++
		}
		return statuses[""] == 0 && r.server.due.pending() == 0
	})
	if statuses["won"] < n/4 || statuses["lost"] < n/10 || statuses["needs_response"] < n/10 {
		t.Errorf("%v", statuses)
	}
	checkBooks(t, r.books())
}

func TestPayouts_WhatIsAvailableAndItsTransactions(t *testing.T) {
	r := start(t, Config{SettleAfter: time.Millisecond, AvailableAfter: time.Hour})
	for _, key := range []string{"d-1", "d-2"} {
		if _, err := r.charge(key, 5000, "ctoken_x"); err != nil {
			t.Fatal(err)
		}
	}
	var made struct{ Payouts []string }
	if r.post("/sim/payouts", "", &made); len(made.Payouts) != 0 {
		t.Fatalf("paid out before it was available: %v", made)
	}
	if err := r.server.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := r.charge("d-3", 7000, "ctoken_x"); err != nil { // pending
		t.Fatal(err)
	}
	if r.post("/sim/payouts", "", &made); len(made.Payouts) != 1 {
		t.Fatalf("%v", made)
	}
	po, err := r.api.Payouts.Get(made.Payouts[0], nil)
	if err != nil || po.Amount != 2*4825 || !po.Automatic {
		t.Fatalf("%+v, %v", po, err)
	}
	until(t, "it arrives", func() bool {
		po, err = r.api.Payouts.Get(po.ID, nil)
		return err == nil && po.Status == stripe.PayoutStatusPaid
	})
	list := r.api.BalanceTransactions.List(&stripe.BalanceTransactionListParams{Payout: stripe.String(po.ID)})
	sum, n := int64(0), 0
	for list.Next() {
		sum += list.BalanceTransaction().Net
		n++
	}
	if list.Err() != nil || n != 3 || sum != 0 { // its own among them
		t.Errorf("%d transactions of %d, %v", n, sum, list.Err())
	}
	if balance, err := r.api.Balance.Get(nil); err != nil || balance.Available[0].Amount != 0 || balance.Pending[0].Amount != 7000-233 {
		t.Errorf("%+v, %v", balance, err)
	}
	if status := r.post("/sim/payouts/"+po.ID+"/fail", "", nil); status != 200 {
		t.Fatal(status)
	}
	if po, err = r.api.Payouts.Get(po.ID, nil); err != nil || po.Status != stripe.PayoutStatusFailed || po.FailureBalanceTransaction == nil || po.FailureCode == "" {
		t.Errorf("%+v, %v", po, err)
	}
	if status := r.post("/sim/payouts/"+po.ID+"/fail", "", nil); status != 400 {
		t.Errorf("failed twice: %d", status)
	}
	// What came back is paid out with the next one.
	if r.post("/sim/payouts", "", &made); len(made.Payouts) != 1 {
		t.Fatalf("%v", made)
	}
	if po, err = r.api.Payouts.Get(made.Payouts[0], nil); err != nil || po.Amount != 2*4825 {
		t.Errorf("%+v, %v", po, err)
	}
	manual, err := r.api.Payouts.New(&stripe.PayoutParams{Amount: stripe.Int64(1), Currency: stripe.String("usd")})
	if err == nil || fault(t, err).Code != "balance_insufficient" {
		t.Errorf("%+v, %v", manual, err)
	}
	b := r.books()
	checkBooks(t, b)
	if total := b.Totals[0]; total.PaidOut != 2*4825 || total.Net != 7000-233 || total.NotPaid != 7000-233 {
		t.Errorf("%+v", total)
	}
}

// TestPayouts_OfADisputeThatGoesOn: what was paid out stays paid out when the dispute
// that it belongs to ends.
func TestPayouts_OfADisputeThatGoesOn(t *testing.T) {
	r := start(t, Config{AvailableAfter: -1, SettleAfter: time.Millisecond})
	for _, key := range []string{"d-1", "d-2"} {
		p, err := r.charge(key, 5000, "ctoken_x")
		if err != nil {
			t.Fatal(err)
		}
		if key == "d-1" {
			if status := r.post("/sim/charges/"+p.ID+"/dispute", "", nil); status != 200 {
				t.Fatal(status)
			}
		}
	}
	var made struct{ Payouts []string }
	if r.post("/sim/payouts", "", &made); len(made.Payouts) != 1 {
		t.Fatalf("%v", made)
	}
	disputes := r.api.Disputes.List(&stripe.DisputeListParams{})
	if !disputes.Next() {
		t.Fatal(disputes.Err())
	}
	if _, err := r.api.Disputes.Close(disputes.Dispute().ID, nil); err != nil {
		t.Fatal(err)
	}
	b := r.books()
	checkBooks(t, b)
	if total := b.Totals[0]; total.NotPaid != 0 || total.PaidOut != 2*4825-6500 || total.Lost != 5000 {
		t.Errorf("%+v", total)
	}
}

// TestBooks_AlwaysBalance does random things with money, and the books hold, the
// stream of them is them, and a restart from the log gives the same.
func TestBooks_AlwaysBalance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{
			Data: t.TempDir(), Seed: 7, AvailableAfter: -1, DisputeAfter: time.Millisecond, SettleAfter: time.Millisecond,
			Fees: Fees{DisputeReturned: rapid.Bool().Draw(rt, "fee returned")},
		}
		s, err := New(cfg)
		if err != nil {
			rt.Fatal(err)
		}
		currencies := []string{"usd", "eur", "jpy"}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			n := rapid.Uint32Range(1, 12).Draw(rt, "n")
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1, 2:
				token := rapid.SampledFrom(Tokens()).Draw(rt, "token")
				if strings.Contains(token, "slow") || strings.Contains(token, "timeout") || strings.Contains(token, "reset") {
					token = "ctoken_x"
				}
				serve(s, "POST", "/v1/payment_intents", "amount="+rapid.SampledFrom([]string{"50", "333", "5000", "99999999"}).Draw(rt, "amount")+
					"&confirm=true&currency="+rapid.SampledFrom(currencies).Draw(rt, "currency")+"&confirmation_token="+token, "")
			case 3:
				serve(s, "POST", "/v1/refunds", "charge="+s.ids.id(chargeKind, n)+rapid.SampledFrom([]string{"", "&amount=7", "&amount=50"}).Draw(rt, "part"), "")
			case 4:
				serve(s, "POST", "/sim/charges/"+s.ids.id(chargeKind, n)+"/dispute", "", "")
				serve(s, "POST", "/sim/disputes/"+s.ids.id(disputeKind, rapid.Uint32Range(1, 3).Draw(rt, "dispute"))+"/close?outcome="+rapid.SampledFrom([]string{"won", "lost"}).Draw(rt, "outcome"), "", "")
			case 5:
				serve(s, "POST", "/sim/payouts", "", "")
				serve(s, "POST", "/sim/payouts/"+s.ids.id(payoutKind, rapid.Uint32Range(1, 3).Draw(rt, "payout"))+"/fail", "", "")
			case 6: // what is due happens
				if err := s.Advance(time.Second); err != nil {
					rt.Fatal(err)
				}
				for {
					item, due, _ := s.due.next(s.Now().UnixMilli())
					if !due {
						break
					}
					s.happen(item)
				}
			}
		}
		var first strings.Builder
		if err := s.WriteBooks(&first); err != nil {
			rt.Fatal(err)
		}
		b, err := ReadBooks(strings.NewReader(first.String()))
		if err != nil {
			rt.Fatal(err)
		}
		checkBooks(rt, b)
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		again, err := New(cfg)
		if err != nil {
			rt.Fatal(err)
		}
		var second strings.Builder
		if err := again.WriteBooks(&second); err != nil {
			rt.Fatal(err)
		}
		if first.String() != second.String() {
			rt.Errorf("after a restart:\n%s\n%s", second.String(), first.String())
		}
		if err := again.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestReadBooks_CutShort(t *testing.T) {
	if _, err := ReadBooks(strings.NewReader(`{"object":"total","currency":"usd"}` + "\n")); err == nil {
		t.Error("books without an end were taken")
	}
	if _, err := ReadBooks(strings.NewReader(`{"object":"total","curr`)); err == nil {
		t.Error("half a line was taken")
	}
}
