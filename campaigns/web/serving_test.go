package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spillway/campaigns"
)

// Over all routes: nothing runs that is not ours, nobody frames a page but the widget.
func TestEveryAnswerCarriesItsHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		cfg            Config
		policy, opener string
		payment, hsts  string
	}{
		"simulator": {Config{DemoCards: true, PublicURL: "http://127.0.0.1:8080"},
			"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"same-origin", "payment=()", ""},
		"stripe": {Config{StripeKey: "pk_live_1", PublicURL: "https://give.example.org/"},
			"default-src 'none'; script-src 'self' https://js.stripe.com; style-src 'self'; img-src 'self' data:; connect-src 'self' https://api.stripe.com; frame-src https://js.stripe.com https://hooks.stripe.com; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"same-origin-allow-popups", `payment=(self "https://js.stripe.com")`, "max-age=15552000"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.cfg)
			files := []string{"/robots.txt", "/favicon.ico", "/c/school/qr.svg", "/media/" + photo}
			for u := range r.assets.files {
				files = append(files, u)
			}
			check := func(uri, header, want string) {
				t.Helper()
				if got := string(r.ask("GET", uri).Header.Peek(header)); got != want {
					t.Errorf("%s: %s is %q, want %q", uri, header, got, want)
				}
			}
			for _, uri := range append(files, everyPage...) {
				check(uri, "X-Content-Type-Options", "nosniff")
				check(uri, "Strict-Transport-Security", c.hsts)
				permissions := string(r.ask("GET", uri).Header.Peek("Permissions-Policy"))
				if !strings.HasSuffix(permissions, c.payment) || !strings.Contains(permissions, "camera=()") {
					t.Errorf("%s: %s", uri, permissions)
				}
			}
			for _, uri := range everyPage {
				switch {
				case strings.HasPrefix(uri, "/embed/"):
					check(uri, "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors *")
					check(uri, "X-Frame-Options", "")
					check(uri, "Referrer-Policy", "no-referrer")
				default:
					check(uri, "Content-Security-Policy", c.policy)
					check(uri, "X-Frame-Options", "DENY")
					check(uri, "Cross-Origin-Opener-Policy", c.opener)
				}
			}
			for _, uri := range []string{giftPath, "/basket"} {
				check(uri, "Referrer-Policy", "no-referrer")
				check(uri, "X-Robots-Tag", "noindex")
			}
			for _, uri := range files {
				check(uri, "Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
			}
			check("/nowhere", "Cache-Control", "no-store")
		})
	}
}

func TestHandle_LeavesTheAPIAlone(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range []struct {
		method, uri, accept string
		status              int // 0: left alone
	}{
		{"GET", "/v1/campaigns", "text/html", 0},
		{"GET", "/v1/nothing", "text/html", 0},
		{"GET", "/nothing", "application/json", 0},
		{"POST", "/nothing", "text/html", 0},
		{"GET", "/nothing", "text/html", 404},
		{"GET", "/c/", "text/html", 404},
		{"GET", "/c/nobody", "*/*", 404},
		{"GET", "/c/school/more", "*/*", 404},
		{"GET", "/c/../c/school", "*/*", 404},
		{"GET", "/embed/nobody", "*/*", 404},
		{"GET", "/c/nobody/qr.svg", "*/*", 404},
		{"GET", "/c/school/qr.svg", "*/*", 404}, // no public address
		{"GET", "/d/17", "*/*", 404},
		{"GET", "/assets/give.js", "*/*", 404},
		{"GET", "/media/" + strings.ToUpper(photo), "*/*", 404},
		{"POST", "/", "text/html", 405},
		{"DELETE", "/c/school", "text/html", 405},
		{"HEAD", "/c/school", "text/html", 200},
	} {
		ctx, ok := r.offer(c.method, c.uri, "Accept", c.accept)
		if got := ctx.Response.StatusCode(); ok != (c.status != 0) || ok && got != c.status {
			t.Errorf("%s %s (%s): %v %d, want %d", c.method, c.uri, c.accept, ok, got, c.status)
		}
	}
}

func TestPages_AreNotReadyBeforeCampaignsAre(t *testing.T) {
	r := newRig(t, Config{})
	r.set(func() { r.warming = true })
	for _, uri := range []string{"/", "/c/school", "/c/nobody", "/embed/school", "/basket", giftPath} {
		answer := r.ask("GET", uri)
		if answer.StatusCode() != 503 || len(answer.Header.Peek("Retry-After")) == 0 || !strings.Contains(string(answer.Body()), "One moment, please") {
			t.Errorf("%s: %d, %s", uri, answer.StatusCode(), answer.Body())
		}
	}
	r.set(func() { r.warming, r.unbuilt = false, true })
	r.get("/c/school")
	if got := r.ask("GET", "/").StatusCode(); got != 503 {
		t.Errorf("a day without its campaigns: %d", got)
	}
	r.set(func() { r.unbuilt = false })
	r.get("/")
}

