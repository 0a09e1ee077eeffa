package browser

import (
	"net/url"
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

	t.Run("EveryPageSatisfiesAxe", func(t *testing.T) { soundConsole(t, b) })
}
