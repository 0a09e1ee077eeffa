package httpapi_test

import (
	"bufio"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

const (
	cardBody = `{"payment":{"confirmation_token":"ctoken_another","expires_at":"2026-11-22T12:30:00Z"}}`
	cardKey  = "another-card-000001"
)

// failed is the ledger's word of a donation whose first card was declined.
func failed() ledger.State {
	s := recorded()
	s.Status, s.Reason, s.Decline, s.AttemptNo = "failed", "declined", "insufficient_funds", 1
	return s
}

func standing(status string) ledger.State { s := recorded(); s.Status = status; return s }

// attempts is a request to pay with another card; headers besides the usual.
func (h *house) attempts(body string, headers ...string) string {
	return request("POST", "/v1/donations/"+idOf(key).String()+"/attempts", body,
		append([]string{"Content-Type: application/json", "Idempotency-Key: " + cardKey, h.bearer(keyring.Accepted, won)}, headers...)...)
}

// cancels is a request to cancel, with these headers and no others.
func cancels(headers ...string) string {
	return request("DELETE", "/v1/donations/"+idOf(key).String(), "", headers...)
}

func TestAttempt_IsStoredAsItWasSent(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), failed())
	r := h.send(t, h.attempts(cardBody))
	id := idOf(key)
	if want := `{"id":"` + id.String() + `","status_url":"/v1/donations/` + id.String() + `"}`; r.status != 202 || r.body != want {
		t.Fatalf("%d %s, want %s", r.status, r.body, want)
	}
	if r.header.Get("Location") != "/v1/donations/"+id.String() || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", r.header)
	}
	want := published{book: ledger.Live, request: envelope.Request{
		Kind: envelope.Attempt, ID: ingest.DeriveAttemptID(id, []byte(cardKey)), Donation: id,
		ReceivedAt: noon.Truncate(time.Microsecond), Source: h.keys.Source(netip.MustParseAddr("127.0.0.1")),
		ConfirmationToken: "ctoken_another", TokenExpiresAt: time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC),
	}}
	if diff := cmp.Diff(want, h.publisher.last(t), cmp.AllowUnexported(published{})); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}

	// The same key in quotes is the same wish, and so is a reloaded page's new token:
	// another front-end stores it again, under the same ID.
	h = serve(t, options{})
	h.states.put(id, failed())
	r = h.send(t, request("POST", "/v1/donations/"+id.String()+"/attempts", strings.Replace(cardBody, "another", "reloaded", 1),
		"Content-Type: application/json", `Idempotency-Key: "`+cardKey+`"`, h.bearer(keyring.Unknown, won)))
	if got := h.publisher.last(t).request; r.status != 202 || got.ID != want.request.ID || got.ConfirmationToken != "ctoken_reloaded" {
		t.Errorf("the same key again: %d, %+v", r.status, got)
	}
	// No hint: as late as a token lives.
	h = serve(t, options{})
	h.states.put(id, failed())
	h.send(t, h.attempts(`{"payment":{"confirmation_token":"ctoken_another"}}`))
	if got := h.publisher.last(t).request; !got.TokenExpiresAt.Equal(noon.Truncate(time.Microsecond).Add(12 * time.Hour)) {
		t.Errorf("token expires at %v", got.TokenExpiresAt)
	}
}

