package browser

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axeVariable names axe.min.js of the npm package axe-core: .ci/run fetches it. Without
// it these tests are skipped by name.
const axeVariable = "AXE_CORE_SCRIPT"

// axe is the program that finds what breaks the guidelines.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv(axeVariable)
	if path == "" {
		t.Skipf("%s does not name axe.min.js (npm install axe-core)", axeVariable)
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// sound runs axe over the page as it is: on a phone and on a desk, light and dark.
func (b *tab) sound(script, what string) {
	b.t.Helper()
	for _, look := range []struct {
		width  int64
		scheme string
	}{{360, "light"}, {1280, "dark"}, {1280, "light"}} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			b.t.Fatal(err)
		}
		b.run(chromedp.EmulateViewport(look.width, 900))
		b.until("document.getAnimations().length === 0") // colours on their way are nobody's
		// Evaluated from outside, so the page's own policy stands.
		value[bool](b, script+`;
			window.axed = undefined;
			axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(
				(r) => { window.axed = r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")); },
				(e) => { window.axed = ["axe: " + e]; });
			true`)
		b.until("window.axed")
		at := fmt.Sprintf("%s, %d px wide, %s", what, look.width, look.scheme)
		for _, fault := range value[[]string](b, "window.axed") {
			b.t.Errorf("%s: %s", at, fault)
		}
		if wide := value[int64](b, "document.documentElement.scrollWidth"); wide > look.width {
			b.t.Errorf("%s: the page is %d px wide", at, wide)
		}
	}
}

func TestAxe_DonorsPagesAndStates(t *testing.T) {
	t.Parallel()
	script := axe(t)
	slug := newCampaign(t)
	b := newTab(t, visit(t).url, "/")
	b.sound(script, "the day")
	b.go_("/?q=river")
	b.sound(script, "a search")
	b.go_("/embed/" + slug)
	b.sound(script, "the embedded thermometer")
	b.go_("/basket")
	b.sound(script, "an empty basket")

	b.go_("/c/" + slug)
	b.enter("#own", "0.10")
	b.enter("#donor-email", "nobody")
	b.click("details.more summary")
	b.choose("#dedication-kind", "in_honor")
	b.click("[data-submit]")
	b.until(`document.querySelector("[aria-invalid=true]")`)
	b.sound(script, "a form with mistakes")
	b.click("[data-basket-add]")

	b.go_("/c/" + slug)
	b.enter("#own", "20")
	b.click("[data-basket-add]")
	b.sound(script, "something put into the basket")
	b.card(declinedCard)
	b.click("[data-submit]")
	b.state("failed")
	b.sound(script, "a declined gift")
	b.another(secureCard)
	b.clickText("Try again with this card")
	b.until(`document.querySelector("dialog[open]")`)
	b.sound(script, "the bank's question")
	b.clickText("Confirm the payment")
	b.thanked()
	b.sound(script, "thanks")
	b.go_(value[string](b, `document.querySelector('a[href^="/d/"]').getAttribute("href")`))
	b.thanked()
	b.sound(script, "a gift's own page")
	b.go_("/basket")
	b.until(`document.querySelector("[data-slug]")`)
	b.sound(script, "a basket")
}

// consolePagesMost bounds the walk through the console.
const consolePagesMost = 60

// kind is a path without what it names: one page of each kind is looked at.
func kind(path string) string {
	parts := strings.Split(path, "/") // "", "admin", section, name, ...
	if len(parts) > 3 && parts[3] != "-" {
		parts[3] = "*"
	}
	return strings.Join(parts, "/")
}

// soundConsole follows every link of the console from a tab that is signed in.
func soundConsole(t *testing.T, b *tab) {
	script := axe(t)
	b = b.beside("/admin")
	b.t = t
	var seen []string
	for open := []string{"/admin"}; len(open) > 0 && len(seen) < consolePagesMost; open = open[1:] {
		path := open[0]
		if slices.Contains(seen, kind(path)) {
			continue
		}
		seen = append(seen, kind(path))
		b.go_(path)
		b.sound(script, path)
		links := value[[]string](b, `[...document.querySelectorAll('a[href^="/admin"]:not([download])')].map((a) => a.getAttribute("href").split(/[?#]/)[0])`)
		for _, link := range links {
			if !strings.Contains(link, "template") && !strings.Contains(link, "export") && !strings.Contains(link, "/v1/") {
				open = append(open, link)
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("the walk found %v and no more", seen)
	}
	t.Logf("%d pages: %s", len(seen), strings.Join(seen, " "))
}
