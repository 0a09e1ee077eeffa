package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

var (
	won  = ingest.Fingerprint{1}
	lost = ingest.Fingerprint{2}
)

// recorded is the ledger's word of the donation under key.
func recorded() ledger.State {
	return ledger.State{
		Found: true, Book: ledger.Live, Fingerprint: won, Status: ledger.StatusAccepted,
		AmountMinor: 5425, FeeCoverMinor: 175, Currency: "USD",
		ReceivedAt: noon.Truncate(time.Microsecond), RecordedAt: noon.Add(time.Second).Truncate(time.Microsecond),
		Lines:     []ledger.StateLine{{Campaign: "river-school", AmountMinor: 5000}, {Campaign: "food-bank", AmountMinor: 250}},
		Conflicts: [][16]byte{lost}, AttemptNo: 1,
	}
}

// ask asks for the state of the donation under key.
func (h *house) ask(t testing.TB, query string, headers ...string) *reply {
	t.Helper()
	return h.send(t, request("GET", "/v1/donations/"+idOf(key).String()+query, "", headers...))
}

func (h *house) bearer(kind byte, fp ingest.Fingerprint) string {
	return "Authorization: Bearer " + string(h.keys.Token(nil, kind, idOf(key), fp))
}

// Every combination of who asks and what the ledger says has its answer.
func TestState_EachCase(t *testing.T) {
	h := serve(t, options{})
	id := idOf(key)
	public := `{"id":"` + id.String() + `","status":"accepted","stale":false}`
	stale := `{"id":"` + id.String() + `","status":"accepted","stale":true}`
	held := `{"id":"` + id.String() + `","status":"accepted","stale":false,"conflict":false,"amount_minor":5425,"fee_cover_minor":175,"currency":"USD",` +
		`"lines":[{"campaign":"river-school","amount_minor":5000},{"campaign":"food-bank","amount_minor":250}],` +
		`"accepted_at":"2026-11-22T12:00:00.123456Z","recorded_at":"2026-11-22T12:00:01.123456Z","attempt_no":1,"refunded_minor":0}`
	loser := `{"id":"` + id.String() + `","status":"accepted","stale":false,"conflict":true}`

	body := func(name string, r *reply, want string) {
		t.Helper()
		if r.status != 200 || r.body != want {
			t.Errorf("%s: %d\n got %s\nwant %s", name, r.status, r.body, want)
		}
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", name, r.header)
		}
	}
	problem := func(name string, r *reply, status int, code string, retryable bool) {
		t.Helper()
		if r.status != status || r.str("code") != code || r.json["retryable"] != retryable {
			t.Errorf("%s: %d %s, want %d %s retryable %v", name, r.status, r.body, status, code, retryable)
		}
		isProblem(t, r)
		if r.str("instance") != "/v1/donations/"+id.String() {
			t.Errorf("%s: instance %q", name, r.str("instance"))
		}
	}

	// Not recorded, not yet or never.
	body("told accepted, not recorded yet", h.ask(t, "", h.bearer(keyring.Accepted, won)), stale)
	problem("not told, not recorded", h.ask(t, "", h.bearer(keyring.Unknown, won)), 404, "unknown_donation", true)
	problem("nobody, not recorded", h.ask(t, ""), 404, "unknown_donation", false)

	// Recorded.
	h.states.put(id, recorded())
	body("told accepted", h.ask(t, "", h.bearer(keyring.Accepted, won)), held)
	body("not told", h.ask(t, "", h.bearer(keyring.Unknown, won)), held)
	body("nobody", h.ask(t, ""), public)
	body("told accepted and lost", h.ask(t, "", h.bearer(keyring.Accepted, lost)), loser)
	body("not told and lost", h.ask(t, "", h.bearer(keyring.Unknown, lost)), loser)

	// No answer from the ledger.
	h.states.fail(errDown)
	body("told accepted, no answer", h.ask(t, "", h.bearer(keyring.Accepted, won)), stale)
	problem("not told, no answer", h.ask(t, "", h.bearer(keyring.Unknown, won)), 503, "state_unavailable", true)
	problem("nobody, no answer", h.ask(t, ""), 503, "state_unavailable", true)

	// Tokens that are none.
	for name, header := range map[string]string{
		"another donation's token": "Authorization: Bearer " + string(h.keys.Token(nil, keyring.Accepted, idOf("another-donation-1"), won)),
		"no token":                 "Authorization: Bearer ",
		"half a token":             h.bearer(keyring.Accepted, won)[:len(h.bearer(keyring.Accepted, won))-1],
		"a token and more":         h.bearer(keyring.Accepted, won) + "x",
		"another scheme":           "Authorization: Basic YWRhOmFkYQ==",
		"no scheme":                "Authorization: " + string(h.keys.Token(nil, keyring.Accepted, id, won)),
		"two tokens":               h.bearer(keyring.Accepted, won) + "\r\n" + h.bearer(keyring.Accepted, won),
	} {
		r := h.ask(t, "", header)
		problem(name, r, 401, "bad_token", false)
		if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", name, r.header.Get("WWW-Authenticate"))
		}
	}
	h.states.fail(nil)
	body("scheme in small letters", h.ask(t, "", strings.Replace(h.bearer(keyring.Accepted, won), "Bearer", "bearer", 1)), held)
	for _, query := range []string{"?wait=", "?wait=-1", "?wait=31", "?wait=1.5", "?wait=x", "?wait=1&wait=1", "?wait=001", "?wait=+1", "?wait"} {
		problem(query, h.ask(t, query), 400, "bad_query", false)
	}
	body("wait=0", h.ask(t, "?wait=0"), public)
	body("another query", h.ask(t, "?x=y"), public)

	for name, path := range map[string]string{
		"not an ID":             "x",
		"an ID cut short":       id.String()[:35],
		"an ID of another kind": "9f186430-9745-4dcc-8198-f62cddd10415",
	} {
		if r := h.send(t, request("GET", "/v1/donations/"+path, "")); r.status != 404 || r.str("code") != "unknown_donation" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := h.send(t, request("GET", "/v1/donations/"+strings.ToUpper(id.String()), "")); r.status != 200 || r.body != public {
		t.Errorf("an ID in capitals: %d %s", r.status, r.body)
	}
	if r := h.send(t, request("HEAD", "/v1/donations/"+id.String(), "")); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
}

