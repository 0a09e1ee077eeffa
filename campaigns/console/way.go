package console

import (
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// way is how a request reached us.
type way struct {
	secure   bool       // over TLS, as far as a trusted proxy says
	loopback bool       // in the open, and within this machine
	client   netip.Addr // who sent it; not valid when there is no IP address
}

// allowed tells whether passwords, cookies and keys may travel this way.
func (w way) allowed() bool { return w.secure || w.loopback }

// wayOf looks at the connection and at what trusted proxies say of it. Loopback needs
// both ends: the address that the connection comes from, and the name that the
// browser was told, so that a page of a stranger's whose name was bound anew to
// 127.0.0.1 gets nothing.
func (c *Console) wayOf(ctx *fasthttp.RequestCtx) (w way) {
	remote := addrOf(ctx.RemoteAddr())
	h := &ctx.Request.Header
	w.client = c.deps.Client(remote, joined(h.PeekAll(fasthttp.HeaderXForwardedFor)))
	proxied := len(h.Peek(fasthttp.HeaderXForwardedFor)) > 0 || len(h.Peek(fasthttp.HeaderXForwardedProto)) > 0
	switch {
	case ctx.IsTLS():
		w.secure = true
	case proxied && c.deps.Trusts(remote):
		proto := joined(h.PeekAll(fasthttp.HeaderXForwardedProto))
		// What our own proxy wrote stands last.
		w.secure = strings.EqualFold(strings.TrimSpace(proto[strings.LastIndexByte(proto, ',')+1:]), "https")
	case !proxied:
		w.loopback = remote.IsLoopback() && loopbackHost(string(ctx.Host()))
	}
	return w
}

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// loopbackHost tells whether the name in Host means this machine, to everybody.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

func joined(values [][]byte) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = string(v)
	}
	return strings.Join(parts, ",")
}

// sameSite tells whether a request that may change something was not sent by a page
// of another site, as Go's http.CrossOriginProtection does: browsers say it in
// Sec-Fetch-Site; older ones name the page's origin, which must be ours. What sends
// neither is no browser, and has no cookies that it did not mean to send.
func sameSite(h *fasthttp.RequestHeader, host string) bool {
	switch string(h.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodOptions:
		return true
	}
	switch string(h.Peek("Sec-Fetch-Site")) {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := string(h.Peek(fasthttp.HeaderOrigin))
	if origin == "" {
		return true
	}
	_, at, ok := strings.Cut(origin, "://")
	return ok && at == host
}
