//go:build linux

package rig

import (
	"net"
	"net/url"

	"spillway/loadtest/wire"
)

// donors are who gives, as a link knows them.
const donors = "donors"

// link is a way from who calls to who is called.
type link struct{ from, to string }

// wireUp makes the wires between the roles that are about to start.
func (r *Rig) wireUp(ledgers int) error {
	if !r.Wired {
		return nil
	}
	links := []link{{donors, RoleIngest}, {RoleIngest, RoleBroker}}
	for n := range ledgers {
		links = append(links, link{Ledger(n + 1), RoleBroker}, link{Ledger(n + 1), RolePostgres})
	}
	if r.Till != nil {
		links = append(links, link{RoleSimulator, RoleIngest})
		for n := range r.Till.Processes {
			links = append(links, link{Payments(n + 1), RoleBroker}, link{Payments(n + 1), RolePostgres}, link{Payments(n + 1), RoleSimulator})
		}
	}
	far := map[string]wire.Config{
		RoleIngest: {Network: "tcp", Address: r.address}, RoleBroker: {Network: "tcp", Address: r.brokerAddress},
		RoleSimulator: {Network: "tcp", Address: r.processorAddress}, RolePostgres: {Network: "unix", Address: r.socket()},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range links {
		config := far[l.to]
		config.Listen = "127.0.0.1:0"
		w, err := wire.Listen(config)
		if err != nil {
			return err
		}
		r.wires[l] = w
	}
	return nil
}

// SetWeather changes the weather of every wire from or to a role. Without wires there is
// nothing to change.
func (r *Rig) SetWeather(role string, w wire.Weather) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, proxy := range r.wires {
		if l.from == role || l.to == role {
			proxy.Set(w)
		}
	}
}

func (r *Rig) wire(l link) *wire.Proxy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wires[l]
}

// via is the address of who is called, as who calls is to know it.
func (r *Rig) via(from, to, direct string) string {
	if w := r.wire(link{from, to}); w != nil {
		return w.Address()
	}
	return direct
}

func (r *Rig) brokerFor(role string) string {
	if r.cluster != nil {
		return r.clusterURL(role)
	}
	return brokerURL(r.via(role, RoleBroker, r.brokerAddress))
}

func (r *Rig) processorFor(role string) string {
	return "http://" + r.via(role, RoleSimulator, r.processorAddress)
}

func (r *Rig) frontEndFor(role string) string {
	if r.cluster != nil {
		return r.URL()
	}
	return "http://" + r.via(role, RoleIngest, r.address)
}

func (r *Rig) databaseFor(role string) string {
	w := r.wire(link{role, RolePostgres})
	if w == nil {
		return r.DatabaseURL()
	}
	host, port, err := net.SplitHostPort(w.Address())
	if err != nil {
		panic(err) // a listener's own address
	}
	return databaseURL(url.Values{"host": {host}, "port": {port}, "sslmode": {"disable"}})
}
