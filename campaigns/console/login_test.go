package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/deploy/onebox/pgtest"
)

func TestLogin_OpensTheConsoleAndLogoutClosesIt(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	r.user("ann@example.org", access.Owner)
	got := r.login(" Ann@Example.org ", rightPassword, func(a *ask) { a.form.Set("next", "/admin/audit?name=x") })
	if got.status != 303 || !strings.HasSuffix(got.header.Get("Location"), "/admin/audit?name=x") {
		t.Fatalf("%d to %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	cookie := got.cookies["spillway_session"]
	if cookie == nil || !cookie.HttpOnly || cookie.Secure || cookie.Domain != "" || cookie.Path != "/" || len(cookie.Value) != 43 {
		t.Fatalf("session cookie %+v", cookie)
	}
	in := map[string]string{"spillway_session": cookie.Value}
	wantStatus(t, "signed in", r.do(ask{method: "GET", path: "/admin/users", cookies: in}), 200)
	wantStatus(t, "the login page, when signed in", r.do(ask{method: "GET", path: "/admin/login", cookies: in}), 303)

	again := r.login("ann@example.org", rightPassword, with(in))
	if again.cookies["spillway_session"].Value == cookie.Value {
		t.Error("the token is the one before")
	}
	wantStatus(t, "the session before the second login", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: in}), 401)

	in["spillway_session"] = again.cookies["spillway_session"].Value
	out := r.do(ask{method: "POST", path: "/admin/logout", cookies: in})
	if c := out.cookies["spillway_session"]; out.status != 303 || c == nil || c.Value != "" {
		t.Errorf("logout: %d, cookie %+v", out.status, c)
	}
	wantStatus(t, "after logout", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: in}), 401)
}

