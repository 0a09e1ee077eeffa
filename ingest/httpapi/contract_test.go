package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/ingest/keyring"
)

// with returns the sound body with one part replaced.
func with(old, replacement string) string {
	if !strings.Contains(sound, old) {
		panic("the sound body has no " + old)
	}
	return strings.Replace(sound, old, replacement, 1)
}

// member returns the sound body with one more member.
func member(text string) string { return strings.TrimSuffix(sound, "}") + "," + text + "}" }

func line(slug string, minor string) string {
	return fmt.Sprintf(`{"campaign":%q,"amount_minor":%s}`, slug, minor)
}

const usual = `{"campaign":"river-school","amount_minor":5000}`

// Every rule of the contract about a request has a request that breaks it here,
// with the exact answer.
func TestContract_EveryRuleOfTheRequest(t *testing.T) {
	h := serve(t, options{})
	seen := map[string]bool{}
	check := func(name, raw string, status int, code string, fields ...string) {
		t.Helper()
		if seen[name] {
			t.Fatalf("two cases are called %q", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			t.Helper()
			before := h.publisher.count()
			r := h.send(t, raw)
			if r.status != status || r.str("code") != code {
				t.Fatalf("%d %s, want %d %s: %s", r.status, r.str("code"), status, code, r.body)
			}
			if diff := cmp.Diff(fields, r.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if h.publisher.count() != before {
				t.Error("a refused donation was published")
			}
			isProblem(t, r)
			afterParsing := status == 404 || status == 409 || status == 422
			if (r.str("donation_id") != "") != afterParsing {
				t.Errorf("donation_id %q after %d", r.str("donation_id"), status)
			}
			if afterParsing {
				id := idOf(key)
				if r.str("donation_id") != id.String() || r.str("status_url") != "/v1/donations/"+id.String() || r.str("instance") != r.str("status_url") {
					t.Errorf("donation_id, status_url, instance: %s", r.body)
				}
				if kind, _, ok := h.keys.VerifyToken(id, []byte(r.str("token"))); !ok || kind != keyring.Unknown {
					t.Errorf("token of kind %c, %v", kind, ok)
				}
			}
		})
	}
	json400 := func(name, body string, fields ...string) {
		t.Helper()
		check(name, donation(body), 400, "malformed_body", fields...)
	}
	refused := func(name, body string, fields ...string) {
		t.Helper()
		check(name, donation(body), 422, "invalid_donation", fields...)
	}

	// 413: the body.
	big := donation(sound + strings.Repeat(" ", 32<<10-len(sound)+1))
	check("body of 32 KiB and 1", big, 413, "body_too_large")

	// 415: its type.
	typed := func(headers ...string) string {
		return request("POST", "/v1/donations", sound, append(headers, "Idempotency-Key: "+key)...)
	}
	check("no content type", typed(), 415, "unsupported_media_type")
	check("text", typed("Content-Type: text/plain"), 415, "unsupported_media_type")
	check("a form", typed("Content-Type: application/x-www-form-urlencoded"), 415, "unsupported_media_type")
	check("a multipart form", typed("Content-Type: multipart/form-data; boundary=x"), 415, "unsupported_media_type")
	check("json by another name", typed("Content-Type: application/vnd.api+json"), 415, "unsupported_media_type")
	check("json and something", typed("Content-Type: application/jsonx"), 415, "unsupported_media_type")
	check("another charset", typed("Content-Type: application/json; charset=latin1"), 415, "unsupported_media_type")
	check("another parameter", typed("Content-Type: application/json; profile=x"), 415, "unsupported_media_type")
	check("charset without a value", typed("Content-Type: application/json; charset"), 415, "unsupported_media_type")
	check("gzip", typed("Content-Type: application/json", "Content-Encoding: gzip"), 415, "unsupported_media_type")
	check("identity", typed("Content-Type: application/json", "Content-Encoding: identity"), 415, "unsupported_media_type")

	// 400: the syntax.
	json400("no body", "", " syntax")
	json400("spaces", "  \n ", " syntax")
	json400("not JSON", "gift", " syntax")
	json400("cut off", sound[:len(sound)-1], " syntax")
	json400("cut off in a string", sound[:20], " syntax")
	json400("trailing comma", with(`5000}]`, `5000},]`), "/lines syntax")
	json400("trailing bytes", sound+"x", " syntax")
	json400("two donations", sound+sound, " syntax")
	json400("trailing NUL", sound+"\x00", " syntax")
	json400("byte order mark", "\ufeff"+sound, " syntax")
	json400("UTF-16", "{\x00\"\x00", " syntax")
	json400("not UTF-8", member("\"message\":\"caf\xe9\""), "/message syntax")
	json400("overlong UTF-8", member("\"message\":\"\xc0\xaf\""), "/message syntax")
	json400("UTF-8 of a surrogate", member("\"message\":\"\xed\xa0\x80\""), "/message syntax")
	json400("half a surrogate pair", member(`"message":"\ud83d"`), "/message syntax")
	json400("unknown escape", member(`"message":"\x41"`), "/message syntax")
	json400("raw control character", member("\"message\":\"a\x01b\""), "/message syntax")
	json400("raw line feed", member("\"message\":\"a\nb\""), "/message syntax")
	json400("raw NUL", member("\"message\":\"a\x00b\""), "/message syntax")
	json400("comment", "/* gift */"+sound, " syntax")
	json400("single quotes", strings.ReplaceAll(sound, `"`, `'`), " syntax")
	json400("name without quotes", `{currency:"USD"}`, " syntax")
	json400("NaN", with("5000", "NaN"), "/lines/0/amount_minor syntax")
	json400("leading zero", with("5000", "05000"), "/lines/0 syntax")
	json400("leading plus", with("5000", "+5000"), "/lines/0/amount_minor syntax")
	json400("hexadecimal", with("5000", "0x1388"), "/lines/0 syntax")
	json400("ten thousand brackets", strings.Repeat("[", 10_000), " wrong_type")
	json400("brackets in a member", member(`"message":`+strings.Repeat("[", 15_000)+strings.Repeat("]", 15_000)), "/message wrong_type", "/message/0/0/0/0/0/0/0/0 syntax")
	json400("objects in an unknown member", member(`"x":`+strings.Repeat(`{"a":`, 5_000)+"1"+strings.Repeat("}", 5_000)), "/x unknown_member", "/x/a/a/a/a/a/a/a/a syntax")

	// 400: members and types.
	json400("null", "null", " wrong_type")
	json400("an array", "["+sound+"]", " wrong_type")
	json400("a string", `"gift"`, " wrong_type")
	json400("a number", "5000", " wrong_type")
	json400("true", "true", " wrong_type")
	for name, wrong := range map[string]string{"null": "null", "a number": "1", "an array": "[]", "an object": "{}", "true": "true"} {
		json400("currency is "+name, with(`"USD"`, wrong), "/currency wrong_type")
		json400("message is "+name, member(`"message":`+wrong), "/message wrong_type")
		json400("slug is "+name, with(`"river-school"`, wrong), "/lines/0/campaign wrong_type")
		json400("token is "+name, with(`"ctoken_card_visa"`, wrong), "/payment/confirmation_token wrong_type")
		json400("expires_at is "+name, with(`visa"`, `visa","expires_at":`+wrong), "/payment/expires_at wrong_type")
		for _, field := range []string{"name", "email"} {
			json400("donor "+field+" is "+name, member(`"donor":{"`+field+`":`+wrong+`}`), "/donor/"+field+" wrong_type")
		}
		for _, field := range []string{"kind", "name"} {
			json400("dedication "+field+" is "+name, member(`"dedication":{"`+field+`":`+wrong+`}`), "/dedication/"+field+" wrong_type")
		}
	}
	for name, wrong := range map[string]string{"null": "null", "a string": `"5000"`, "an array": "[5000]", "an object": "{}", "false": "false"} {
		json400("amount is "+name, with("5000", wrong), "/lines/0/amount_minor wrong_type")
		json400("fee is "+name, member(`"fee_cover_minor":`+wrong), "/fee_cover_minor wrong_type")
	}
	for name, wrong := range map[string]string{"null": "null", "a string": `"true"`, "a number": "1", "an array": "[true]", "an object": "{}"} {
		for _, field := range []string{"anonymous", "hide_amount"} {
			json400(field+" is "+name, member(`"donor":{"`+field+`":`+wrong+`}`), "/donor/"+field+" wrong_type")
		}
	}
	for name, wrong := range map[string]string{"null": "null", "a string": `"x"`, "a number": "1", "an array": "[]", "true": "true"} {
		for _, field := range []string{"donor", "dedication"} {
			json400(field+" is "+name, member(`"`+field+`":`+wrong), "/"+field+" wrong_type")
		}
		json400("payment is "+name, with(`{"confirmation_token":"ctoken_card_visa"}`, wrong), "/payment wrong_type")
		json400("a line is "+name, with(usual, wrong+","+usual), "/lines/0 wrong_type")
	}
	for name, wrong := range map[string]string{"null": "null", "a string": `"x"`, "a number": "1", "an object": "{}", "true": "true"} {
		json400("lines is "+name, with("["+usual+"]", wrong), "/lines wrong_type")
	}
	for _, number := range []string{"5000.0", "50.5", "5e3", "5E3", "5000e0", "-0", "0.0", "-0.0", "1e400", "9223372036854775808", "-9223372036854775808",
		"99999999999999999999", strings.Repeat("9", 1000), "5000.00000000000000000001"} {
		json400("amount "+number[:min(len(number), 40)], with("5000", number), "/lines/0/amount_minor not_an_integer")
		json400("fee "+number[:min(len(number), 40)], member(`"fee_cover_minor":`+number), "/fee_cover_minor not_an_integer")
	}

	json400("unknown member", member(`"amount":5000`), "/amount unknown_member")
	json400("unknown member in a line", with("5000", `5000,"currency":"USD"`), "/lines/0/currency unknown_member")
	json400("unknown member of the donor", member(`"donor":{"phone":"1"}`), "/donor/phone unknown_member")
	json400("unknown member of the dedication", member(`"dedication":{"to":"x"}`), "/dedication/to unknown_member")
	json400("unknown member of the payment", with(`visa"`, `visa","card":"4242424242424242"`), "/payment/card unknown_member")
	json400("member in capitals", with(`"currency"`, `"Currency"`), "/Currency unknown_member")
	json400("empty member", member(`"":1`), "/ unknown_member")
	json400("member with a pointer's characters", member(`"a/b~c":1`), "/a~1b~0c unknown_member")
	json400("member of a prototype", member(`"__proto__":{"x":[1,{"y":null}]}`), "/__proto__ unknown_member")
	json400("member that is long", member(`"`+strings.Repeat("n", 500)+`":1`), "/"+strings.Repeat("n", 128)+"... unknown_member")
	json400("member twice", member(`"currency":"USD"`), "/currency duplicate_member")
	json400("member three times", member(`"currency":"USD","currency":"EUR"`), "/currency duplicate_member", "/currency duplicate_member")
	json400("member twice, once escaped", member(`"curr\u0065ncy":"USD"`), "/currency duplicate_member")
	json400("member twice in a line", with("5000", `5000,"amount_minor":1`), "/lines/0/amount_minor duplicate_member")
	json400("member twice in the payment", with(`visa"`, `visa","confirmation_token":"ctoken_b"`), "/payment/confirmation_token duplicate_member")
	json400("object twice", member(`"payment":{"confirmation_token":"ctoken_b"}`), "/payment duplicate_member")
	for _, field := range []string{`"message":"a\u0000b"`, `"donor":{"name":"a\u0000b"}`, `"donor":{"email":"a\u0000b"}`, `"dedication":{"kind":"in_honor\u0000"}`, `"dedication":{"name":"\u0000"}`} {
		pointer := "/" + strings.NewReplacer(`"`, "", "{", "", ":", "/").Replace(field[:strings.LastIndex(field, `:"`)])
		json400("NUL in "+pointer, member(field), pointer+" nul")
	}
	json400("NUL in the currency", with(`"USD"`, `"US\u0000D"`), "/currency nul")
	json400("NUL in a slug", with("river-school", `river\u0000school`), "/lines/0/campaign nul")
	json400("NUL in the token", with("ctoken_", `ctoken_\u0000`), "/payment/confirmation_token nul")
	json400("everything at once",
		`{"currency":null,"lines":[{"campaign":1,"amount_minor":1.5},7,{"x":1}],"fee_cover_minor":"1","donor":{"anonymous":"no","name":["x"]},"tip":1,"message":{},"message":"x","payment":[]}`,
		"/currency wrong_type", "/lines/0/campaign wrong_type", "/lines/0/amount_minor not_an_integer", "/lines/1 wrong_type", "/lines/2/x unknown_member",
		"/fee_cover_minor wrong_type", "/donor/anonymous wrong_type", "/donor/name wrong_type", "/tip unknown_member", "/message wrong_type",
		"/message duplicate_member", "/payment wrong_type")
	json400("faults before the syntax breaks", `{"currency":1,"lines":[}`, "/currency wrong_type", "/lines/0 syntax")
	json400("no value", `{"currency":}`, "/currency syntax")
	json400("no value in a line", `{"lines":[{"campaign":]}`, "/lines/0 syntax")
	json400("closed too often", sound+"}", " syntax")
	json400("only a closing brace", "}", " syntax")

	// 400: the idempotency key.
	keyed := func(headers ...string) string {
		return request("POST", "/v1/donations", sound, append([]string{"Content-Type: application/json"}, headers...)...)
	}
	check("no key", keyed(), 400, "bad_idempotency_key")
	check("empty key", keyed("Idempotency-Key: "), 400, "bad_idempotency_key")
	check("key of 15", keyed("Idempotency-Key: 0123456789abcde"), 400, "bad_idempotency_key")
	check("key of 15 in quotes", keyed(`Idempotency-Key: "0123456789abcde"`), 400, "bad_idempotency_key")
	check("key of 256", keyed("Idempotency-Key: "+strings.Repeat("k", 256)), 400, "bad_idempotency_key")
	check("key with a space", keyed("Idempotency-Key: 0123456789 abcdef"), 400, "bad_idempotency_key")
	check("key with a tab", keyed("Idempotency-Key: 0123456789\tabcdef"), 400, "bad_idempotency_key")
	check("key with another alphabet", keyed("Idempotency-Key: 0123456789abcdéf"), 400, "bad_idempotency_key")
	check("key with half its quotes", keyed(`Idempotency-Key: "0123456789abcdef`), 400, "bad_idempotency_key")
	check("two keys", keyed("Idempotency-Key: 0123456789abcdef", "Idempotency-Key: 0123456789abcdeg"), 400, "bad_idempotency_key")
	check("the same key twice", keyed("Idempotency-Key: 0123456789abcdef", "idempotency-key: 0123456789abcdef"), 400, "bad_idempotency_key")

	// 404: campaigns.
	check("unknown campaign", donation(with("river-school", "river-schoool")), 404, "unknown_campaign", "/lines/0/campaign unknown_campaign")
	check("two unknown campaigns", donation(with(usual, line("nope", "1")+","+usual+","+line("nada", "1"))), 404, "unknown_campaign",
		"/lines/0/campaign unknown_campaign", "/lines/2/campaign unknown_campaign")
	check("a rehearsal's campaign", donation(with("river-school", "drill")), 404, "unknown_campaign", "/lines/0/campaign unknown_campaign")
	check("a rehearsal's campaign with a wrong credential", donation(with("river-school", "drill"), "Spillway-Rehearsal: "+strings.Repeat("x", 43)),
		404, "unknown_campaign", "/lines/0/campaign unknown_campaign")
	check("a rehearsal's campaign with two credentials", donation(with("river-school", "drill"),
		"Spillway-Rehearsal: "+h.keys.RehearsalCredential(), "Spillway-Rehearsal: "+h.keys.RehearsalCredential()), 404, "unknown_campaign", "/lines/0/campaign unknown_campaign")

	// 422: values. ingest's own tests have every rule; here, that each arrives.
	refused("nothing required is there", `{}`, "/currency required", "/lines required", "/payment/confirmation_token required")
	refused("empty lines", with(usual, ""), "/lines required")
	refused("empty line", with(usual, "{}"), "/lines/0/campaign required", "/lines/0/amount_minor too_small")
	refused("empty payment", with(`"confirmation_token":"ctoken_card_visa"`, ""), "/payment/confirmation_token required")
	refused("currency in small letters", with("USD", "usd"), "/currency unknown_value")
	refused("empty currency", with("USD", ""), "/currency required")
	refused("amount 0", with("5000", "0"), "/lines/0/amount_minor too_small")
	refused("amount -1", with("5000", "-1"), "/lines/0/amount_minor too_small")
	refused("amount of the most and 1", with("5000", "100000000"), "/lines/0/amount_minor too_large")
	refused("the greatest integer", with("5000", "9223372036854775807"), "/lines/0/amount_minor too_large")
	refused("sum below the processor's least", with("5000", "49"), "/lines too_small")
	refused("sum above the most", with(usual, line("river-school", "99999999")+","+line("food-bank", "1")), "/lines too_large")
	refused("fee -1", member(`"fee_cover_minor":-1`), "/fee_cover_minor too_small")
	refused("campaign twice", with(usual, usual+","+usual), "/lines/1/campaign duplicate_campaign")
	refused("slug of 65 bytes", with("river-school", strings.Repeat("a", 65)), "/lines/0/campaign too_long")
	refused("slug that is a path", with("river-school", "../river-school"), "/lines/0/campaign bad_format")
	refused("slug that is a subject", with("river-school", "river.*.>"), "/lines/0/campaign bad_format")
	refused("201 lines", with(usual, strings.TrimSuffix(strings.Repeat(line("x", "1")+",", 201), ",")), "/lines too_many")
	refused("500 lines", with(usual, strings.TrimSuffix(strings.Repeat(line("x", "1")+",", 500), ",")), "/lines too_many")
	refused("another currency than the campaign's", with("USD", "EUR"), "/lines/0/campaign currency_mismatch")
	refused("one of two campaigns takes another currency", with(usual, usual+","+line("tokyo", "5000")), "/lines/1/campaign currency_mismatch")
	refused("less than the campaign takes", with(usual, line("bounded", "499")), "/lines/0/amount_minor too_small")
	refused("more than the campaign takes", with(usual, line("bounded", "10001")), "/lines/0/amount_minor too_large")
	rehearsing := "Spillway-Rehearsal: " + h.keys.RehearsalCredential()
	check("real and rehearsal campaigns", donation(with(usual, usual+","+line("drill", "5000")), rehearsing), 422, "invalid_donation", "/lines mixed_books")
	for name, text := range map[string]string{"name": `"donor":{"name":%s}`, "email": `"donor":{"email":%s}`, "message": `"message":%s`, "dedication": `"dedication":{"kind":"in_honor","name":%s}`} {
		pointer := map[string]string{"name": "/donor/name", "email": "/donor/email", "message": "/message", "dedication": "/dedication/name"}[name]
		refused("control character in the "+name, member(fmt.Sprintf(text, `"a\u001bb"`)), pointer+" control_character")
		refused("C1 control in the "+name, member(fmt.Sprintf(text, `"a\u0085b"`)), pointer+" control_character")
		refused("length of the "+name, member(fmt.Sprintf(text, `"`+strings.Repeat("é", 501)+`"`)), pointer+" too_long")
		for _, card := range []string{"4242424242424242", "4242 4242 4242 4242", `4242\u00204242-4242-4242`, "378282246310005", "card: 4000056655665556!", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"} {
			refused("card number "+card+" in the "+name, member(fmt.Sprintf(text, `"`+card+`"`)), pointer+" card_number")
		}
	}
	refused("e-mail that is none", member(`"donor":{"email":"ada"}`), "/donor/email bad_format")
	refused("dedication of an unknown kind", member(`"dedication":{"kind":"for","name":"Grace"}`), "/dedication/kind unknown_value")
	refused("dedication without a kind", member(`"dedication":{"name":"Grace"}`), "/dedication/kind required")
	refused("token of another kind", with("ctoken_card_visa", "tok_visa"), "/payment/confirmation_token bad_format")
	refused("token that is a card number", with("ctoken_card_visa", "4242424242424242"), "/payment/confirmation_token bad_format")
	refused("token of 256 bytes", with("ctoken_card_visa", "ctoken_"+strings.Repeat("x", 249)), "/payment/confirmation_token too_long")
	refused("expires_at that is no time", with(`visa"`, `visa","expires_at":"soon"`), "/payment/expires_at bad_format")
	refused("everything refused at once",
		`{"currency":"XXX","lines":[{"campaign":"food-bank","amount_minor":0},{"campaign":"food-bank","amount_minor":1}],"fee_cover_minor":-1,"donor":{"name":"a\u0001","email":"x"},"message":"4242424242424242","dedication":{"kind":"?","name":"`+strings.Repeat("g", 101)+`"},"payment":{"confirmation_token":"x","expires_at":"y"}}`,
		"/currency unknown_value", "/lines/0/amount_minor too_small", "/lines/1/campaign duplicate_campaign", "/fee_cover_minor too_small",
		"/donor/name control_character", "/donor/email bad_format", "/message card_number", "/dedication/name too_long", "/dedication/kind unknown_value",
		"/payment/confirmation_token bad_format", "/payment/expires_at bad_format")

	// 409: opening hours.
	check("campaign that has not started", donation(with("river-school", "tomorrow")), 409, "campaign_not_open", "/lines/0/campaign campaign_not_open")
	check("campaign that has ended", donation(with("river-school", "yesterday")), 409, "campaign_not_open", "/lines/0/campaign campaign_not_open")
	check("one of two campaigns has ended", donation(with(usual, usual+","+line("yesterday", "100"))), 409, "campaign_not_open", "/lines/1/campaign campaign_not_open")

	// Other routes and methods.
	check("GET of all donations", request("GET", "/v1/donations", ""), 405, "method_not_allowed")
	check("PUT of a donation", request("PUT", "/v1/donations/"+idOf(key).String(), ""), 405, "method_not_allowed")
	check("preflight of another origin", request("OPTIONS", "/v1/donations", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"), 405, "method_not_allowed")
}

// isProblem holds every problem to RFC 9457 and the contract.
func isProblem(t testing.TB, r *reply) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if r.json["status"] != float64(r.status) || r.str("type") != "urn:spillway:problem:"+r.str("code") || r.str("title") == "" || r.str("detail") == "" {
		t.Errorf("not a whole problem document: %s", r.body)
	}
	if _, ok := r.json["retryable"].(bool); !ok {
		t.Errorf("retryable is missing: %s", r.body)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", r.header)
	}
	if got := r.header.Get("Server"); got != "" {
		t.Errorf("Server %q", got)
	}
	mustRetryAfter := r.status == 429 || r.status == 503
	if got := r.header.Get("Retry-After"); (got != "") != mustRetryAfter || got == "0" {
		t.Errorf("Retry-After %q with %d", got, r.status)
	}
	if (r.header.Get("Allow") != "") != (r.status == 405) {
		t.Errorf("Allow %q with %d", r.header.Get("Allow"), r.status)
	}
	for name := range r.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: other origins are let in", name)
		}
	}
}
