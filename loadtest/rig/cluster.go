//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"spillway/deploy"
	"spillway/ingest/broker"
	"spillway/loadtest/wire"
)

// Broker names the n-th of a cluster's brokers, from 1.
func Broker(n int) string { return fmt.Sprintf("broker-%d", n) }

// FrontEnd names the n-th of a cluster's front-ends, from 1.
func FrontEnd(n int) string {
	if n == 1 {
		return RoleIngest
	}
	return fmt.Sprintf("%s-%d", RoleIngest, n)
}

// brokersOfCluster is how many keep every stream together.
const brokersOfCluster = 3

// cluster is an installation of several of everything.
type cluster struct {
	copies    int // that the roles ask for
	brokers   []clusterBroker
	frontEnds []clusterFrontEnd
	door      string // where the proxy listens
}

type clusterBroker struct{ clients, routes, monitor string }

type clusterFrontEnd struct{ public, ops string }

// ErrNoNATSServer says that the rig's programs lack a stock broker: the one inside of
// Spillway takes none of the environment that a cluster's configuration needs.
var ErrNoNATSServer = errors.New("a cluster needs a nats-server")

// Cluster says what StartCluster starts beside three brokers.
type Cluster struct {
	FrontEnds, Ledgers int
	// Copies of each stream: three, or one to see what that costs.
	Copies int
}

// StartCluster starts, in place of StartRoles, three brokers on deploy/nats-cluster.conf
// with wires between all of them and from every role to each, front-ends behind HAProxy and
// ledgers, each role with its own credentials, and a till when there is one. It returns when every
// front-end takes money. Errors: no HAProxy (exec.ErrNotFound), ErrNoNATSServer.
func (r *Rig) StartCluster(ctx context.Context, want Cluster) error {
	if r.programs.NATSServer == "" {
		return ErrNoNATSServer
	}
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		return fmt.Errorf("a cluster's front-ends need a proxy: %w", err)
	}
	if err := r.layOut(want); err != nil {
		return err
	}
	if err := r.createPostgres(ctx); err != nil {
		return err
	}
	if err := r.StartPostgres(ctx); err != nil {
		return err
	}
	for n := range brokersOfCluster {
		if err := r.startClusterBroker(ctx, n+1); err != nil {
			return err
		}
	}
	if err := r.tool(ctx, "secrets", "secrets", "--out", r.Secrets()); err != nil {
		return err
	}
	if err := r.tool(ctx, "migrate", "migrate", "--database-url", r.DatabaseURL()); err != nil {
		return err
	}
	for n := range want.Ledgers {
		if err := r.StartLedger(ctx, n+1); err != nil {
			return err
		}
	}
	for n := range want.FrontEnds {
		if err := r.startFrontEnd(ctx, n+1); err != nil {
			return err
		}
	}
	if err := r.startProxy(ctx, haproxy); err != nil {
		return err
	}
	if r.Till == nil {
		return nil
	}
	return r.StartTill(ctx)
}

