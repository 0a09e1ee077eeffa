package route

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Every kind of request, and who answers it.
func TestProxy_WhoAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.write(t, "links.map", "/give/a a\n/a a\n/give/b b\n/donate.php?campaign=17 a\n/give/nowhere unlisted\n")
	r.write(t, "campaigns.map", "a spillway:/give/a\nb old:/give/b\nlost old\n")
	r.write(t, "paths.map", r.read(t, "paths.map")+"/assets/theme/ old\n/$ spillway\n")
	if _, err := r.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := browser(t)
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	const old, here, toA, toB = "old", "spillway", "-> /c/a", "-> /give/b"
	for _, c := range []struct{ method, path, cookie, want string }{
		{"GET", "/give/a", "", toA},
		{"HEAD", "/give/a", "", toA},
		{"GET", "/a", "", toA},
		{"GET", "/donate.php?campaign=17", "", toA},
		{"GET", "/donate.php?campaign=170", "", old},
		{"GET", "/donate.php", "", old},
		{"GET", "/give/a?utm_source=x&fbclid=y", "", toA},
		{"GET", "/give/a?", "", toA},
		{"GET", "/give/a?token=EC-1", "", old}, // back from the card processor
		{"GET", "/give/a?utm_source=x&step=2", "", old},
		{"GET", "/give/a/thanks", "", old},
		{"GET", "/give/ab", "", old},
		{"GET", "/give/a", "at_old=1", old},
		{"GET", "/give/a", "at_spillway=1", toA},
		{"POST", "/give/a", "", old},
		{"PUT", "/give/a", "", old},
		{"POST", "/give/a?utm_source=x", "", old},
		{"POST", "/elsewhere", "", old},
		{"POST", "/c/a", "", old}, // Spillway takes nothing there
		{"GET", "/give/b", "", old},
		{"GET", "/give/nowhere", "", old},
		{"GET", "/c/a", "", here},
		{"GET", "/c/b", "", toB},
		{"HEAD", "/c/b", "", toB},
		{"GET", "/c/b?utm_source=x", "", toB},
		{"GET", "/c/b", "at_spillway=1", here},
		{"GET", "/c/b", "at_old=1", toB},
		{"GET", "/c/b/qr.svg", "", here},
		{"GET", "/c/lost", "", here}, // rather than nowhere
		{"GET", "/c/unlisted", "", here},
		{"GET", "/d/0190", "", here},
		{"GET", "/embed/b", "", here},
		{"GET", "/assets/give.abc.js", "", here},
		{"GET", "/assets/theme/logo.png", "", old},
		{"GET", "/basket", "", here},
		{"GET", "/basketball", "", old},
		{"GET", "/", "", here},
		{"GET", "/about", "", old},
		{"GET", "/v1/campaigns/b", "", here},
		{"GET", "/v1/campaigns/b/live", "", here},
		{"POST", "/v1/donations", "", here},
		{"DELETE", "/v1/donations/0190", "", here},
		{"POST", "/v1/webhooks/stripe", "at_old=1", here},
		{"GET", "/v1x", "", old},
		{"GET", "/old/live", "", old},
	} {
		got, err := r.send(client, c.method, c.path, "gift=x", "Cookie", c.cookie)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		// What is not led elsewhere is told apart by who got it.
		who := old
		if seen := r.old.last.Swap(nil); seen == nil || seen.URL.RequestURI() != c.path && c.path != "/give/a?" {
			who = here
		}
		if location := got.header.Get("Location"); got.status == http.StatusFound {
			who = "-> " + location
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: a redirect that may be kept", c.method, c.path)
			}
		}
		if who != c.want {
			t.Errorf("%s %s %s: %s (%d), want %s", c.method, c.path, c.cookie, who, got.status, c.want)
		}
	}
}