func TestPage_IsRenderedOnceForAll(t *testing.T) {
	r := newRig(t, Config{})
	for range 100 {
		r.get("/c/school")
	}
	if n := r.asked.Load(); n != 1 {
		t.Errorf("rendered %d times in one moment", n)
	}
	r.pass(refreshEvery - 1)
	r.get("/c/school?utm_source=x")
	if n := r.asked.Load(); n != 1 {
		t.Errorf("rendered %d times before its time", n)
	}
	r.pass(1)
	r.get("/c/school")
	if n := r.asked.Load(); n != 2 {
		t.Errorf("rendered %d times after", n)
	}
}

// Those who come while a page is being made get the one before it; where there is
// none, or it is too old, they wait for the new one, which is made once.
func TestPage_ReadersOfADuePageDoNotRenderToo(t *testing.T) {
	for _, c := range []struct {
		name  string
		older time.Duration // age of what was rendered before; 0: nothing was
		waits bool
	}{{"nothing before", 0, true}, {"before", time.Second, false}, {"too old", olderMax + 1, true}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			if c.older > 0 {
				r.get("/c/school")
				r.pass(c.older)
			}
			before := r.asked.Load()
			r.hold = make(chan struct{})
			var readers sync.WaitGroup
			readers.Go(func() { r.get("/c/school") })
			for r.asked.Load() == before { // until it renders
				time.Sleep(time.Millisecond)
			}
			if !c.waits {
				r.get("/c/school") // returns though the rendering is held
				close(r.hold)
			} else {
				for range 10 {
					readers.Go(func() { r.get("/c/school") })
				}
				close(r.hold)
			}
			readers.Wait()
			if n := r.asked.Load() - before; n != 1 {
				t.Errorf("rendered %d times", n)
			}
		})
	}
}

// When every renderer is taken, a page that was rendered before is given as it was, and
// nobody waits longer than renderWait for another one, however many wait.
func TestPage_NobodyWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		r.get("/c/school")
		r.pass(time.Second)
		for range cap(r.renderers) {
			r.renderers <- struct{}{}
		}
		r.get("/c/school")
		begun := time.Now()
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				if got := r.ask("GET", "/c/shelter").StatusCode(); got != 503 {
					t.Errorf("%d", got)
				}
			})
		}
		readers.Wait()
		if took := time.Since(begun); took != renderWait {
			t.Errorf("waited %v", took)
		}
		for range cap(r.renderers) {
			<-r.renderers
		}
		r.get("/c/shelter")
	})
}

func TestQuick_DoesNotAllocate(t *testing.T) {
	r := newRig(t, Config{})
	for _, uri := range []string{"/c/school", "/", "/embed/school"} {
		r.get(uri)
		ctx, _ := r.offer("GET", uri)
		if n := testing.AllocsPerRun(100, func() {
			ctx.Response.Reset()
			r.Handle(ctx)
		}); n > 0 {
			t.Errorf("%s: %v allocations", uri, n)
		}
	}
}

func TestPages_AreCompressedForThoseWhoCan(t *testing.T) {
	r := newRig(t, Config{})
	plain := r.get("/c/school")
	for accept, compressed := range map[string]bool{
		"gzip": true, "br, GZIP": true, "gzip;q=0.5": true, "deflate, gzip ; q=1.0, br": true,
		"": false, "br": false, "gzip;q=0": false, "gzip;q=0.000": false, "gzipped": false,
	} {
		answer := r.ask("GET", "/c/school", "Accept-Encoding", accept)
		if got := string(answer.Header.Peek("Content-Encoding")) == "gzip"; got != compressed {
			t.Errorf("%q: compressed %v", accept, got)
		}
		if string(answer.Header.Peek("Vary")) != "Accept-Encoding" {
			t.Errorf("%q: Vary is %q", accept, answer.Header.Peek("Vary"))
		}
		body := answer.Body()
		if compressed {
			body = unzipped(t, body)
		}
		if string(body) != plain {
			t.Errorf("%q: another page", accept)
		}
	}
}

