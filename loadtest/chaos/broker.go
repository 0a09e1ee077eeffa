//go:build linux

package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// brokerConfig is a stock nats-server's configuration as an operator writes it:
// JetStream that syncs before it acknowledges, and the system account's JSZ
// exported to the roles' account, which the durability gate asks.
const brokerConfig = `server_name: rig
listen: %q
jetstream { store_dir: %q, sync_interval: %s }
system_account: SYS
accounts {
  SYS {
    users: [{user: sys, password: %q}]
    exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [SPILLWAY]}]
  }
  SPILLWAY {
    jetstream: enabled
    users: [{user: spillway, password: %q}]
    imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]
  }
}
`

// brokerPassword guards nothing: the broker listens on the loopback interface for one test.
const brokerPassword = "rig"

// StartBroker starts a stock nats-server on the rig's store and waits until it listens.
func (r *Rig) StartBroker(ctx context.Context) error {
	config := filepath.Join(r.Dir, "nats.conf")
	text := fmt.Sprintf(brokerConfig, r.brokerAddress, filepath.Join(r.Dir, "nats"), "always", brokerPassword, brokerPassword)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	if err := r.start(RoleBroker, r.programs.NATSServer, "-c", config); err != nil {
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
