package console_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console"
	"spillway/campaigns/console/frame"
	"spillway/deploy/onebox/pgtest"
)

// allowed is what the contract says of the roles, written down a second time.
var allowed = map[access.Role]string{
	"owner":     "view_dashboard view_campaigns edit_campaigns view_donations view_personal refund offline_gift hide_gift export switch pace manage_users view_audit",
	"organiser": "view_dashboard view_campaigns edit_campaigns view_donations view_personal offline_gift hide_gift export switch view_audit",
	"finance":   "view_dashboard view_campaigns view_donations view_personal refund offline_gift export view_audit",
	"viewer":    "view_dashboard view_campaigns view_donations",
}

// caller is somebody who walks all routes.
type caller struct {
	name    string
	cookies map[string]string
	header  map[string]string
	may     string // permissions, separated by spaces
	bound   string // to this campaign; "" for all
	known   bool
}

// Every route of every permission, for every role, bound to a campaign or not, for
// API keys of every scope, and for those who are nobody.
func TestRoutes_LetInWhoMayAndNobodyElse(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t), probe{})
	var callers []caller
	for role, may := range allowed {
		callers = append(callers, caller{name: string(role), may: may, known: true, cookies: r.session(r.user(string(role)+"@example.org", role))})
		if role != access.Owner {
			callers = append(callers, caller{name: string(role) + " of one campaign", may: may, bound: "mine", known: true,
				cookies: r.session(r.user("one-"+string(role)+"@example.org", role, "mine"))})
		}
	}
	for _, p := range access.Grantable() {
		callers = append(callers,
			caller{name: "key of " + p.String(), may: p.String(), known: true, header: r.key(access.Key{Scopes: access.SetOf(p)})},
			caller{name: "key of one campaign of " + p.String(), may: p.String(), bound: "mine", known: true,
				header: r.key(access.Key{Scopes: access.SetOf(p), Campaigns: []string{"mine"}})})
	}
	all := access.SetOf(access.Grantable()...)
	revoked := r.key(access.Key{Scopes: all})
	id := revoked["Authorization"][len("Bearer swk_"):][:16]
	if err := r.store.RevokeKey(t.Context(), id, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	disabled := r.user("gone@example.org", access.Owner)
	gone := r.session(disabled)
	if err := r.store.SetDisabled(t.Context(), disabled.ID, true, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	good := r.key(access.Key{Scopes: all})["Authorization"]
	callers = append(callers,
		caller{name: "nobody"},
		caller{name: "a revoked key", header: revoked},
		caller{name: "an expired key", header: r.key(access.Key{Scopes: all, ExpiresAt: r.now().Add(-time.Second)})},
		caller{name: "a key with another's secret", header: map[string]string{"Authorization": good[:len("Bearer swk_")+17] + strings.Repeat("A", 43)}},
		caller{name: "a key in another scheme", header: map[string]string{"Authorization": "Basic " + good[len("Bearer "):]}},
		caller{name: "a made-up session", cookies: map[string]string{"spillway_session": strings.Repeat("A", 43)}},
		caller{name: "a disabled owner", cookies: gone},
	)
	for _, c := range callers {
		for _, route := range r.console.Routes() {
			if !strings.Contains(route.Path, "/probe/") {
				continue
			}
			if c.header != nil && c.known && !frame.IsJSON(route.Path) {
				continue // programs do not read pages; that they may is tested with people
			}
			for _, slug := range []string{"mine", "other"} {
				if slug == "other" && !strings.Contains(route.Path, "/slug/") {
					continue // nothing there depends on it
				}
				path := strings.Replace(route.Path, "{slug}", slug, 1)
				got := r.do(ask{method: route.Method, path: path, cookies: c.cookies, header: c.header})
				if want := expected(c, route, slug); got.status != want {
					t.Errorf("%s: %s %s: %d, want %d", c.name, route.Method, path, got.status, want)
				}
			}
		}
	}
}

// expected is the answer that the contract promises, by what stands in the path.
func expected(c caller, route frame.Route, slug string) int {
	parts := strings.Split(strings.TrimPrefix(strings.TrimPrefix(route.Path, "/admin"), "/v1"), "/")
	permission, scope := parts[2], parts[3]
	switch {
	case !c.known && !frame.IsJSON(route.Path) && route.Method == "GET":
		return 303 // to the login page
	case !c.known:
		return 401
	case !slices.Contains(strings.Fields(c.may), permission):
		return 403
	case c.bound == "" || scope == "some" || scope == "slug" && slug == c.bound:
		return 200
	}
	return 403
}

// The section of people is behind the same door.
func TestRoutes_OfPeopleAreForOwners(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	for _, role := range access.Roles() {
		cookies := r.session(r.user(string(role)+"@example.org", role))
		for path, needs := range map[string]string{"/admin/v1/users": "manage_users", "/admin/keys": "manage_users", "/admin/audit": "view_audit", "/admin/account": ""} {
			want := 403
			if needs == "" || slices.Contains(strings.Fields(allowed[role]), needs) {
				want = 200
			}
			wantStatus(t, string(role)+" "+path, r.do(ask{method: "GET", path: path, cookies: cookies}), want)
		}
	}
	wantStatus(t, "a key's account", r.do(ask{method: "GET", path: "/admin/account", header: r.key(access.Key{Scopes: access.SetOf(access.Grantable()...)})}), 403)
}

type routes []frame.Route

func (s routes) Routes() []frame.Route  { return s }
func (s routes) Menu() []frame.MenuItem { return nil }

// A section that forgets to say what a route needs does not start.
func TestNew_RefusesRoutesThatAreNotSafe(t *testing.T) {
	t.Parallel()
	handle := func(*frame.Request) error { return nil }
	good := frame.Route{Method: "GET", Path: "/admin/x", Needs: access.ViewDashboard, Handle: handle}
	for name, change := range map[string]func(*frame.Route){
		"no needs":      func(r *frame.Route) { r.Needs = 0 },
		"unknown needs": func(r *frame.Route) { r.Needs = 200 },
		"public":        func(r *frame.Route) { r.Needs = access.Public },
		"no handler":    func(r *frame.Route) { r.Handle = nil },
		"outside":       func(r *frame.Route) { r.Path = "/other" },
		"a trace":       func(r *frame.Route) { r.Method = "TRACE" },
		"the login":     func(r *frame.Route) { r.Path = "/admin/login" },
	} {
		route := good
		change(&route)
		if err := build(routes{route}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := build(routes{good}); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := build(routes{good, good}); err == nil {
		t.Error("one route twice: taken")
	}
}

func build(section frame.Section) error {
	deps := console.Deps{Sections: []frame.Section{section}}
	fill(&deps)
	_, err := console.New(console.Config{}, deps)
	return err
}

// Every answer of every route has the headers that protect whoever looks at it.
func TestHeaders_OnEveryRoute(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t), probe{})
	owner := r.session(r.user("ann@example.org", access.Owner))
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	check := func(what string, got answer, asset bool) {
		t.Helper()
		for name, value := range want {
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q", what, name, got.header.Get(name))
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", what, policy)
		}
		if strings.Contains(got.header.Get("Content-Type"), "html") && !asset && !strings.Contains(what, "/docs") {
			for _, bad := range []string{" style=", "<style", " onclick=", " onsubmit=", "javascript:"} {
				if strings.Contains(got.body, bad) {
					t.Errorf("%s: has %q, which its policy forbids", what, bad)
				}
			}
		}
		if cache := got.header.Get("Cache-Control"); asset != strings.Contains(cache, "immutable") || !asset && cache != "no-store" {
			t.Errorf("%s: Cache-Control %q", what, cache)
		}
		if got.header.Get("Server") != "" || got.status >= 500 {
			t.Errorf("%s: %d, Server %q: %.200s", what, got.status, got.header.Get("Server"), got.body)
		}
	}
	for _, route := range r.console.Routes() {
		path := strings.NewReplacer("{slug}", "mine", "{id}", "0", "{token}", "x").Replace(route.Path)
		asset := strings.HasPrefix(path, frame.AssetRoot)
		check(route.Method+" "+path, r.do(ask{method: route.Method, path: path}), asset)
		if route.Path == "/admin/logout" {
			continue
		}
		check("owner: "+route.Method+" "+path, r.do(ask{method: route.Method, path: path, cookies: owner}), asset)
	}
	check("no route", r.do(ask{method: "GET", path: "/admin/none", cookies: owner}), false)
	check("no method", r.do(ask{method: "DELETE", path: "/admin/users"}), false)
	secure := ask{method: "GET", path: "/admin/login"}
	from("192.0.2.1")(&secure)
	if got := r.do(secure); got.header.Get("Strict-Transport-Security") == "" {
		t.Error("nothing keeps a browser that came over TLS there")
	}
	if got := r.do(ask{method: "GET", path: "/admin/login"}); got.header.Get("Strict-Transport-Security") != "" {
		t.Error("a browser on the machine itself is told to come over TLS")
	}
}
