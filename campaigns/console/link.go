package console

import (
	"errors"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// linkRoot begins every one-time link; the token follows.
const linkRoot = "/admin/link/"

// linkForm is what link.html shows.
type linkForm struct {
	First        bool   // it makes the first owner
	Email, Error string // of the user; typed, for the first owner
	CharsMin     int
}

// errLink says that a link opens nothing.
var errLink = &frame.Problem{Status: fasthttp.StatusNotFound, Code: "link_over",
	Detail: "This link was used, has expired, or was replaced by a newer one. An owner makes another in the console; 'spillway user link' does on the machine itself."}

// lookup tells whose link a request came by.
func (c *Console) lookup(r *frame.Request) (sum credential.Sum, u access.User, first bool, err error) {
	way := c.wayOf(r.Raw())
	if !way.allowed() {
		return sum, u, false, errPlain
	}
	if wait := c.logins.take(sourceKey(way.client), perAddress, c.now()); wait > 0 {
		return sum, u, false, &frame.Problem{Status: fasthttp.StatusTooManyRequests, Code: "too_many_requests", Detail: "Wait " + waitText(wait) + " and try again.", RetryAfter: seconds(wait)}
	}
	sum = credential.SumOf(r.Param("token"))
	u, first, err = c.deps.Store.Link(r.Context(), sum, c.now())
	if errors.Is(err, access.ErrUnknown) {
		err = errLink
	}
	return sum, u, first, err
}

// linkPage shows the form and uses nothing up: programs that look at links in
// messages must not open them for good.
func (c *Console) linkPage(r *frame.Request) error {
	_, u, first, err := c.lookup(r)
	if err != nil {
		return err
	}
	return c.showLink(r, linkForm{First: first, Email: u.Email})
}

func (c *Console) showLink(r *frame.Request, f linkForm) error {
	f.CharsMin = credential.PasswordCharsMin
	title := "Choose a password"
	if f.First {
		title = "The first owner"
	}
	return bare(r, title, linkTemplate, f)
}

// claim sets the password, and makes the first owner when it is their link.
func (c *Console) claim(r *frame.Request) error {
	sum, u, first, err := c.lookup(r)
	if err != nil {
		return err
	}
	form := linkForm{First: first, Email: u.Email}
	refuse := func(sentence string) error {
		form.Error = sentence
		r.Status(fasthttp.StatusUnprocessableEntity)
		return c.showLink(r, form)
	}
	if first {
		form.Email = r.Form("email")
		email, ok := access.CanonicalEmail(form.Email)
		if !ok {
			return refuse("This is not an e-mail address.")
		}
		u = access.User{ID: credential.NewID(16), Email: email, Role: access.Owner}
	}
	args := r.Raw().PostArgs()
	password := string(args.Peek("password")) // not trimmed: spaces belong to it
	if password != string(args.Peek("again")) {
		return refuse("The two passwords differ.")
	}
	if err := credential.CheckPassword(password, u.Email); err != nil {
		return refuse(sentenceOf(err))
	}
	phc, err := c.deps.Hasher.Hash(r.Context(), password)
	if err != nil {
		return frame.Busy("Too many people sign in at this moment; try again.")
	}
	by := access.Entry{Actor: u.ID, Name: u.Email, Network: r.Network(), Subject: u.Email}
	if first {
		by.Action, by.Detail = "user.first", "became the first owner by the one-time link"
		err = c.deps.Store.ClaimFirst(r.Context(), sum, c.now(), u, phc, by)
	} else {
		by.Action, by.Detail = "user.password", "by a one-time link; all sessions ended"
		err = c.deps.Store.ClaimLink(r.Context(), sum, c.now(), u.ID, phc, by)
	}
	if errors.Is(err, access.ErrUnknown) {
		err = errLink
	}
	if err != nil {
		return err
	}
	return r.Redirect(loginPath, "Your password is set. Sign in with it.")
}

// sentenceOf is why a password cannot be used, for people.
func sentenceOf(err error) string {
	return "This password cannot be used" + err.Error()[len(credential.ErrPassword.Error()):] + "."
}
