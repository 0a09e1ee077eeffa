package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// hostile is text that would be a script anywhere but in a text node.
const hostile = `<script>window.hurt=1</script><img src=x onerror="window.hurt=1">"'&`

func TestGive_ByCardWithEverythingThatCanBeSaid(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/river-school")
	b.click(".preset:nth-child(2)")
	b.click("#cover")
	if said := b.text("[data-cover-text]"); !strings.Contains(said, "$1.80") {
		t.Errorf("the fee of $50.00 at 2.9 %% and 30 cents is offered as %q, want $1.80", said)
	}
	b.enter("#donor-name", hostile)
	b.enter("#donor-email", "ada@example.org")
	b.click("details.more summary")
	b.enter("#message", hostile)
	b.choose("#dedication-kind", "in_honor")
	b.enter("#dedication-name", hostile)
	b.card(goodCard)
	b.click("[data-submit]")
	b.thanked()
	receipt := b.text(".receipt")
	for _, want := range []string{"A roof for River School", "$50.00", "$1.80", "$51.80"} {
		if !strings.Contains(receipt, want) {
			t.Errorf("the receipt has no %q: %s", want, receipt)
		}
	}
	wantGiven(t, "river-school", 1, 5000)
	// The gift's own page, by its link; what is hostile stays text there and in the feed.
	link := value[string](b, `document.querySelector('a[href^="/d/"]').getAttribute("href")`)
	if !strings.Contains(link, "#") || strings.Contains(link, "?") {
		t.Errorf("the link of the gift is %q, want the token behind #", link)
	}
	own := newTab(t, visit(t).url, link)
	own.thanked()
	if stored := value[string](b, "JSON.stringify(localStorage)"); strings.Contains(stored, "ada@example.org") || strings.Contains(stored, "4242") {
		t.Errorf("personal data stay in the browser: %s", stored)
	}
	feed := newTab(t, visit(t).url, "/c/river-school")
	feed.until(`document.querySelector("[data-feed] li")`)
	if shown := feed.text("[data-feed] li"); !strings.Contains(shown, hostile) {
		t.Errorf("the feed shows %q, want the name as it was typed", shown)
	}
	for _, page := range []*tab{b, own, feed} {
		if value[bool](page, "Boolean(window.hurt)") {
			t.Error("a donor's text ran as a script")
		}
	}
}

func TestGive_DeclinedThenAnotherCard(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/night-shelter")
	b.enter("#own", "12.34")
	b.card(declinedCard)
	b.click("[data-submit]")
	b.state("failed")
	if said := b.text(".status-text"); !strings.Contains(said, "declined") {
		t.Errorf("a decline is told as %q", said)
	}
	b.another(goodCard)
	b.clickText("Try again with this card")
	b.thanked()
	wantGiven(t, "night-shelter", 1, 1234)
}

func TestGive_BankAsksInPlace(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/food-bank")
	b.enter("#own", "20")
	b.card(secureCard)
	b.click("[data-submit]")
	b.until(`document.querySelector("dialog[open]")`)
	before := value[string](b, "location.pathname")
	b.clickText("Refuse it")
	b.state("failed")
	b.another(secureCard)
	b.clickText("Try again with this card")
	b.until(`document.querySelector("dialog[open]")`)
	b.clickText("Confirm the payment")
	b.thanked()
	if after := value[string](b, "location.pathname"); after != before {
		t.Errorf("the page went from %s to %s", before, after)
	}
	wantGiven(t, "food-bank", 1, 2000)
}

func TestGive_CanceledWhileTheBankAsks(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/lifeboat")
	b.card(secureCard)
	b.click("[data-submit]")
	b.until(`document.querySelector("dialog[open]")`)
	value[bool](b, `document.querySelector("dialog").dispatchEvent(new Event("cancel")) || true`)
	b.state("requires_action")
	b.clickText("Cancel this gift")
	b.clickText("Yes, cancel it")
	b.state("canceled")
	wantGiven(t, "lifeboat", 0, 0)
}

func TestGive_DoubleClickIsOneGift(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	b := newTab(t, p.url, "/c/animal-rescue")
	b.card(goodCard)
	value[bool](b, `(() => {
		const button = document.querySelector("[data-submit]");
		for (let i = 0; i < 5; i++) button.click();
		return true;
	})()`)
	b.thanked()
	wantGiven(t, "animal-rescue", 1, 5000)
	p.sameKey(t, 1)
}

