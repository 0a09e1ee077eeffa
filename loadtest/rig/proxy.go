//go:build linux

package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// RoleProxy stands before the front-ends of a cluster.
const RoleProxy = "proxy"

// proxyConfig passes connections on, not requests as deploy/haproxy/haproxy.cfg does: what
// one connection is told, one front-end says, so that the proof's claims about a connection
// (totals never go back) stay meaningful, and a request that was lost is the generator's to
// send again, who knows then that there were two. A connection that is refused is tried at
// the other front-end; those of one that is not ready are closed.
const proxyConfig = `global
    log stdout format raw local0 notice
    maxconn 4000
defaults
    mode tcp
    timeout connect 2s
    timeout server 60s
    timeout client 60s
    timeout queue 5s
    retries 1
    option redispatch 1
frontend donors
    bind %s
    default_backend front_ends
backend front_ends
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 1s fall 2 rise 1 maxconn 4096 on-marked-down shutdown-sessions
`

// startProxy starts HAProxy before the cluster's front-ends.
func (r *Rig) startProxy(ctx context.Context, haproxy string) error {
	text := fmt.Sprintf(proxyConfig, r.cluster.door)
	for n, f := range r.cluster.frontEnds {
		text += fmt.Sprintf("    server %s %s\n", FrontEnd(n+1), f.public)
	}
	path := filepath.Join(r.Dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := r.start(RoleProxy, haproxy, "-db", "-f", path); err != nil {
		return err
	}
	return r.Until(ctx, RoleProxy, "pass donors on", func(ctx context.Context) error {
		_, err := Get(ctx, "http://"+r.cluster.door+"/readyz")
		return err
	})
}
