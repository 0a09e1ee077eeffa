package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"spillway/campaigns"
)

func TestCampaign_ReadsWellWithoutAScript(t *testing.T) {
	r := newRig(t, Config{DemoCards: true, PublicURL: "https://give.example.org"})
	body := r.get("/c/school")
	r.holds(body,
		"<h1>A roof for River School</h1>", "River Valley Schools Trust", ">$11,750.50</strong> raised", "of $25,000",
		`value="1175050" max="2500000"`, ">47%</span> of the goal", ">1,100</dd>", ">1,234</dd>", ">$12,000</dd>",
		"in 3 hours</time>", "<p>The roof leaks.</p>", "<p>Help us.</p>", "Ada</b> gave <b", ">$50</b>", "Go team!", "3 minutes ago",
		"Anonymous</b> gave", ">a gift</b>", "In honor of Grace", "just now", "RVST Inc., tax number 12-345",
		`12:59:59 CET</time>. Load the page again`, "<noscript>",
		`<link rel="canonical" href="https://give.example.org/c/school">`, `<meta property="og:image" content="https://give.example.org/media/`+photo+`">`,
		`<meta name="description" content="The roof leaks. Help us.">`, `src="/c/school/qr.svg"`, "mailto:?subject=Give%20to%20A%20roof",
	)
	r.holds(r.get("/c/shelter"), "Giving has not opened yet", "Monday 23 November 2026, 15:00 CET", "in 1 day</time>")
	r.holds(r.get("/c/over"), "Giving has closed", ">¥0</strong> raised", "of ¥1,000")
	r.holds(r.get("/c/drill"), "This is a rehearsal", `content="noindex"`)
	r.lacks(r.get("/c/over"), "data-give")
}

func TestDay_ShowsSumsListsAndLeaders(t *testing.T) {
	r := newRig(t, Config{DemoCards: true})
	r.event.Banner = "Doors open at noon"
	body := r.get("/")
	r.holds(body, "<h1 id=\"day-title\">Riverside Giving Day</h1>", "Sunday 22 November 2026", ">$11,750.50</strong>", ">2,100</dd>", "Doors open at noon",
		"3 campaigns", `href="/c/school">A roof for River School</a>`, `data-leaders="raised"`, "Newest gifts", `to <a data-field="campaign" href="/c/school">A roof for River School</a>`)
	r.lacks(body, "A drill", "canonical")
	found := r.get("/?q=roof&utm_source=letter")
	r.holds(found, "1 campaign for “roof”", "A roof for River School", `value="roof"`)
	r.lacks(found, "Warm beds")
	r.holds(r.get("/?show=closed"), "Closed campaigns", `href="/c/over"`)
	r.holds(r.get("/?organisation=Harbour+Street"), "Warm beds", `name="organisation" value="Harbour Street"`)
	r.set(func() { r.switches = campaigns.Switches{LeaderboardsOff: true, FeedOff: true} })
	r.pass(time.Second)
	r.lacks(r.get("/"), "data-leaders", "data-feed", "Ada")
	r.lacks(r.get("/c/school"), "data-feed", "Ada")
}

// Campaigns may be there before anybody has written what day it is.
func TestPages_WithoutAGivingDay(t *testing.T) {
	r := newRig(t, Config{DemoCards: true})
	r.event = nil
	r.holds(r.get("/"), "<h1 id=\"day-title\">Giving day</h1>", "3 campaigns", "<title>Giving day</title>")
	r.holds(r.get("/c/school"), "<title>A roof for River School · Giving day</title>", "11:59:59 UTC")
	for _, uri := range everyPage {
		if got := r.ask("GET", uri).StatusCode(); got >= 500 {
			t.Errorf("%s: %d", uri, got)
		}
	}
	r = newRig(t, Config{})
	r.asOf = time.Time{} // nothing was ever heard of the books
	r.holds(r.get("/c/school"), "a time that is not known")
}

func TestDay_IsPaged(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 40 {
		slug := "c" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		r.put(&campaigns.Campaign{Slug: slug, Name: "Cause " + slug, Event: "day", Currency: "USD"})
	}
	first := r.get("/?q=cause")
	r.holds(first, "40 campaigns", "Page 1 of 3", `rel="next" href="/?page=2&amp;q=cause"`)
	r.lacks(first, `rel="prev"`)
	last := r.get("/?q=cause&page=3")
	r.holds(last, `rel="prev" href="/?page=2&amp;q=cause"`, "Cause cbn")
	r.lacks(last, `rel="next"`)
	r.holds(r.get("/?q=cause&page=9"), "This page is empty", `href="/?page=3&amp;q=cause"`)
	if n := strings.Count(first, `<li class="card campaign">`); n != cardsPerPage {
		t.Errorf("%d cards", n)
	}
}

