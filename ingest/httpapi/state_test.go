package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		`"accepted_at":"2026-11-22T12:00:00.123456Z","recorded_at":"2026-11-22T12:00:01.123456Z","attempt_no":1,"refunded_minor":0,` +
		`"status_text":"Your donation is safe with us. Your card will be charged soon; there is nothing more to do."}`
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
	raw := request("GET", "/v1/donations/"+idOf(key).String(), "")
	c := h.dial(t)
	if _, err := io.WriteString(c, raw); err != nil { // not by send: the contract has no such word
		t.Fatal(err)
	}
	if r := read(t, bufio.NewReader(c), raw); r.status != 200 || r.str("status") != odd.Status || strings.Contains(r.body, "<") {
		t.Errorf("%d %s", r.status, fmt.Sprintf("%q", r.body))
	}
}

// What became of the payment, as the holder, everybody else and the loser see it.
func TestState_OfThePayment(t *testing.T) {
	h := serve(t, options{})
	id := idOf(key)
	for name, c := range map[string]struct {
		change func(*ledger.State)
		public string         // members between status and stale
		held   map[string]any // beside those of every state
		words  string         // within status_text
	}{
		"charging, with a queue": {func(s *ledger.State) { s.Status, s.ExpectedWait = "charging", 61*time.Second+1 }, "",
			map[string]any{"expected_wait_seconds": 62.0}, "being charged"},
		"accepted, nobody knows how long": {func(s *ledger.State) {}, "", nil, "safe with us"},
		"waits for the donor": {func(s *ledger.State) { s.Status, s.ClientSecret = "requires_action", "pi_3Abc_secret_Xyz" }, "",
			map[string]any{"next_action": map[string]any{"type": "use_stripe_sdk", "client_secret": "pi_3Abc_secret_Xyz", "intent": "pi_3Abc"}}, "confirm"},
		"waits for the donor, no secret yet": {func(s *ledger.State) { s.Status = "requires_action" }, "", nil, "confirm"},
		"a secret that is stale":             {func(s *ledger.State) { s.Status, s.ClientSecret = "succeeded", "pi_3Abc_secret_Xyz" }, "", nil, "Thank you"},
		"declined": {func(s *ledger.State) {
			s.Status, s.Reason, s.Decline, s.AttemptNo = "failed", "declined", "insufficient_funds", 3
		},
			`,"reason":"declined"`, map[string]any{"reason": "declined", "attempt_no": 3.0}, "enough funds"},
		"card needed again": {func(s *ledger.State) { s.Status, s.Reason = "failed", "card_needed" },
			`,"reason":"card_needed"`, map[string]any{"reason": "card_needed"}, "did not decline"},
		"abandoned": {func(s *ledger.State) { s.Status, s.Reason = "failed", "abandoned" }, `,"reason":"abandoned"`,
			map[string]any{"reason": "abandoned"}, "not confirmed in time"},
		"part refunded": {func(s *ledger.State) { s.Status, s.RefundedMinor = "succeeded", 425 }, "", map[string]any{"refunded_minor": 425.0}, "Thank you"},
		"refunded":      {func(s *ledger.State) { s.Status, s.RefundedMinor = "refunded", 5425 }, "", map[string]any{"refunded_minor": 5425.0}, "given back"},
		"disputed":      {func(s *ledger.State) { s.Status, s.Dispute = "disputed", "lost" }, "", map[string]any{"dispute": "lost"}, "questioned"},
		"dispute won":   {func(s *ledger.State) { s.Status, s.Dispute = "succeeded", "won" }, "", map[string]any{"dispute": "won"}, "Thank you"},
		"canceled":      {func(s *ledger.State) { s.Status = "canceled" }, "", nil, "not charged"},
	} {
		state := recorded()
		c.change(&state)
		h.states.put(id, state)
		public := `{"id":"` + id.String() + `","status":"` + state.Status + `"` + c.public + `,"stale":false`
		if r := h.ask(t, ""); r.status != 200 || r.body != public+"}" {
			t.Errorf("%s, to everybody:\n got %s\nwant %s}", name, r.body, public)
		}
		if r := h.ask(t, "", h.bearer(keyring.Accepted, lost)); r.status != 200 || r.body != public+`,"conflict":true}` {
			t.Errorf("%s, to the loser:\n got %s\nwant %s", name, r.body, public+`,"conflict":true}`)
		}
		r := h.ask(t, "", h.bearer(keyring.Unknown, won))
		if r.status != 200 || !strings.HasPrefix(r.body, public+`,"conflict":false,"amount_minor":5425,`) || !strings.Contains(r.str("status_text"), c.words) {
			t.Errorf("%s, to the holder: %d %s", name, r.status, r.body)
		}
		want := map[string]any{"attempt_no": 1.0, "refunded_minor": 0.0}
		for member, value := range c.held {
			want[member] = value
		}
		got := map[string]any{}
		for _, member := range []string{"reason", "attempt_no", "refunded_minor", "dispute", "next_action", "expected_wait_seconds"} {
			if value, given := r.json[member]; given {
				got[member] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, to the holder (-want +got):\n%s", name, diff)
		}
		if strings.Contains(r.body, "insufficient_funds") {
			t.Errorf("%s: a code of the bank's is told: %s", name, r.body)
		}
	}
}

// News wakes the long polls of its donation, and no others.
func TestState_NewsWakesTheLongPoll(t *testing.T) {
	h := serve(t, options{})
	h.HearOnlyNews()
	h.states.put(idOf(key), recorded())
	other := idOf("another-donation-1")
	h.states.put(other, recorded())
	poll := func(id ingest.ID) *bufio.Reader {
		c := h.dial(t)
		if _, err := io.WriteString(c, request("GET", "/v1/donations/"+id.String()+"?wait=20", "")); err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(c)
	}
	mine, too, others := poll(idOf(key)), poll(idOf(key)), poll(other)
	eventually(t, "they wait", func() bool { return h.Waiting(idOf(key)) == 2 && h.Waiting(other) == 1 })
	asked := h.states.questions()
	h.Changed([][16]byte{{1}, other}) // nothing has changed: they wait on
	eventually(t, "the news is asked about", func() bool { return h.states.questions() == asked+1 })
	changed := recorded()
	changed.Status, changed.ClientSecret = "requires_action", "pi_1_secret_2"
	h.states.put(idOf(key), changed)
	h.Changed([][16]byte{idOf(key), idOf(key), idOf(key)})
	for _, r := range []*bufio.Reader{mine, too} {
		if got := read(t, r, "GET"); got.status != 200 || got.str("status") != "requires_action" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	eventually(t, "they have left", func() bool { return h.Waiting(idOf(key)) == 0 })
	changed.Status = "succeeded"
	h.states.put(other, changed)
	h.Changed([][16]byte{other})
	if got := read(t, others, "GET"); got.str("status") != "succeeded" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Each thing that a donor would read differently ends a long poll.
func TestState_EveryChangeEndsTheLongPoll(t *testing.T) {
	for name, change := range map[string]func(*ledger.State){
		"status":        func(s *ledger.State) { s.Status = "succeeded" },
		"reason":        func(s *ledger.State) { s.Reason = "abandoned" },
		"another card":  func(s *ledger.State) { s.AttemptNo = 2 },
		"client secret": func(s *ledger.State) { s.ClientSecret = "pi_1_secret_3" },
		"a part refund": func(s *ledger.State) { s.RefundedMinor = 1 },
		"dispute":       func(s *ledger.State) { s.Dispute = "won" },
		"conflict":      func(s *ledger.State) { s.Conflicts = nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, options{})
			h.HearOnlyNews()
			h.states.put(idOf(key), recorded())
			c := h.dial(t)
			if _, err := io.WriteString(c, request("GET", "/v1/donations/"+idOf(key).String()+"?wait=30", "")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it waits", func() bool { return h.Waiting(idOf(key)) == 1 })
			changed := recorded()
			change(&changed)
			h.states.put(idOf(key), changed)
			h.Changed([][16]byte{idOf(key)})
			if r := read(t, bufio.NewReader(c), "GET"); r.status != 200 { // the connection's own deadline is 20 s
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}
