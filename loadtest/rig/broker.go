//go:build linux

package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spillway/deploy"
)

// brokerPassword guards nothing: the broker listens on the loopback interface for one run.
const brokerPassword = "rig"

// StartBroker starts a broker on the rig's store, configured as the operators' own file
// says, and waits until it listens: a stock nats-server, or the one that is inside.
func (r *Rig) StartBroker(ctx context.Context) error {
	config, err := r.brokerConfig()
	if err != nil {
		return err
	}
	program, args := r.programs.NATSServer, []string{"-c", config}
	if program == "" {
		program, args = r.programs.Spillway, []string{"broker", "--config", config}
	}
	if err := r.startCommand(Command{
		Name: RoleBroker, Path: program, Args: args, Log: r.LogPath(RoleBroker),
		Env: []string{"SPILLWAY_BROKER_PASSWORD=" + brokerPassword},
	}); err != nil {
		return err
	}
	return r.Until(ctx, RoleBroker, "listen", func(context.Context) error {
		conn, err := net.DialTimeout("tcp", r.brokerAddress, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// brokerConfig writes deploy/nats-server.conf with the rig's places in it.
func (r *Rig) brokerConfig() (string, error) {
	text := deploy.NATSServer
	for _, place := range [][2]string{
		{"listen: 0.0.0.0:4222", "listen: " + r.brokerAddress},
		{"http: 127.0.0.1:8222", "http: 127.0.0.1:-1"}, // any free port
		{"store_dir: /var/lib/nats", fmt.Sprintf("store_dir: %q", r.BrokerStore())},
	} {
		if strings.Count(text, place[0]) != 1 {
			return "", fmt.Errorf("deploy/nats-server.conf does not say %q once", place[0])
		}
		text = strings.Replace(text, place[0], place[1], 1)
	}
	path := filepath.Join(r.Dir, "nats-server.conf")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// BrokerStore is the folder of the broker's streams.
func (r *Rig) BrokerStore() string { return filepath.Join(r.Dir, "nats") }

// BrokerURL is the broker's address with the roles' credentials.
func (r *Rig) BrokerURL() string { return brokerURL(r.brokerAddress) }

func brokerURL(address string) string { return "nats://spillway:" + brokerPassword + "@" + address }

// Ports that a rig listens on are below those that systems give to outgoing connections
// (32,768 and above on Linux, 49,152 on macOS): one that is free now is not taken by a call
// of another process before its role has started.
const (
	portFirst = 12_000
	portLast  = 32_000
	portTries = 100
)

// FreeAddress finds a loopback address that nobody listens on.
func FreeAddress() (string, error) {
	var err error
	for range portTries {
		var listener net.Listener
		address := fmt.Sprintf("127.0.0.1:%d", portFirst+rand.IntN(portLast-portFirst))
		if listener, err = net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", fmt.Errorf("no free port from %d to %d: %w", portFirst, portLast, err)
}