// What the older system is told, and what donors are told of it.
func TestProxy_TheOlderSystemsNames(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "old.example.org"} {
		r := newRig(t, host)
		client := browser(t)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		got, err := r.send(client, http.MethodPost, "/give/a", "gift=x&host="+host, "X-Forwarded-For", "203.0.113.9")
		if err != nil || got.status != http.StatusSeeOther || got.header.Get("Location") != "/give/a" {
			t.Fatalf("%+v, %v", got, err)
		}
		seen := r.old.last.Load()
		want := host
		if want == "" {
			want = r.proxy.Front
		}
		if seen.Host != want || seen.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("host %q, forwarded for %q", seen.Host, seen.Header.Values("X-Forwarded-For"))
		}
		if host != "" && seen.Header.Get("X-Forwarded-Host") != r.proxy.Front {
			t.Errorf("forwarded host %q", seen.Header.Get("X-Forwarded-Host"))
		}
		if cookie := strings.Join(got.header.Values("Set-Cookie"), "|"); !strings.Contains(cookie, "session=x; Path=/|") {
			t.Errorf("cookies %q: a browser that knows donors' name alone does not take them", cookie)
		}
		if cookie := strings.Join(got.header.Values("Set-Cookie"), "|"); !strings.Contains(cookie, "at_old=1; Max-Age=7200; Path=/; HttpOnly; SameSite=Lax") {
			t.Errorf("cookies %q", cookie)
		}
	}
}

// A post whose answer is lost was sent once, also by the second request of a connection,
// where proxies leave it to the browser to send it again.
func TestProxy_PostsAreNotRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	post := func(gift string) string {
		body := "then=hang+up&gift=" + gift
		return fmt.Sprintf("POST /give/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	conn, err := net.Dial("tcp", r.proxy.Front)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func(request string) *http.Response {
		t.Helper()
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusSwitchingProtocols {
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
		}
		return response
	}
	if got := ask(post("first")); got.StatusCode != http.StatusBadGateway || r.old.times("first") != 1 {
		t.Errorf("%d, taken %d times", got.StatusCode, r.old.times("first"))
	}
	if conn, err = net.Dial("tcp", r.proxy.Front); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers = bufio.NewReader(conn)
	for _, path := range []string{"/give/a", "/v1/campaigns/a"} {
		if got := ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != http.StatusOK || got.Close {
			t.Errorf("%s: %d, its connection ends: %v", path, got.StatusCode, got.Close)
		}
	}
	if got := ask(post("third")); got.StatusCode != http.StatusBadGateway || r.old.times("third") != 1 {
		t.Errorf("%d, taken %d times", got.StatusCode, r.old.times("third"))
	}
	// What is no answer to be closed after: an upgraded connection.
	if conn, err = net.Dial("tcp", r.proxy.Front); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers = bufio.NewReader(conn)
	if got := ask("GET /live-chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); got.StatusCode != http.StatusSwitchingProtocols || got.Header.Get("Connection") == "close" {
		t.Errorf("an upgrade: %d %v", got.StatusCode, got.Header)
	}
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := answers.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	// Gone: refused connections are tried again, and the donor is told.
	r.old.server.Close()
	got, err := r.send(browser(t), http.MethodPost, "/give/a", "gift=late")
	if err != nil || got.status != http.StatusServiceUnavailable || r.old.times("late") != 0 {
		t.Errorf("%d, %v", got.status, err)
	}
}

// The same over HTTP/2, as browsers speak it: the second request of a connection is
// answered, and the connection stays.
func TestProxy_PostsAreNotRepeatedOverHTTP2(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	var dials atomic.Int64
	transport := &http.Transport{Protocols: &http.Protocols{}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/v1/campaigns/a", "", http.StatusOK},
		{http.MethodGet, "/give/a", "", http.StatusOK},
		{http.MethodPost, "/give/a", "then=hang+up&gift=g", http.StatusBadGateway},
		{http.MethodGet, "/give/a", "", http.StatusOK},
	} {
		got, err := r.send(client, c.method, c.path, c.body)
		if err != nil || got.status != c.status {
			t.Errorf("%s %s: %d, %v", c.method, c.path, got.status, err)
		}
	}
	if r.old.times("g") != 1 || dials.Load() != 1 {
		t.Errorf("taken %d times, over %d connections", r.old.times("g"), dials.Load())
	}
}
