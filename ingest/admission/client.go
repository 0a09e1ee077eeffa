package admission

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const (
	// hopsMax bounds how many addresses of X-Forwarded-For are read: more proxies
	// of one's own than this do not stand in a row.
	hopsMax = 16
	// proxiesMax bounds the list of trusted networks.
	proxiesMax = 256
)

// Proxies is the set of networks whose word about the client is believed. The
// zero value believes nobody.
type Proxies struct{ trusted []netip.Prefix }

// NewProxies trusts these networks, at most 256.
func NewProxies(trusted []netip.Prefix) (Proxies, error) {
	if len(trusted) > proxiesMax {
		return Proxies{}, fmt.Errorf("%d trusted proxy networks, at most %d", len(trusted), proxiesMax)
	}
	p := Proxies{}
	for _, prefix := range trusted {
		if !prefix.IsValid() {
			return Proxies{}, errors.New("a trusted proxy network without a valid prefix")
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

// Trusts tells whether addr may speak for somebody else.
func (p Proxies) Trusts(addr netip.Addr) bool {
	if len(p.trusted) == 0 {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Client is the address that a request comes from: remote, the peer of the
// connection, unless that is a trusted proxy. Then X-Forwarded-For (all its
// headers joined by commas, in order) is read from its end, where our own
// proxies write, up to the first address that is not trusted; whatever stands
// before it was written by strangers. An element that is not an address ends the
// search too: the last trusted hop is the client then.
func (p Proxies) Client(remote netip.Addr, forwarded string) netip.Addr {
	client := remote.Unmap()
	for range hopsMax {
		if forwarded == "" || !p.Trusts(client) {
			break
		}
		element := forwarded
		if i := strings.LastIndexByte(forwarded, ','); i >= 0 {
			forwarded, element = forwarded[:i], forwarded[i+1:]
		} else {
			forwarded = ""
		}
		hop, ok := parseHop(strings.Trim(element, " \t"))
		if !ok {
			break
		}
		client = hop
	}
	return client
}

// parseHop reads an address, with or without a port, as proxies write it:
// 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1]:4711.
func parseHop(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		if addr, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil && addr.Is6() {
			return addr.Unmap(), true
		}
	}
	return netip.Addr{}, false
}
