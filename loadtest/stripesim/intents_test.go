package stripesim

import (
	"testing"

	"github.com/stripe/stripe-go/v76"
)

func TestCharge_SucceedsInOneCallWithItsFee(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_visa", func(p *stripe.PaymentIntentParams) { p.AddExpand("latest_charge.balance_transaction") })
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != stripe.PaymentIntentStatusSucceeded || p.AmountReceived != 5000 || p.LatestCharge == nil || p.Metadata["donation"] != "d-1" {
		t.Errorf("got %+v", p)
	}
	txn := p.LatestCharge.BalanceTransaction
	if txn == nil || txn.Amount != 5000 || txn.Fee != 175 || txn.Net != 4825 || len(txn.FeeDetails) != 1 {
		t.Errorf("balance transaction %+v", txn)
	}
	again, err := r.api.PaymentIntents.Get(p.ID, nil)
	if err != nil || again.ID != p.ID || again.ClientSecret != p.ClientSecret || again.LatestCharge.ID != p.LatestCharge.ID {
		t.Errorf("retrieved %+v, %v", again, err)
	}
}
