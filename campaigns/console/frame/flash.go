package frame

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// Cookies over TLS carry the prefix that ties them to this host and path; over plain
// HTTP on loopback browsers would not take it.
const hostPrefix = "__Host-"

// flashCookie holds the sentence that the next page shows once.
const flashCookie = "spillway_flash"

// flashBytesMax bounds it: cookies are sent with every request.
const flashBytesMax = 600

// CookieName is how a cookie of the console is called on this connection.
func (r *Request) CookieName(plain string) string {
	if r.s.Secure {
		return hostPrefix + plain
	}
	return plain
}

// SetCookie sets a cookie for the console's pages: HttpOnly, this host only,
// SameSite=Lax, Secure where the browser reached us over TLS. An empty value
// removes it. maxAge is in seconds, 0 for as long as the browser runs.
func (r *Request) SetCookie(plain, value string, maxAge int) {
	var c fasthttp.Cookie
	c.SetKey(r.CookieName(plain))
	c.SetValue(value)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSecure(r.s.Secure)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	if maxAge > 0 {
		c.SetMaxAge(maxAge)
	}
	if value == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	}
	r.ctx.Response.Header.SetCookie(&c)
}

// Cookie is the value of a cookie of the console, "" when there is none.
func (r *Request) Cookie(plain string) string {
	return string(r.ctx.Request.Header.Cookie(r.CookieName(plain)))
}

// SetFlash leaves a sentence for the next page; "" leaves none.
func (r *Request) SetFlash(sentence string) {
	if sentence == "" {
		return
	}
	if len(sentence) > flashBytesMax {
		end := flashBytesMax
		for !utf8.RuneStart(sentence[end]) {
			end--
		}
		sentence = sentence[:end]
	}
	r.SetCookie(flashCookie, base64.RawURLEncoding.EncodeToString([]byte(sentence)), 0)
}

// TakeFlash returns the sentence that was left, once.
func (r *Request) TakeFlash() string {
	v := r.Cookie(flashCookie)
	if v == "" {
		return ""
	}
	r.SetCookie(flashCookie, "", 0)
	text, err := base64.RawURLEncoding.DecodeString(v)
	if err != nil || len(text) > flashBytesMax || !utf8.Valid(text) {
		return ""
	}
	return string(text)
}