func TestPages_SayWhenFiguresAreOld(t *testing.T) {
	r := newRig(t, Config{DemoCards: true})
	r.holds(r.get("/c/school"), `role="status" hidden>`)
	r.set(func() { r.at = r.at.Add(10 * time.Second) }) // the age stays behind
	for _, uri := range []string{"/c/school", "/", "/embed/school"} {
		r.holds(r.get(uri), `role="status">These figures are as of <time datetime="2026-11-22T11:59:59.900000Z">12:59:59 CET</time>`)
	}
}

// What people write is text, wherever it stands.
func TestPages_EscapeEverything(t *testing.T) {
	r := newRig(t, Config{DemoCards: true, PublicURL: "https://give.example.org"})
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'&{{.}}` + "\u2028"
	c := *r.all["school"]
	c.Name, c.Organisation, c.Story, c.LegalName, c.TaxNumber = evil, evil, evil, evil, evil
	r.put(&c)
	r.event.Name, r.event.Banner = evil, evil
	r.walls["school"].Gifts[0] = campaigns.Gift{Ref: evil, Campaign: "school", Name: evil, Message: evil, Dedication: evil, Currency: "USD", At: noon}
	for _, uri := range append(everyPage, "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/?organisation=%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E") {
		doc := string(r.ask("GET", uri).Body())
		r.lacks(doc, "<script>alert", "<img src=x")
		for _, n := range all(parsed(t, doc)) {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: <%s %s=%q>", uri, n.Data, a.Key, a.Val)
				}
			}
		}
	}
	data := dataOf(t, r.get("/c/school"))
	if got := data["campaign"].(map[string]any)["name"]; got != evil {
		t.Errorf("the script reads %q", got)
	}
}

func TestPageData_IsWhatScriptsRelyOn(t *testing.T) {
	r := newRig(t, Config{StripeKey: "pk_test_1", FeeBasisPoints: 290, FeeFixedMinor: 30, PublicURL: "https://give.example.org"})
	got, err := json.Marshal(dataOf(t, r.get("/c/school")))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"as_of":"2026-11-22T11:59:59.900000Z","campaign":{"currency":"USD","ends_at":"2026-11-22T15:05:00.000000Z","exponent":2,"goal_minor":2500000,` +
		`"max_minor":99999999,"min_minor":50,"name":"A roof for River School","organisation":"River Valley Schools Trust","phase":"open","slug":"school"},` +
		`"event":{"name":"Riverside Giving Day","slug":"day","time_zone":"Europe/Vienna"},"fee":{"basis_points":290,"fixed_minor":30},"kind":"campaign",` +
		`"processor":{"kind":"stripe","publishable_key":"pk_test_1"},"stale_ms":2000,"switches":{"feed":true,"leaderboards":true,"live":true},"url":"https://give.example.org/c/school"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for uri, kind := range map[string]string{"/": "day", "/basket": "basket", giftPath: "donation", "/embed/school": "embed"} {
		if got := dataOf(t, r.get(uri))["kind"]; got != kind {
			t.Errorf("%s is of kind %v", uri, got)
		}
	}
	none := newRig(t, Config{})
	if got := dataOf(t, none.get("/c/school"))["processor"].(map[string]any)["kind"]; got != "none" {
		t.Errorf("without a processor it is %v", got)
	}
	none.holds(none.get("/c/school"), "Cards are not taken yet")
	none.lacks(none.get("/c/school"), "data-give")
}

