package browser

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestConsole_TheFirstOwnerWatchesTheDay goes the whole way: the one-time link, signing
// in, a dashboard that moves, and a switch that is seen there. It is the only test that
// may use the link.
func TestConsole_TheFirstOwnerWatchesTheDay(t *testing.T) {
	t.Parallel()
	visit(t)
	link, err := url.Parse(shared.owner)
	if err != nil || link.Path == "" {
		t.Fatalf("no link for the first owner: %q, %v", shared.owner, err)
	}
	b := newTab(t, link.Scheme+"://"+link.Host, link.Path)
	const password = "a staple that holds horses"
	b.enter("#email", "ann@example.org")
	b.enter("#password", password)
	b.enter("#again", password)
	b.clickText("Become the owner")
	b.until(`location.pathname === "/admin/login"`)
	b.enter("#email", "ann@example.org")
	b.enter("#password", password)
	b.clickText("Sign in")
	b.until(`location.pathname === "/admin/dashboard"`)

	const pledged = `document.querySelector('[data-tile="pledged"] [data-text]')?.textContent`
	drawn := `[...document.querySelectorAll('[data-chart="gifts_per_minute"] [data-line]')].every((p) => p.getAttribute("d"))`
	b.until(drawn)
	b.until(`[...document.querySelectorAll(".process li strong")].map((e) => e.textContent).join() === "front-end,ledger,payments,admin"`)
	slug := newCampaign(t)
	before := value[string](b, pledged)
	giveDirectly(t, slug, 12300, "visa")
	b.until(pledged + " !== " + quoted(before))
	b.until(`document.querySelector('[data-tile="accepted"] [data-text]').textContent.endsWith("/s")`)

	// The pictures in words, for those who do not see them.
	b.click("[data-table] summary")
	b.until(`document.querySelectorAll("[data-table] tbody tr").length === 15`)

	// A switch that is turned is on the dashboard, and gone when it is turned back.
	turn := func() {
		t.Helper()
		b.go_("/admin/switches")
		b.until(`document.querySelector("form [value=exports]")`)
		value[bool](b, `document.querySelector("form [value=exports]").form.querySelector("button").click() || true`)
	}
	said := `[...document.querySelectorAll("[data-troubles] li")].some((li) => li.textContent.startsWith("Exports are off"))`
	turn()
	b.until(`document.querySelector("[role=status]")?.textContent.startsWith("Exports are off")`)
	b.go_("/admin/wall")
	b.until(said)
	turn()
	b.until(`document.querySelector("[role=status]")?.textContent.startsWith("Exports are on")`)
	b.go_("/admin/dashboard")
	b.until(drawn)
	b.until("!" + said)

	t.Run("DonationsAreFoundGivenBackAndHidden", func(t *testing.T) { findAndGiveBack(t, b) })
	t.Run("EveryPageSatisfiesAxe", func(t *testing.T) { soundConsole(t, b) })
}

// findAndGiveBack looks a donation up, gives a part of it back with a double click, hides
// its donor's name from the campaign's page, and takes the list home as CSV.
func findAndGiveBack(t *testing.T, b *tab) {
	slug := newCampaign(t)
	donor := newTab(t, visit(t).url, "/c/"+slug)
	donor.t = t
	donor.enter("#own", "80")
	donor.enter("#donor-name", "=Bertha Findable")
	donor.card(goodCard)
	donor.click("[data-submit]")
	donor.thanked()

	b = b.beside("/admin/donations")
	b.t = t
	found := `document.querySelector('a.id[href^="/admin/donations/"]')`
	// The lists follow the books; a page asks again.
	if err := eventually(func() error {
		b.go_("/admin/donations?q=findable")
		if !value[bool](b, "Boolean("+found+")") {
			return errors.New("nobody is found by name")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	story := value[string](b, found+`.getAttribute("href")`)
	b.go_(story)
	if text := b.text("main"); !strings.Contains(text, "=Bertha Findable") || !strings.Contains(text, slug) {
		t.Errorf("the story does not tell who gave to what: %s", text)
	}

	b.go_(story + "/refund")
	b.click("[name=way][value=amount]")
	b.enter("#amount", "30")
	b.enter("#reason", "as agreed by phone")
	b.clickText("Show what would go back")
	b.until(`document.querySelector("button.danger")`)
	if text := b.text("table.amounts"); !strings.Contains(text, "30.00") || !strings.Contains(text, "50.00") {
		t.Errorf("the refund is shown as %q before it is asked for", text)
	}
	value[bool](b, `(() => {
		const button = document.querySelector("button.danger");
		button.click();
		button.click();
		return true;
	})()`)
	b.until(`location.pathname.includes("/refunds/")`)
	if err := eventually(func() error {
		n, err := totalOf(t, slug)
		if err == nil && n.RaisedMinor != 5000 {
			err = fmt.Errorf("raised is %d, want 5000 of 8000 after 3000 went back once", n.RaisedMinor)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	public := newTab(t, visit(t).url, "/c/"+slug)
	public.t = t
	public.until(`document.querySelector("[data-feed] li")?.textContent.includes("Findable")`)
	b.go_(story)
	b.click(`form[action$="/hide"] button[value=name]`)
	public.until(`document.querySelector("[data-feed] li") && !document.querySelector("[data-feed]").textContent.includes("Findable")`)

	b.go_("/admin/donations?q=findable")
	value[bool](b, `(() => {
		window.taken = undefined;
		fetch(document.querySelector("a[download][href*='format=csv']").href).then((r) => r.text()).then((text) => { window.taken = text; });
		return true;
	})()`)
	b.until("window.taken")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(value[string](b, "window.taken"), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("the export has %d rows, %v", len(rows), err)
	}
	cells := map[string]string{}
	for i, title := range rows[0] {
		cells[title] = rows[1][i]
	}
	for title, want := range map[string]string{
		"amount": "80.00", "amount_minor": "8000", "refunded_minor": "3000", "currency": "USD", "hidden": "name", "name": "'=Bertha Findable",
	} {
		if cells[title] != want {
			t.Errorf("the export says %s is %q, want %q", title, cells[title], want)
		}
	}
}
