package console

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

const (
	loginPath = "/admin/login"
	codePath  = "/admin/login/code"

	// pendingLife is how long a password waits for its second factor.
	pendingLife = 5 * time.Minute
	// codesMost is how many wrong codes end the wait.
	codesMost = 5
	// deviceAge is the device cookie's, in seconds.
	deviceAge = int(devicesKept / time.Second)
	// failedMax is how many failed logins wait to be written down; more are only counted.
	failedMax = 256
	// nextBytesMax bounds the address to go to after login.
	nextBytesMax = 1024
)

// loginForm is what login.html shows.
type loginForm struct {
	Email, Next, Error string
	// Plain tells that the page was reached in the open: no form then.
	Plain string
	// Away tells that the database does not answer.
	Away bool
}

func (c *Console) loginPage(r *frame.Request) error {
	if r.Principal.Known() {
		return r.Redirect(frame.PageRoot, "")
	}
	return c.showLogin(r, loginForm{Next: nextOf(r.Query("next"))})
}

func (c *Console) showLogin(r *frame.Request, f loginForm) error {
	if !c.wayOf(r.Raw()).allowed() {
		f.Plain = errPlain.Detail
		r.Status(errPlain.Status)
	}
	f.Away = c.away.Load()
	return bare(r, "Sign in", loginTemplate, f)
}

// nextOf is where to go after login: a page of the console, else its home.
func nextOf(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || len(next) > nextBytesMax || strings.ContainsAny(next, "\\\r\n\t") {
		return frame.PageRoot
	}
	if u.Path != frame.PageRoot && !strings.HasPrefix(u.Path, frame.PageRoot+"/") || strings.HasPrefix(u.Path, loginPath) || frame.IsJSON(u.Path) {
		return frame.PageRoot
	}
	return next
}

// refuseLogin shows the form again with one sentence, the same whatever was wrong.
func (c *Console) refuseLogin(r *frame.Request, email, outcome, sentence string, status int) error {
	c.metrics.logins.WithLabelValues(outcome).Inc()
	r.Status(status)
	return c.showLogin(r, loginForm{Email: email, Next: nextOf(r.Form("next")), Error: sentence})
}

// login takes an e-mail address and a password. Everything that differs between a
// user and nobody, a right password and a wrong one, happens after the hash.
func (c *Console) login(r *frame.Request) error {
	way := c.wayOf(r.Raw())
	if !way.allowed() {
		return c.showLogin(r, loginForm{})
	}
	typed, now := r.Form("email"), c.now()
	email, ok := access.CanonicalEmail(typed)
	if !ok {
		email = "" // nobody's
	}
	if len(typed) > access.EmailBytesMax {
		typed = ""
	}
	if wait := c.logins.take(sourceKey(way.client), perAddress, now); wait > 0 {
		return c.slowDown(r, typed, wait)
	}
	user, err := c.deps.Store.Proofs(r.Context(), email)
	if err != nil && !errors.Is(err, access.ErrUnknown) {
		return err
	}
	account, err := c.accountKey(r, user.ID, email)
	if err != nil {
		return err
	}
	if wait := c.accounts.take(account, perAccount, now); wait > 0 {
		return c.slowDown(r, typed, wait)
	}
	stored := user.Password
	if !user.DisabledAt.IsZero() {
		stored = ""
	}
	// Not trimmed: spaces belong to a password.
	password := string(r.Raw().PostArgs().Peek("password"))
	right, again, err := c.deps.Hasher.Verify(r.Context(), stored, password)
	switch {
	case errors.Is(err, credential.ErrHash):
		c.log.Error("a stored password cannot be read: have the user reset it", "user", user.ID)
		right = false
	case err != nil:
		return frame.Busy("Too many people sign in at this moment; try again.")
	}
	if !right {
		c.noteFailure(r, user.User, "password")
		return c.refuseLogin(r, typed, loginWrong, "E-mail address or password is not right.", fasthttp.StatusUnauthorized)
	}
	c.accounts.giveBack(account, perAccount)
	if again {
		c.rehash(r.Context(), user, password)
	}
	if user.Factor != nil {
		return c.askForCode(r, user.User)
	}
	return c.begin(r, user.User, "password")
}

func (c *Console) slowDown(r *frame.Request, email string, wait time.Duration) error {
	r.Raw().Response.Header.Set(fasthttp.HeaderRetryAfter, itoa(seconds(wait)))
	return c.refuseLogin(r, email, loginThrottled, "That was too often. Wait "+waitText(wait)+" and try again.", fasthttp.StatusTooManyRequests)
}

