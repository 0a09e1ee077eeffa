package stripesim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"spillway/loadtest/stripesim"
)

// A stand-in on a port of its own is charged at like Stripe is, and says afterwards
// what it charged.
func Example() {
	sim, err := stripesim.New(stripesim.Config{Limits: stripesim.StripeLimits()})
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx, ln) }()

	client := &http.Client{Transport: &http.Transport{}}
	for _, token := range []string{"ctoken_card_visa", "ctoken_card_chargeDeclined"} {
		res, err := client.PostForm("http://"+ln.Addr().String()+"/v1/payment_intents", url.Values{
			"amount": {"5000"}, "currency": {"usd"}, "confirm": {"true"}, "confirmation_token": {token}, "metadata[donation]": {token},
		})
		if err != nil {
			panic(err)
		}
		var answer struct {
			Status string
			Error  struct {
				Code          string
				PaymentIntent struct{ Status string } `json:"payment_intent"`
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			panic(err)
		}
		fmt.Println(res.StatusCode, answer.Status+answer.Error.Code, answer.Error.PaymentIntent.Status+".")
		if err := res.Body.Close(); err != nil {
			panic(err)
		}
	}
	books, err := sim.Books()
	if err != nil {
		panic(err)
	}
	for _, total := range books.Totals {
		fmt.Println("charged", total.Charged, total.Currency, "fees", total.Fees, "failed", total.Failed)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// 200 succeeded .
	// 402 card_declined requires_payment_method.
	// charged 5000 usd fees 175 failed 1
}