func TestGive_ReloadInTheMiddleGoesOn(t *testing.T) {
	t.Parallel()
	p := newProxy(t, hold)
	b := newTab(t, p.url, "/c/community-garden")
	b.unreachable = true // the reload ends the first try
	b.enter("#donor-name", "Ada Example")
	b.card(goodCard)
	b.click("[data-submit]")
	<-p.held
	b.go_("/c/community-garden")
	b.thanked()
	close(p.free)
	b.go_("/")
	b.run(chromedp.NavigateBack()) // and whoever comes back sees it, not an empty form
	b.thanked()
	wantGiven(t, "community-garden", 1, 5000)
	p.sameKey(t, 2)
}

func TestGive_LostAnswerAndOverloadAreTriedAgain(t *testing.T) {
	t.Parallel()
	p := newProxy(t, refused, busy, cut)
	b := newTab(t, p.url, "/c/youth-orchestra")
	b.unreachable = true
	b.card(goodCard)
	b.click("[data-submit]")
	b.until(`document.querySelector(".status-text")?.textContent.includes("try again by ourselves")`)
	b.thanked()
	wantGiven(t, "youth-orchestra", 1, 5000)
	p.sameKey(t, 4)
}

func TestGive_RefusedAfterALostAnswerTheStateDecides(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t, cut, deny)
	b := newTab(t, p.url, "/c/"+slug)
	b.unreachable = true
	b.card(goodCard)
	b.click("[data-submit]")
	b.thanked()
	wantGiven(t, slug, 1, 5000)
	p.sameKey(t, 2)
}

// A page that dies while it sends never hears; giving ends meanwhile, and the next page's
// try is refused. What the first has brought about is the state's to tell.
func TestGive_APageThatDiedWhileItSentMayHaveSent(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t, hold, deny)
	b := newTab(t, p.url, "/c/"+slug)
	b.unreachable = true
	value[bool](b, `(window.addEventListener("pagehide", () => {
		// The page ends as a crash would end it: the browser keeps what was stored before.
		for (const name of window.stored) localStorage.setItem(name[0], name[1]);
	}), true)`)
	b.card(goodCard)
	b.click("[data-submit]")
	<-p.held
	value[bool](b, `(window.stored = Object.entries(localStorage)).length > 0`)
	b.go_("/c/" + slug)
	b.thanked()
	close(p.free)
	wantGiven(t, slug, 1, 5000)
	p.sameKey(t, 2)
}

func TestGive_WhatWasGivenUpIsAskedForAndNotSent(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	b := newTab(t, p.url, "/c/"+slug)
	b.giveUp(slug)
	b.go_("/c/" + slug)
	b.state("begun")
	if n := p.posts.Load(); n != 0 {
		t.Errorf("%d requests were sent without being asked for", n)
	}
	b.clickText("Send it again")
	b.thanked()
	wantGiven(t, slug, 1, 700)
}

// giveUp leaves a gift of seven dollars in the browser that was begun two hours ago, and
// whose answer never came.
func (b *tab) giveUp(slug string) {
	b.t.Helper()
	value[bool](b, `(() => {
		const body = {currency: "USD", lines: [{campaign: `+quoted(slug)+`, amount_minor: 700}], fee_cover_minor: 0, donor: {anonymous: false, hide_amount: false}};
		const gift = {key: "given-up-`+slug+`-xxxxxxxx", scope: "c/`+slug+`", at: Date.now() - 2 * 3600e3, mark: "x", body, currency: "USD", lines: body.lines, amount: 700,
			payment: {confirmation_token: "ctoken_card_visa_`+slug+`"}, doubt: true};
		localStorage.setItem("spillway.gift." + gift.key, JSON.stringify(gift));
		return true;
	})()`)
}

func TestGive_WhereGivingHasClosedWhatWasBegunIsStillShown(t *testing.T) {
	t.Parallel()
	slug := campaignUntil(t, time.Now().Add(-time.Hour))
	b := newTab(t, visit(t).url, "/c/"+slug)
	b.until(`!document.querySelector("form[data-give]") && document.querySelector("#give-title").textContent.includes("closed")`)
	b.giveUp(slug)
	b.go_("/c/" + slug)
	b.state("begun")
}

func TestGive_SecondTabWithTheSameWishIsTheSameGift(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	first := newTab(t, p.url, "/c/mountain-rescue")
	second := first.beside("/c/mountain-rescue")
	for _, b := range []*tab{first, second} {
		b.enter("#own", "33")
		b.card(goodCard)
	}
	first.click("[data-submit]")
	second.click("[data-submit]")
	first.thanked()
	second.thanked()
	wantGiven(t, "mountain-rescue", 1, 3300)
	p.sameKey(t, 1)
	first.clickText("Give again") // now it is meant
	first.until(`document.querySelector("form[data-give]")?.checkVisibility() && !document.querySelector("[data-give-body]").disabled`)
	first.enter("#own", "33")
	first.card(goodCard)
	first.click("[data-submit]")
	first.thanked()
	wantGiven(t, "mountain-rescue", 2, 6600)
}

