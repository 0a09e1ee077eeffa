package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// fakeStripe has the part of Stripe.js that the card field uses, and notes every call.
// Its cards are the simulator's.
const fakeStripe = `
window.Stripe = (key) => {
  const said = window.stripe = [];
  const say = (...words) => said.push(words.join(" "));
  say("key", key);
  return {
    elements(o) {
      say("elements", o.mode, o.amount, o.currency);
      return {
        create: (kind) => ({ on: (name, call) => name === "ready" && setTimeout(call), mount: (box) => { box.textContent = kind + " element"; } }),
        update: (o) => say("update", o.amount),
        submit: async () => { say("submit"); return {}; },
      };
    },
    async createConfirmationToken({ elements, params }) {
      say("token", elements ? "" : "without elements", params.payment_method_data.billing_details.name);
      return { confirmationToken: { id: "ctoken_card_authenticationRequired_fake" + Math.random().toString(36).slice(2), expires_at: Math.floor(Date.now() / 1000) + 3600 } };
    },
    async handleNextAction({ clientSecret }) {
      say("next", clientSecret.startsWith("pi_") && clientSecret.includes("_secret_"));
      const name = Object.keys(localStorage).find((n) => n.startsWith("spillway.gift."));
      const { id, token } = JSON.parse(localStorage.getItem(name));
      await fetch("/v1/demo/authenticate", { method: "POST", headers: { Authorization: "Bearer " + token, "Content-Type": "application/json" }, body: JSON.stringify({ donation_id: id, outcome: "succeed" }) });
      return { paymentIntent: {} };
    },
  };
};
`

func TestGive_ByThePaymentElement(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	// The page as it is with a publishable key.
	p.rewrite = func(path, body string) string {
		if path != "/c/"+slug {
			return body
		}
		return strings.Replace(body, `"processor":{"kind":"simulator","publishable_key":""}`, `"processor":{"kind":"stripe","publishable_key":"pk_test_browser"}`, 1)
	}
	p.policy = "script-src 'self' https://js.stripe.com"
	asked := make(chan string, 10)
	b := newTab(t, p.url, "/")
	// Stripe's script, without Stripe.
	if err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			asked <- e.Request.URL
			go func() { // not within the call of an event
				_, err := chromedp.Call(b.ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{
					RequestID: e.RequestID, ResponseCode: 200, Body: []byte(fakeStripe),
					ResponseHeaders: []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/javascript"}},
				})
				if err != nil && b.ctx.Err() == nil {
					b.fault("fulfil: " + err.Error())
				}
			}()
		}
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "https://*"}}}); err != nil {
		t.Fatal(err)
	}
	b.go_("/c/" + slug)
	b.until(`!document.querySelector("[data-give-body]").disabled`)
	if len(asked) > 0 {
		t.Errorf("%s was loaded before the form was opened", <-asked)
	}
	b.enter("#own", "21")
	b.enter("#donor-name", "Ada Example")
	b.until(`document.querySelector("#card").textContent === "payment element"`)
	if url := <-asked; url != "https://js.stripe.com/v3/" {
		t.Errorf("the script came from %s", url)
	}
	b.click("[data-submit]")
	b.thanked()
	said := strings.Join(value[[]string](b, "window.stripe"), "\n")
	for _, want := range []string{"key pk_test_browser", "elements payment 5000 usd", "update 2100", "submit\ntoken  Ada Example\nnext true"} {
		if !strings.Contains(said, want) {
			t.Errorf("Stripe.js was told\n%s\nwant %q in it", said, want)
		}
	}
	wantGiven(t, slug, 1, 2100)
}