// What a front-end answers to POST is what the state is asked with.
func TestState_TheTokensOfAnswersWork(t *testing.T) {
	h := serve(t, options{})
	given := h.send(t, donation(sound))
	r := h.send(t, request("GET", given.str("status_url"), "", "Authorization: Bearer "+given.str("token")))
	if r.status != 200 || r.json["stale"] != true {
		t.Errorf("after 202: %d %s", r.status, r.body)
	}
	h.publisher.fail(ingest.ErrUnknown)
	unknown := h.send(t, donation(sound))
	r = h.send(t, request("GET", unknown.str("status_url"), "", "Authorization: Bearer "+unknown.str("token")))
	if r.status != 404 || r.json["retryable"] != true {
		t.Errorf("after 503: %d %s", r.status, r.body)
	}
}

// A ledger that says nothing costs a donor 300 ms, not more.
func TestState_SilenceIsBounded(t *testing.T) {
	h := serve(t, options{})
	h.states.silent = true
	begun := time.Now()
	r := h.ask(t, "", h.bearer(keyring.Accepted, won))
	took := time.Since(begun)
	if r.status != 200 || r.json["stale"] != true {
		t.Errorf("%d %s", r.status, r.body)
	}
	if took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestState_WaitsUntilItIsRecorded(t *testing.T) {
	h := serve(t, options{})
	c := h.dial(t)
	if _, err := io.WriteString(c, request("GET", "/v1/donations/"+idOf(key).String()+"?wait=20", "", h.bearer(keyring.Unknown, won))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is asked again", func() bool { return h.states.questions() >= 3 })
	h.states.put(idOf(key), recorded())
	r := read(t, bufio.NewReader(c), "GET")
	if r.status != 200 || r.json["amount_minor"] != float64(5425) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestState_WaitsForAChangeThroughSilence(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), recorded())
	c := h.dial(t)
	if _, err := io.WriteString(c, request("GET", "/v1/donations/"+idOf(key).String()+"?wait=20", "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is asked again", func() bool { return h.states.questions() >= 2 })
	h.states.fail(errDown) // no news
	asked := h.states.questions()
	eventually(t, "it is asked on", func() bool { return h.states.questions() >= asked+2 })
	changed := recorded()
	changed.Status = "succeeded"
	h.states.put(idOf(key), changed)
	h.states.fail(nil)
	if r := read(t, bufio.NewReader(c), "GET"); r.status != 200 || r.str("status") != "succeeded" || r.json["stale"] != false {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// At the end of its time a long poll says what is true then: what the ledger
// last said, marked stale when it has fallen silent since.
func TestState_WaitEndsWithTheTruth(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), recorded())
	c := h.dial(t)
	if _, err := io.WriteString(c, request("GET", "/v1/donations/"+idOf(key).String()+"?wait=1", "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is asked", func() bool { return h.states.questions() >= 1 })
	h.states.fail(errDown)
	if r := read(t, bufio.NewReader(c), "GET"); r.status != 200 || r.str("status") != "accepted" || r.json["stale"] != true {
		t.Errorf("%d %s", r.status, r.body)
	}
	if n := h.states.questions(); n > 15 {
		t.Errorf("asked %d times in a second", n)
	}
}

// With every place taken nobody is refused: the answer is the one of now.
func TestState_LongPollsAndQuestionsAreBounded(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Waits: 1, Reads: 2}})
	first := h.dial(t)
	poll := request("GET", "/v1/donations/"+idOf(key).String()+"?wait=20", "")
	if _, err := io.WriteString(first, poll); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first waits", func() bool { return h.states.questions() >= 2 })
	begun := time.Now()
	if r := h.send(t, poll); r.status != 404 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the second waited %v", took)
	}
	h.states.put(idOf(key), recorded())
	if r := read(t, bufio.NewReader(first), "GET"); r.status != 200 {
		t.Errorf("the first: %d", r.status)
	}
}

func TestState_OverloadIsSilence(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Reads: 1}})
	h.states.silent = true
	conns := make([]io.ReadWriter, 4)
	for i := range conns {
		conns[i] = h.dial(t)
		if _, err := io.WriteString(conns[i], request("GET", "/v1/donations/"+idOf(key).String(), "", h.bearer([]byte{keyring.Accepted, keyring.Unknown}[i%2], won))); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		r := read(t, bufio.NewReader(c), "GET")
		if want := []int{200, 503}[i%2]; r.status != want {
			t.Errorf("question %d: %d %s", i, r.status, r.body)
		}
	}
	if n := h.states.questions(); n > len(conns) {
		t.Errorf("%d questions", n)
	}
}

func TestState_StatusIsEscaped(t *testing.T) {
	h := serve(t, options{})
	odd := recorded()
	odd.Status = "\"<script>"
	h.states.put(idOf(key), odd)
	if r := h.ask(t, ""); r.status != 200 || r.str("status") != odd.Status || strings.Contains(r.body, "<") {
		t.Errorf("%d %s", r.status, fmt.Sprintf("%q", r.body))
	}
}
