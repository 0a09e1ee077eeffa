package route

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"spillway/deploy/haproxy"
	"spillway/deploy/haproxy/haproxytest"
)

// books counts gifts by the donors' names for them.
type books struct {
	sync.Mutex
	gifts map[string]int
}

func (b *books) take(gift string) {
	b.Lock()
	defer b.Unlock()
	if b.gifts == nil {
		b.gifts = map[string]int{}
	}
	b.gifts[gift]++
}

func (b *books) times(gift string) int {
	b.Lock()
	defer b.Unlock()
	return b.gifts[gift]
}

func (b *books) count() int {
	b.Lock()
	defer b.Unlock()
	return len(b.gifts)
}

// oldSystem is the older donation system: a page with a form that posts to its own
// address, and then, by a redirect, thanks at the same address.
type oldSystem struct {
	books
	server *httptest.Server
	last   atomic.Pointer[http.Request] // that it saw
}

func (o *oldSystem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.last.Store(r.Clone(r.Context()))
	if r.Method == http.MethodPost {
		gift := r.FormValue("gift")
		o.take(gift)
		if r.FormValue("then") == "hang up" {
			panic(http.ErrAbortHandler)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: gift, Path: "/", Domain: r.FormValue("host")})
		w.Header().Set("Location", r.URL.Path)
		if host := r.FormValue("host"); host != "" {
			w.Header().Set("Location", "http://"+host+r.URL.Path)
		}
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if r.Header.Get("Upgrade") != "" {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n") // flushed below
		_ = both.Flush()
		line, _ := both.ReadString('\n') // what came is sent back
		_, _ = both.WriteString(line)
		_ = both.Flush()
		return
	}
	if session, err := r.Cookie("session"); err == nil {
		fmt.Fprintf(w, "old thanks %s", session.Value)
		return
	}
	fmt.Fprintf(w, "old page %s", r.URL.RequestURI())
}

// spillway is a stand-in for the front-ends: every campaign that begins with a letter
// before z, closed ones begin with c.
type spillway struct {
	books
	server *httptest.Server
}

func (s *spillway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	slug, isCampaign := strings.CutPrefix(r.URL.Path, "/v1/campaigns/")
	_, isPage := strings.CutPrefix(r.URL.Path, "/c/")
	switch {
	case r.URL.Path == "/readyz":
	case r.URL.Path == "/v1/donations" && r.Method == http.MethodPost:
		s.take(r.Header.Get("Idempotency-Key"))
		w.WriteHeader(http.StatusAccepted)
	case isCampaign && slug >= "z":
		w.WriteHeader(http.StatusNotFound)
	case isCampaign:
		phase := "open"
		if strings.HasPrefix(slug, "c") {
			phase = "closed"
		}
		fmt.Fprintf(w, `{"slug":%q,"phase":%q}`, slug, phase)
	case isPage && r.Method == http.MethodGet:
		fmt.Fprintf(w, "spillway page %s", r.URL.Path)
	default:
		fmt.Fprintf(w, "spillway %s", r.URL.RequestURI())
	}
}

// rig is both systems behind a real HAProxy, and what switches between them.
type rig struct {
	*Router
	proxy    *haproxytest.Proxy
	old      *oldSystem
	spillway *spillway
}

func newRig(t *testing.T, oldHost string) *rig {
	t.Helper()
	r := &rig{old: &oldSystem{}, spillway: &spillway{}}
	r.old.server, r.spillway.server = httptest.NewServer(r.old), httptest.NewServer(r.spillway)
	t.Cleanup(r.old.server.Close)
	t.Cleanup(r.spillway.server.Close)
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	r.proxy = haproxytest.Start(t, haproxytest.Options{Blue: host(r.spillway.server), Green: host(r.spillway.server), OldSystem: host(r.old.server), OldHost: oldHost})
	r.Router = &Router{Dir: r.proxy.Maps, Proxies: []haproxy.Socket{r.proxy.Socket}, Spillway: FrontEnd{URL: r.spillway.server.URL}, Say: t.Logf}
	haproxytest.Eventually(t, "both systems are up", func() bool {
		servers, err := r.proxy.Socket.Servers(t.Context())
		for _, s := range servers {
			if !s.Up {
				return false
			}
		}
		return err == nil && len(servers) == 8
	})
	return r
}

// move switches campaigns whose older pages are /give/{slug}.
func (r *rig) move(t *testing.T, to Side, slugs ...string) Outcome {
	t.Helper()
	done, err := r.Switch(t.Context(), movesOf(slugs...), to, false)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func movesOf(slugs ...string) (moves []Move) {
	for _, slug := range slugs {
		moves = append(moves, Move{slug, []string{"/give/" + slug}})
	}
	return moves
}

// browser has cookies of its own, and a connection for each request: a restart of the
// proxy ends idle ones, which real browsers open again.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: lonely}
}

var lonely = &http.Transport{DisableKeepAlives: true}

// answer is what a request ended in.
type answer struct {
	status int
	body   string
	header http.Header
	path   string // after redirects
}

func (r *rig) send(client *http.Client, method, path, body string, header ...string) (answer, error) {
	request, err := http.NewRequest(method, "http://"+r.proxy.Front+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text), response.Header, response.Request.URL.RequestURI()}, err
}

// see gets a page as a new donor does, following redirects.
func (r *rig) see(t *testing.T, path string) string {
	t.Helper()
	got, err := r.send(browser(t), http.MethodGet, path, "")
	if err != nil {
		t.Fatal(err)
	}
	return got.body
}

func (r *rig) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (r *rig) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.Dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
