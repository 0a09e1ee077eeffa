package people_test

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	accessdb "spillway/campaigns/access/postgres"
	"spillway/campaigns/console"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/people"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi/openapitest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const password = "a horse that staples"

// rig is a console with this section alone, an owner who is signed in, and their key.
type rig struct {
	t     *testing.T
	store *accessdb.Store
	keys  *keyring.Keyring
	base  string
	owner access.User
	token string // of the session
	key   string
	spec  *openapitest.Spec
}

func serve(t *testing.T) *rig {
	t.Helper()
	store, err := accessdb.Open(accessdb.Config{URL: pgtest.URL(t)})
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
	hasher := credential.NewHasher(credential.Params{MemoryKiB: 64, Passes: 1, Lanes: 1})
	c, err := console.New(console.Config{}, console.Deps{
		Store: store, Opener: keys, Hasher: hasher, Sections: []frame.Section{people.New(store, keys, hasher)},
		Client: func(remote netip.Addr, _ string) netip.Addr { return remote }, Trusts: func(netip.Addr) bool { return false },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, store: store, keys: keys, base: "http://" + ln.Addr().String(), spec: openapitest.Load(t),
		owner: access.User{ID: credential.NewID(16), Email: "ann@example.org", Role: access.Owner}}
	phc, err := hasher.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	var sum credential.Sum
	r.token, sum = credential.NewToken()
	text, id, keySum := credential.NewKey()
	r.key = text
	for _, err := range []error{
		store.AddUser(t.Context(), r.owner, access.Entry{}),
		store.SetPassword(t.Context(), r.owner.ID, phc, "", access.Entry{}),
		store.StartSession(t.Context(), sum, access.Session{ID: "0123456789abcdef", User: r.owner.ID, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, false, access.Entry{}),
		store.AddKey(t.Context(), access.Key{ID: id, Name: "test", Scopes: access.SetOf(access.Grantable()...), CreatedAt: time.Now()}, keySum, access.Entry{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) send(req *http.Request) (int, http.Header, string) {
	r.t.Helper()
	got, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return got.StatusCode, got.Header, string(body)
}

// json asks by the key and holds the answer to the contract.
func (r *rig) json(want int, method, target, body string) map[string]any {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+r.key)
	status, header, text := r.send(req)
	if status != want {
		r.t.Errorf("%s %s %s: %d, want %d: %s", method, target, body, status, want, text)
	}
	faults, known := r.spec.Check(openapitest.Answer{Method: method, Target: target, Status: status, Header: header, Body: []byte(text)})
	if !known {
		r.t.Errorf("%s %s is not in the contract", method, target)
	}
	for _, f := range faults {
		r.t.Errorf("%s %s: the contract: %s: %d %s", method, target, f, status, text)
	}
	var doc map[string]any
	if text != "" {
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			r.t.Errorf("%s %s: %v: %s", method, target, err, text)
		}
	}
	return doc
}

// page asks as the owner's browser does; a nil form is a GET.
func (r *rig) page(want int, path string, form url.Values) string {
	r.t.Helper()
	method, body := "GET", io.Reader(nil)
	if form != nil {
		method, body = "POST", strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.AddCookie(&http.Cookie{Name: "spillway_session", Value: r.token})
	status, _, text := r.send(req)
	if status != want {
		r.t.Errorf("%s %s %v: %d, want %d: %s", method, path, form, status, want, text)
	}
	return text
}

// Everything that the pages do, headless, as the contract says it.
func TestJSON_UsersFromLinkToShutOut(t *testing.T) {
	r := serve(t)
	added := r.json(201, "POST", "/admin/v1/users", `{"email":"Finn@Example.org","role":"finance","reach":"campaigns","campaigns":["river-school","lake-clinic"]}`)
	if body := `{"email":"a@b.c","role":"finance","reach":"campaigns","campaigns":["a"]}`; len(r.spec.CheckRequest("POST", "/admin/v1/users", []byte(body))) > 0 {
		t.Error("the contract refuses what the console takes")
	}
	finn := added["user"].(map[string]any)
	id := "/admin/v1/users/" + finn["id"].(string)
	if finn["email"] != "finn@example.org" || finn["reach"] != "campaigns" || finn["has_password"] != false || !strings.HasPrefix(added["link"].(string), r.base+"/admin/link/") {
		t.Errorf("%v", added)
	}
	r.json(409, "POST", "/admin/v1/users", `{"email":"finn@example.org","role":"viewer","reach":"all"}`)
	for _, bad := range []string{
		`{"email":"x","role":"viewer","reach":"all"}`, `{"email":"x@y.z","role":"king","reach":"all"}`, `{"email":"x@y.z","role":"viewer","reach":""}`,
		`{"email":"x@y.z","role":"viewer","reach":"campaigns"}`, `{"email":"x@y.z","role":"viewer","reach":"campaigns","campaigns":["No Slug!"]}`,
		`{"email":"x@y.z","role":"viewer","reach":"all","campaigns":["a"]}`, `{"email":"x@y.z","role":"owner","reach":"campaigns","campaigns":["a"]}`,
	} {
		if doc := r.json(422, "POST", "/admin/v1/users", bad); doc["fields"] == nil {
			t.Errorf("%s: no field is named", bad)
		}
	}
	r.json(400, "POST", "/admin/v1/users", `{"email":"x@y.z","role":"viewer","reach":"all","admin":true}`)
	r.json(400, "POST", "/admin/v1/users", `{"email":"x@y.z","email":"z@y.z","role":"viewer","reach":"all"}`)
	r.json(415, "POST", "/admin/v1/users", "")
	if items := r.json(200, "GET", "/admin/v1/users?limit=1", "")["items"].([]any); len(items) != 1 {
		t.Errorf("%d users on a page of one", len(items))
	}
	next := r.json(200, "GET", "/admin/v1/users?limit=1", "")["next"].(string)
	if page := r.json(200, "GET", "/admin/v1/users?after="+url.QueryEscape(next), ""); len(page["items"].([]any)) != 1 || page["next"] != "" {
		t.Errorf("the second page: %v", page)
	}
	r.json(422, "GET", "/admin/v1/users?limit=0", "")

	if got := r.json(200, "POST", id, `{"role":"organiser","reach":"all"}`); got["role"] != "organiser" || got["reach"] != "all" || got["campaigns"] != nil {
		t.Errorf("%v", got)
	}
	r.json(422, "POST", id, `{"role":"organiser","reach":"some"}`)
	if got := r.json(200, "POST", id+"/disable", ""); got["disabled_at"] == nil {
		t.Errorf("%v", got)
	}
	r.json(409, "POST", id+"/link", "")
	r.json(200, "POST", id+"/enable", "")
	r.json(201, "POST", id+"/link", "")
	r.json(200, "POST", id+"/reset-totp", "")
	r.json(200, "POST", id+"/sign-out", "")
	r.json(200, "GET", id, "")
	for _, what := range []string{"", "/disable", "/enable", "/link", "/reset-totp", "/sign-out"} {
		method, body := "POST", ""
		if what == "" {
			r.json(404, "GET", "/admin/v1/users/none", "")
			body = `{"role":"viewer","reach":"all"}`
		}
		r.json(404, method, "/admin/v1/users/none"+what, body)
	}
	owner := "/admin/v1/users/" + r.owner.ID
	r.json(409, "POST", owner+"/disable", "")
	r.json(409, "POST", owner, `{"role":"viewer","reach":"all"}`)
	r.json(405, "DELETE", owner, "")

	log := r.json(200, "GET", "/admin/v1/audit?action=user.&limit=3", "")
	if items := log["items"].([]any); len(items) != 3 || items[0].(map[string]any)["action"] != "user.sign_out" || items[0].(map[string]any)["name"] != "test" {
		t.Errorf("%v", log)
	}
	r.json(200, "GET", "/admin/v1/audit?after="+log["next"].(string)+"&from=2020-01-01&to=2100-01-01", "")
	r.json(422, "GET", "/admin/v1/audit?from=yesterday", "")
	r.json(422, "GET", "/admin/v1/audit?after=x", "")
}

// A key that may manage users neither makes one who may more than it does, nor takes
// over one who may.
func TestJSON_KeysMakeNobodyMightier(t *testing.T) {
	r := serve(t)
	finn := r.json(201, "POST", "/admin/v1/users", `{"email":"finn@example.org","role":"finance","reach":"all"}`)["user"].(map[string]any)
	r.key = r.json(201, "POST", "/admin/v1/keys", `{"name":"hall","scopes":["manage_users","view_dashboard","view_campaigns","view_donations"],"reach":"all"}`)["secret"].(string)
	vic := r.json(201, "POST", "/admin/v1/users", `{"email":"vic@example.org","role":"viewer","reach":"all"}`)["user"].(map[string]any)
	for _, role := range []string{"owner", "organiser", "finance"} {
		r.json(422, "POST", "/admin/v1/users", `{"email":"mallory@example.org","role":"`+role+`","reach":"all"}`)
		r.json(422, "POST", "/admin/v1/users/"+vic["id"].(string), `{"role":"`+role+`","reach":"all"}`)
	}
	r.json(201, "POST", "/admin/v1/users/"+vic["id"].(string)+"/link", "")
	for _, id := range []string{r.owner.ID, finn["id"].(string)} {
		r.json(403, "POST", "/admin/v1/users/"+id+"/link", "")
		r.json(403, "POST", "/admin/v1/users/"+id+"/reset-totp", "")
		r.json(403, "POST", "/admin/v1/users/"+id+"/disable", "")
		r.json(403, "POST", "/admin/v1/users/"+id, `{"role":"viewer","reach":"all"}`)
	}
}

func TestJSON_KeysGiveNoMoreThanTheirMaker(t *testing.T) {
	r := serve(t)
	r.key = r.json(201, "POST", "/admin/v1/keys", `{"name":"people","scopes":["manage_users","view_audit"],"reach":"all"}`)["secret"].(string)
	made := r.json(201, "POST", "/admin/v1/keys", `{"name":"audit reader","scopes":["view_audit"],"reach":"all","days":7}`)
	secret := made["secret"].(string)
	k := made["key"].(map[string]any)
	r.json(422, "POST", "/admin/v1/keys", `{"name":"refunder","scopes":["refund"],"reach":"all"}`) // the key that asks has no such scope
	for _, bad := range []string{
		`{"name":"","scopes":["view_audit"],"reach":"all"}`, `{"name":"x","scopes":[],"reach":"all"}`, `{"name":"x","scopes":["own_account"],"reach":"all"}`,
		`{"name":"x","scopes":["view_audit"],"reach":"all","days":-1}`, `{"name":"x","scopes":["view_audit"],"reach":"none"}`,
	} {
		r.json(422, "POST", "/admin/v1/keys", bad)
	}
	if items := r.json(200, "GET", "/admin/v1/keys", "")["items"].([]any); len(items) != 3 || strings.Contains(r.page(200, "/admin/keys", nil), secret[21:]) {
		t.Errorf("%v", items)
	}
	first := r.key
	r.key = secret
	r.json(200, "GET", "/admin/v1/audit", "")
	r.json(403, "GET", "/admin/v1/keys", "")
	r.key = first
	r.json(204, "POST", "/admin/v1/keys/"+k["id"].(string)+"/revoke", "")
	r.json(404, "POST", "/admin/v1/keys/none/revoke", "")
}

// Script and HTML in names show as text.
func TestPages_ShowTextAsText(t *testing.T) {
	r := serve(t)
	const evil = `<script>alert(1)</script>"'&`
	r.page(200, "/admin/keys", url.Values{"name": {evil}, "scopes": {"export"}, "reach": {"all"}, "days": {"1"}})
	for _, path := range []string{"/admin/keys", "/admin/audit", "/admin/audit?name=" + url.QueryEscape(evil), "/admin/nothing" + url.PathEscape(evil)} {
		want := 200
		if strings.HasPrefix(path, "/admin/nothing") {
			want = 404
		}
		if text := r.page(want, path, nil); strings.Contains(text, "<script>alert") {
			t.Errorf("%s carries a script", path)
		}
	}
	if text := r.page(422, "/admin/users", url.Values{"email": {evil}, "role": {"viewer"}, "reach": {"all"}}); strings.Contains(text, "<script>alert") || !strings.Contains(text, "&lt;script&gt;") {
		t.Error("what was typed comes back as a script, or not at all")
	}
}

func TestAccount_PasswordAndSecondFactor(t *testing.T) {
	r := serve(t)
	now := time.Now()
	other, sum := credential.NewToken()
	if err := r.store.StartSession(t.Context(), sum, access.Session{ID: "other", User: r.owner.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, false, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	const fresh = "another horse with staples"
	r.page(422, "/admin/account/password", url.Values{"current": {"wrong"}, "password": {fresh}, "again": {fresh}})
	r.page(422, "/admin/account/password", url.Values{"current": {password}, "password": {fresh}, "again": {"x"}})
	r.page(422, "/admin/account/password", url.Values{"current": {password}, "password": {"short"}, "again": {"short"}})
	r.page(303, "/admin/account/password", url.Values{"current": {password}, "password": {fresh}, "again": {fresh}})
	if _, err := r.store.Session(t.Context(), credential.SumOf(other)); err == nil {
		t.Error("a session elsewhere outlives the password")
	}

	page := r.page(200, "/admin/account/factor", url.Values{})
	found := regexp.MustCompile(`name="secret" value="([A-Z2-7 ]+)"`).FindStringSubmatch(page)
	if found == nil || !strings.Contains(page, "<svg class=\"qr\"") {
		t.Fatal(page)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(found[1], " ", ""))
	if err != nil || len(secret) != credential.FactorBytes {
		t.Fatal(err)
	}
	code, err := credential.FactorCode(secret, credential.FactorStep(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	r.page(422, "/admin/account/factor/confirm", url.Values{"secret": {"AAAA"}, "code": {code}, "current": {fresh}})
	codes := r.page(200, "/admin/account/factor/confirm", url.Values{"secret": {found[1]}, "code": {code}, "current": {fresh}})
	if n := len(regexp.MustCompile(`<code>([a-z2-7]{4}-){3}[a-z2-7]{4}</code>`).FindAllString(codes, -1)); n != credential.RecoveryCodes {
		t.Errorf("%d recovery codes are shown", n)
	}
	p, err := r.store.Proofs(t.Context(), r.owner.ID)
	if err != nil || !p.TOTP || strings.Contains(string(p.Factor), string(secret)) || p.Step == 0 {
		t.Errorf("%+v, %v", p.User, err)
	}
	if opened, err := r.keys.OpenSecret(r.owner.ID, p.Factor); err != nil || string(opened) != string(secret) {
		t.Errorf("the secret does not open: %v", err)
	}
	if _, err := r.keys.OpenSecret("another", p.Factor); err == nil {
		t.Error("it opens for another user")
	}
	// Whoever sits at an open session cannot guess the password for long.
	for range 4 { // one was used above
		r.page(422, "/admin/account/factor/remove", url.Values{"current": {"wrong"}})
	}
	if text := r.page(422, "/admin/account/factor/remove", url.Values{"current": {fresh}}); !strings.Contains(text, "too often") {
		t.Error("the sixth guess was let through")
	}
	if p, err := r.store.Proofs(t.Context(), r.owner.ID); err != nil || !p.TOTP {
		t.Errorf("the second factor is gone: %v", err)
	}
	r.page(303, "/admin/account/sessions/end", url.Values{"id": {""}})
	r.page(409, "/admin/account/sessions/end", url.Values{"id": {"0123456789abcdef"}})
	r.page(200, "/admin/account", nil)
	r.page(200, "/admin/users/"+r.owner.ID, nil)
}