func TestGive_BasketOfThree(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/library-van")
	for _, slug := range []string{"library-van", "hospice-nurses", "clean-rivers"} {
		b.go_("/c/" + slug)
		b.enter("#own", "10")
		b.click("[data-basket-add]")
		b.until(`document.querySelector("[data-basket-said]:not([hidden])")`)
	}
	b.go_("/basket")
	b.enter("#amount-clean-rivers", "7.50")
	b.until(`document.querySelector("[data-sum]").textContent === "$27.50"`)
	b.card(goodCard)
	b.click("[data-submit]")
	b.thanked()
	if left := value[string](b, `localStorage.getItem("spillway.basket") ?? "[]"`); left != "[]" {
		t.Errorf("the basket still holds %s", left)
	}
	wantGiven(t, "library-van", 1, 1000)
	wantGiven(t, "hospice-nurses", 1, 1000)
	wantGiven(t, "clean-rivers", 1, 750)
}

func TestGive_FaultsStandAtTheirFields(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/refugee-welcome")
	b.unreachable = true // a refusal is an error to the browser's log
	b.enter("#own", "0")
	b.enter("#donor-email", "nobody")
	b.card("1234 5678 1234 5678")
	b.click("[data-submit]")
	for _, field := range []string{"own", "donor-email"} {
		b.until(`document.getElementById("` + field + `").getAttribute("aria-invalid") === "true"`)
		described := `document.getElementById("` + field + `").getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id)?.checkVisibility() && document.getElementById(id).textContent).join(" ")`
		if said := value[string](b, described); len(said) < 10 {
			t.Errorf("the fault of %s is told as %q", field, said)
		}
	}
	if focused := value[string](b, "document.activeElement.id"); focused != "own" {
		t.Errorf("the focus is at %q, want the first fault", focused)
	}
	b.enter("#own", "0.500") // half a dollar, or five hundred?
	b.click("[data-submit]")
	b.until(`document.getElementById("own-error")?.textContent === "Write 0.50 or 500."`)
	b.enter("#own", "5")
	b.enter("#donor-email", "ada@example.org")
	b.click("[data-submit]")
	b.until(`document.getElementById("card-number").getAttribute("aria-invalid") === "true"`)
	// What only the service refuses: a card number where it does not belong.
	b.card(goodCard)
	b.click("details.more summary")
	b.enter("#message", "my card is "+goodCard)
	b.click("[data-submit]")
	b.until(`document.getElementById("message").getAttribute("aria-invalid") === "true"`)
	if focused := value[string](b, "document.activeElement.id"); focused != "message" {
		t.Errorf("the focus is at %q, want the message", focused)
	}
	b.enter("#message", "for the first weeks")
	b.click("[data-submit]")
	b.thanked()
	wantGiven(t, "refugee-welcome", 1, 500)
}

func TestGive_OfflineIsSaidAndGoesOnByItself(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	b := newTab(t, visit(t).url, "/c/"+slug)
	b.unreachable = true
	b.card(goodCard)
	b.offline(true)
	b.click("[data-submit]")
	b.until(`document.querySelector(".status-text")?.textContent.includes("You are offline")`)
	b.offline(false)
	b.thanked()
	wantGiven(t, slug, 1, 5000)
}

func TestGift_CanceledFromItsOwnPageInAnotherBrowser(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	b := newTab(t, visit(t).url, "/c/"+slug)
	b.card(declinedCard)
	b.click("[data-submit]")
	b.state("failed")
	link := value[string](b, `document.querySelector('a[href^="/d/"]').getAttribute("href")`)
	path, _, _ := strings.Cut(link, "#")
	stranger := newTab(t, visit(t).url, path)
	stranger.state("public")
	if said := stranger.text("[data-status]"); strings.Contains(said, "$") || strings.Contains(said, slug) {
		t.Errorf("without the token the page tells %q", said)
	}
	own := newTab(t, visit(t).url, link)
	own.state("failed")
	own.clickText("Cancel this gift")
	own.clickText("Yes, cancel it")
	own.state("canceled")
	b.state("canceled") // and the page where it was begun hears of it
	wantGiven(t, slug, 0, 0)
}