// layOut finds addresses and makes the wires between brokers, and from each role to them.
func (r *Rig) layOut(want Cluster) error {
	c := &cluster{copies: want.Copies, brokers: make([]clusterBroker, brokersOfCluster), frontEnds: make([]clusterFrontEnd, want.FrontEnds)}
	places := []*string{&c.door}
	for i := range c.brokers {
		places = append(places, &c.brokers[i].clients, &c.brokers[i].routes, &c.brokers[i].monitor)
	}
	for i := range c.frontEnds {
		places = append(places, &c.frontEnds[i].public, &c.frontEnds[i].ops)
	}
	for _, place := range places {
		var err error
		if *place, err = FreeAddress(); err != nil {
			return err
		}
	}
	// The rig's own addresses are those of the first front-end.
	c.frontEnds[0] = clusterFrontEnd{r.address, r.opsAddress}
	callers := []string{}
	for n := range want.FrontEnds {
		callers = append(callers, FrontEnd(n+1))
	}
	for n := range want.Ledgers {
		callers = append(callers, Ledger(n+1))
	}
	if r.Till != nil {
		for n := range r.Till.Processes {
			callers = append(callers, Payments(n+1))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cluster = c
	lay := func(from, to, address string) error {
		w, err := wire.Listen(wire.Config{Listen: "127.0.0.1:0", Network: "tcp", Address: address})
		if err == nil {
			r.wires[link{from, to}] = w
		}
		return err
	}
	var errs []error
	for n, b := range c.brokers {
		for _, caller := range callers {
			errs = append(errs, lay(caller, Broker(n+1), b.clients))
		}
		for other := range c.brokers {
			if other != n {
				errs = append(errs, lay(Broker(other+1), Broker(n+1), b.routes))
			}
		}
	}
	return errors.Join(errs...)
}

// nowhere is told to other brokers as a broker's address: they know the wires.
const nowhere = "127.0.0.1:1"

// startClusterBroker starts the n-th broker on its store and waits until it listens.
func (r *Rig) startClusterBroker(ctx context.Context, n int) error {
	at, role := r.cluster.brokers[n-1], Broker(n)
	dir := filepath.Join(r.Dir, role)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var routes []string
	for other := range r.cluster.brokers {
		if other+1 != n {
			routes = append(routes, fmt.Sprintf("%q", "nats://"+r.wire(link{role, Broker(other + 1)}).Address()))
		}
	}
	text, err := replaceOnce(deploy.NATSCluster, [][2]string{
		{"listen: 0.0.0.0:4222", "listen: " + at.clients},
		{"http: 127.0.0.1:8222", "http: " + at.monitor},
		{"store_dir: /var/lib/nats", fmt.Sprintf("store_dir: %q", filepath.Join(dir, "store"))},
		{"listen: 0.0.0.0:6222", fmt.Sprintf("listen: %s\n  advertise: %q\n  no_advertise: true", at.routes, nowhere)},
		{"\"nats://broker-1:6222\"\n    \"nats://broker-2:6222\"\n    \"nats://broker-3:6222\"", strings.Join(routes, "\n    ")},
	})
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "nats-cluster.conf")
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "nats-roles.conf"), []byte(deploy.NATSRoles), 0o600)); err != nil {
		return err
	}
	env := []string{"SPILLWAY_BROKER_NAME=" + role, fmt.Sprintf("SPILLWAY_BROKER_ZONE=az-%d", n)}
	for _, user := range broker.Roles {
		env = append(env, "SPILLWAY_"+strings.ToUpper(string(user))+"_PASSWORD="+brokerPassword)
	}
	if err := r.startCommand(Command{Name: role, Path: r.programs.NATSServer, Args: []string{"-c", config}, Log: r.LogPath(role), Env: env}); err != nil {
		return err
	}
	return r.Until(ctx, role, "listen", func(context.Context) error { return listens(at.clients) })
}

// listens tells whether somebody takes connections.
func listens(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// replaceOnce replaces each first text by its second; it has to occur once.
func replaceOnce(text string, places [][2]string) (string, error) {
	for _, place := range places {
		if strings.Count(text, place[0]) != 1 {
			return "", fmt.Errorf("the configuration does not say %q once", place[0])
		}
		text = strings.Replace(text, place[0], place[1], 1)
	}
	return text, nil
}

// clusterURL names all brokers with the credentials of a role of the product.
func (r *Rig) clusterURL(process string) string {
	user, _, _ := strings.Cut(process, "-")
	var all []string
	for n, b := range r.cluster.brokers {
		all = append(all, "nats://"+user+":"+brokerPassword+"@"+r.via(process, Broker(n+1), b.clients))
	}
	return strings.Join(all, ",")
}

// replicas are the flags of a role that has to know of copies.
func (r *Rig) replicas() []string {
	if r.cluster == nil {
		return nil
	}
	return []string{"--replicas", fmt.Sprint(r.cluster.copies)}
}

// startFrontEnd starts the n-th front-end and waits until it takes money.
func (r *Rig) startFrontEnd(ctx context.Context, n int) error {
	at, role := r.cluster.frontEnds[n-1], FrontEnd(n)
	if err := r.startCommand(Command{Name: role, Path: r.programs.Spillway, Args: append([]string{"ingest",
		"--listen", at.public, "--ops-listen", at.ops,
		"--nats-url", r.brokerFor(role), "--secrets", r.Secrets()}, r.replicas()...), Env: r.frontEndEnv(), Log: r.LogPath(role)}); err != nil {
		return err
	}
	return r.Until(ctx, role, "take money", func(ctx context.Context) error {
		_, err := Get(ctx, "http://"+at.public+"/readyz")
		return err
	})
}

// restartOfCluster starts one of a cluster's processes again; ours is false for others.
func (r *Rig) restartOfCluster(ctx context.Context, role string) (ours bool, err error) {
	if r.cluster == nil {
		return false, nil
	}
	for n := range r.cluster.brokers {
		if role == Broker(n+1) {
			return true, r.startClusterBroker(ctx, n+1)
		}
	}
	for n := range r.cluster.frontEnds {
		if role == FrontEnd(n+1) {
			return true, r.startFrontEnd(ctx, n+1)
		}
	}
	return false, nil
}
