package brokertest

import (
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest/broker"
	"spillway/loadtest/wire"
)

// Cluster is three or more broker processes, each in a zone of its own, that keep
// streams together. Every way between two of them, and from clients to each, leads
// through a wire, so that a server can be cut off as well as killed and frozen.
type Cluster struct {
	t     testing.TB
	nodes []*Process
	// routes are the ways between two servers, by who calls and who is called; clients
	// those from outside.
	routes  map[[2]int]*wire.Proxy
	clients []*wire.Proxy
}

// clusterPatience bounds elections and catching up on a busy machine.
const clusterPatience = time.Minute

// StartProcesses runs n broker processes that form a cluster, named broker-0 and so on,
// until the test ends. each, when not nil, changes one of them.
func StartProcesses(t testing.TB, n int, each func(i int) []Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t, routes: make(map[[2]int]*wire.Proxy)}
	listen := make([]string, n)
	for i := range n {
		listen[i] = freeAddress(t)
	}
	for from := range n {
		for to := range n {
			if from != to {
				c.routes[[2]int{from, to}] = c.wire(listen[to])
			}
		}
	}
	for i := range n {
		routes := []string{}
		for to := range n {
			if to != i {
				routes = append(routes, fmt.Sprintf("%q", "nats://"+c.routes[[2]int{i, to}].Address()))
			}
		}
		opts := []Option{WithName(fmt.Sprintf("broker-%d", i)), WithTCP(), WithReplicas(n), WithZone(string(rune('a' + i))),
			// What the others tell of each other leads nowhere: only the wires do.
			WithConfig(fmt.Sprintf("cluster { name: test, listen: %q, advertise: %q, no_advertise: true, routes: [%s] }",
				listen[i], nowhere, strings.Join(routes, ", ")))}
		if each != nil {
			opts = append(opts, each(i)...)
		}
		c.nodes = append(c.nodes, StartProcess(t, opts...))
		c.clients = append(c.clients, c.wire(c.nodes[i].server.address))
	}
	return c
}

// nowhere is an address that nobody can listen on without being root.
const nowhere = "127.0.0.1:1"

func (c *Cluster) wire(address string) *wire.Proxy {
	c.t.Helper()
	w, err := wire.Listen(wire.Config{Listen: "127.0.0.1:0", Network: "tcp", Address: address})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := w.Close(); err != nil {
			c.t.Errorf("close a wire: %v", err)
		}
	})
	return w
}

// Size is how many servers there are.
func (c *Cluster) Size() int { return len(c.nodes) }

// URL names the given servers, all when there are none, with the roles' credentials.
func (c *Cluster) URL(servers ...int) string {
	if len(servers) == 0 {
		for i := range c.nodes {
			servers = append(servers, i)
		}
	}
	var all []string
	for _, i := range servers {
		all = append(all, (&url.URL{Scheme: "nats", User: url.UserPassword(user, password), Host: c.clients[i].Address()}).String())
	}
	return strings.Join(all, ",")
}

// Config reaches the given servers, all when there are none, and keeps as many copies as
// there are servers.
func (c *Cluster) Config(servers ...int) broker.Config {
	return broker.Config{URL: c.URL(servers...), Name: c.t.Name(), Replicas: len(c.nodes)}
}

// Connect connects to one of the given servers, of all when there are none; closed when
// the test ends.
func (c *Cluster) Connect(servers ...int) *broker.Broker {
	c.t.Helper()
	b, err := broker.Connect(c.t.Context(), c.Config(servers...), Log(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			c.t.Logf("close: %v", err) // its server may be gone
		}
	})
	return b
}

// New is Connect with all streams made: it waits for the cluster to have a leader.
func (c *Cluster) New(servers ...int) *broker.Broker {
	c.t.Helper()
	b := c.Connect(servers...)
	c.until("the cluster makes streams", func() error { return b.EnsureTopology(c.t.Context()) })
	return b
}

// Leader returns the server that leads a stream, as the given servers know it, all when
// there are none; it waits until there is one.
func (c *Cluster) Leader(stream string, servers ...int) (leader int) {
	c.t.Helper()
	nc, err := nats.Connect(c.URL(servers...), nats.MaxReconnects(-1))
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	c.until("stream "+stream+" has a leader", func() error {
		s, err := js.Stream(c.t.Context(), stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo().Cluster
		if info == nil {
			return fmt.Errorf("one server knows of no cluster")
		}
		if _, err := fmt.Sscanf(info.Leader, "broker-%d", &leader); err != nil {
			return fmt.Errorf("leader %q: %w", info.Leader, err)
		}
		return nil
	})
	return leader
}

// Kill is kill -9 of a server; Start starts it again on its store.
func (c *Cluster) Kill(i int) { c.nodes[i].Kill() }

// Start starts a killed server again, with options changed if there are any.
func (c *Cluster) Start(i int, opts ...Option) {
	c.t.Helper()
	for _, o := range opts {
		o(&c.nodes[i].server.settings)
	}
	c.nodes[i].Start()
}

// Pause freezes a server; Resume lets it go on.
func (c *Cluster) Pause(i int) {
	c.t.Helper()
	c.nodes[i].Signal(syscall.SIGSTOP)
}

// Resume lets a frozen server go on.
func (c *Cluster) Resume(i int) {
	c.t.Helper()
	c.nodes[i].Signal(syscall.SIGCONT)
}

// Cut cuts a server off the others, as when packets are dropped; clients still reach it.
// Heal ends it.
func (c *Cluster) Cut(i int) { c.weather(i, wire.Weather{Kind: wire.Cut}) }

// Heal ends a Cut. Connections that stood still are gone, as after a time-out.
func (c *Cluster) Heal(i int) {
	c.weather(i, wire.Weather{Kind: wire.Reset})
	c.weather(i, wire.Weather{})
}

func (c *Cluster) weather(i int, w wire.Weather) {
	for pair, proxy := range c.routes {
		if pair[0] == i || pair[1] == i {
			proxy.Set(w)
		}
	}
}

// CutClients cuts a server off its clients, or ends that.
func (c *Cluster) CutClients(i int, cut bool) {
	kind := wire.Clear
	if cut {
		kind = wire.Cut
	}
	c.clients[i].Set(wire.Weather{Kind: kind})
}

func (c *Cluster) until(what string, ask func() error) {
	c.t.Helper()
	deadline := time.Now().Add(clusterPatience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: not within %v: %v", what, clusterPatience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
