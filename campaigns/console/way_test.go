package console_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	accessdb "spillway/campaigns/access/postgres"
	"spillway/campaigns/console"
	"spillway/campaigns/console/frame"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/keyring"
)

// fill gives a console what it needs to be built, but not to work.
func fill(d *console.Deps) {
	d.Store, d.Opener, d.Hasher = &accessdb.Store{}, &keyring.Keyring{}, credential.NewHasher(cheap)
	d.Client = func(remote netip.Addr, _ string) netip.Addr { return remote }
	d.Trusts = func(netip.Addr) bool { return false }
	d.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
}

// Passwords, cookies and keys travel over TLS or not at all, but within the machine.
func TestWay_NothingTravelsInTheOpen(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	u := r.user("ann@example.org", access.Owner)
	in := r.session(u)
	secure := map[string]string{"__Host-spillway_session": in["spillway_session"]}
	key := r.key(access.Key{Scopes: access.SetOf(access.Grantable()...)})
	for _, c := range []struct {
		name    string
		host    string
		header  map[string]string
		allowed bool
		secure  bool
	}{
		{name: "loopback", allowed: true},
		{name: "localhost", host: "localhost:8082", allowed: true},
		{name: "IPv6 loopback", host: "[::1]:8082", allowed: true},
		{name: "another name for it", host: "console.example.org"},
		{name: "another address", host: "192.0.2.1:8082"},
		{name: "a name that begins so", host: "localhost.example.org"},
		{name: "a proxy without TLS", host: "console.example.org", header: map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-For": "192.0.2.1"}},
		{name: "a proxy without TLS that says localhost", header: map[string]string{"X-Forwarded-For": "192.0.2.1"}},
		{name: "a proxy with TLS", host: "console.example.org", header: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}, allowed: true, secure: true},
		{name: "a stranger's word before the proxy's", host: "console.example.org", header: map[string]string{"X-Forwarded-Proto": "https, http", "X-Forwarded-For": "192.0.2.1"}},
	} {
		cookies := in
		if c.secure {
			cookies = secure
		}
		set := func(a ask) ask {
			a.host = c.host
			if a.header == nil {
				a.header = map[string]string{}
			}
			for n, v := range c.header {
				a.header[n] = v
			}
			return a
		}
		want := 403
		if c.allowed {
			want = 200
		}
		wantStatus(t, c.name+": session", r.do(set(ask{method: "GET", path: "/admin/v1/users", cookies: cookies})), want)
		wantStatus(t, c.name+": key", r.do(set(ask{method: "GET", path: "/admin/v1/users", header: map[string]string{"Authorization": key["Authorization"]}})), want)
		page := r.do(set(ask{method: "GET", path: "/admin/login"}))
		if form := strings.Contains(page.body, `type="password"`); page.status != want || form != c.allowed || !c.allowed && !strings.Contains(page.body, "--admin-trusted-proxy") {
			t.Errorf("%s: login page %d, form %v", c.name, page.status, form)
		}
		got := r.login(u.Email, rightPassword, func(a *ask) { *a = set(*a) })
		cookie := got.cookies["__Host-spillway_session"]
		switch {
		case !c.allowed && (got.status != 403 || len(got.cookies) > 0):
			t.Errorf("%s: login %d, cookies %v", c.name, got.status, got.cookies)
		case c.secure && (cookie == nil || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode):
			t.Errorf("%s: cookie %+v", c.name, cookie)
		case c.allowed && !c.secure && got.cookies["spillway_session"] == nil:
			t.Errorf("%s: login %d without a cookie", c.name, got.status)
		}
		r.advance(time.Minute) // for the logins' limits
	}
	// A cookie of the other kind of connection opens nothing.
	wantStatus(t, "a plain cookie over TLS", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: in, host: "console.example.org",
		header: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}}), 401)
}

// A page of another site changes nothing here, whatever it is told to send.
func TestCrossSite_IsRefused(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t), probe{})
	in := r.session(r.user("ann@example.org", access.Owner))
	own := "http://" + r.address
	for _, c := range []struct {
		name, site, origin string
		want               int
	}{
		{"our own page", "same-origin", own, 200},
		{"typed by hand", "none", "", 200},
		{"no browser", "", "", 200},
		{"an old browser on our page", "", own, 200},
		{"another site", "cross-site", "https://evil.example", 403},
		{"another site without a name", "cross-site", "null", 403},
		{"a neighbour", "same-site", "https://other.example.org", 403},
		{"an old browser on another site", "", "https://evil.example", 403},
		{"an old browser on a nameless page", "", "null", 403},
		{"another port of this machine", "", "http://127.0.0.1:1", 403},
	} {
		header := map[string]string{}
		if c.site != "" {
			header["Sec-Fetch-Site"] = c.site
		}
		if c.origin != "" {
			header["Origin"] = c.origin
		}
		for _, path := range []string{"/admin/probe/switch/whole/x", "/admin/v1/probe/switch/whole/x"} {
			wantStatus(t, c.name+": "+path, r.do(ask{method: "POST", path: path, header: header, cookies: in}), c.want)
			wantStatus(t, c.name+", reading: "+path, r.do(ask{method: "GET", path: path, header: header, cookies: in}), 200)
		}
		if c.want == 403 {
			wantStatus(t, c.name+": login", r.do(ask{method: "POST", path: "/admin/login", header: header}), 403)
		}
	}
}