// The same request again is 202 though it has moved the donation on, and though the
// ledger says nothing; for nobody else, and for no other key.
func TestRequests_TheSameAgainIsTakenAgain(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), failed())
	keyed := "Idempotency-Key: " + cardKey
	holder, loser := h.bearer(keyring.Accepted, won), h.bearer(keyring.Accepted, lost)
	stop := cancels(holder, keyed)
	for _, raw := range []string{h.attempts(cardBody), stop} {
		if r := h.send(t, raw); r.status != 202 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	h.states.put(idOf(key), standing("charging"))
	published, asked := h.publisher.count(), h.states.questions()
	h.states.fail(errDown)
	for _, raw := range []string{h.attempts(cardBody), h.attempts(strings.Replace(cardBody, "another", "reloaded", 1)), stop} {
		if r := h.send(t, raw); r.status != 202 {
			t.Errorf("again: %d %s", r.status, r.body)
		}
	}
	if h.publisher.count() != published || h.states.questions() != asked {
		t.Error("what is known was asked or stored again")
	}
	h.states.fail(nil)
	card := func(headers ...string) string {
		return request("POST", "/v1/donations/"+idOf(key).String()+"/attempts", cardBody, append(headers, "Content-Type: application/json")...)
	}
	for name, c := range map[string]struct {
		raw    string
		status int
	}{
		"another key":           {card("Idempotency-Key: yet-another-card-1", holder), 409},
		"the loser's":           {card(keyed, loser), 403},
		"no token":              {card(keyed), 401},
		"the loser's to cancel": {cancels(loser, keyed), 403},
	} {
		if r := h.send(t, c.raw); r.status != c.status {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// An outcome that is not known is not remembered.
	h.states.put(idOf(key), failed())
	h.publisher.fail(ingest.ErrUnknown)
	third := card("Idempotency-Key: a-third-card-00001", holder)
	if r := h.send(t, third); r.status != 503 {
		t.Errorf("%d %s", r.status, r.body)
	}
	published = h.publisher.count()
	h.publisher.fail(nil)
	if r := h.send(t, third); r.status != 202 || h.publisher.count() != published+1 {
		t.Errorf("%d, published %d times", r.status, h.publisher.count()-published)
	}
}

// A rehearsed donation's wishes go to the rehearsals' book, by the ledger's word.
func TestRequests_GoToTheDonationsBook(t *testing.T) {
	h := serve(t, options{})
	rehearsed := failed()
	rehearsed.Book = ledger.Rehearsal
	h.states.put(idOf(key), rehearsed)
	for _, raw := range []string{h.attempts(cardBody), cancels(h.bearer(keyring.Accepted, won))} {
		r := h.send(t, raw)
		if got := h.publisher.last(t); r.status != 202 || got.book != ledger.Rehearsal || !got.request.Rehearsal {
			t.Errorf("%d, %+v", r.status, got)
		}
	}
}

// A cancellation without a key is one for each attempt; with one it is the key's.
func TestCancel_IsStoredOnceForEachAttempt(t *testing.T) {
	h := serve(t, options{})
	id, bearer := idOf(key), h.bearer(keyring.Accepted, won)
	cancel := func(attempt int, headers ...string) envelope.Request {
		t.Helper()
		state := recorded()
		state.AttemptNo = attempt
		h.states.put(id, state)
		if r := h.send(t, cancels(append(headers, bearer)...)); r.status != 202 || r.header.Get("Location") != "/v1/donations/"+id.String() {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return h.publisher.last(t).request
	}
	first := cancel(1)
	want := envelope.Request{
		Kind: envelope.Cancellation, ID: ingest.DeriveCancelLastID(id, 1), Donation: id,
		ReceivedAt: noon.Truncate(time.Microsecond), Source: h.keys.Source(netip.MustParseAddr("127.0.0.1")),
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if cancel(1).ID != first.ID {
		t.Error("asking again is another cancellation")
	}
	if cancel(2).ID == first.ID {
		t.Error("the second attempt cannot be canceled")
	}
	if got := cancel(1, "Idempotency-Key: "+cardKey).ID; got != ingest.DeriveCancellationID(id, []byte(cardKey)) {
		t.Errorf("with a key: %s", got)
	}
}

// Whatever became of the donation, a cancellation is 202 and the state tells. Where
// nothing can follow any more, nothing is stored.
func TestCancel_OfEveryStatus(t *testing.T) {
	for status, stored := range map[string]bool{
		"accepted": true, "charging": true, "requires_action": true, "failed": true, // another card may be on its way
		"succeeded": false, "refunded": false, "disputed": false, "canceled": false,
		"a word of the future": true,
	} {
		h := serve(t, options{})
		h.states.put(idOf(key), standing(status))
		r := h.send(t, cancels(h.bearer(keyring.Unknown, won)))
		if r.status != 202 || (h.publisher.count() == 1) != stored {
			t.Errorf("%s: %d, published %d", status, r.status, h.publisher.count())
		}
	}
}

// Every rule about further wishes has a request that breaks it, with the exact answer.
func TestRequests_EveryRule(t *testing.T) {
	h := serve(t, options{})
	id := idOf(key)
	path := "/v1/donations/" + id.String()
	holder, loser := h.bearer(keyring.Accepted, won), h.bearer(keyring.Accepted, lost)
	check := func(name, raw string, state ledger.State, status int, code string, fields ...string) {
		t.Helper()
		h.states.put(id, state)
		before := h.publisher.count()
		r := h.send(t, raw)
		if r.status != status || r.str("code") != code {
			t.Errorf("%s: %d %s, want %d %s: %s", name, r.status, r.str("code"), status, code, r.body)
			return
		}
		if diff := cmp.Diff(fields, r.fields()); diff != "" {
			t.Errorf("%s: fields (-want +got):\n%s", name, diff)
		}
		if h.publisher.count() != before {
			t.Errorf("%s: a refused wish was published", name)
		}
		isProblem(t, r)
		if status != 405 && status != 413 && r.str("instance") != path {
			t.Errorf("%s: instance %q", name, r.str("instance"))
		}
		if (status == 401) != strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", name, r.header.Get("WWW-Authenticate"))
		}
	}
	attempt := func(name, body string, status int, code string, fields ...string) {
		t.Helper()
		check(name, h.attempts(body), failed(), status, code, fields...)
	}
	card := func(headers ...string) string { return request("POST", path+"/attempts", cardBody, headers...) }
	const typed, keyed = "Content-Type: application/json", "Idempotency-Key: " + cardKey

	// In the order of the contract's refusals; each request breaks all later rules
	// as well, where one can.
	check("body of 32 KiB and 1", request("POST", path+"/attempts", strings.Repeat("x", 32<<10+1)), failed(), 413, "body_too_large")
	check("a form", request("POST", path+"/attempts", "x", "Content-Type: application/x-www-form-urlencoded"), failed(), 415, "unsupported_media_type")
	check("no type", request("POST", path+"/attempts", "x", keyed, holder), failed(), 415, "unsupported_media_type")
	check("ambiguous", card(typed, "Transfer-Encoding: identity"), failed(), 400, "bad_request")
	attempt("no body", "", 400, "malformed_body", " syntax")
	attempt("not JSON", "card", 400, "malformed_body", " syntax")
	attempt("an array", "["+cardBody+"]", 400, "malformed_body", " wrong_type")
	attempt("a whole donation", sound, 400, "malformed_body", "/currency unknown_member", "/lines unknown_member")
	attempt("payment twice", strings.Replace(cardBody, "}}", `},"payment":{}}`, 1), 400, "malformed_body", "/payment duplicate_member")
	attempt("payment is null", `{"payment":null}`, 400, "malformed_body", "/payment wrong_type")
	attempt("a card number", strings.Replace(cardBody, `"expires_at"`, `"number"`, 1), 400, "malformed_body", "/payment/number unknown_member")
	attempt("token is a number", `{"payment":{"confirmation_token":4242}}`, 400, "malformed_body", "/payment/confirmation_token wrong_type")
	attempt("NUL in the token", `{"payment":{"confirmation_token":"ctoken_\u0000"}}`, 400, "malformed_body", "/payment/confirmation_token nul")
	attempt("two bodies", cardBody+cardBody, 400, "malformed_body", " syntax")
	check("no key", card(typed, loser), recorded(), 400, "bad_idempotency_key")
	check("key of 15", card(typed, "Idempotency-Key: 0123456789abcde"), recorded(), 400, "bad_idempotency_key")
	check("two keys", card(typed, keyed, keyed), recorded(), 400, "bad_idempotency_key")
	check("key of 15 to cancel", cancels("Idempotency-Key: 0123456789abcde"), recorded(), 400, "bad_idempotency_key")
	check("two keys to cancel", cancels(keyed, keyed, holder), recorded(), 400, "bad_idempotency_key")
	check("a body to cancel", request("DELETE", path, "{}", holder), recorded(), 400, "malformed_body")
	check("ambiguous cancellation", request("DELETE", path, "{}", holder, "Transfer-Encoding: identity"), recorded(), 400, "bad_request")

	for name, header := range map[string]string{
		"no token":                 "X-No: token",
		"another donation's token": "Authorization: Bearer " + string(h.keys.Token(nil, keyring.Accepted, idOf("another-donation-1"), won)),
		"half a token":             holder[:len(holder)-1],
		"another scheme":           "Authorization: Basic YWRhOmFkYQ==",
		"two tokens":               holder + "\r\n" + holder,
	} {
		check(name, card(typed, keyed, header), failed(), 401, "bad_token")
		check(name+" to cancel", cancels(header), recorded(), 401, "bad_token")
	}

	// What only the ledger can say.
	for name, raw := range map[string]func(headers ...string) string{
		"card":   func(headers ...string) string { return card(append(headers, typed, keyed)...) },
		"cancel": cancels,
	} {
		check(name+", told accepted, not recorded yet", raw(holder), ledger.State{}, 503, "state_unavailable")
		check(name+", not told, not recorded", raw(h.bearer(keyring.Unknown, won)), ledger.State{}, 404, "unknown_donation")
		check(name+", told accepted and lost", raw(loser), failed(), 403, "not_the_holder")
		check(name+", not told and lost", raw(h.bearer(keyring.Unknown, lost)), failed(), 403, "not_the_holder")
		h.states.fail(errDown)
		check(name+", no answer", raw(holder), failed(), 503, "state_unavailable")
		check(name+", no answer, lost", raw(loser), failed(), 503, "state_unavailable")
		h.states.fail(nil)
	}

	attempt("no payment", `{}`, 422, "invalid_payment", "/payment/confirmation_token required")
	attempt("no token in the payment", `{"payment":{}}`, 422, "invalid_payment", "/payment/confirmation_token required")
	attempt("token of another kind", `{"payment":{"confirmation_token":"tok_visa","expires_at":"soon"}}`, 422, "invalid_payment",
		"/payment/confirmation_token bad_format", "/payment/expires_at bad_format")
	attempt("token of 256 bytes", `{"payment":{"confirmation_token":"ctoken_`+strings.Repeat("x", 249)+`"}}`, 422, "invalid_payment", "/payment/confirmation_token too_long")
	check("refused, though no card is wanted", h.attempts(`{}`), recorded(), 422, "invalid_payment", "/payment/confirmation_token required")

	for _, status := range []string{"accepted", "charging", "requires_action", "succeeded", "refunded", "disputed", "canceled", ""} {
		check("a card while "+status, h.attempts(cardBody), standing(status), 409, "attempt_not_failed")
	}
	often := failed()
	often.AttemptNo = 20
	check("the twenty-first card", h.attempts(cardBody), often, 409, "too_many_attempts")
	often.AttemptNo = 19
	h.states.put(id, often)
	if r := h.send(t, h.attempts(cardBody)); r.status != 202 {
		t.Errorf("the twentieth card: %d %s", r.status, r.body)
	}

	// Methods and paths.
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		r := h.send(t, request(method, path+"/attempts", "", holder))
		if r.status != 405 || r.header.Get("Allow") != "POST" {
			t.Errorf("%s of attempts: %d, Allow %q", method, r.status, r.header.Get("Allow"))
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS"} {
		r := h.send(t, request(method, path, "", holder))
		if r.status != 405 || r.header.Get("Allow") != "GET, HEAD, DELETE" {
			t.Errorf("%s of a donation: %d, Allow %q", method, r.status, r.header.Get("Allow"))
		}
	}
	for _, odd := range []string{path + "/attempts/", path + "/attempts/1", path + "//attempts", path + "/Attempts", "/v1/donations//attempts/x", path + "/%61ttempts"} {
		if r := h.send(t, request("POST", odd, cardBody, typed, keyed, holder)); r.status != 404 {
			t.Errorf("POST %s: %d", odd, r.status)
		}
	}
	for _, raw := range []string{request("POST", "/v1/donations/x/attempts", cardBody, typed, keyed, holder), request("DELETE", "/v1/donations/x", "", holder)} {
		if r := h.send(t, raw); r.status != 404 || r.str("code") != "unknown_donation" {
			t.Errorf("no ID: %d %s", r.status, r.body)
		}
	}
}

// Nothing but the broker's word makes a 202; each failure has its own answer.
func TestRequests_WhenTheBrokerFails(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), failed())
	for err, code := range map[error]string{
		ingest.ErrBusy: "overloaded", ingest.ErrNotReady: "not_ready", ingest.ErrUnknown: "outcome_unknown", errDown: "outcome_unknown",
	} {
		h.publisher.fail(err)
		for _, raw := range []string{h.attempts(cardBody), cancels(h.bearer(keyring.Accepted, won))} {
			r := h.send(t, raw)
			if r.status != 503 || r.str("code") != code || r.json["retryable"] != true {
				t.Errorf("%v: %d %s", err, r.status, r.body)
			}
			isProblem(t, r)
		}
	}
	h.publisher.fail(nil)
	before, asked := h.publisher.count(), h.states.questions()
	h.gate.fail(errDown)
	for _, raw := range []string{h.attempts(cardBody), cancels(h.bearer(keyring.Accepted, won))} {
		if r := h.send(t, raw); r.status != 503 || r.str("code") != "not_ready" {
			t.Errorf("not ready: %d %s", r.status, r.body)
		}
	}
	if h.publisher.count() != before || h.states.questions() != asked {
		t.Error("a front-end that is not ready went on")
	}
	// The campaigns do not matter to a donation that was judged by them.
	h.gate.fail(nil)
	h.directory.fail(errDown)
	if r := h.send(t, h.attempts(cardBody)); r.status != 202 {
		t.Errorf("without campaigns: %d %s", r.status, r.body)
	}
}

// Further wishes have places of their own: donations take none of them, and they
// none of the donations'.
func TestRequests_AreBounded(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Donations: 1, Requests: 1}})
	h.states.put(idOf(key), failed())
	h.publisher.hold, h.publisher.in = make(chan struct{}), make(chan struct{}, 2)
	first := h.dial(t)
	if _, err := io.WriteString(first, h.attempts(cardBody)); err != nil {
		t.Fatal(err)
	}
	<-h.publisher.in
	for _, raw := range []string{h.attempts(cardBody), cancels(h.bearer(keyring.Accepted, won))} {
		if r := h.send(t, raw); r.status != 503 || r.str("code") != "overloaded" {
			t.Errorf("a full house: %d %s", r.status, r.body)
		}
	}
	giving := h.dial(t)
	if _, err := io.WriteString(giving, donation(sound)); err != nil {
		t.Fatal(err)
	}
	<-h.publisher.in // a donation went past
	close(h.publisher.hold)
	for _, c := range []io.Reader{first, giving} {
		if r := read(t, bufio.NewReader(c), "POST"); r.status != 202 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	h.publisher.mu.Lock()
	h.publisher.hold, h.publisher.in = nil, nil
	h.publisher.mu.Unlock()
	eventually(t, "the place is free again", func() bool { return h.send(t, h.attempts(cardBody)).status == 202 })
}