// What a person with a screen reader or a keyboard relies on, and what the policy of
// contents forbids, over all pages.
func TestPages_AreBuiltForEverybody(t *testing.T) {
	r := newRig(t, Config{DemoCards: true, PublicURL: "https://give.example.org"})
	r.event.Banner = "Doors open at noon"
	for _, uri := range everyPage {
		doc := parsed(t, string(r.ask("GET", uri).Body()))
		fault := func(format string, args ...any) { t.Errorf(uri+": "+format, args...) }
		ids, labels, count := map[string]bool{}, map[string]bool{}, map[string]int{}
		level := 0
		for _, n := range all(doc) {
			count[n.Data]++
			if id := attr(n, "id"); id != "" {
				if ids[id] {
					fault("two elements with ID %s", id)
				}
				ids[id] = true
			}
			if n.Data == "label" {
				labels[attr(n, "for")] = true
			}
			if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
				next := int(n.Data[1] - '0')
				if next > level+1 {
					fault("an h%d follows an h%d", next, level)
				}
				level = next
			}
		}
		for _, n := range all(doc) {
			if has(n, "style") {
				fault("an inline style at <%s>", n.Data)
			}
			for _, name := range []string{"aria-labelledby", "aria-describedby"} {
				for _, id := range strings.Fields(attr(n, name)) {
					if !ids[id] {
						fault("%s names %s, which is not there", name, id)
					}
				}
			}
			switch n.Data {
			case "img":
				if !has(n, "alt") || !has(n, "width") || !has(n, "height") {
					fault("an image without alt, width or height: %s", attr(n, "src"))
				}
			case "progress":
				if attr(n, "aria-label") == "" {
					fault("a progress without a name")
				}
			case "input", "select", "textarea":
				if attr(n, "type") != "hidden" && n.Parent.Data != "label" && !labels[attr(n, "id")] && !inTemplate(n) {
					fault("no label for <%s id=%q>", n.Data, attr(n, "id"))
				}
			case "script":
				if !has(n, "src") && attr(n, "type") != "application/json" || has(n, "src") && !strings.HasPrefix(attr(n, "src"), prefixAsset) {
					fault("a script that is not an own file: %v", n.Attr)
				}
			case "style":
				fault("an inline style sheet")
			case "link":
				if rel := attr(n, "rel"); rel != "canonical" && !strings.HasPrefix(attr(n, "href"), prefixAsset) {
					fault("%s from elsewhere: %s", rel, attr(n, "href"))
				}
			case "a":
				if attr(n, "target") != "" && !strings.Contains(attr(n, "rel"), "noopener") {
					fault("a new tab that may reach back: %s", attr(n, "href"))
				}
			}
		}
		if count["h1"] != 1 || count["main"] != 1 || count["title"] != 1 {
			fault("%d h1, %d main, %d title", count["h1"], count["main"], count["title"])
		}
		if !strings.HasPrefix(uri, "/embed") && (count["header"] != 1 || count["footer"] != 1 || !ids["main"]) {
			fault("%d header, %d footer, nothing to skip to: %v", count["header"], count["footer"], !ids["main"])
		}
	}
}

func TestTaggedPages_TellOnlyWhatIsNew(t *testing.T) {
	r := newRig(t, Config{DemoCards: true})
	for _, uri := range []string{"/", "/c/school", "/embed/school", "/basket"} {
		first := r.ask("GET", uri)
		tag := string(first.Header.Peek("Etag"))
		if !strings.HasPrefix(tag, `W/"`) || string(first.Header.Peek("Cache-Control")) != "no-cache" {
			t.Fatalf("%s: tag %q, %s", uri, tag, first.Header.Peek("Cache-Control"))
		}
		r.pass(time.Second) // another age, the same figures and words
		again := r.ask("GET", uri, "If-None-Match", tag)
		if again.StatusCode() != 304 || len(again.Body()) != 0 {
			t.Errorf("%s: %d with the same figures", uri, again.StatusCode())
		}
	}
	tag := string(r.ask("GET", "/c/school").Header.Peek("Etag"))
	r.set(func() {
		total := r.totals["school"]
		total.RaisedMinor += 100
		r.totals["school"] = total
	})
	r.pass(time.Second)
	if got := r.ask("GET", "/c/school", "If-None-Match", tag); got.StatusCode() != 200 || !strings.Contains(string(got.Body()), "$11,751.50") {
		t.Errorf("%d with other figures", got.StatusCode())
	}
}

func parsed(t *testing.T, doc string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// all lists the elements below n, in order.
func all(n *html.Node) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			out = append(out, d)
		}
	}
	return out
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func inTemplate(n *html.Node) bool {
	for p := range n.Ancestors() {
		if p.Data == "template" {
			return true
		}
	}
	return false
}

// dataOf reads script#page as a script does.
func dataOf(t *testing.T, doc string) map[string]any {
	t.Helper()
	for _, n := range all(parsed(t, doc)) {
		if n.Data == "script" && attr(n, "id") == "page" {
			var data map[string]any
			if err := json.Unmarshal([]byte(n.FirstChild.Data), &data); err != nil {
				t.Fatalf("%v in %s", err, n.FirstChild.Data)
			}
			return data
		}
	}
	t.Fatal("no script#page")
	return nil
}
