package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is one page of a donor's browser.
type tab struct {
	t      testing.TB
	ctx    context.Context
	base   string // the service's address, or a proxy's before it
	mu     sync.Mutex
	faults []string
	// unreachable says that the network fails in this test, and the browser may say so.
	unreachable bool
}

// witness notes every state that the page shows, with its words, and every script that
// ran though it came as data.
const witness = `
window.seen = [];
new MutationObserver(() => {
  const panel = document.querySelector("[data-status]");
  const title = panel && !panel.hidden ? panel.querySelector("h2")?.textContent : "";
  if (!title) return;
  const now = (panel.dataset.state || "") + ": " + title;
  if (seen[seen.length - 1] !== now) seen.push(now);
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
`

// newTab opens a page in a browser of its own: nobody else's storage.
func newTab(t testing.TB, base, path string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(visit(t).browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return openTab(t, ctx, base, path)
}

// beside opens another tab of the same browser.
func (b *tab) beside(path string) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	return openTab(b.t, ctx, b.base, path)
}

func openTab(t testing.TB, ctx context.Context, base, path string) *tab {
	t.Helper()
	b := &tab{t: t, ctx: ctx, base: base}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			said, _ := json.Marshal(e.ExceptionDetails)
			b.fault("exception: " + string(said))
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				said, _ := json.Marshal(e.Args)
				b.fault("console: " + string(said))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.fault(fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
			}
		}
	})
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: witness})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.go_(path)
	t.Cleanup(b.check)
	return b
}

func (b *tab) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// check fails the test for what the browser complained of, and tells what the page
// shows when the test has failed.
func (b *tab) check() {
	b.mu.Lock()
	faults := b.faults
	b.mu.Unlock()
	for _, f := range faults {
		if b.unreachable && strings.HasPrefix(f, "log: Failed to load resource") {
			continue
		}
		b.t.Errorf("the browser says: %s", f)
	}
	if b.t.Failed() {
		shown, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + JSON.stringify(window.seen) + "\n" + document.body.innerText`))
		if err == nil {
			b.t.Logf("the page: %s", shown)
		}
	}
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// go_ loads a page and waits until its scripts have run.
func (b *tab) go_(path string) {
	b.t.Helper()
	if path != "about:blank" {
		path = b.base + path
	}
	b.run(chromedp.Navigate(path))
}

// value evaluates an expression. Scripts' own waiting would need eval, which the pages
// forbid; so tests ask again and again.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until the expression is true. A page that is being loaded has nothing to
// say for a moment.
func (b *tab) until(expression string) {
	b.t.Helper()
	err := eventually(func() error {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && !yes {
			err = errors.New("still not: " + expression)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func quoted(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return string(q)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")?.checkVisibility()")
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// clickText clicks the button that says text.
func (b *tab) clickText(text string) {
	b.t.Helper()
	button := `[...document.querySelectorAll("button")].find((b) => b.checkVisibility() && b.textContent.trim() === ` + quoted(text) + `)`
	b.until(button)
	value[bool](b, button+".click() || true")
}

// enter types into a field in place of what is there.
func (b *tab) enter(selector, text string) {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")?.checkVisibility()")
	b.run(chromedp.Focus(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void]("document.activeElement.select()"),
		chromedp.SendKeys(chromedp.CSS(selector), kb.Backspace+text))
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")")
	return value[string](b, "document.querySelector("+quoted(selector)+").textContent")
}

// choose chooses an option, as a person's choice is told to the page.
func (b *tab) choose(selector, option string) {
	b.t.Helper()
	value[bool](b, `(() => {
		const select = document.querySelector(`+quoted(selector)+`);
		select.value = `+quoted(option)+`;
		for (const name of ["input", "change"]) select.dispatchEvent(new Event(name, {bubbles: true}));
		return true;
	})()`)
}

// conditions are said in two ways: Chromium 148 wants to be told once that it is offline, newer
// ones with each rule, and each passes over what it does not know.
type conditions struct {
	network.EmulateNetworkConditionsByRuleParams
	Offline bool `json:"offline"`
}

var emulateConditions = cdp.Command[conditions, network.EmulateNetworkConditionsByRuleResult]{Method: network.CommandEmulateNetworkConditionsByRule}

// offline takes the network away from the page, or gives it back.
func (b *tab) offline(off bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulateConditions, conditions{
		Offline:                              off,
		EmulateNetworkConditionsByRuleParams: network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{{Offline: off, DownloadThroughput: -1, UploadThroughput: -1}}},
	})
	if err == nil {
		_, err = chromedp.Call(ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: off, DownloadThroughput: -1, UploadThroughput: -1})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// card enters a test card; another is where a second one is asked for.
func (b *tab) card(number string) { b.t.Helper(); b.cardAt("card", number) }

func (b *tab) another(number string) { b.t.Helper(); b.cardAt("again", number) }

func (b *tab) cardAt(form, number string) {
	b.t.Helper()
	b.enter("#"+form+"-number", number)
	b.enter("#"+form+"-expiry", "12/34")
	b.enter("#"+form+"-code", "123")
}

// state waits until the page shows the gift in this state.
func (b *tab) state(status string) {
	b.t.Helper()
	b.until(`document.querySelector("[data-status]:not([hidden])")?.dataset.state === ` + quoted(status))
}

// thanked waits for the end of a gift, and sees that nothing was said too early.
func (b *tab) thanked() {
	b.t.Helper()
	b.state("succeeded")
	for _, seen := range value[[]string](b, "window.seen") {
		if status, words, _ := strings.Cut(seen, ": "); strings.Contains(words, "Thank you") && status != "succeeded" {
			b.t.Errorf("the page said %q", seen)
		}
	}
}

// Test cards, as the processor's documentation has them.
const (
	goodCard     = "4242 4242 4242 4242"
	declinedCard = "4000 0000 0000 0002"
	secureCard   = "4000 0025 0000 3155"
)
