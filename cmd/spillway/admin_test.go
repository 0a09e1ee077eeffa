package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi/openapitest"
)

// openOffice is a whole console, as the admin role wires it.
func openOffice(t *testing.T) *office {
	t.Helper()
	database := pgtest.URL(t)
	if err := migrate(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := listen("127.0.0.1:0", "--admin-listen")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	group := lifecycle.New(log)
	t.Cleanup(func() {
		if err := group.Stop(); err != nil {
			t.Error(err)
		}
	})
	o := &office{broker: brokertest.Start(t, brokertest.WithoutSync()).Config(), database: database, secrets: keys, listener: ln,
		registry: prometheus.NewRegistry(), log: log, console: config.Console{SessionIdle: time.Hour, SessionLife: time.Hour}}
	if err := o.start(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	return o
}

// somebody is one who walks through the console.
type somebody struct {
	name   string
	user   access.User
	header func() http.Header
	access.Principal
}

// Every route that the console has, whichever section it is of, for every role, API
// keys of every scope, those who are bound to one campaign, and nobody: what the route
// says that it needs is what decides.
func TestConsole_EveryRouteOfEverySectionIsBehindTheDoor(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	base := "http://" + o.listener.Addr().String()
	var walkers []somebody
	session := func(u access.User) func() http.Header {
		return func() http.Header {
			token, sum := credential.NewToken()
			s := access.Session{ID: credential.NewID(8), User: u.ID, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
			if err := o.users.StartSession(t.Context(), sum, s, false, access.Entry{}); err != nil {
				t.Fatal(err)
			}
			return http.Header{"Cookie": {"spillway_session=" + token}}
		}
	}
	for _, role := range access.Roles() {
		for _, bound := range [][]string{nil, {"mine"}} {
			if role == access.Owner && bound != nil {
				continue
			}
			u := access.User{ID: credential.NewID(16), Email: credential.NewID(4) + "@example.org", Role: role, Campaigns: bound}
			if err := o.users.AddUser(t.Context(), u, access.Entry{}); err != nil {
				t.Fatal(err)
			}
			walkers = append(walkers, somebody{fmt.Sprint(role, " of ", bound), u, session(u), u.Principal()})
		}
	}
	for _, p := range access.Grantable() {
		text, id, sum := credential.NewKey()
		k := access.Key{ID: id, Name: "test", Scopes: access.SetOf(p), CreatedAt: time.Now()}
		if err := o.users.AddKey(t.Context(), k, sum, access.Entry{}); err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Authorization": {"Bearer " + text}}
		walkers = append(walkers, somebody{"key of " + p.String(), access.User{}, func() http.Header { return header }, k.Principal()})
	}
	walkers = append(walkers, somebody{name: "nobody", header: func() http.Header { return http.Header{} }})

	names := regexp.MustCompile(`\{[^}]+\}`)
	sections, routes := map[string]bool{}, 0
	for _, w := range walkers {
		header := w.header()
		for _, route := range o.server.Routes() {
			if route.Needs == access.Public {
				continue
			}
			routes++
			sections[strings.Split(strings.TrimPrefix(strings.TrimPrefix(route.Path, "/admin"), "/v1")+"/", "/")[1]] = true
			path := names.ReplaceAllString(strings.ReplaceAll(route.Path, "{slug}", "mine"), "none")
			scope := ""
			if route.Scope != nil {
				scope = "mine" // the only campaign that is asked for
			}
			// Who is let in does the thing: to things that are not there, with nothing sent.
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			req, err := http.NewRequestWithContext(ctx, route.Method, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header.Clone()
			got, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			code := ""
			if got.StatusCode >= 400 && strings.HasPrefix(got.Header.Get("Content-Type"), "application/problem") {
				var problem struct{ Code string }
				if err := json.NewDecoder(got.Body).Decode(&problem); err != nil {
					t.Error(err)
				}
				code = problem.Code
			}
			_ = got.Body.Close() // a stream ends with it
			cancel()
			what := fmt.Sprintf("%s: %s %s (needs %v): %d %s", w.name, route.Method, path, route.Needs, got.StatusCode, code)
			toLogin := got.StatusCode == 303 && strings.Contains(got.Header.Get("Location"), "/admin/login")
			switch {
			case !w.Known():
				if want := route.Method == "GET" && !frame.IsJSON(path); want != toLogin || !want && got.StatusCode != 401 {
					t.Error(what)
				}
			case w.Can(route.Needs, scope):
				// A route may ask for more inside, of those who are bound to campaigns or hold one scope.
				whole := !w.Key && !w.Limited() && w.Role == access.Owner
				if got.StatusCode == 401 && code == "not_signed_in" || got.StatusCode == 403 && whole || got.StatusCode == 500 || toLogin && route.Path != "/admin/logout" {
					t.Errorf("%s, and it may", what)
				}
			case got.StatusCode != 403:
				t.Errorf("%s, and it may not", what)
			}
			if route.Path == "/admin/logout" && w.Known() && !w.Key {
				header = w.header() // it worked
			}
		}
	}
	for _, want := range []string{"users", "keys", "audit", "account", "dashboard"} {
		if !sections[want] {
			t.Errorf("no route of %s was walked: %v", want, sections)
		}
	}
	if routes < 800 {
		t.Errorf("only %d answers", routes)
	}
}

// What programs may ask stands in the contract.
func TestConsole_HeadlessRoutesStandInTheContract(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	spec := openapitest.Load(t)
	found := 0
	for _, route := range o.server.Routes() {
		if !strings.HasPrefix(route.Path, frame.JSONRoot+"/") {
			continue
		}
		faults, known := spec.Check(openapitest.Answer{Method: route.Method, Target: route.Path, Status: 599})
		if !known || strings.Contains(strings.Join(faults, ""), "is not a method") {
			t.Errorf("%s %s is not in openapi.yaml", route.Method, route.Path)
		}
		found++
	}
	if found < 15 {
		t.Errorf("only %d routes looked at", found)
	}
}

// The first owner gets in by the link that up makes, once, and others by the command
// line.
func TestUser_LinksOpenTheConsole(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	link, err := o.invite(t.Context())
	if err != nil || !strings.HasPrefix(link, o.url()+"/link/") {
		t.Fatalf("%q, %v", link, err)
	}
	const password = "a horse that staples"
	claim := func(link string) int {
		t.Helper()
		got, err := http.DefaultTransport.RoundTrip(post(t, link, url.Values{"email": {"ann@example.org"}, "password": {password}, "again": {password}}))
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		return got.StatusCode
	}
	if got := claim(link); got != 303 {
		t.Fatalf("first owner: %d", got)
	}
	if got := claim(link); got != 404 {
		t.Errorf("the same link again: %d", got)
	}
	if again, err := o.invite(t.Context()); again != "" || err != nil {
		t.Errorf("with a user there: %q, %v", again, err)
	}
	command := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		args = append(args, "--database-url", o.database, "--console-url", strings.TrimSuffix(o.url(), "/admin"))
		if got := run(args, nil, &out, &errs); got != want {
			t.Fatalf("%q: exit status %d: %s", args[:3], got, errs.String())
		}
		return out.String()
	}
	linkIn := regexp.MustCompile(`http://\S+/admin/link/\S+`)
	added := command(0, "user", "add", "--email", "Finn@example.org", "--role", "finance", "--campaigns", "river-school,lake-clinic")
	if got := claim(linkIn.FindString(added)); got != 303 {
		t.Errorf("%q: %d", added, got)
	}
	command(1, "user", "add", "--email", "finn@example.org", "--role", "viewer")
	command(1, "user", "disable", "ann@example.org")
	command(1, "user", "link", "nobody@example.org")
	command(0, "user", "disable", "finn@example.org")
	command(1, "user", "link", "finn@example.org")
	command(0, "user", "enable", "finn@example.org")
	command(0, "user", "reset-totp", "finn@example.org")
	reset := linkIn.FindString(command(0, "user", "reset-password", "ann@example.org"))
	list := command(0, "user", "list")
	for _, want := range []string{"ann@example.org", "owner", "finn@example.org", "finance", "river-school,lake-clinic"} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
	if got := claim(reset); got != 303 {
		t.Errorf("the owner's reset: %d", got)
	}
	all, err := o.users.Log(t.Context(), access.LogQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range all {
		actions = append(actions, e.Action)
	}
	slices.Reverse(actions)
	want := "user.link user.first user.add user.link user.password user.disable user.enable user.totp_reset user.password user.link user.password"
	if got := strings.Join(actions, " "); got != want {
		t.Errorf("audit log\n%s, want\n%s", got, want)
	}
}

func post(t *testing.T, to string, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// up says where the console is, and how the first owner gets in, to people and to
// programs.
func TestUp_TellsWhereTheConsoleIs(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	all := launch(t, upArgs(dir)...)
	var run onebox.Run
	eventually(t, func() (err error) {
		run, err = onebox.ReadRun(dir)
		return err
	})
	got, err := http.Get(run.FirstOwnerURL)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(got.Body)
	_ = got.Body.Close()
	if err != nil || got.StatusCode != 200 || !strings.Contains(string(page), "The first owner") || !strings.HasPrefix(run.FirstOwnerURL, run.ConsoleURL+"/link/") {
		t.Errorf("%s: %d, %v", run.FirstOwnerURL, got.StatusCode, err)
	}
	eventually(t, func() error {
		got, err := http.Get(run.HTTPURL + "/readyz")
		if err == nil {
			_ = got.Body.Close()
			if got.StatusCode != 200 {
				err = fmt.Errorf("not ready: %d", got.StatusCode)
			}
		}
		return err
	})
	all.stop()
	for _, c := range []struct {
		run  onebox.Run
		want string
	}{
		{onebox.Run{}, "none here"},
		{onebox.Run{ConsoleURL: "http://x/admin"}, "http://x/admin"},
		{run, run.ConsoleURL + "\n  first owner " + run.FirstOwnerURL + "  (once, within 24h)"},
	} {
		if got := (&up{run: c.run}).whereConsole(); got != c.want {
			t.Errorf("people read %q, want %q", got, c.want)
		}
	}
}
