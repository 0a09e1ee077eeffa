package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabsMost is more than any page has to tab through to its form.
const tabsMost = 60

// tabTo presses Tab until the element has the focus.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range tabsMost {
		b.run(chromedp.KeyEvent(kb.Tab))
		if value[bool](b, "document.activeElement.matches("+quoted(selector)+")") {
			if !value[bool](b, `document.activeElement.matches(":focus-visible")`) {
				b.t.Errorf("nobody sees that %s has the focus", selector)
			}
			return
		}
	}
	b.t.Fatalf("the keyboard does not lead to %s", selector)
}

func (b *tab) press(text string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(text))
}

func TestGive_WithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	b := newTab(t, visit(t).url, "/c/"+slug)
	b.until(`document.querySelector("#card-number")`)
	b.tabTo("[name=preset]")
	b.press(kb.ArrowRight) // from $50 to $100
	b.tabTo("#cover")
	b.press(" ")
	b.tabTo("#card-number")
	b.press(secureCard)
	b.tabTo("#card-expiry")
	b.press("12/34")
	b.tabTo("#card-code")
	b.press("123" + kb.Enter)
	b.until(`document.querySelector("dialog[open]")?.contains(document.activeElement)`)
	b.press(kb.Escape) // not now
	b.state("requires_action")
	b.tabTo(".status button.big")
	b.press(kb.Enter)
	b.until(`document.querySelector("dialog[open]")?.contains(document.activeElement)`)
	b.press(kb.Enter)
	b.thanked()
	wantGiven(t, slug, 1, 10000)
}