// accountKey is what tries on an account are counted under: browsers in which its
// user has signed in before count by themselves.
func (c *Console) accountKey(r *frame.Request, user, email string) (string, error) {
	if token := r.Cookie(deviceCookie); token != "" {
		sum := credential.SumOf(token)
		known, err := c.deps.Store.KnowsDevice(r.Context(), sum, user)
		if err != nil {
			return "", err
		}
		if known {
			return "device " + string(sum[:]), nil
		}
	}
	return "account " + email, nil
}

// noteFailure has a failed login of a user written down, later: an entry for users
// only, written at once, would tell by its time who is one.
func (c *Console) noteFailure(r *frame.Request, u access.User, what string) {
	if u.ID == "" {
		return
	}
	select {
	case c.failed <- access.Entry{Network: r.Network(), Action: "login.failed", Subject: u.Email, Detail: "wrong " + what}:
	default:
		c.log.Warn("a failed login is not in the audit log: too many at once")
	}
}

// rehash makes the hash anew at today's costs; if it cannot be stored, the next login does.
func (c *Console) rehash(ctx context.Context, user access.Proofs, password string) {
	phc, err := c.deps.Hasher.Hash(ctx, password)
	if err == nil {
		err = c.deps.Store.Rehash(ctx, user.ID, user.Password, phc)
	}
	if err != nil {
		c.log.Warn("a password keeps its old hash", "user", user.ID, "err", err)
	}
}

// askForCode remembers that the password was right, and asks for the second factor.
func (c *Console) askForCode(r *frame.Request, u access.User) error {
	token, sum := credential.NewToken()
	now := c.now()
	s := access.Session{ID: credential.NewID(8), User: u.ID, CreatedAt: now, ExpiresAt: now.Add(pendingLife), Network: r.Network(), Agent: agentOf(r)}
	if err := c.deps.Store.StartSession(r.Context(), sum, s, true, access.Entry{}); err != nil {
		return err
	}
	r.SetCookie(pendingCookie, token, int(pendingLife/time.Second))
	c.metrics.logins.WithLabelValues(loginCode).Inc()
	return r.Redirect(codePath+"?next="+url.QueryEscape(nextOf(r.Form("next"))), "")
}

// begin starts a session, with a token that was never used before, and ends the one
// that the browser had.
func (c *Console) begin(r *frame.Request, u access.User, by string) error {
	token, sum := credential.NewToken()
	now := c.now()
	s := access.Session{ID: credential.NewID(8), User: u.ID, CreatedAt: now, ExpiresAt: now.Add(c.config.SessionLife), Network: r.Network(), Agent: agentOf(r)}
	entry := access.Entry{Actor: u.ID, Name: u.Email, Network: r.Network(), Action: "login.done", Subject: u.Email, Detail: "by " + by}
	if err := c.deps.Store.StartSession(r.Context(), sum, s, false, entry); err != nil {
		return err
	}
	for _, old := range []string{sessionCookie, pendingCookie} {
		if before := r.Cookie(old); before != "" {
			c.end(r.Context(), credential.SumOf(before), access.Entry{})
		}
	}
	r.SetCookie(pendingCookie, "", 0)
	r.SetCookie(sessionCookie, token, int(c.config.SessionLife/time.Second))
	device := r.Cookie(deviceCookie)
	if len(device) != len(token) {
		device, _ = credential.NewToken()
	}
	if err := c.deps.Store.KnowDevice(r.Context(), credential.SumOf(device), u.ID, now); err != nil {
		c.log.Warn("a browser is not remembered", "err", err)
	} else {
		r.SetCookie(deviceCookie, device, deviceAge)
	}
	c.metrics.logins.WithLabelValues(loginDone).Inc()
	return r.Redirect(nextOf(r.Form("next")), "")
}

// end removes a session here and in the database.
func (c *Console) end(ctx context.Context, sum credential.Sum, by access.Entry) {
	c.remembered.sessions.forget(sum)
	if err := c.deps.Store.EndSession(ctx, sum, by); err != nil {
		c.log.Warn("a session is not ended in the database; it ends when it expires", "err", err)
	}
}

func (c *Console) logout(r *frame.Request) error {
	sum := credential.SumOf(r.Cookie(sessionCookie))
	by := access.Entry{Actor: r.Principal.User, Name: r.Principal.Name, Network: r.Network(), Action: "login.ended", Subject: r.Principal.Name}
	c.remembered.sessions.forget(sum)
	if err := c.deps.Store.EndSession(r.Context(), sum, by); err != nil {
		return err // it would come back with the database: say so
	}
	r.SetCookie(sessionCookie, "", 0)
	return r.Redirect(loginPath, "You are signed out.")
}
