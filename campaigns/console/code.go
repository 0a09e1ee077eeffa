package console

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// codeForm is what code.html shows.
type codeForm struct{ Next, Error string }

// pending is the user whose password was right in this browser a moment ago.
// Errors: access.ErrUnknown, when there is none.
func (c *Console) pending(r *frame.Request) (sum credential.Sum, user access.Proofs, err error) {
	token := r.Cookie(pendingCookie)
	if token == "" || !c.wayOf(r.Raw()).allowed() {
		return sum, user, access.ErrUnknown
	}
	sum = credential.SumOf(token)
	live, err := c.deps.Store.Session(r.Context(), sum)
	if err != nil {
		return sum, user, err
	}
	if !live.Pending || !c.now().Before(live.ExpiresAt) {
		return sum, user, access.ErrUnknown
	}
	user, err = c.deps.Store.Proofs(r.Context(), live.User)
	return sum, user, err
}

func (c *Console) codePage(r *frame.Request) error {
	_, _, err := c.pending(r)
	if errors.Is(err, access.ErrUnknown) {
		return r.Redirect(loginPath, "")
	}
	if err != nil {
		return err
	}
	return bare(r, "Second factor", codeTemplate, codeForm{Next: nextOf(r.Query("next"))})
}

// code takes the second factor: six digits of the app, or a recovery code.
func (c *Console) code(r *frame.Request) error {
	sum, user, err := c.pending(r)
	if errors.Is(err, access.ErrUnknown) {
		return r.Redirect(loginPath, "That took too long. Sign in again.")
	}
	if err != nil {
		return err
	}
	account, err := c.accountKey(r, user.ID, user.Email)
	if err != nil {
		return err
	}
	if wait := c.accounts.take("code "+account, perFactor, c.now()); wait > 0 {
		r.Raw().Response.Header.Set(fasthttp.HeaderRetryAfter, itoa(seconds(wait)))
		return c.refuseCode(r, loginThrottled, "That was too often. Wait "+waitText(wait)+" and try again.", fasthttp.StatusTooManyRequests)
	}
	typed := r.Form("code")
	by, err := c.checkCode(r, user, typed)
	if err != nil {
		return err
	}
	if by == "" {
		if err := c.deps.Store.Failed(r.Context(), sum, codesMost); err != nil {
			return err
		}
		c.noteFailure(r, user.User, "code")
		return c.refuseCode(r, loginWrong, "This code is not right, or was used already. A new one comes within half a minute.", fasthttp.StatusUnauthorized)
	}
	c.accounts.giveBack("code "+account, perFactor)
	return c.begin(r, user.User, by)
}

// checkCode tells by what the code proves the user, "" when it does not.
func (c *Console) checkCode(r *frame.Request, user access.Proofs, typed string) (by string, err error) {
	if len(strings.ReplaceAll(typed, " ", "")) > 6 {
		entry := access.Entry{Actor: user.ID, Name: user.Email, Network: r.Network(), Action: "login.recovery", Subject: user.Email, Detail: "a recovery code was used"}
		ok, err := c.deps.Store.UseRecovery(r.Context(), user.ID, credential.RecoverySum(typed), entry)
		if err != nil || !ok {
			return "", err
		}
		return "password and recovery code", nil
	}
	if user.Factor == nil { // taken away since
		return "", nil
	}
	secret, err := c.deps.Opener.OpenSecret(user.ID, user.Factor)
	if err != nil {
		c.log.Error("a second factor cannot be opened: was it sealed with other secrets? 'spillway user reset-totp' takes it away", "user", user.ID, "err", err)
		return "", frame.Conflict("factor_sealed", "Your second factor cannot be checked with this installation's secrets. Use a recovery code, or ask whoever runs it for: spillway user reset-totp.")
	}
	step, ok := credential.CheckFactor(secret, typed, c.now(), user.Step)
	if !ok {
		return "", nil
	}
	// The step is taken in the database: of two requests with one code one gets in.
	if ok, err = c.deps.Store.UseStep(r.Context(), user.ID, step); err != nil || !ok {
		return "", err
	}
	return "password and code", nil
}

func (c *Console) refuseCode(r *frame.Request, outcome, sentence string, status int) error {
	c.metrics.logins.WithLabelValues(outcome).Inc()
	r.Status(status)
	return bare(r, "Second factor", codeTemplate, codeForm{Next: nextOf(r.Form("next")), Error: sentence})
}

func itoa(n int) string { return strconv.Itoa(n) }

// waitText is a wait as people say it.
func waitText(wait time.Duration) string {
	if s := seconds(wait); s < 120 {
		return frame.Plural(s, "second", "seconds")
	}
	return frame.Plural(int(wait.Round(time.Minute)/time.Minute), "minute", "minutes")
}

// agentOf is the browser in a word or two, so that people know their sessions apart.
func agentOf(r *frame.Request) string {
	ua := string(r.Raw().UserAgent())
	first := func(words ...string) string {
		for _, w := range words {
			if strings.Contains(ua, w) {
				return w
			}
		}
		return ""
	}
	browser := first("Firefox", "Edg", "OPR", "Chrome", "Safari")
	switch browser {
	case "":
		return "another program"
	case "Edg":
		browser = "Edge"
	case "OPR":
		browser = "Opera"
	}
	if system := first("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"); system != "" {
		return browser + " on " + system
	}
	return browser
}
