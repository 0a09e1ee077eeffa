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
      if (window.holdToken) {
        const answer = await new Promise((tell) => { window.tellToken = tell; }); // { error } from the test
        if (answer.error) return answer;
      }
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

// byStripe has a proxy serve a campaign's page as it is with a publishable key.
func byStripe(p *proxy, slug string) {
	p.rewrite = func(path, body string) string {
		if path != "/c/"+slug {
			return body
		}
		return strings.Replace(body, `"processor":{"kind":"simulator","publishable_key":""}`, `"processor":{"kind":"stripe","publishable_key":"pk_test_browser"}`, 1)
	}
	p.policy = "script-src 'self' https://js.stripe.com"
}

// withStripe answers the page's question for Stripe's script, without Stripe; what was
// asked for comes on the channel.
func (b *tab) withStripe() <-chan string {
	b.t.Helper()
	asked := make(chan string, 10)
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
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "https://*"}}}); err != nil {
		b.t.Fatal(err)
	}
	return asked
}

func TestGive_ByThePaymentElement(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	byStripe(p, slug)
	b := newTab(t, p.url, "/")
	asked := b.withStripe()
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

// twoTabs are two tabs of one browser that have sent the same wish, both waiting for
// Stripe's token.
func twoTabs(t *testing.T, p *proxy, slug string) (first, second *tab) {
	t.Helper()
	byStripe(p, slug)
	first = newTab(t, p.url, "/")
	second = first.beside("/")
	for _, b := range []*tab{first, second} {
		b.withStripe()
		b.go_("/c/" + slug)
		value[bool](b, `window.holdToken = true`)
		b.enter("#own", "21")
		b.until(`document.querySelector("#card").textContent === "payment element"`)
		b.click("[data-submit]")
		b.until(`window.tellToken`)
	}
	return first, second
}

const (
	goodToken = `window.tellToken({}) || true`
	badToken  = `window.tellToken({error: {message: "The card could not be read."}}) || true`
)

// TestGive_ATokenThatFailsLeavesTheOtherTabsGiftAlone: the gift of both is forgotten
// only while nobody has sent it.
func TestGive_ATokenThatFailsLeavesTheOtherTabsGiftAlone(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	first, second := twoTabs(t, p, slug)
	value[bool](second, goodToken)
	second.thanked()
	value[bool](first, badToken)
	first.until(`document.querySelector("[data-give-error]").textContent.includes("could not be read")`)
	first.go_("/c/" + slug)
	first.thanked() // and no empty form, by which it would be given again
	wantGiven(t, slug, 1, 2100)
	p.sameKey(t, 1)
}

// TestGive_TheSlowerTabTakesTheOthersToken: one key is never sent with two payments.
func TestGive_TheSlowerTabTakesTheOthersToken(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t, hold)
	first, second := twoTabs(t, p, slug)
	value[bool](second, goodToken)
	<-p.held // the second has sent it, and heard nothing yet
	const payment = `Object.entries(localStorage).filter(([n]) => n.startsWith("spillway.gift.")).map(([, g]) => JSON.parse(g).payment.confirmation_token).join()`
	sent := value[string](second, payment)
	value[bool](first, goodToken)
	first.thanked()
	if now := value[string](first, payment); now != sent {
		t.Errorf("the gift was sent with the payment %s, and the other tab goes on with %s", sent, now)
	}
	close(p.free)
	second.thanked()
	wantGiven(t, slug, 1, 2100)
	p.sameKey(t, 2)
}

// TestGive_ATokenThatFailsLeavesNothing: nothing was sent, so nothing is found again.
func TestGive_ATokenThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	byStripe(p, slug)
	b := newTab(t, p.url, "/")
	b.withStripe()
	b.go_("/c/" + slug)
	value[bool](b, `window.holdToken = true`)
	b.enter("#own", "21")
	b.until(`document.querySelector("#card").textContent === "payment element"`)
	b.click("[data-submit]")
	b.until(`window.tellToken`)
	value[bool](b, badToken)
	b.until(`document.querySelector("[data-give-error]").textContent.includes("could not be read")`)
	if left := value[string](b, `Object.keys(localStorage).filter((n) => n.startsWith("spillway.gift.")).join()`); left != "" {
		t.Errorf("the browser keeps %s", left)
	}
	if n := p.posts.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	value[bool](b, `(window.holdToken = false) || true`)
	b.click("[data-submit]") // the next try is sent
	b.thanked()
	wantGiven(t, slug, 1, 2100)
}
