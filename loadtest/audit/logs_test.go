package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/ingest"
	"spillway/ingest/keyring"
	"spillway/loadtest/gift"
)

// log writes a log of the world's installation.
func (w *world) log(name string, lines ...string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	w.must(os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	w.logs = append(w.logs, path)
}

// gift is what was sent of a row of the river.
func (w *world) gift(ref gift.Ref) gift.Gift {
	return w.run.Make(ref, "USD", []ingest.Line{{Campaign: w.slugs[river], AmountMinor: 100}})
}

// aDonor is the first row whose donor has said a name.
func (w *world) aDonor() (gift.Ref, gift.Gift) {
	for n := int64(1); ; n++ {
		if g := w.gift(row(n)); g.Donation.Personal.Name != "" {
			return row(n), g
		}
	}
}

// secret is one of the installation's that logs are searched for.
const secret = "correct horse battery staple"

func TestLogs_WhatNoLogMayHoldIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("much matching on one goroutine: runs without -short")
	}
	ring, err := keyring.Generate(strings.NewReader(strings.Repeat("not random at all", 8)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		what string // "" when nothing is wrong
		mine bool   // the donation is named
		line func(g *gift.Gift) string
	}{
		"a donor's e-mail": {"an e-mail address", true, func(g *gift.Gift) string { return "to=" + g.Donation.Personal.Email }},
		"a donor's e-mail in a form": {"an e-mail address", true, func(g *gift.Gift) string {
			return "email=" + strings.Replace(g.Donation.Personal.Email, "@", "%40", 1) + "&x"
		}},
		"somebody's e-mail":        {"an e-mail address", false, func(*gift.Gift) string { return `msg="mail to grace.hopper+x@navy.example.mil refused"` }},
		"a donor's name":           {"a donor's name", true, func(g *gift.Gift) string { return fmt.Sprintf("donor=%q", g.Donation.Personal.Name) }},
		"a donor's name in a form": {"a donor's name", true, func(g *gift.Gift) string { return "name=" + strings.ReplaceAll(g.Donation.Personal.Name, " ", "+") }},
		"a message":                {"a donor's message", false, func(*gift.Gift) string { return `body={"message":"Happy to help <3 & again next year"}` }},
		"a confirmation token": {"a confirmation token", true, func(g *gift.Gift) string {
			return "params=amount=100&confirmation_token=" + g.Donation.Payment.ConfirmationToken
		}},
		"a real confirmation token": {"a confirmation token", false, func(*gift.Gift) string { return "token ctoken_1Qr7h2Lkd refused" }},
		"a holder token": {"a holder token", true, func(g *gift.Gift) string {
			return "GET /v1/donations/x bearer=" + string(ring.Token(nil, keyring.Accepted, g.ID, g.Donation.Fingerprint()))
		}},
		"a client secret":              {"a client secret", false, func(*gift.Gift) string { return "next pi_3abc_secret_9xyz" }},
		"the processor's key":          {"a secret key", false, func(*gift.Gift) string { return "key=sk_live_51Habcdefgh" }},
		"a webhook's secret":           {"a secret key", false, func(*gift.Gift) string { return "whsec_0123456789abcdef" }},
		"a password in a URL":          {"a password in a URL", false, func(*gift.Gift) string { return "dial postgres://spillway:hunter2@db/spillway: refused" }},
		"a secret of the installation": {"a secret of the installation", false, func(*gift.Gift) string { return "credential: " + secret }},
		"a card":                       {"a card number", false, func(*gift.Gift) string { return `message="4242 4242 4242 4242"` }},
		"a card in one piece":          {"a card number", false, func(*gift.Gift) string { return "pan=4000056655665556 refused" }},
		"a card of fifteen digits":     {"a card number", false, func(*gift.Gift) string { return "3782-822463-10005" }},
		"a card after a number":        {"a card number", false, func(*gift.Gift) string { return "tries: 3, 5555555555554444." }},
		"far along a line": {"an e-mail address", true, func(g *gift.Gift) string {
			return strings.Repeat("x", logPieceBytes-30) + " " + g.Donation.Personal.Email
		}},

		"an ID":                    {"", false, func(g *gift.Gift) string { return "donation=" + g.ID.String() }},
		"an ID that is all digits": {"", false, func(*gift.Gift) string { return "donation=42424242-4242-4242-8242-424242424242" }},
		"times": {"", false, func(*gift.Gift) string {
			return "at=1795435200000 ns=1795435200000000000 2026-11-23T12:00:00.123456789Z"
		}},
		"a number that is no card": {"", false, func(*gift.Gift) string { return "sequence=4242424242424241 bytes=42424242424242424242" }},
		"a user of a host":         {"", false, func(*gift.Gift) string { return "dial postgres://spillway@db.example.org:5432/spillway" }},
		"a hidden password":        {"", false, func(*gift.Gift) string { return "dial postgres://spillway:xxxxx@db.example.org/spillway" }},
		"a module":                 {"", false, func(*gift.Gift) string { return "github.com/x/y@v1.2.3-beta.rc" }},
		"a test card's token":      {"", false, func(*gift.Gift) string { return "try ctoken_card_visa, ctoken_card_chargeDeclined" }},
		"a hash":                   {"", false, func(*gift.Gift) string { return "sha256=" + strings.Repeat("ab01", 16) }},
		"the campaign and key":     {"", false, func(*gift.Gift) string { return "campaign=world-aaaa-river key=rehearsal/world/day.csv/07/row/2/0" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.goodRun()
			ref, g := w.aDonor()
			w.log("ingest", "level=INFO msg=ready", c.line(&g), "level=INFO msg=drained")
			r := w.audit()
			if c.what == "" {
				wantBroken(t, r)
				return
			}
			wantBroken(t, r, "I10")
			v := r.private.Violations
			if len(v) != 1 || !strings.Contains(v[0].Detail, c.what) || !strings.Contains(v[0].Detail, "ingest, line 2") {
				t.Fatalf("told %+v, want %s in line 2", v, c.what)
			}
			if mine := v[0].ID == g.ID.String() && v[0].Ref == ref.String(); mine != c.mine {
				t.Errorf("told whose it is: %v, want %v: %+v", mine, c.mine, v[0])
			}
			for _, private := range []string{g.Donation.Personal.Email, g.Donation.Personal.Name, secret, "4242 4242", "hunter2"} {
				if strings.Contains(v[0].Detail, private) {
					t.Errorf("the report itself tells %q: %s", private, v[0].Detail)
				}
			}
		})
	}
}