// With the database gone, who was there goes on looking, everybody is told, nothing
// changes, and all is well again when it is back.
func TestDatabaseAway_IsSaidAndHeals(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Private(t)
	change := frame.Route{Method: "POST", Path: "/admin/v1/change", Needs: access.Switch, Handle: func(r *frame.Request) error {
		if err := r.Audit("test.change", "", ""); err != nil {
			return err
		}
		return r.NoContent()
	}}
	turn := frame.Route{Method: "POST", Path: "/admin/v1/turn", Needs: access.Switch, Handle: func(r *frame.Request) error {
		if err := r.AuditSoon("test.turn", "live", "off"); err != nil {
			return err
		}
		return r.NoContent()
	}}
	r := serve(t, cluster.Database(t), probe{}, routes{change, turn})
	u := r.user("ann@example.org", access.Owner)
	in, stranger := r.session(u), r.session(u)
	look := func(cookies map[string]string) answer {
		return r.do(ask{method: "GET", path: "/admin/v1/probe/view_dashboard/whole/x", cookies: cookies})
	}
	wantStatus(t, "before", look(in), 200)
	cluster.Stop()
	eventually(t, func() error {
		if got := r.do(ask{method: "GET", path: "/admin/none", cookies: in}); !strings.Contains(got.body, "data-away>") {
			return errors.New("pages do not say that the database is away")
		}
		return nil
	})
	for range 3 {
		r.advance(4 * time.Minute)
		wantStatus(t, "who was there", look(in), 200)
	}
	wantStatus(t, "a change", r.do(ask{method: "POST", path: change.Path, cookies: in}), 503)
	wantStatus(t, "a switch", r.do(ask{method: "POST", path: turn.Path, cookies: in}), 204)
	got := look(stranger)
	wantStatus(t, "who was not", got, 503)
	if got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"code":"unavailable"`) {
		t.Errorf("%v %s", got.header, got.body)
	}
	if got := r.do(ask{method: "GET", path: "/admin/users", cookies: in}); got.status != 503 || !strings.Contains(got.body, "does not answer") || !strings.Contains(got.body, `http-equiv="refresh"`) {
		t.Errorf("a page that needs it: %d %.200s", got.status, got.body)
	}
	if got := r.do(ask{method: "GET", path: "/admin/login"}); got.status != 200 || !strings.Contains(got.body, "nobody can sign in") {
		t.Errorf("login page: %d %.200s", got.status, got.body)
	}
	wantStatus(t, "login", r.login(u.Email, rightPassword), 503)
	r.advance(4 * time.Minute) // longer than anybody is remembered
	wantStatus(t, "who was there, at last", look(in), 503)

	cluster.Restart(t)
	eventually(t, func() error {
		if got := look(stranger); got.status != 200 {
			return errors.New("it does not recover")
		}
		if got := r.do(ask{method: "GET", path: "/admin/users", cookies: in}); got.status != 200 || strings.Contains(got.body, "data-away>") {
			return errors.New("pages go on saying that the database is away")
		}
		all, err := r.store.Log(t.Context(), access.LogQuery{Action: "test.", Limit: 10})
		if err != nil || len(all) != 1 || all[0].Action != "test.turn" || all[0].Name != u.Email || !strings.Contains(all[0].Detail, "while the database was away") {
			return fmt.Errorf("the log has %+v, %v", all, err)
		}
		return nil
	})
}

// Only who may use a route can send it much.
func TestBodies_AreBoundedByWhoSendsThem(t *testing.T) {
	t.Parallel()
	upload := frame.Route{Method: "POST", Path: "/admin/v1/upload", Needs: access.EditCampaigns, BodyBytesMax: 1 << 20, Handle: func(r *frame.Request) error {
		return r.Reply(200, len(r.Raw().PostBody()))
	}}
	r := serve(t, pgtest.URL(t), routes{upload})
	organiser, viewer := r.session(r.user("o@example.org", access.Organiser)), r.session(r.user("v@example.org", access.Viewer))
	send := func(cookies map[string]string, bytes int) int {
		got, err := r.try(ask{method: "POST", path: upload.Path, cookies: cookies, json: strings.Repeat(" ", bytes)})
		if err != nil {
			return 413 // the connection was closed under a body that nobody reads
		}
		return got.status
	}
	for _, c := range []struct {
		name    string
		cookies map[string]string
		bytes   int
		want    int
	}{
		{"organiser", organiser, 1 << 20, 200}, {"organiser, too much", organiser, 1<<20 + 1, 413},
		{"viewer, little", viewer, 1000, 403}, {"viewer", viewer, 1 << 20, 413}, {"nobody", nil, 1 << 20, 413},
	} {
		if got := send(c.cookies, c.bytes); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
