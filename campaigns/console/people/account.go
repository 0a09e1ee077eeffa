package people

import (
	"encoding/base32"
	"errors"
	"html/template"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/boombuler/barcode/qr"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// issuer is how apps call the account.
const issuer = "Spillway"

// accountPage is what account.html shows.
type accountPage struct {
	access.User
	Sessions     []access.Session
	Here         string // the session that asks
	RecoveryLeft int
	CharsMin     int
	Fault        map[string]string
	Permissions  []string
}

func (s *Section) account(r *frame.Request) error { return s.showAccount(r, nil) }

func (s *Section) showAccount(r *frame.Request, fault map[string]string) error {
	u, err := s.store.User(r.Context(), r.Principal.User)
	if err != nil {
		return err
	}
	p := accountPage{User: u, Here: r.Session, CharsMin: credential.PasswordCharsMin, Fault: fault, Permissions: u.Role.Permissions().Names()}
	if p.Sessions, err = s.store.Sessions(r.Context(), u.ID, r.Now()); err != nil {
		return err
	}
	if u.TOTP {
		if p.RecoveryLeft, err = s.store.RecoveryLeft(r.Context(), u.ID); err != nil {
			return err
		}
	}
	if fault != nil {
		r.Status(422)
	}
	return r.Page("My account", accountTemplate, p)
}

// Tries of the own password, by somebody who sits at an open session: a few, then
// one a minute.
const (
	triesBurst = 5
	triesEvery = time.Minute
	triesUsers = 1000 // remembered; organisers are tens
)

// tries counts them by user.
type tries struct {
	mu   sync.Mutex
	full map[string]time.Time // when all tries are back
}

func (t *tries) take(user string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full == nil || len(t.full) >= triesUsers {
		t.full = map[string]time.Time{}
	}
	full := t.full[user]
	if full.Before(now) {
		full = now
	}
	if full = full.Add(triesEvery); full.Sub(now) > triesBurst*triesEvery {
		return false
	}
	t.full[user] = full
	return true
}

// giveBack undoes a take that was no guess.
func (t *tries) giveBack(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if full, ok := t.full[user]; ok {
		t.full[user] = full.Add(-triesEvery)
	}
}

// password reads a password as it was typed.
func password(r *frame.Request, field string) string { return string(r.Raw().PostArgs().Peek(field)) }

// proven tells whether the requester knows their own password; fault is what to say
// when not.
func (s *Section) proven(r *frame.Request) (proofs access.Proofs, fault string, err error) {
	if !s.tries.take(r.Principal.User, r.Now()) {
		return proofs, "That was too often. Wait a minute.", nil
	}
	if proofs, err = s.store.Proofs(r.Context(), r.Principal.User); err != nil {
		return proofs, "", err
	}
	ok, _, err := s.hasher.Verify(r.Context(), proofs.Password, password(r, "current"))
	switch {
	case err != nil:
	case ok:
		s.tries.giveBack(r.Principal.User)
	default:
		fault = "This is not your password."
	}
	return proofs, fault, err
}

func (s *Section) setPassword(r *frame.Request) error {
	u, fault, err := s.proven(r)
	if err != nil {
		return err
	}
	if fault != "" {
		return s.showAccount(r, map[string]string{"current": fault})
	}
	fresh := password(r, "password")
	if fresh != password(r, "again") {
		return s.showAccount(r, map[string]string{"again": "The two passwords differ."})
	}
	if err := credential.CheckPassword(fresh, u.Email); err != nil {
		return s.showAccount(r, map[string]string{"password": "This password cannot be used" + strings.TrimPrefix(err.Error(), credential.ErrPassword.Error()) + "."})
	}
	phc, err := s.hasher.Hash(r.Context(), fresh)
	if err != nil {
		return err
	}
	if err := s.store.SetPassword(r.Context(), u.ID, phc, r.Session, entry(r, "user.password", u.Email, "by themselves; other sessions ended")); err != nil {
		return err
	}
	return r.Redirect("/admin/account", "Your password is changed, and you are signed out everywhere else.")
}

// factorPage is what factor.html shows.
type factorPage struct {
	Secret string // as people type it; the form brings it back
	QR     template.HTML
	Fault  map[string]string
}

// startFactor shows a fresh secret. It is stored when a code has shown that the app
// has it; until then it is in the page only.
func (s *Section) startFactor(r *frame.Request) error {
	return s.showFactor(r, credential.NewFactor(), nil)
}

func (s *Section) showFactor(r *frame.Request, secret []byte, fault map[string]string) error {
	code, err := qrSVG(credential.FactorURL(secret, issuer, r.Principal.Name))
	if err != nil {
		return err
	}
	if fault != nil {
		r.Status(422)
	}
	return r.Page("Second factor", factorTemplate, factorPage{Secret: grouped(credential.FactorText(secret)), QR: code, Fault: fault})
}

// grouped is a secret in groups of four, for typing.
func grouped(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// confirmFactor stores the second factor and shows the recovery codes, once.
func (s *Section) confirmFactor(r *frame.Request) error {
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(r.Form("secret"), " ", ""))
	if err != nil || len(secret) != credential.FactorBytes {
		return frame.Invalid(frame.Field{Name: "secret", Code: "invalid", Detail: "Begin again."})
	}
	u, fault, err := s.proven(r)
	if err != nil {
		return err
	}
	if fault != "" {
		return s.showFactor(r, secret, map[string]string{"current": fault})
	}
	step, ok := credential.CheckFactor(secret, r.Form("code"), r.Now(), 0)
	if !ok {
		return s.showFactor(r, secret, map[string]string{"code": "This is not the code that the app shows now. Is the clock of your phone right?"})
	}
	codes, sums := credential.NewRecoveryCodes()
	by := entry(r, "user.totp_set", u.Email, "second factor set; other sessions ended")
	if err := s.store.SetFactor(r.Context(), u.ID, s.sealer.SealSecret(u.ID, secret), step, sums, r.Session, by); err != nil {
		return err
	}
	return r.Page("Recovery codes", codesTemplate, codes)
}

func (s *Section) removeFactor(r *frame.Request) error {
	u, fault, err := s.proven(r)
	if err != nil {
		return err
	}
	if fault != "" {
		return s.showAccount(r, map[string]string{"factor": fault})
	}
	if err := s.store.SetFactor(r.Context(), u.ID, nil, 0, nil, r.Session, entry(r, "user.totp_reset", u.Email, "taken away by themselves; other sessions ended")); err != nil {
		return err
	}
	return r.Redirect("/admin/account", "You sign in without a second factor from now on.")
}

// endSessions ends the session with the ID given, or without one all but this one.
func (s *Section) endSessions(r *frame.Request) error {
	id := r.Form("id")
	if id == r.Session {
		return frame.Conflict("this_session", "To end this session, sign out.")
	}
	detail := "all other sessions ended"
	if id != "" {
		detail = "session " + id + " ended"
	}
	if err := s.store.EndSessions(r.Context(), r.Principal.User, id, r.Session, entry(r, "user.sign_out", r.Principal.Name, detail)); err != nil {
		return err
	}
	return r.Redirect("/admin/account", "Signed out there.")
}

// errQR says that a text does not fit a QR code.
var errQR = errors.New("text does not fit a QR code")

// qrSVG is a QR code as a picture inside the page: one path, four modules of quiet
// around it (ISO/IEC 18004, 6.3.8).
func qrSVG(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", errQR // the cause may quote the text
	}
	const quiet = 4
	size := code.Bounds().Dx()
	var b strings.Builder
	side := strconv.Itoa(size + 2*quiet)
	b.WriteString(`<svg class="qr" viewBox="0 0 ` + side + " " + side + `" role="img" aria-label="QR code for your app" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h` + side + "v" + side + `H0z"/><path fill="#000" d="`)
	for y := range size {
		for x := range size {
			if red, _, _, _ := code.At(x, y).RGBA(); red == 0 {
				b.WriteString("M" + strconv.Itoa(x+quiet) + " " + strconv.Itoa(y+quiet) + "h1v1h-1z")
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil
}
