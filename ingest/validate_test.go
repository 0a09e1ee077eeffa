package ingest_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/money"
)

var received = time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)

func sound() *ingest.Donation {
	return &ingest.Donation{
		Currency: "USD",
		Lines:    []ingest.Line{{Campaign: "river-school", AmountMinor: 5000}},
		Payment:  ingest.Payment{ConfirmationToken: "ctoken_card_visa"},
	}
}

// faults returns "pointer code" of everything that Validate finds.
func faults(d *ingest.Donation, book ledger.Book) []string {
	var found []string
	for _, f := range d.Validate(book, received, nil) {
		found = append(found, f.Pointer+" "+f.Code)
	}
	return found
}

func TestValidate_EachRule(t *testing.T) {
	check := func(name string, change func(*ingest.Donation), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			d := sound()
			change(d)
			if diff := cmp.Diff(want, faults(d, ledger.Live)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	lines := func(n int) []ingest.Line {
		l := make([]ingest.Line, n)
		for i := range l {
			l[i] = ingest.Line{Campaign: "c" + strconv.Itoa(i), AmountMinor: 100}
		}
		return l
	}

	check("sound", func(*ingest.Donation) {})

	check("no currency", func(d *ingest.Donation) { d.Currency = "" }, "/currency required")
	check("currency in small letters", func(d *ingest.Donation) { d.Currency = "usd" }, "/currency unknown_value")
	check("currency that is none", func(d *ingest.Donation) { d.Currency = "XXX" }, "/currency unknown_value")

	check("no lines", func(d *ingest.Donation) { d.Lines = nil }, "/lines required")
	check("200 lines", func(d *ingest.Donation) { d.Lines = lines(200) })
	check("201 lines", func(d *ingest.Donation) { d.Lines = lines(201) }, "/lines too_many")
	check("no campaign", func(d *ingest.Donation) { d.Lines[0].Campaign = "" }, "/lines/0/campaign required")
	check("slug of 64 bytes", func(d *ingest.Donation) { d.Lines[0].Campaign = strings.Repeat("a", 64) })
	check("slug of 65 bytes", func(d *ingest.Donation) { d.Lines[0].Campaign = strings.Repeat("a", 65) }, "/lines/0/campaign too_long")
	check("slug with a dot", func(d *ingest.Donation) { d.Lines[0].Campaign = "river.school" }, "/lines/0/campaign bad_format")
	check("slug in capitals", func(d *ingest.Donation) { d.Lines[0].Campaign = "River" }, "/lines/0/campaign bad_format")
	check("slug with a space", func(d *ingest.Donation) { d.Lines[0].Campaign = " river" }, "/lines/0/campaign bad_format")
	check("campaign twice", func(d *ingest.Donation) { d.Lines = append(lines(2), ingest.Line{Campaign: "c0", AmountMinor: 1}) },
		"/lines/2/campaign duplicate_campaign")
	check("campaign twice among many", func(d *ingest.Donation) { d.Lines = append(lines(99), ingest.Line{Campaign: "c7", AmountMinor: 1}) },
		"/lines/99/campaign duplicate_campaign")

	check("line of 0", func(d *ingest.Donation) { d.Lines[0].AmountMinor = 0 }, "/lines/0/amount_minor too_small")
	check("line below 0", func(d *ingest.Donation) { d.Lines[0].AmountMinor = -5000 }, "/lines/0/amount_minor too_small")
	check("line of the most", func(d *ingest.Donation) { d.Lines[0].AmountMinor = 99_999_999 })
	check("line above the most", func(d *ingest.Donation) { d.Lines[0].AmountMinor = 100_000_000 }, "/lines/0/amount_minor too_large")
	check("lines that overflow", func(d *ingest.Donation) {
		d.Lines = lines(3)
		for i := range d.Lines {
			d.Lines[i].AmountMinor = 1<<63 - 1
		}
	}, "/lines/0/amount_minor too_large", "/lines/1/amount_minor too_large", "/lines/2/amount_minor too_large")
	check("fee below 0", func(d *ingest.Donation) { d.FeeCoverMinor = -1 }, "/fee_cover_minor too_small")
	check("fee above the most", func(d *ingest.Donation) { d.FeeCoverMinor = 100_000_000 }, "/fee_cover_minor too_large")
	check("the least donation", func(d *ingest.Donation) { d.Lines[0].AmountMinor = 50 })
	check("less than the least", func(d *ingest.Donation) { d.Lines[0].AmountMinor = 49 }, "/lines too_small")
	check("the least with the fee", func(d *ingest.Donation) { d.Lines[0].AmountMinor, d.FeeCoverMinor = 49, 1 })
	check("the least of another currency", func(d *ingest.Donation) { d.Currency, d.Lines[0].AmountMinor = "HUF", 17499 }, "/lines too_small")
	check("the most together", func(d *ingest.Donation) { d.Lines[0].AmountMinor, d.FeeCoverMinor = 99_999_998, 1 })
	check("above the most together", func(d *ingest.Donation) { d.Lines[0].AmountMinor, d.FeeCoverMinor = 99_999_999, 1 }, "/lines too_large")

	type text struct {
		name, pointer string
		set           func(*ingest.Donation, string)
		max           int
		email         bool
	}
	texts := []text{
		{"name", "/donor/name", func(d *ingest.Donation, s string) { d.Personal.Name = s }, 100, false},
		{"e-mail", "/donor/email", func(d *ingest.Donation, s string) { d.Personal.Email = s }, 254, true},
		{"message", "/message", func(d *ingest.Donation, s string) { d.Personal.Message = s }, 500, false},
		{"dedication", "/dedication/name", func(d *ingest.Donation, s string) {
			d.Personal.DedicationKind, d.Personal.DedicationName = ingest.InHonor, s
		}, 100, false},
	}
	for _, x := range texts {
		with := func(s string) func(*ingest.Donation) { return func(d *ingest.Donation) { x.set(d, s) } }
		if !x.email {
			check(x.name+" as long as allowed", with(strings.Repeat("é", x.max)))
			check(x.name+" as long as allowed, with spaces around", with("  "+strings.Repeat("e", x.max)+"\u2003\t"))
		}
		check(x.name+" too long", with(strings.Repeat("é", x.max+1)), x.pointer+" too_long")
		check(x.name+" of spaces", with(" \t \u00a0 "))
		for _, control := range []string{"\x01", "\x1b", "\x7f", "\u0080", "\u0085", "\u009f", "\v", "\f"} {
			check(x.name+" with a control character "+strconv.QuoteToASCII(control), with("a"+control+"b"), x.pointer+" control_character")
		}
		if x.name == "message" {
			check("message of several lines", with("Go team!\r\nLove,\n\tAda"))
		} else {
			check(x.name+" of several lines", with("a\nb"), x.pointer+" control_character")
		}
		for _, card := range []string{"4242424242424242", "4242 4242 4242 4242", "4000-0566-5566-5556", "378282246310005", "4222222222222", "6304000000000000000"} {
			check(x.name+" with the card number "+card, with("x "+card+" y"), x.pointer+" card_number")
		}
	}
	check("e-mail that is a card number", func(d *ingest.Donation) { d.Personal.Email = "4242424242424242@example.org" }, "/donor/email card_number")

	for _, good := range []string{"ada@example.org", "ada.b+giving@sub.example.co.uk", "jürgen@müller.example", "x@a.b", "o'neill@example.org", strings.Repeat("l", 64) + "@example.org"} {
		check("e-mail "+good, func(d *ingest.Donation) { d.Personal.Email = good })
	}
	for _, bad := range []string{"ada", "@example.org", "ada@", "ada@example", "ada@@example.org", "ada b@example.org", "ada@exa mple.org",
		".ada@example.org", "ada.@example.org", "a..b@example.org", "ada@.example.org", "ada@example.org.", "ada@example..org", "ada@-example.org",
		"ada@example-.org", "ada@[192.0.2.1]", `"ada"@example.org`, "<ada@example.org>", "ada@example.org,bob@example.org", "ada@exam_ple.org",
		strings.Repeat("l", 65) + "@example.org"} {
		check("e-mail "+bad, func(d *ingest.Donation) { d.Personal.Email = bad }, "/donor/email bad_format")
	}

	check("dedication of an unknown kind", func(d *ingest.Donation) { d.Personal.DedicationKind = ingest.ParseDedicationKind([]byte("for")) }, "/dedication/kind unknown_value")
	check("dedication without a kind", func(d *ingest.Donation) { d.Personal.DedicationName = "Grace" }, "/dedication/kind required")
	check("dedication without a name", func(d *ingest.Donation) { d.Personal.DedicationKind = ingest.InMemory })

	token := func(s string) func(*ingest.Donation) {
		return func(d *ingest.Donation) { d.Payment.ConfirmationToken = s }
	}
	check("no token", token(""), "/payment/confirmation_token required")
	check("token of another kind", token("tok_visa"), "/payment/confirmation_token bad_format")
	check("token that is only the prefix", token("ctoken_"), "/payment/confirmation_token bad_format")
	check("token with a space", token("ctoken_a b"), "/payment/confirmation_token bad_format")
	check("token with spaces around", token(" ctoken_a"), "/payment/confirmation_token bad_format")
	check("token that is not ASCII", token("ctoken_é"), "/payment/confirmation_token bad_format")
	check("token of 255 bytes", token("ctoken_"+strings.Repeat("x", 248)))
	check("token of 256 bytes", token("ctoken_"+strings.Repeat("x", 249)), "/payment/confirmation_token too_long")

	for _, bad := range []string{"tomorrow", "2026-11-22", "2026-11-22T20:00:00", "2026-11-22 20:00:00Z", "2026-11-22T20:00:00,5Z", "2026-11-22T2:00:00Z",
		"2026-02-30T20:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T20:00:00+24:00", "2026-11-22T20:00:00+00:60", "2026-11-22T20:00:00+1:00", "2026-11-22T20:00:00z",
		"1764000000", "2026-11-22T20:00:00Z ", "2026-11-22T20:00:00.0000000000000000000000000000Z"} {
		check("expires_at "+bad, func(d *ingest.Donation) { d.Payment.ExpiresAtText = bad }, "/payment/expires_at bad_format")
	}
}

func TestValidate_FindsEverythingAtOnce(t *testing.T) {
	d := &ingest.Donation{
		Currency:      "XXX",
		Lines:         []ingest.Line{{"a", 0}, {"a", 100_000_000}, {"", 1}},
		FeeCoverMinor: -1,
		Personal:      ingest.Personal{Name: "\x00", Email: "ada", Message: "4242424242424242", DedicationName: strings.Repeat("x", 101)},
		Payment:       ingest.Payment{ExpiresAtText: "soon"},
	}
	want := []string{
		"/currency unknown_value",
		"/lines/0/amount_minor too_small", "/lines/1/campaign duplicate_campaign", "/lines/1/amount_minor too_large", "/lines/2/campaign required",
		"/fee_cover_minor too_small",
		"/donor/name control_character", "/donor/email bad_format", "/message card_number",
		"/dedication/name too_long", "/dedication/kind required",
		"/payment/confirmation_token required", "/payment/expires_at bad_format",
	}
	if diff := cmp.Diff(want, faults(d, ledger.Live)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestValidate_RehearsalsBeginAtOneMinorUnit(t *testing.T) {
	d := sound()
	d.Lines[0].AmountMinor = 1
	if got := faults(d, ledger.Rehearsal); got != nil {
		t.Errorf("in a rehearsal: %v", got)
	}
	if got := faults(d, ledger.Live); len(got) != 1 {
		t.Errorf("for real: %v, want one fault", got)
	}
}

func TestValidate_ClampsTheTokensLife(t *testing.T) {
	for text, want := range map[string]time.Time{
		"":                                    received.Add(12 * time.Hour),
		"2026-11-22T20:00:00Z":                received.Add(2 * time.Hour),
		"2026-11-22T22:00:00+02:00":           received.Add(2 * time.Hour),
		"2026-11-22T20:00:00.123456789Z":      received.Add(2*time.Hour + 123456*time.Microsecond),
		"2026-11-23T06:00:00Z":                received.Add(12 * time.Hour),
		"2026-11-23T06:00:00.000001Z":         received.Add(12 * time.Hour),
		"9999-12-31T23:59:59Z":                received.Add(12 * time.Hour),
		"2026-11-22T17:59:59Z":                received,
		"0001-01-01T00:00:00Z":                received,
		"0000-01-01T00:00:00.999999999+23:59": received,
	} {
		d := sound()
		d.Payment.ExpiresAtText = text
		if got := faults(d, ledger.Live); got != nil {
			t.Errorf("%q: %v", text, got)
		}
		if !d.Payment.ExpiresAt.Equal(want) || d.Payment.ExpiresAt.Location() != time.UTC {
			t.Errorf("%q: %v, want %v", text, d.Payment.ExpiresAt, want)
		}
	}
}

func TestValidate_TrimsBeforeTheFingerprint(t *testing.T) {
	a, b := sound(), sound()
	a.Personal = ingest.Personal{Name: "Ada", Message: "Go team!"}
	b.Personal = ingest.Personal{Name: " Ada\t", Message: "\nGo team!  "}
	a.Validate(ledger.Live, received, nil)
	b.Validate(ledger.Live, received, nil)
	if a.Fingerprint() != b.Fingerprint() {
		t.Error("spaces around a text make another donation")
	}
}

func TestValidate_SoundDonationDoesNotAllocate(t *testing.T) {
	d := sound()
	d.Personal = ingest.Personal{Name: "Ada Example", Email: "ada@example.org", Message: "Go team!", DedicationKind: ingest.InHonor, DedicationName: "Grace"}
	d.Payment.ExpiresAtText = "2026-11-22T20:00:00Z"
	if n := testing.AllocsPerRun(100, func() { d.Validate(ledger.Live, received, nil) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// donation draws any donation, sound or not.
func donation(t *rapid.T) *ingest.Donation {
	text := rapid.StringN(-1, -1, 40)
	d := &ingest.Donation{
		Currency:      money.Currency(rapid.SampledFrom([]string{"USD", "EUR", "JPY", ""}).Draw(t, "currency")),
		FeeCoverMinor: rapid.Int64().Draw(t, "fee"),
		Anonymous:     rapid.Bool().Draw(t, "anonymous"),
		HideAmount:    rapid.Bool().Draw(t, "hide amount"),
		Personal: ingest.Personal{
			Name: text.Draw(t, "name"), Email: text.Draw(t, "e-mail"), Message: text.Draw(t, "message"),
			DedicationKind: ingest.DedicationKind(rapid.IntRange(0, 3).Draw(t, "kind")), DedicationName: text.Draw(t, "dedication"),
		},
		Payment: ingest.Payment{ConfirmationToken: text.Draw(t, "token"), ExpiresAtText: text.Draw(t, "expires")},
	}
	for range rapid.IntRange(0, 30).Draw(t, "lines") {
		d.Lines = append(d.Lines, ingest.Line{Campaign: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "slug"), AmountMinor: rapid.Int64().Draw(t, "amount")})
	}
	return d
}

func TestFingerprint_OrderOfLinesAndPaymentDoNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := donation(t)
		seen := map[string]bool{}
		distinct := d.Lines[:0]
		for _, line := range d.Lines { // a campaign is in one line at most
			if !seen[line.Campaign] {
				seen[line.Campaign] = true
				distinct = append(distinct, line)
			}
		}
		d.Lines = distinct
		other := *d
		other.Lines = rapid.Permutation(d.Lines).Draw(t, "order")
		other.Payment = ingest.Payment{ConfirmationToken: "ctoken_another", ExpiresAt: received}
		if d.Fingerprint() != other.Fingerprint() {
			t.Fatal("the same content has two fingerprints")
		}
	})
}

func TestFingerprint_EveryFieldCounts(t *testing.T) {
	changes := map[string]func(*ingest.Donation){
		"currency":        func(d *ingest.Donation) { d.Currency += "X" },
		"fee":             func(d *ingest.Donation) { d.FeeCoverMinor++ },
		"anonymous":       func(d *ingest.Donation) { d.Anonymous = !d.Anonymous },
		"hide_amount":     func(d *ingest.Donation) { d.HideAmount = !d.HideAmount },
		"name":            func(d *ingest.Donation) { d.Personal.Name += "x" },
		"e-mail":          func(d *ingest.Donation) { d.Personal.Email += "x" },
		"message":         func(d *ingest.Donation) { d.Personal.Message += "x" },
		"dedication kind": func(d *ingest.Donation) { d.Personal.DedicationKind++ },
		"dedication name": func(d *ingest.Donation) { d.Personal.DedicationName += "x" },
		"a line more":     func(d *ingest.Donation) { d.Lines = append(d.Lines, ingest.Line{Campaign: "zzzz", AmountMinor: 1}) },
		"moved texts": func(d *ingest.Donation) {
			d.Personal.Name, d.Personal.Email = d.Personal.Name+d.Personal.Email+"x", ""
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		d := donation(t)
		before := d.Fingerprint()
		for name, change := range changes {
			other := *d
			other.Lines = append([]ingest.Line(nil), d.Lines...)
			change(&other)
			if other.Fingerprint() == before {
				t.Fatalf("%s does not count", name)
			}
		}
		for i := range d.Lines {
			other := *d
			other.Lines = append([]ingest.Line(nil), d.Lines...)
			other.Lines[i].AmountMinor ^= 1
			if other.Fingerprint() == before {
				t.Fatalf("line %d's amount does not count", i)
			}
		}
	})
}

// Whatever a donation holds, Validate neither panics nor lets through what the
// ledger could not hold.
func TestValidate_WhatPassesIsWithinEveryBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := donation(t)
		if len(d.Validate(ledger.Live, received, nil)) > 0 {
			d = sound() // most draws are refused; one that passes has to hold as well
			d.FeeCoverMinor = rapid.Int64Range(-10, 110_000_000).Draw(t, "other fee")
			d.Lines[0].AmountMinor = rapid.Int64Range(-10, 110_000_000).Draw(t, "other amount")
			if len(d.Validate(ledger.Live, received, nil)) > 0 {
				return
			}
		}
		sum, ok := d.AmountMinor()
		if !ok || sum < d.Currency.MinimumMinor() || sum > ingest.AmountMinorMax || d.FeeCoverMinor < 0 {
			t.Fatalf("passed with a sum of %d", sum)
		}
		for _, line := range d.Lines {
			if line.AmountMinor < 1 || line.Campaign == "" {
				t.Fatalf("passed with the line %+v", line)
			}
		}
	})
}