func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var linked = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"|["'](/assets/[^"']+\.js)["']`)

// ownAssetsMax is what the files of a campaign's page may take together, compressed:
// two seconds of a slow telephone.
const ownAssetsMax = 60 << 10

// Every file that a page names is there, may be kept for ever, and names only what is
// there; all together, those that are loaded when needed too, are small.
func TestAssets_AreThereAndSmall(t *testing.T) {
	r := newRig(t, Config{DemoCards: true})
	for _, uri := range []string{"/", "/c/school", "/basket", giftPath, "/embed/school"} {
		seen, bytesSent := map[string]bool{}, 0
		var follow func(body string)
		follow = func(body string) {
			for _, m := range linked.FindAllStringSubmatch(body, -1) {
				u := m[1] + m[2]
				if seen[u] {
					continue
				}
				seen[u] = true
				answer := r.ask("GET", u, "Accept-Encoding", "gzip")
				if answer.StatusCode() != 200 || !strings.Contains(string(answer.Header.Peek("Cache-Control")), "immutable") {
					t.Fatalf("%s: %s: %d", uri, u, answer.StatusCode())
				}
				bytesSent += len(answer.Body())
				follow(string(r.ask("GET", u).Body()))
			}
		}
		page := r.ask("GET", uri, "Accept-Encoding", "gzip")
		follow(r.get(uri))
		t.Logf("%s: page %d, %d files, %d bytes compressed", uri, len(page.Body()), len(seen), bytesSent)
		if len(seen) < 3 {
			t.Errorf("%s: only %v", uri, seen)
		}
		if bytesSent > ownAssetsMax {
			t.Errorf("%s: %d bytes", uri, bytesSent)
		}
	}
	for u, a := range r.assets.files {
		if a.gzip != nil && !bytes.Equal(unzipped(t, a.gzip), a.body) {
			t.Errorf("%s: its compressed copy is another", u)
		}
	}
}

func TestShelf_IsBoundedAndKeepsWhatIsRead(t *testing.T) {
	const bytesMax = 1 << 20
	s := newShelf(bytesMax)
	put := func(key string) {
		p := s.place(key)
		sh := &sheet{body: make([]byte, 3000), at: noon}
		p.now.Store(sh)
		s.grown(sh.bytes())
	}
	put("kept")
	for i := range 5000 {
		put(fmt.Sprint("page", i))
		if p := s.find([]byte("kept")); p == nil || p.now.Load() == nil {
			t.Fatalf("what is read was dropped after %d others", i)
		}
	}
	if s.find([]byte("page17")) != nil {
		t.Error("what nobody asked for is kept")
	}
	if n := s.pagesKept(); n*4000 > bytesMax*11/10 {
		t.Errorf("%d pages kept", n)
	}
}

func TestMedia(t *testing.T) {
	r := newRig(t, Config{})
	r.pictures["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] = "image/svg+xml"
	for range 5 {
		answer := r.ask("GET", "/media/"+photo)
		if string(answer.Body()) != "the bytes of "+photo || string(answer.Header.ContentType()) != "image/jpeg" ||
			!strings.Contains(string(answer.Header.Peek("Cache-Control")), "immutable") {
			t.Fatalf("%d %s %s", answer.StatusCode(), answer.Header.ContentType(), answer.Body())
		}
	}
	if n := r.loaded.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	missing := "/media/" + strings.Repeat("b", campaigns.MediaKeyBytes)
	for _, uri := range []string{missing, missing, "/media/" + strings.Repeat("a", campaigns.MediaKeyBytes)} {
		if got := r.ask("GET", uri).StatusCode(); got != 404 {
			t.Errorf("%s: %d", uri, got)
		}
	}
	if n := r.loaded.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
	r.pictures[missing[len("/media/"):]] = "image/png"
	r.pass(missingFor)
	if got := r.ask("GET", missing).StatusCode(); got != 200 {
		t.Errorf("a picture that came later: %d", got)
	}
}

func TestQR_IsAPictureOfTheAddress(t *testing.T) {
	r := newRig(t, Config{PublicURL: "https://give.example.org"})
	answer := r.ask("GET", "/c/school/qr.svg")
	body := string(answer.Body())
	r.holds(body, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 37 37"`, "M4 4h7v1h-7z") // version 3, a finder in its corner
	again := r.ask("GET", "/c/school/qr.svg", "If-None-Match", string(answer.Header.Peek("Etag")))
	if again.StatusCode() != 304 {
		t.Errorf("%d for the same again", again.StatusCode())
	}
	if other := string(r.ask("GET", "/c/over/qr.svg").Body()); other == body {
		t.Error("another campaign has the same code")
	}
}

func BenchmarkQuick(b *testing.B) {
	r := newRig(b, Config{})
	r.get("/c/school")
	ctx, _ := r.offer("GET", "/c/school")
	for b.Loop() {
		ctx.Response.Reset()
		r.Handle(ctx)
	}
}

func BenchmarkRender(b *testing.B) {
	r := newRig(b, Config{PublicURL: "https://give.example.org", DemoCards: true})
	c, _ := r.Lookup([]byte("school"))
	for _, uri := range []string{"campaign", "day"} {
		b.Run(uri, func(b *testing.B) {
			for b.Loop() {
				var s *sheet
				var err error
				if uri == "day" {
					s, err = r.renderDay(query{})
				} else {
					s, err = r.renderCampaign(c)
				}
				if err != nil {
					b.Fatal(err)
				}
				s.compressed()
			}
		})
	}
}