// TestLogs_TheSameTextIsToldOnce says how often it was found instead.
func TestLogs_TheSameTextIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	_, g := w.aDonor()
	w.log("up", "a "+g.Donation.Personal.Email, "b", "c "+g.Donation.Personal.Email)
	r := w.audit()
	if v := r.private.Violations; r.private.Broken != 1 || !strings.Contains(v[0].Detail, "found 2 times") {
		t.Errorf("%d: %+v", r.private.Broken, v)
	}
	if r.private.Checked != 1+3 { // the world's own log has a line
		t.Errorf("%d lines read", r.private.Checked)
	}
}

// TestLogs_MoreThanCanBeToldApartIsCounted never loses count.
func TestLogs_MoreThanCanBeToldApartIsCounted(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	var lines []string
	for n := range leaksKept + 5 {
		lines = append(lines, fmt.Sprintf("somebody-%d@example.com", n))
	}
	w.log("up", lines...)
	if r := w.audit(); r.private.Broken != leaksKept+5 {
		t.Errorf("%d", r.private.Broken)
	}
}

func TestLogs_NoneIsUntestedAndOneThatIsGoneIsAnError(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	w.logs = nil
	if r := w.audit(); r.private.Verdict() != Untested || r.private.Note == "" {
		t.Errorf("%s %q", r.private.Verdict(), r.private.Note)
	}
	cfg := w.config()
	cfg.Logs = []string{filepath.Join(t.TempDir(), "gone")}
	if _, err := Run(context.Background(), cfg); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log that is gone: %v", err)
	}
}