// Further wishes and donations share one client's rate, and the ledger is not asked
// for those who are too fast. The rehearsal credential exempts.
func TestRequests_RateIsTheClients(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Limiter: admission.LimiterConfig{Default: admission.Rate{PerSecond: 0.001, Burst: 2}}}})
	h.states.put(idOf(key), failed())
	bearer := h.bearer(keyring.Accepted, won)
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := h.send(t, cancels(bearer)); r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	asked := h.states.questions()
	for _, raw := range []string{h.attempts(cardBody), cancels(bearer)} {
		r := h.send(t, raw)
		if r.status != 429 || r.str("instance") != "/v1/donations/"+idOf(key).String() {
			t.Errorf("%d %s", r.status, r.body)
		}
		isProblem(t, r)
	}
	// Without a sound token nobody takes a donor's rate: 401 comes first.
	if r := h.send(t, cancels()); r.status != 401 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if h.states.questions() != asked {
		t.Error("the ledger was asked")
	}
	if r := h.send(t, h.attempts(cardBody, "Spillway-Rehearsal: "+h.keys.RehearsalCredential())); r.status != 202 {
		t.Errorf("with the credential: %d %s", r.status, r.body)
	}
	if r := h.send(t, h.attempts(cardBody, "Spillway-Rehearsal: wrong")); r.status != 429 {
		t.Errorf("with a wrong credential: %d %s", r.status, r.body)
	}
}