// Nothing in the answer tells whether there is such a user.
func TestLogin_TellsNobodyWhoIsAUser(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	r.user("ann@example.org", access.Owner)
	gone := r.user("gone@example.org", access.Viewer)
	if err := r.store.SetDisabled(t.Context(), gone.ID, true, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	invited := access.User{ID: credential.NewID(16), Email: "new@example.org", Role: access.Viewer}
	if err := r.store.AddUser(t.Context(), invited, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	same := func(got answer, typed string) string {
		if got.status != 401 || len(got.cookies) > 0 {
			t.Errorf("%s: %d, cookies %v", typed, got.status, got.cookies)
		}
		return strings.ReplaceAll(got.body, typed, "")
	}
	want := same(r.login("ann@example.org", "wrong password here"), "ann@example.org")
	for typed, password := range map[string]string{"bob@example.org": "wrong password here", "gone@example.org": rightPassword, "new@example.org": "", "not an address": "x"} {
		if got := same(r.login(typed, password), typed); got != want {
			t.Errorf("%s gets another page:\n%s\n%s", typed, got, want)
		}
	}
}

func TestLogin_GoesNowhereElse(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	r.user("ann@example.org", access.Owner)
	for _, next := range []string{"https://evil.example/admin", "//evil.example/admin", "/\\evil.example", "/admin/../evil", "javascript:alert(1)", "/other", "/admin/v1/users", "/admin/login", "/admin\r\nX: y", ""} {
		got := r.login("ann@example.org", rightPassword, func(a *ask) { a.form.Set("next", next) })
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || got.status != 303 || to.Path != "/admin" && next != "/admin/../evil" || to.Host != "" && to.Host != r.address {
			t.Errorf("%q: %d to %q", next, got.status, got.header.Get("Location"))
		}
	}
}

// Guesses are slowed down, and do not keep the user out of their own browser.
func TestLogin_GuessesLockNobodyOut(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	r.user("ann@example.org", access.Owner)
	home := r.login("ann@example.org", rightPassword, from("192.0.2.1"))
	device := map[string]string{"__Host-spillway_device": home.cookies["__Host-spillway_device"].Value}

	refused := 0
	for i := range 40 { // from as many addresses
		got := r.login("ann@example.org", "wrong password here", from(fmt.Sprintf("198.51.100.%d", i)))
		if got.status == 429 {
			refused++
			if got.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
	if refused < 25 {
		t.Errorf("only %d of 40 guesses were refused", refused)
	}
	if got := r.login("ann@example.org", rightPassword, from("203.0.113.9")); got.status != 429 {
		t.Errorf("elsewhere the right password got %d meanwhile", got.status)
	}
	if got := r.login("ann@example.org", rightPassword, from("192.0.2.1"), with(device)); got.status != 303 {
		t.Errorf("in their own browser they got %d", got.status)
	}
	// A made-up device is no device.
	if got := r.login("ann@example.org", rightPassword, from("203.0.113.10"), with(map[string]string{"__Host-spillway_device": strings.Repeat("A", 43)})); got.status != 429 {
		t.Errorf("with a made-up device: %d", got.status)
	}

	// One address cannot try everybody.
	refused = 0
	for i := range 40 {
		if got := r.login(fmt.Sprintf("somebody%d@example.org", i), "wrong password here", from("2001:db8::"+fmt.Sprint(i+1))); got.status == 429 {
			refused++
		}
	}
	if refused != 20 {
		t.Errorf("%d of 40 guesses of one household were refused, want 20", refused)
	}
	r.advance(time.Hour)
	if got := r.login("ann@example.org", rightPassword, from("203.0.113.9")); got.status != 303 {
		t.Errorf("an hour later: %d", got.status)
	}
}

func TestSession_Ends(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	u := r.user("ann@example.org", access.Owner)
	get := func(cookies map[string]string) int {
		return r.do(ask{method: "GET", path: "/admin/v1/users", cookies: cookies}).status
	}

	idle := r.session(u)
	r.advance(7 * time.Hour)
	if got := get(idle); got != 200 {
		t.Fatalf("after 7 hours: %d", got)
	}
	r.advance(7 * time.Hour) // seen in between
	if got := get(idle); got != 200 {
		t.Errorf("7 hours after it was used: %d", got)
	}
	r.advance(8*time.Hour + 2*time.Minute)
	if got := get(idle); got != 401 {
		t.Errorf("after 8 idle hours: %d", got)
	}

	long := r.session(u)
	for range 5 {
		r.advance(7 * time.Hour)
		if got := get(long); got != 200 {
			t.Errorf("in use: %d", got)
		}
	}
	r.advance(time.Hour + time.Minute)
	if got := get(long); got != 401 {
		t.Errorf("after 36 hours: %d", got)
	}

	// What is ended or taken away elsewhere holds here within a second.
	ended := r.session(u)
	if got := get(ended); got != 200 {
		t.Fatal(got)
	}
	if err := r.store.EndSessions(t.Context(), u.ID, "", "", access.Entry{}); err != nil {
		t.Fatal(err)
	}
	r.advance(time.Second)
	if got := get(ended); got != 401 {
		t.Errorf("ended everywhere: %d", got)
	}
	r.user("eve@example.org", access.Owner)
	lowered := r.session(u)
	if got := get(lowered); got != 200 {
		t.Fatal(got)
	}
	if err := r.store.SetAccess(t.Context(), u.ID, access.Viewer, nil, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	r.advance(time.Second)
	if got := get(lowered); got != 403 {
		t.Errorf("with a lower role: %d", got)
	}
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	u := r.user("ann@example.org", access.Owner)
	secret := credential.NewFactor()
	codes, sums := credential.NewRecoveryCodes()
	if err := r.store.SetFactor(t.Context(), u.ID, r.keys.SealSecret(u.ID, secret), 0, sums, "", access.Entry{}); err != nil {
		t.Fatal(err)
	}
	begin := func() map[string]string {
		t.Helper()
		got := r.login("ann@example.org", rightPassword)
		if got.status != 303 || !strings.Contains(got.header.Get("Location"), "/admin/login/code") || got.cookies["spillway_session"] != nil {
			t.Fatalf("after the password: %d to %q, cookies %v", got.status, got.header.Get("Location"), got.cookies)
		}
		return map[string]string{"spillway_login": got.cookies["spillway_login"].Value}
	}
	code := func(pending map[string]string, code string) answer {
		return r.do(ask{method: "POST", path: "/admin/login/code", cookies: pending, form: url.Values{"code": {code}}})
	}
	right := func() string {
		c, err := credential.FactorCode(secret, credential.FactorStep(r.now()))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	pending := begin()
	wantStatus(t, "the password alone", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: map[string]string{"spillway_session": pending["spillway_login"]}}), 401)
	wantStatus(t, "the page", r.do(ask{method: "GET", path: "/admin/login/code", cookies: pending}), 200)
	wantStatus(t, "a wrong code", code(pending, "000000"), 401)
	used := right()
	got := code(pending, used[:3]+" "+used[3:])
	if got.status != 303 || got.cookies["spillway_session"] == nil {
		t.Fatalf("the right code: %d", got.status)
	}
	wantStatus(t, "signed in", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: map[string]string{"spillway_session": got.cookies["spillway_session"].Value}}), 200)
	wantStatus(t, "the pending login again", r.do(ask{method: "GET", path: "/admin/login/code", cookies: pending}), 303)

	pending = begin()
	wantStatus(t, "the same code again", code(pending, used), 401)
	r.advance(30 * time.Second)
	// Of many at once with one code, one gets in.
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	one := right()
	for range 4 {
		wg.Go(func() {
			got, err := r.try(ask{method: "POST", path: "/admin/login/code", cookies: pending, form: url.Values{"code": {one}}})
			mu.Lock()
			defer mu.Unlock()
			if err == nil && got.cookies["spillway_session"] != nil && got.cookies["spillway_session"].Value != "" {
				in++
			}
		})
	}
	wg.Wait()
	if in != 1 {
		t.Errorf("one code let %d in", in)
	}

	pending = begin()
	if got := code(pending, strings.ToUpper(codes[3])); got.status != 303 || got.cookies["spillway_session"] == nil {
		t.Errorf("a recovery code: %d", got.status)
	}
	pending = begin()
	wantStatus(t, "the same recovery code", code(pending, codes[3]), 401)
	r.advance(time.Hour)
	pending = begin()
	for range 5 {
		wantStatus(t, "wrong", code(pending, "000000"), 401)
	}
	r.advance(30 * time.Second)
	if got := code(pending, right()); got.cookies["spillway_session"] != nil || !strings.HasSuffix(got.header.Get("Location"), "/admin/login") {
		t.Errorf("after five wrong codes: %d", got.status)
	}
	r.advance(time.Hour)
	pending = begin()
	r.advance(5 * time.Minute)
	if got := code(pending, right()); got.cookies["spillway_session"] != nil {
		t.Error("a password waits for its second factor for ever")
	}
}

func TestLink_OfTheFirstOwnerWorksOnce(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	link := func(life time.Duration, user string) string {
		t.Helper()
		token, sum := credential.NewToken()
		if err := r.store.AddLink(t.Context(), sum, user, r.now().Add(life), access.Entry{}); err != nil {
			t.Fatal(err)
		}
		r.log.secret(token)
		return "/admin/link/" + token
	}
	claim := func(path, email, password string) answer {
		got, err := r.try(ask{method: "POST", path: path, form: url.Values{"email": {email}, "password": {password}, "again": {password}}})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	late := link(-time.Second, "")
	wantStatus(t, "a late link", r.do(ask{method: "GET", path: late}), 404)
	wantStatus(t, "a late link, used", claim(late, "eve@example.org", rightPassword), 404)
	first, other := link(time.Hour, ""), link(time.Hour, "")
	for range 3 { // looking uses nothing up
		wantStatus(t, "the first owner's link", r.do(ask{method: "GET", path: first}), 200)
	}
	wantStatus(t, "a short password", claim(first, "ann@example.org", "short"), 422)
	wantStatus(t, "no address", claim(first, "ann", rightPassword), 422)
	var wg sync.WaitGroup
	var mu sync.Mutex
	owners := 0
	for i := range 4 {
		wg.Go(func() {
			got := claim([]string{first, other}[i%2], fmt.Sprintf("owner%d@example.org", i), rightPassword)
			mu.Lock()
			defer mu.Unlock()
			if got.status == 303 {
				owners++
			}
		})
	}
	wg.Wait()
	users, err := r.store.Users(t.Context(), "", 10)
	if err != nil || len(users) != 1 || owners != 1 || users[0].Role != access.Owner {
		t.Fatalf("%d were told to be the owner; users %+v, %v", owners, users, err)
	}
	r.advance(10 * time.Minute) // this address tried a lot
	wantStatus(t, "while there is a user", claim(link(time.Hour, ""), "eve@example.org", rightPassword), 404)
	if got := r.login(users[0].Email, rightPassword); got.status != 303 {
		t.Errorf("the first owner cannot sign in: %d", got.status)
	}

	// A user's own link sets a password once and ends every session.
	u := users[0]
	in := r.session(u)
	own := link(time.Hour, u.ID)
	wantStatus(t, "a new password", claim(own, "", "another horse with staples"), 303)
	wantStatus(t, "the link again", claim(own, "", rightPassword), 404)
	r.advance(time.Second)
	wantStatus(t, "the session before", r.do(ask{method: "GET", path: "/admin/v1/users", cookies: in}), 401)
	if got := r.login(u.Email, rightPassword); got.status != 401 {
		t.Errorf("the old password: %d", got.status)
	}
}
