package web

import "strings"

// header is a response header, in canonical spelling.
type header struct{ name, value []byte }

// headers are those that every page of a sort carries. Pages are cached and cannot
// carry a nonce, so what may run is said by origin: our own files, and Stripe's where
// it is configured.
type headers struct {
	page    []header // pages about campaigns
	private []header // pages about somebody's gift: nobody is told where they are
	embed   []header // the widget, which any page may frame
	file    []header // assets, pictures, texts: nothing runs in them
}

func newHeaders(c *Config) headers {
	common := []header{
		h("X-Content-Type-Options", "nosniff"),
		h("Permissions-Policy", permissions(c)),
	}
	if strings.HasPrefix(c.PublicURL, "https://") {
		// Half a year; subdomains may belong to others.
		common = append(common, h("Strict-Transport-Security", "max-age=15552000"))
	}
	with := func(more ...header) []header { return append(common[:len(common):len(common)], more...) }
	// A wallet's or a bank's window may be opened by the payment form.
	opener := h("Cross-Origin-Opener-Policy", "same-origin")
	if c.StripeKey != "" {
		opener = h("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	}
	return headers{
		page: with(h("Content-Security-Policy", policy(c, "'none'", true)), opener, h("X-Frame-Options", "DENY"),
			h("Referrer-Policy", "strict-origin-when-cross-origin")),
		private: with(h("Content-Security-Policy", policy(c, "'none'", true)), opener, h("X-Frame-Options", "DENY"),
			h("Referrer-Policy", "no-referrer"), h("X-Robots-Tag", "noindex")),
		embed: with(h("Content-Security-Policy", policy(c, "*", false)), h("Cross-Origin-Opener-Policy", "same-origin"),
			h("Referrer-Policy", "no-referrer"), h("X-Robots-Tag", "noindex")),
		file: with(h("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'"),
			h("Referrer-Policy", "no-referrer")),
	}
}

func h(name, value string) header { return header{[]byte(name), []byte(value)} }

// policy is the page's Content-Security-Policy; pays is true where cards are entered.
func policy(c *Config, ancestors string, pays bool) string {
	script, connect, frame := "'self'", "'self'", "'none'"
	if pays && c.StripeKey != "" {
		// https://docs.stripe.com/security/guide#content-security-policy, read 2026-11.
		script += " https://js.stripe.com"
		connect += " https://api.stripe.com"
		frame = "https://js.stripe.com https://hooks.stripe.com"
	}
	return "default-src 'none'; script-src " + script + "; style-src 'self'; img-src 'self' data:; connect-src " + connect +
		"; frame-src " + frame + "; form-action 'self'; base-uri 'none'; frame-ancestors " + ancestors
}

func permissions(c *Config) string {
	payment := "()"
	if c.StripeKey != "" {
		payment = `(self "https://js.stripe.com")`
	}
	return "camera=(), geolocation=(), microphone=(), payment=" + payment
}