// Neither tokens nor secrets reach the log, whatever goes wrong.
func TestRequests_LogNothingPrivate(t *testing.T) {
	h := serve(t, options{})
	state := failed()
	state.ClientSecret = "pi_1_secret_hush"
	h.states.put(idOf(key), state)
	h.publisher.fail(errDown)
	h.send(t, h.attempts(cardBody))
	h.send(t, cancels(h.bearer(keyring.Accepted, won)))
	log := h.logged.String()
	if !strings.Contains(log, "publisher failed") {
		t.Error("the failure is not logged")
	}
	for _, private := range []string{"ctoken_", "secret_hush", "Bearer", string(h.keys.Token(nil, keyring.Accepted, idOf(key), won))} {
		if strings.Contains(log, private) {
			t.Errorf("%q is in the log", private)
		}
	}
}

// What two readers of HTTP may understand differently is nobody's wish, and leaves
// nothing on the connection for the next request.
func TestCancel_AmbiguousRequestsAreNobodysWish(t *testing.T) {
	h := serve(t, options{})
	h.states.put(idOf(key), recorded())
	head := "DELETE /v1/donations/" + idOf(key).String() + " HTTP/1.1\r\nHost: spillway.test\r\n" + h.bearer(keyring.Accepted, won) + "\r\n"
	next := "GET /healthz HTTP/1.1\r\nHost: spillway.test\r\n\r\n"
	for name, raw := range map[string]string{
		"identity":                   head + "Transfer-Encoding: identity\r\n\r\n" + next,
		"chunks beside a length":     head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + next,
		"two lengths":                head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + next,
		"a folded line":              head + "X-Note: a\r\n b\r\n\r\n" + next,
		"a bare line feed":           strings.Replace(head, "spillway.test\r\n", "spillway.test\n", 1) + "\r\n" + next,
		"a body that is a request":   head + "Content-Length: " + strconv.Itoa(len(next)) + "\r\n\r\n" + next,
		"a chunk that is a request":  head + "Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(int64(len(next)), 16) + "\r\n" + next + "\r\n0\r\n\r\n",
		"no chunks at all":           head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a trailer behind no chunks": head + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
	} {
		before := h.publisher.count()
		c := h.dial(t)
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		r := read(t, bufio.NewReader(c), raw)
		if r.status != 400 || h.publisher.count() != before {
			t.Errorf("%s: %d %s, published %d", name, r.status, r.body, h.publisher.count()-before)
		}
	}
	if r := h.send(t, head+"Content-Length: 0\r\n\r\n"); r.status != 202 {
		t.Errorf("an empty body: %d %s", r.status, r.body)
	}
}
