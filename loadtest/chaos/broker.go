//go:build linux

package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// brokerPassword guards nothing: the broker listens on the loopback interface for one test.
const brokerPassword = "rig"

// StartBroker starts a stock nats-server on the rig's store, configured as the
// operators' own file says, and waits until it listens.
func (r *Rig) StartBroker(ctx context.Context) error {
	config, err := r.brokerConfig()
	if err != nil {
		return err
	}
	if err := r.startCommand(Command{
		Name: RoleBroker, Path: r.programs.NATSServer, Args: []string{"-c", config}, Log: r.logPath(RoleBroker),
		Env: []string{"SPILLWAY_BROKER_PASSWORD=" + brokerPassword},
	}); err != nil {
		return err
	}
	return r.until(ctx, RoleBroker, "listen", func(context.Context) error {
		conn, err := net.DialTimeout("tcp", r.brokerAddress, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// brokerConfig writes deploy/nats-server.conf with the rig's places in it.
func (r *Rig) brokerConfig() (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	shipped, err := os.ReadFile(filepath.Join(tree, "deploy", "nats-server.conf"))
	if err != nil {
		return "", err
	}
	text := string(shipped)
	for _, place := range [][2]string{
		{"listen: 0.0.0.0:4222", "listen: " + r.brokerAddress},
		{"http: 127.0.0.1:8222", "http: 127.0.0.1:-1"}, // any free port
		{"store_dir: /var/lib/nats", fmt.Sprintf("store_dir: %q", r.brokerStore())},
	} {
		if strings.Count(text, place[0]) != 1 {
			return "", fmt.Errorf("deploy/nats-server.conf does not say %q once", place[0])
		}
		text = strings.Replace(text, place[0], place[1], 1)
	}
	path := filepath.Join(r.Dir, "nats-server.conf")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func (r *Rig) brokerStore() string { return filepath.Join(r.Dir, "nats") }
func (r *Rig) brokerCopy() string  { return filepath.Join(r.Dir, "nats-copy") }

// BrokerURL is the broker's address with the roles' credentials.
func (r *Rig) BrokerURL() string {
	return "nats://spillway:" + brokerPassword + "@" + r.brokerAddress
}

// freeAddress asks the system for a loopback address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
