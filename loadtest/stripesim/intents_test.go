package stripesim

import (
	"net/http"
	"testing"
	"time"

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

// TestCards_DoWhatTheirNamesSay goes through every card that answers at once.
func TestCards_DoWhatTheirNamesSay(t *testing.T) {
	r := start(t, Config{Slow: time.Millisecond, SettleAfter: time.Hour})
	for _, c := range []struct {
		token   string
		code    stripe.ErrorCode
		decline stripe.DeclineCode
		status  stripe.PaymentIntentStatus // of the intent that is left
	}{
		{"ctoken_card_visa", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_1NnQUf2eZvKYlo2CIObdtbnb", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_card_unheardOf", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_card_slow", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_card_createDispute", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_card_refundFail", "", "", stripe.PaymentIntentStatusSucceeded},
		{"ctoken_card_processing", "", "", stripe.PaymentIntentStatusProcessing},
		{"ctoken_card_authenticationRequired", "", "", stripe.PaymentIntentStatusRequiresAction},
		{"ctoken_card_chargeDeclined", "card_declined", "generic_decline", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclined_of_one_donation", "card_declined", "generic_decline", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclinedProcessingError", "processing_error", "processing_error", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded", stripe.PaymentIntentStatusRequiresPaymentMethod},
		{"ctoken_card_tokenExpired", "confirmation_token_expired", "", ""},
		{"ctoken_card_tokenUsed", "token_already_used", "", ""},
	} {
		p, err := r.charge("card "+c.token, 5000, c.token)
		if c.code == "" {
			if err != nil || p.Status != c.status {
				t.Errorf("%s: %v, %v", c.token, p, err)
			}
			continue
		}
		e := fault(t, err)
		if e.Code != c.code || e.DeclineCode != c.decline {
			t.Errorf("%s: %v", c.token, e)
		}
		switch {
		case c.status == "":
			if e.HTTPStatusCode != http.StatusBadRequest || e.Param != "confirmation_token" || e.PaymentIntent != nil {
				t.Errorf("%s: %v", c.token, e)
			}
		case e.HTTPStatusCode != http.StatusPaymentRequired || e.Type != stripe.ErrorTypeCard || e.ChargeID == "" || e.PaymentMethod == nil ||
			e.PaymentIntent == nil || e.PaymentIntent.Status != c.status || e.PaymentIntent.LastPaymentError == nil || e.PaymentIntent.LastPaymentError.DeclineCode != c.decline:
			t.Errorf("%s: %v", c.token, e)
		}
	}
}

func TestConfirm_AnotherCardAfterADecline(t *testing.T) {
	r := start(t, Config{})
	_, err := r.charge("d-1", 5000, "ctoken_card_chargeDeclined")
	declined := fault(t, err).PaymentIntent
	// A card that has to be authenticated comes in between: the old error is over.
	asked, err := r.api.PaymentIntents.Confirm(declined.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_authenticationRequired")})
	if err != nil || asked.Status != stripe.PaymentIntentStatusRequiresAction || asked.LastPaymentError != nil || asked.PaymentMethod == nil || asked.NextAction == nil {
		t.Errorf("%+v, %v", asked, err)
	}
	confirm := &stripe.PaymentIntentConfirmParams{}
	confirm.AddExtra("confirmation_token", "ctoken_card_visa")
	p, err := r.api.PaymentIntents.Confirm(declined.ID, confirm)
	if err != nil || p.ID != declined.ID || p.Status != stripe.PaymentIntentStatusSucceeded || p.LastPaymentError != nil || p.LatestCharge.ID == declined.LatestCharge.ID {
		t.Fatalf("%+v, %v", p, err)
	}
	charges := r.api.Charges.List(&stripe.ChargeListParams{PaymentIntent: stripe.String(p.ID)})
	var paid, failed int
	for charges.Next() {
		if c := charges.Charge(); c.Paid {
			paid++
		} else if c.FailureCode == "card_declined" {
			failed++
		}
	}
	if charges.Err() != nil || paid != 1 || failed != 1 {
		t.Errorf("%d paid, %d failed, %v", paid, failed, charges.Err())
	}
	// A third confirmation meets a payment that is done.
	_, err = r.api.PaymentIntents.Confirm(p.ID, confirm)
	if e := fault(t, err); e.Code != stripe.ErrorCodePaymentIntentUnexpectedState || e.PaymentIntent.ID != p.ID {
		t.Errorf("confirmed again: %v", e)
	}
}

func TestAuthentication_WaitsForTheDonor(t *testing.T) {
	for _, c := range []struct {
		token, outcome string
		status         stripe.PaymentIntentStatus
		code           stripe.ErrorCode
	}{
		{"ctoken_card_authenticationRequired", "succeed", stripe.PaymentIntentStatusSucceeded, ""},
		{"ctoken_card_authenticationRequired", "fail", stripe.PaymentIntentStatusRequiresPaymentMethod, "payment_intent_authentication_failure"},
		{"ctoken_card_authenticationRequired", "abandon", stripe.PaymentIntentStatusRequiresAction, ""},
		{"ctoken_card_authenticationRequiredChargeDeclinedInsufficientFunds", "succeed", stripe.PaymentIntentStatusRequiresPaymentMethod, "card_declined"},
	} {
		t.Run(c.token+" "+c.outcome, func(t *testing.T) {
			r := start(t, Config{})
			p, err := r.charge("d-1", 5000, c.token)
			if err != nil || p.NextAction == nil || p.NextAction.Type != stripe.PaymentIntentNextActionTypeUseStripeSDK || p.ClientSecret == "" || p.LatestCharge != nil {
				t.Fatalf("%+v, %v", p, err)
			}
			if status := r.post("/sim/intents/"+p.ID+"/authenticate?outcome="+c.outcome, "", nil); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			p, err = r.api.PaymentIntents.Get(p.ID, nil)
			if err != nil || p.Status != c.status {
				t.Fatalf("%+v, %v", p, err)
			}
			if (p.LastPaymentError == nil) != (c.code == "") || c.code != "" && p.LastPaymentError.Code != c.code {
				t.Errorf("last error %+v", p.LastPaymentError)
			}
			if again := r.post("/sim/intents/"+p.ID+"/authenticate?outcome=succeed", "", nil); (again == http.StatusOK) != (c.outcome == "abandon") {
				t.Errorf("again: %d", again)
			}
		})
	}
}

func TestAuthentication_ReturnURLAndErrorOnRequiresAction(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired", func(p *stripe.PaymentIntentParams) { p.ReturnURL = stripe.String("https://example.org/back") })
	if err != nil || p.NextAction.Type != stripe.PaymentIntentNextActionTypeRedirectToURL || p.NextAction.RedirectToURL.ReturnURL != "https://example.org/back" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = r.charge("d-2", 5000, "ctoken_card_authenticationRequired", func(p *stripe.PaymentIntentParams) { p.ErrorOnRequiresAction = stripe.Bool(true) })
	if e := fault(t, err); e.Code != stripe.ErrorCodeAuthenticationRequired || e.PaymentIntent.Status != stripe.PaymentIntentStatusRequiresPaymentMethod {
		t.Errorf("%v", e)
	}
}

// TestDonors_ActByThemselves is what a rehearsal does without donors.
func TestDonors_ActByThemselves(t *testing.T) {
	for _, c := range []struct {
		donors Donors
		want   stripe.PaymentIntentStatus
	}{
		{Donors{After: Span(time.Millisecond), SucceedRate: 1}, stripe.PaymentIntentStatusSucceeded},
		{Donors{After: Span(time.Millisecond), FailRate: 1}, stripe.PaymentIntentStatusRequiresPaymentMethod},
	} {
		r := start(t, Config{Faults: Faults{AuthenticateRate: 1, Donors: c.donors}})
		p, err := r.charge("d-1", 5000, "ctoken_x")
		if err != nil || p.Status != stripe.PaymentIntentStatusRequiresAction {
			t.Fatalf("%+v, %v", p, err)
		}
		until(t, "the donor acts", func() bool {
			p, err = r.api.PaymentIntents.Get(p.ID, nil)
			return err == nil && p.Status == c.want
		})
	}
}

func TestProcessing_SucceedsLater(t *testing.T) {
	r := start(t, Config{SettleAfter: time.Millisecond})
	p, err := r.charge("d-1", 5000, "ctoken_card_processing")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the bank decides", func() bool {
		p, err = r.api.PaymentIntents.Get(p.ID, nil)
		return err == nil && p.Status == stripe.PaymentIntentStatusSucceeded
	})
}

func TestCancel_OnlyWhatIsNotDone(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired")
	if err != nil {
		t.Fatal(err)
	}
	p, err = r.api.PaymentIntents.Cancel(p.ID, &stripe.PaymentIntentCancelParams{CancellationReason: stripe.String("abandoned")})
	if err != nil || p.Status != stripe.PaymentIntentStatusCanceled || p.CanceledAt == 0 || p.CancellationReason != stripe.PaymentIntentCancellationReasonAbandoned {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = r.api.PaymentIntents.Cancel(p.ID, nil)
	if e := fault(t, err); e.Code != stripe.ErrorCodePaymentIntentUnexpectedState || e.PaymentIntent.Status != stripe.PaymentIntentStatusCanceled {
		t.Errorf("canceled again: %v", e)
	}
	if status := r.post("/sim/intents/"+p.ID+"/authenticate?outcome=succeed", "", nil); status != http.StatusBadRequest {
		t.Errorf("authenticated after the cancel: %d", status)
	}
	paid, err := r.charge("d-2", 5000, "ctoken_card_visa")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.api.PaymentIntents.Cancel(paid.ID, nil)
	if e := fault(t, err); e.PaymentIntent.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("canceled a paid one: %v", e)
	}
}

func TestTokens_SingleUseNamingTheirIntentAndExpiring(t *testing.T) {
	r := start(t, Config{TokenLife: time.Hour})
	mint := func() string {
		tok, err := r.api.TestHelpersConfirmationTokens.New(&stripe.TestHelpersConfirmationTokenParams{PaymentMethod: stripe.String("pm_card_visa")})
		if err != nil || tok.PaymentIntent != "" || tok.ExpiresAt-tok.Created != 3600 {
			t.Fatalf("%+v, %v", tok, err)
		}
		return tok.ID
	}
	token := mint()
	p, err := r.charge("d-1", 5000, token)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.api.ConfirmationTokens.Get(token, nil); err != nil || got.PaymentIntent != p.ID {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = r.charge("d-2", 5000, token)
	if e := fault(t, err); e.Code != stripe.ErrorCodeTokenAlreadyUsed || e.Param != "confirmation_token" {
		t.Errorf("used again: %v", e)
	}
	old := mint()
	if err := r.server.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = r.charge("d-3", 5000, old)
	if e := fault(t, err); e.Code != "confirmation_token_expired" {
		t.Errorf("expired: %v", e)
	}
	if got, err := r.api.ConfirmationTokens.Get(old, nil); err != nil || got.PaymentIntent != "" {
		t.Errorf("%+v, %v", got, err)
	}
	// A token that was declined with is used up all the same.
	tok, err := r.api.TestHelpersConfirmationTokens.New(&stripe.TestHelpersConfirmationTokenParams{PaymentMethod: stripe.String("pm_card_chargeDeclined")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.charge("d-4", 5000, tok.ID)
	declined := fault(t, err).PaymentIntent
	if got, err := r.api.ConfirmationTokens.Get(tok.ID, nil); err != nil || got.PaymentIntent != declined.ID {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTokens_NotMadeHere: a rehearsal's own names its intent; a shared magic one
// names nobody's.
func TestTokens_NotMadeHere(t *testing.T) {
	r := start(t, Config{})
	if got, err := r.api.ConfirmationTokens.Get("ctoken_rehearsal_a", nil); err != nil || got.PaymentIntent != "" {
		t.Errorf("%+v, %v", got, err)
	}
	p, err := r.charge("d-1", 5000, "ctoken_rehearsal_a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.api.ConfirmationTokens.Get("ctoken_rehearsal_a", nil); err != nil || got.PaymentIntent != p.ID {
		t.Errorf("%+v, %v", got, err)
	}
	for _, key := range []string{"d-2", "d-3"} {
		if _, err := r.charge(key, 5000, "ctoken_card_visa"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.api.ConfirmationTokens.Get("ctoken_card_visa", nil)
	if e := fault(t, err); e.HTTPStatusCode != http.StatusNotFound || e.Code != stripe.ErrorCodeResourceMissing {
		t.Errorf("%v", e)
	}
}
