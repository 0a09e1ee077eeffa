package httpapi_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/httpapi"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

// whole is a donation with everything that the contract has.
const whole = ` { "currency":"USD",
 "lines":[{"campaign":"river-school","amount_minor":5000},{"amount_minor":250,"campaign":"food-bank"}],
 "fee_cover_minor":175,
 "donor":{"name":"  Ada \u00c9xample ","email":"ada@example.org","anonymous":true,"hide_amount":false},
 "message":"Go team!\nLove, \"Ada\"",
 "dedication":{"kind":"in_memory","name":"Grace"},
 "payment":{"confirmation_token":"ctoken_1N3T","expires_at":"2026-11-22T12:30:00+00:00"}} `

func TestDonate_AcceptsAndPublishesWhatWasSent(t *testing.T) {
	h := serve(t, options{})
	r := h.send(t, donation(whole))
	id := idOf(key)
	if r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	token := r.str("token")
	want := fmt.Sprintf(`{"id":%q,"token":%q,"status":"accepted","accepted_at":"2026-11-22T12:00:00.123456Z","amount_minor":5425,"currency":"USD","status_url":"/v1/donations/%s"}`, id, token, id)
	if r.body != want {
		t.Errorf("\n got %s\nwant %s", r.body, want)
	}
	if r.header.Get("Location") != "/v1/donations/"+id.String() || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", r.header)
	}

	got := h.publisher.last(t)
	kind, fp, ok := h.keys.VerifyToken(id, []byte(token))
	if !ok || kind != keyring.Accepted || fp != got.record.Fingerprint {
		t.Errorf("token of kind %c for %x, %v; published %x", kind, fp, ok, got.record.Fingerprint)
	}
	personal, err := h.keys.Open(id, got.record.Sealed, got.record.SealKey)
	wantPersonal := ingest.Personal{Name: "Ada Éxample", Email: "ada@example.org", Message: "Go team!\nLove, \"Ada\"", DedicationKind: ingest.InMemory, DedicationName: "Grace"}
	if err != nil || personal != wantPersonal {
		t.Errorf("personal fields %+v, %v", personal, err)
	}
	wantRecord := got.record
	wantRecord.ID, wantRecord.Source, wantRecord.Rehearsal = id, h.keys.Source(netip.MustParseAddr("127.0.0.1")), false
	wantRecord.ReceivedAt = noon.Truncate(time.Microsecond)
	wantRecord.Currency, wantRecord.AmountMinor, wantRecord.FeeCoverMinor = "USD", 5425, 175
	wantRecord.Lines = []ingest.Line{{Campaign: "river-school", AmountMinor: 5000}, {Campaign: "food-bank", AmountMinor: 250}}
	wantRecord.Anonymous, wantRecord.HideAmount = true, false
	wantRecord.ConfirmationToken, wantRecord.TokenExpiresAt = "ctoken_1N3T", time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
	if diff := cmp.Diff(wantRecord, got.record); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if got.book != ledger.Live {
		t.Errorf("published to the book %v", got.book)
	}
	if got.record.ReceivedAt.Location() != time.UTC || got.record.ReceivedAt.Nanosecond()%1000 != 0 {
		t.Errorf("received at %v: not whole microseconds in UTC", got.record.ReceivedAt)
	}
}

func TestDonate_TheLeastThatIsRequired(t *testing.T) {
	h := serve(t, options{})
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	got := h.publisher.last(t).record
	if len(got.Sealed) != 0 || got.SealKey != 0 {
		t.Errorf("nothing personal was sent and %d bytes are sealed", len(got.Sealed))
	}
	if want := noon.Truncate(time.Microsecond).Add(12 * time.Hour); !got.TokenExpiresAt.Equal(want) {
		t.Errorf("token expires at %v, want %v", got.TokenExpiresAt, want)
	}
}

