package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ingest/broker"
)

const (
	// topologyPause is between two tries to create the streams of a broker that
	// does not answer yet: an election takes seconds.
	topologyPause = 500 * time.Millisecond
	// connectSay is how long connecting may take before somebody is told.
	connectSay = 2 * time.Second
	// connectionStop bounds letting the last acks leave; see broker.Close.
	connectionStop = 10 * time.Second
)

// brokerAt describes how a role reaches the broker: the embedded one, when there
// is one, without a socket, otherwise by URL.
func brokerAt(c config.Broker, t config.Topology, embedded *onebox.Broker, name string) broker.Config {
	cfg := broker.Config{Name: name, Shards: t.Shards, Replicas: t.Replicas}
	if embedded != nil {
		cfg.InProcess = embedded
		cfg.User, cfg.Password = embedded.Credentials()
		cfg.Embedded = embedded.SyncAlways
		cfg.StorageBytes = embedded.StoreBytesMax()
		return cfg
	}
	cfg.URL = c.NATSURL.Reveal()
	cfg.CredentialsFile, cfg.CAFile = c.NATSCreds, c.NATSCA
	cfg.MonitorURLs = c.MonitorURL
	return cfg
}

// as makes a connection that of a role with rights and inboxes of its own.
func as(role broker.Role, cfg broker.Config) broker.Config {
	cfg.Role = role
	return cfg
}

// errNoBroker says that a role was not told where the broker is.
var errNoBroker = errors.New("needs the broker: --nats-url nats://user:password@host:4222 (SPILLWAY_NATS_URL)")

// connect connects to the broker, waiting for it as long as ctx lasts, and sees to
// its streams. The connection becomes a part of the group.
func connect(ctx context.Context, group *lifecycle.Group, cfg broker.Config, log *slog.Logger) (*broker.Broker, error) {
	waiting := time.AfterFunc(connectSay, func() { log.Warn("the broker does not answer yet; still trying", "as", cfg.Name) })
	b, err := broker.Connect(ctx, cfg, log)
	waiting.Stop()
	if err != nil {
		return nil, err
	}
	group.Add(cfg.Name+" connection", connectionStop, func() {
		if err := b.Close(); err != nil {
			log.Warn("close broker connection", "error", err)
		}
	})
	return b, ensureTopology(ctx, b, log)
}

// ensureTopology repeats EnsureTopology while the broker does not answer.
func ensureTopology(ctx context.Context, b *broker.Broker, log *slog.Logger) error {
	tick := time.NewTicker(topologyPause)
	defer tick.Stop()
	for said := false; ; {
		err := b.EnsureTopology(ctx)
		if err == nil || errors.Is(err, broker.ErrTopology) || ctx.Err() != nil {
			return err
		}
		if !said {
			log.Warn("the broker's streams cannot be looked at yet; trying again", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// nodeName names this process for people: in envelopes, connections and logs.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
