package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	accessdb "spillway/campaigns/access/postgres"
	"spillway/campaigns/console"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/people"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/admission"
	"spillway/ingest/keyring"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// cheap is a hash that tests can afford.
var cheap = credential.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

const rightPassword = "a horse that staples"

// rig is a console that serves, with a real database and a clock that tests move.
type rig struct {
	t       *testing.T
	store   *accessdb.Store
	keys    *keyring.Keyring
	console *console.Console
	hasher  *credential.Hasher
	address string
	moved   atomic.Int64 // of the clock, nanoseconds
	log     *logBook
}

// logBook is what was logged, and what must not be.
type logBook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// secret notes what must never be logged.
func (l *logBook) secret(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s != "" {
		l.secrets = append(l.secrets, s)
	}
}

func (l *logBook) check(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.secrets {
		if strings.Contains(l.text.String(), s) {
			t.Errorf("a secret was logged: %q in\n%s", s, l.text.String())
		}
	}
}

func (r *rig) now() time.Time          { return time.Now().Add(time.Duration(r.moved.Load())) }
func (r *rig) advance(d time.Duration) { r.moved.Add(int64(d)) }

// proxy is the network that the console trusts in every test.
var proxy = netip.MustParsePrefix("127.0.0.1/32")

func serve(t *testing.T, url string, sections ...frame.Section) *rig {
	t.Helper()
	store, err := accessdb.Open(accessdb.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: store, keys: keys, hasher: credential.NewHasher(cheap), log: &logBook{}}
	proxies, err := admission.NewProxies([]netip.Prefix{proxy})
	if err != nil {
		t.Fatal(err)
	}
	r.console, err = console.New(console.Config{}, console.Deps{
		Store: store, Opener: keys, Hasher: r.hasher, Client: proxies.Client, Trusts: proxies.Trusts,
		Sections: append(sections, people.New(store, keys, r.hasher)), Now: r.now,
		Documents: []console.Document{{Path: "/docs", ContentType: "text/html; charset=utf-8", Body: []byte("<p>"), Policy: "default-src 'none'"}},
		Log:       slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.console.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.log.check(t)
	})
	return r
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    string
	cookies map[string]*http.Cookie
}

// ask describes a request; zero fields are what a browser on the same machine sends.
type ask struct {
	method, path string
	form         url.Values
	json         string
	header       map[string]string
	cookies      map[string]string
	host         string
}

func (r *rig) do(a ask) answer {
	r.t.Helper()
	got, err := r.try(a)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *rig) try(a ask) (answer, error) {
	var body io.Reader
	contentType := ""
	switch {
	case a.form != nil:
		body, contentType = strings.NewReader(a.form.Encode()), "application/x-www-form-urlencoded"
	case a.json != "":
		body, contentType = strings.NewReader(a.json), "application/json"
	}
	req, err := http.NewRequestWithContext(r.t.Context(), a.method, "http://"+r.address+a.path, body)
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	for name, value := range a.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
		r.log.secret(value)
	}
	if a.host != "" {
		req.Host = a.host
	}
	got, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	out := answer{status: got.StatusCode, header: got.Header, body: string(text), cookies: map[string]*http.Cookie{}}
	for _, c := range got.Cookies() {
		out.cookies[c.Name] = c
	}
	return out, err
}

// user makes a user with rightPassword.
func (r *rig) user(email string, role access.Role, bound ...string) access.User {
	r.t.Helper()
	u := access.User{ID: credential.NewID(16), Email: email, Role: role, Campaigns: bound}
	if err := r.store.AddUser(r.t.Context(), u, access.Entry{}); err != nil {
		r.t.Fatal(err)
	}
	phc, err := r.hasher.Hash(r.t.Context(), rightPassword)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.SetPassword(r.t.Context(), u.ID, phc, "", access.Entry{}); err != nil {
		r.t.Fatal(err)
	}
	r.log.secret(rightPassword)
	return u
}

// session signs a user in without the login page.
func (r *rig) session(u access.User) map[string]string {
	r.t.Helper()
	token, sum := credential.NewToken()
	s := access.Session{ID: credential.NewID(8), User: u.ID, CreatedAt: r.now(), ExpiresAt: r.now().Add(36 * time.Hour)}
	if err := r.store.StartSession(r.t.Context(), sum, s, false, access.Entry{}); err != nil {
		r.t.Fatal(err)
	}
	r.log.secret(token)
	return map[string]string{"spillway_session": token}
}

// key makes an API key and returns its header.
func (r *rig) key(k access.Key) map[string]string {
	r.t.Helper()
	text, id, sum := credential.NewKey()
	k.ID, k.Name, k.CreatedAt = id, "test", r.now()
	if err := r.store.AddKey(r.t.Context(), k, sum, access.Entry{}); err != nil {
		r.t.Fatal(err)
	}
	r.log.secret(text)
	return map[string]string{"Authorization": "Bearer " + text}
}

// login posts the login form.
func (r *rig) login(email, password string, more ...func(*ask)) answer {
	r.t.Helper()
	a := ask{method: "POST", path: "/admin/login", form: url.Values{"email": {email}, "password": {password}}}
	for _, m := range more {
		m(&a)
	}
	got := r.do(a)
	for _, c := range got.cookies {
		r.log.secret(c.Value)
	}
	return got
}

// from has a request come through the proxy over TLS, from this address.
func from(address string) func(*ask) {
	return func(a *ask) {
		a.host = "console.example.org"
		if a.header == nil {
			a.header = map[string]string{}
		}
		a.header["X-Forwarded-Proto"], a.header["X-Forwarded-For"] = "https", address
	}
}

func with(cookies map[string]string) func(*ask) {
	return func(a *ask) { a.cookies = cookies }
}

// eventually repeats check until it returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

func wantStatus(t *testing.T, what string, got answer, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("%s: %d, want %d: %.300s", what, got.status, want, got.body)
	}
}

// probe is a section with a route for every permission and every kind of scope, as
// page and as JSON.
type probe struct{}

func (probe) Menu() []frame.MenuItem { return nil }

func (probe) Routes() []frame.Route {
	var all []frame.Route
	for _, p := range access.Grantable() {
		for scope, of := range scopes {
			for _, method := range []string{"GET", "POST"} {
				path := fmt.Sprintf("/probe/%s/%s/{slug}", p, scope)
				all = append(all, frame.Both(frame.Route{Method: method, Path: path, Needs: p, Scope: of, Handle: func(r *frame.Request) error {
					return r.Reply(200, map[string]string{"who": r.Principal.Name})
				}})...)
			}
		}
	}
	return all
}

var scopes = map[string]func(*frame.Request) string{"whole": nil, "slug": frame.Slug, "some": frame.Some}