// What a contract allows has to be taken: each of these is a 202.
func TestDonate_TakesWhatIsAllowed(t *testing.T) {
	h := serve(t, options{})
	n := 0
	accept := func(name, body string, headers ...string) {
		t.Helper()
		n++
		headers = append([]string{fmt.Sprintf("Idempotency-Key: allowed-%012d", n)}, headers...)
		if len(headers) == 1 {
			headers = append(headers, "Content-Type: application/json")
		}
		if r := h.send(t, request("POST", "/v1/donations", body, headers...)); r.status != 202 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	accept("the least of the currency", with("5000", "50"))
	accept("the most", with("5000", "99999999"))
	accept("the least together with the fee", strings.TrimSuffix(with("5000", "49"), "}")+`,"fee_cover_minor":1}`)
	many := make([]string, 200)
	for i := range many {
		slug := fmt.Sprintf("c%03d-%s", i, strings.Repeat("x", 59))
		h.directory.set(campaigns.Campaign{Slug: slug, Currency: "USD"})
		many[i] = line(slug, "1")
	}
	accept("200 lines with the longest slugs", with(usual, strings.Join(many, ",")))
	accept("body of 32 KiB", sound+strings.Repeat(" ", 32<<10-len(sound)))
	accept("spaces everywhere", strings.NewReplacer(":", " :\t", ",", "\r\n,\n ", "{", "{ ").Replace(sound))
	accept("escapes", with("river-school", `river\u002dschoo\u006c`))
	accept("escaped member", with(`"currency"`, `"curr\u0065ncy"`))
	accept("surrogate pair", member(`"message":"\ud83d\ude00"`))
	accept("message of 500 characters", member(`"message":"`+strings.Repeat("é", 500)+`"`))
	accept("empty texts", member(`"message":"","donor":{"name":" ","email":""}`))
	accept("empty donor", member(`"donor":{}`))
	accept("empty dedication", member(`"dedication":{}`))
	accept("sixteen digits that are no card", member(`"message":"4111 1111 1111 1112"`))
	accept("a campaign without limits and end", with("river-school", "food-bank"))
	accept("the least that the campaign takes", with(usual, line("bounded", "500")))
	accept("the most that the campaign takes", with(usual, line("bounded", "10000")))
	accept("expired token", with(`visa"`, `visa","expires_at":"2020-01-01T00:00:00Z"`))
	accept("charset", sound, "Content-Type: application/json; charset=utf-8")
	accept("charset in capitals and quotes", sound, `Content-Type: Application/JSON ;Charset="UTF-8"`)
	accept("trailing semicolon", sound, `Content-Type: application/json;`)
	accept("query that means nothing", sound)
}

func TestDonate_KeyInQuotesIsTheSameKey(t *testing.T) {
	h := serve(t, options{})
	bare := h.send(t, donation(sound))
	quoted := h.send(t, request("POST", "/v1/donations", sound, "Content-Type: application/json", `Idempotency-Key: "`+key+`"`))
	if quoted.status != 202 || bare.str("id") != quoted.str("id") || bare.str("token") != quoted.str("token") {
		t.Errorf("%d %s, then %d %s", bare.status, bare.body, quoted.status, quoted.body)
	}
}

func TestDonate_SameKeyAndContentIsTheSameDonation(t *testing.T) {
	h := serve(t, options{})
	first := h.send(t, donation(whole))
	h.clock.set(noon.Add(time.Minute))
	// Lines in another order, spaces elsewhere, another confirmation token.
	again := h.send(t, donation(strings.NewReplacer(
		`{"campaign":"river-school","amount_minor":5000},{"amount_minor":250,"campaign":"food-bank"}`,
		`{"campaign":"food-bank","amount_minor":250},{"campaign":"river-school","amount_minor":5000}`,
		"ctoken_1N3T", "ctoken_2N3T", `"  Ada \u00c9xample "`, `"Ada Éxample"`).Replace(whole)))
	if first.status != 202 || again.status != 202 {
		t.Fatalf("%s then %s", first.body, again.body)
	}
	for _, name := range []string{"id", "token", "status_url", "currency"} {
		if first.str(name) != again.str(name) {
			t.Errorf("%s: %q then %q", name, first.str(name), again.str(name))
		}
	}
	if first.json["amount_minor"] != again.json["amount_minor"] {
		t.Error("another amount")
	}
	if h.publisher.count() != 2 {
		t.Errorf("published %d times: the ledger, not this front-end, decides what is a repetition", h.publisher.count())
	}
}

func TestDonate_KeyReusedForAnotherDonation(t *testing.T) {
	h := serve(t, options{})
	first := h.send(t, donation(sound))
	second := h.send(t, donation(with("5000", "5001")))
	if first.status != 202 || second.status != 422 || second.str("code") != "key_reused" {
		t.Fatalf("%d, then %d %s", first.status, second.status, second.body)
	}
	if kind, fp, ok := h.keys.VerifyToken(idOf(key), []byte(second.str("token"))); !ok || kind != keyring.Unknown || fp == h.publisher.last(t).record.Fingerprint {
		t.Errorf("the loser's token: %c %x %v", kind, fp, ok)
	}
	if h.publisher.count() != 1 {
		t.Error("the second was published")
	}
	if third := h.send(t, donation(sound)); third.status != 202 || third.str("token") != first.str("token") {
		t.Errorf("the first again: %d %s", third.status, third.body)
	}
}

// A key is remembered after an acknowledgement only: until then nobody knows
// which content won.
func TestDonate_NothingIsRememberedWithoutAnAcknowledgement(t *testing.T) {
	h := serve(t, options{})
	h.publisher.fail(ingest.ErrUnknown)
	if r := h.send(t, donation(sound)); r.status != 503 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	h.publisher.fail(nil)
	if r := h.send(t, donation(with("5000", "5001"))); r.status != 202 {
		t.Errorf("other content after an unknown outcome: %d %s", r.status, r.body)
	}
}

func TestDonate_RemembersABoundedNumber(t *testing.T) {
	h := serve(t, options{config: httpapi.Config{Remembered: 8}})
	for i := range 9 {
		headers := []string{"Content-Type: application/json", fmt.Sprintf("Idempotency-Key: remembered-%08d", i)}
		if r := h.send(t, request("POST", "/v1/donations", sound, headers...)); r.status != 202 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	other := func(i int) *reply {
		return h.send(t, request("POST", "/v1/donations", with("5000", "5001"), "Content-Type: application/json", fmt.Sprintf("Idempotency-Key: remembered-%08d", i)))
	}
	if r := other(8); r.status != 422 {
		t.Errorf("the newest is forgotten: %d", r.status)
	}
	if r := other(0); r.status != 202 {
		t.Errorf("the oldest of nine is remembered by a table of eight: %d", r.status)
	}
}

func TestDonate_PublishersErrorDecidesTheAnswer(t *testing.T) {
	h := serve(t, options{})
	for err, code := range map[error]string{
		ingest.ErrBusy:     "overloaded",
		ingest.ErrNotReady: "not_ready",
		ingest.ErrUnknown:  "outcome_unknown",
		fmt.Errorf("lane: %w", ingest.ErrUnknown):   "outcome_unknown",
		errors.New("something that nobody foresaw"): "outcome_unknown",
	} {
		h.publisher.fail(err)
		r := h.send(t, donation(sound))
		if r.status != 503 || r.str("code") != code || r.json["retryable"] != true {
			t.Errorf("%v: %d %s", err, r.status, r.body)
		}
		isProblem(t, r)
		id := idOf(key)
		if kind, _, ok := h.keys.VerifyToken(id, []byte(r.str("token"))); !ok || kind != keyring.Unknown || r.str("donation_id") != id.String() || r.str("status_url") != "/v1/donations/"+id.String() {
			t.Errorf("%v: %s", err, r.body)
		}
	}
}

func TestDonate_NotReadyTakesNothing(t *testing.T) {
	h := serve(t, options{})
	check := func(want int) {
		t.Helper()
		r := h.send(t, donation(sound))
		if r.status != want {
			t.Errorf("%d %s, want %d", r.status, r.body, want)
		}
		if want == 503 {
			isProblem(t, r)
			if r.str("code") != "not_ready" || h.publisher.count() != 0 {
				t.Errorf("%s, published %d", r.body, h.publisher.count())
			}
		}
	}
	h.gate.fail(errDown)
	check(503)
	h.gate.fail(nil)
	h.directory.fail(errDown)
	check(503)
	h.directory.fail(nil)
	check(202)
}

// Opening and closing is judged by the receive time, [start, end).
func TestDonate_OpeningHours(t *testing.T) {
	h := serve(t, options{})
	opens, closes := noon.Add(-time.Hour), noon.Add(time.Hour) // of river-school
	n := 0
	check := func(at time.Time, want int) {
		t.Helper()
		n++
		h.clock.set(at)
		r := h.send(t, request("POST", "/v1/donations", sound, "Content-Type: application/json", fmt.Sprintf("Idempotency-Key: hours-%012d", n),
			"Spillway-Rehearsal: "+h.keys.RehearsalCredential())) // no rate limit for a clock that jumps
		if r.status != want {
			t.Errorf("at %v: %d %s, want %d", at, r.status, r.body, want)
		}
		if want == 202 && h.publisher.last(t).record.ReceivedAt.After(at) {
			t.Error("judged by a later time than was recorded")
		}
	}
	check(opens.Add(-time.Microsecond), 409)
	check(opens.Truncate(time.Microsecond), 409) // the start has nanoseconds: what counts is what is recorded
	check(opens.Add(time.Microsecond), 202)
	check(closes.Add(-time.Microsecond), 202)
	check(closes.Truncate(time.Microsecond).Add(time.Microsecond), 409)
	h.directory.set(campaigns.Campaign{Slug: "river-school", Currency: "USD", StartsAt: noon.Truncate(time.Second), EndsAt: noon.Truncate(time.Second).Add(time.Second)})
	check(noon.Truncate(time.Second).Add(-1), 409)
	check(noon.Truncate(time.Second), 202)
	check(noon.Truncate(time.Second).Add(time.Second-1), 202)
	check(noon.Truncate(time.Second).Add(time.Second), 409)
}

// A donor who was told 202 and asks again after the end is told 202 again, and
// nothing with a later time is published.
func TestDonate_AcceptedStaysAcceptedAfterTheEnd(t *testing.T) {
	h := serve(t, options{})
	first := h.send(t, donation(sound))
	h.clock.set(noon.Add(2 * time.Hour))
	again := h.send(t, donation(sound))
	if again.status != 202 || again.str("token") != first.str("token") {
		t.Errorf("%d %s", again.status, again.body)
	}
	if h.publisher.count() != 1 {
		t.Errorf("published %d times", h.publisher.count())
	}
	if other := h.send(t, donation(with("5000", "5001"))); other.str("code") != "key_reused" {
		t.Errorf("other content: %d %s", other.status, other.body)
	}
	// Nor is it denied when the campaign's rules have changed, or it is gone.
	h.directory.set(campaigns.Campaign{Slug: "river-school", Currency: "USD", MinMinor: 6000})
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Errorf("after the rules changed: %d %s", r.status, r.body)
	}
	h.directory.mu.Lock()
	delete(h.directory.campaigns, "river-school")
	h.directory.mu.Unlock()
	if r := h.send(t, donation(sound)); r.status != 202 || h.publisher.count() != 1 {
		t.Errorf("after the campaign is gone: %d %s", r.status, r.body)
	}
}

func TestDonate_Rehearsals(t *testing.T) {
	h := serve(t, options{})
	credential := "Spillway-Rehearsal: " + h.keys.RehearsalCredential()
	r := h.send(t, donation(with(usual, line("drill", "1")), credential))
	if r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	got := h.publisher.last(t)
	if got.book != ledger.Rehearsal || !got.record.Rehearsal || got.record.AmountMinor != 1 {
		t.Errorf("published to %v: %+v", got.book, got.record)
	}
	// The credential moves no real gift into the rehearsal's book, and keeps the
	// processor's least for it.
	real := h.send(t, request("POST", "/v1/donations", sound, "Content-Type: application/json", "Idempotency-Key: another-key-0001", credential))
	if got := h.publisher.last(t); real.status != 202 || got.book != ledger.Live || got.record.Rehearsal {
		t.Errorf("a real gift: %d, published to %v", real.status, got.book)
	}
	if r := h.send(t, donation(with("5000", "1"), credential)); r.status != 422 {
		t.Errorf("1 minor unit for real: %d", r.status)
	}
}

func TestDonate_RateLimit(t *testing.T) {
	school := netip.MustParsePrefix("198.51.100.0/24")
	h := serve(t, options{admission: admission.Config{
		TrustedProxies: []netip.Prefix{loopback},
		Limiter: admission.LimiterConfig{
			Default:  admission.Rate{PerSecond: 0.5, Burst: 2},
			Networks: []admission.Network{{Prefix: school, Rate: admission.Rate{PerSecond: 1, Burst: 5}}},
		},
	}})
	n := 0
	give := func(headers ...string) *reply {
		t.Helper()
		n++
		return h.send(t, request("POST", "/v1/donations", sound, append(headers, "Content-Type: application/json", fmt.Sprintf("Idempotency-Key: rate-%012d", n))...))
	}
	atOnce := func(headers ...string) int {
		t.Helper()
		for taken := range 20 {
			r := give(headers...)
			if r.status == 202 {
				continue
			}
			if r.status != 429 || r.str("code") != "too_many_requests" || r.json["retryable"] != true {
				t.Fatalf("%d %s", r.status, r.body)
			}
			isProblem(t, r)
			return taken
		}
		return 20
	}
	if got := atOnce("X-Forwarded-For: 203.0.113.9"); got != 2 {
		t.Errorf("a stranger: %d at once", got)
	}
	if got := h.publisher.last(t).record.Source; got != h.keys.Source(netip.MustParseAddr("203.0.113.9")) {
		t.Error("the source is not the client's")
	}
	if got := atOnce("X-Forwarded-For: 198.51.100.7, 203.0.113.9"); got != 0 {
		t.Errorf("a stranger who claims to be at school: %d", got)
	}
	if got := atOnce("X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 203.0.113.9"); got != 0 {
		t.Errorf("a stranger with two headers: %d", got)
	}
	if got := atOnce("X-Forwarded-For: 198.51.100.7"); got != 5 {
		t.Errorf("the school: %d at once", got)
	}
	if got := atOnce("X-Forwarded-For: 203.0.113.9", "Spillway-Rehearsal: "+h.keys.RehearsalCredential()); got != 20 {
		t.Errorf("a rehearsal: %d", got)
	}
	refused := give("X-Forwarded-For: 203.0.113.9")
	if after := refused.header.Get("Retry-After"); after != "2" && after != "3" {
		t.Errorf("Retry-After %q with a wait of two seconds", after)
	}
	h.clock.set(noon.Add(2 * time.Second))
	if got := atOnce("X-Forwarded-For: 203.0.113.9"); got != 1 {
		t.Errorf("after two seconds: %d", got)
	}
}

// Refusals come in the contract's order: 413, 415, 400, 429, 404, 422, 409.
func TestDonate_Precedence(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Limiter: admission.LimiterConfig{Default: admission.Rate{PerSecond: 0.001, Burst: 4}}}})
	check := func(name, raw string, want int) {
		t.Helper()
		if r := h.send(t, raw); r.status != want {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.body, want)
		}
	}
	mixed := func(first, second, minor, email string) string {
		return fmt.Sprintf(`{"currency":"USD","lines":[%s,%s],"donor":{"email":%q},"payment":{"confirmation_token":"ctoken_x"}}`, line(first, minor), line(second, "100"), email)
	}
	check("404 before 422 and 409", donation(mixed("nope", "yesterday", "0", "x")), 404)
	check("422 before 409", donation(mixed("food-bank", "yesterday", "0", "ada@example.org")), 422)
	check("409", donation(mixed("food-bank", "yesterday", "100", "ada@example.org")), 409)
	check("taken", donation(sound), 202) // the last of the burst
	check("429 before 404", donation(with("river-school", "nope")), 429)
	check("429 before 422", donation(with("5000", "0")), 429)
	check("429 before 409", donation(with("river-school", "yesterday")), 429)
	check("429 before 422 for a key reused", donation(with("5000", "5001")), 429)
	check("400 before 429", donation("{"), 400)
	check("400 of the key before 429", request("POST", "/v1/donations", sound, "Content-Type: application/json"), 400)
	check("400 of the body before that of the key", request("POST", "/v1/donations", "{", "Content-Type: application/json"), 400)
	check("415 before 400", request("POST", "/v1/donations", "{", "Content-Type: text/plain"), 415)
	check("413 before 415", request("POST", "/v1/donations", strings.Repeat("x", 33<<10), "Content-Type: text/plain"), 413)
}

func TestDonate_LogsAndMetricsHoldNothingPersonal(t *testing.T) {
	h := serve(t, options{})
	h.send(t, donation(whole))
	h.send(t, donation(strings.Replace(whole, "5000", "5001", 1)))
	h.publisher.fail(ingest.ErrUnknown)
	h.send(t, donation(whole))
	h.send(t, donation(member(`"message":"4242424242424242"`)))
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text := h.logged.String()
	for _, f := range families {
		text += f.String()
	}
	for _, private := range []string{"Ada", "ada@", "Grace", "Go team", "42424242", "ctoken_", "127.0.0.1", key, idOf(key).String()} {
		if strings.Contains(text, private) {
			t.Errorf("%q is in logs or metrics", private)
		}
	}
}
