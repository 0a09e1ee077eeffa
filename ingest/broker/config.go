package broker

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Bounds of Config.
const (
	ShardsMax   = 64 // a consumer, a lane and a stream each; more than a cluster of today needs
	ReplicasMax = 5  // JetStream's own
)

// Config says where the broker is and what it has to be like.
type Config struct {
	// URL is nats://user:password@host:4222, several separated by commas. Ignored
	// when InProcess is set.
	URL string
	// InProcess, when set, connects without a socket.
	InProcess InProcess
	// User and Password are needed when URL does not hold them.
	User, Password string
	// CredentialsFile is a NATS .creds file, CAFile a PEM bundle that signs the
	// servers' certificates; both optional.
	CredentialsFile, CAFile string
	// Name is shown in the broker's list of connections.
	Name string
	// Role says who connects; the zero Role is all of them in one.
	Role Role

	// Shards is how many streams a book's donations are spread over, by donation
	// ID. More may be added while everything runs (deploy/runbooks/change-shards.md),
	// never fewer. 0 means 1.
	Shards int
	// Replicas is how many servers hold each stream; 0 means 1.
	Replicas int
	// StorageBytes is what the streams may take together on one server. 0 means
	// what the broker says the account may use, and the least sizes when it sets no limit.
	StorageBytes int64

	// Embedded tells whether the broker inside this process syncs before it
	// acknowledges; nil when the broker is elsewhere.
	Embedded func() bool
	// MonitorURLs are the servers' monitoring addresses (http://host:8222), asked
	// by the gate in place of the system account; empty for none.
	MonitorURLs []string
}

func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	return c
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	if c.URL == "" && c.InProcess == nil {
		errs = append(errs, errors.New("broker: no URL"))
	}
	for server := range strings.SplitSeq(c.URL, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server // as the client reads it
		}
		if _, err := url.Parse(server); err != nil { // the cause would quote a password
			errs = append(errs, errors.New("broker: the URL cannot be read; it looks like nats://user:password@host:4222, with %XX for other signs in the password"))
			break
		}
	}
	if c.Role != "" && !slices.Contains(Roles, c.Role) {
		errs = append(errs, fmt.Errorf("broker: no role %q", c.Role))
	}
	if c.Shards < 0 || c.Shards > ShardsMax {
		errs = append(errs, fmt.Errorf("broker: %d shards; 1 to %d are possible", c.Shards, ShardsMax))
	}
	if c.Replicas < 0 || c.Replicas > ReplicasMax {
		errs = append(errs, fmt.Errorf("broker: %d replicas; 1 to %d are possible", c.Replicas, ReplicasMax))
	}
	if c.StorageBytes < 0 {
		errs = append(errs, fmt.Errorf("broker: storage of %d bytes", c.StorageBytes))
	}
	for _, m := range c.MonitorURLs {
		if u, err := url.Parse(m); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, errors.New("broker: a monitoring URL is not http://host:port"))
		}
	}
	return errors.Join(errs...)
}

func (c Config) options() []nats.Option {
	opts := []nats.Option{nats.Name(c.Name)}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if prefix := c.Role.InboxPrefix(); prefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(prefix))
	}
	if c.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(c.CredentialsFile))
	}
	if c.CAFile != "" {
		opts = append(opts, nats.RootCAs(c.CAFile))
	}
	return opts
}
