package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// Store keeps users, sessions, API keys, links and the audit log. Any method may
// return access.ErrUnavailable; what is not there is access.ErrUnknown.
type Store interface {
	Ping(ctx context.Context) error
	Sweep(ctx context.Context, now time.Time, devicesKept time.Duration) error
	Audit(ctx context.Context, e access.Entry) error

	Proofs(ctx context.Context, emailOrID string) (access.Proofs, error)
	Rehash(ctx context.Context, id, from, to string) error
	UseStep(ctx context.Context, id string, step int64) (bool, error)
	UseRecovery(ctx context.Context, id string, sum credential.Sum, by access.Entry) (bool, error)

	StartSession(ctx context.Context, sum credential.Sum, s access.Session, pending bool, by access.Entry) error
	Session(ctx context.Context, sum credential.Sum) (access.Live, error)
	Seen(ctx context.Context, sum credential.Sum, at time.Time) error
	Failed(ctx context.Context, sum credential.Sum, most int) error
	EndSession(ctx context.Context, sum credential.Sum, by access.Entry) error
	KnowDevice(ctx context.Context, sum credential.Sum, user string, now time.Time) error
	KnowsDevice(ctx context.Context, sum credential.Sum, user string) (bool, error)

	Key(ctx context.Context, id string) (access.Key, credential.Sum, error)
	KeyUsed(ctx context.Context, id string, at time.Time) error

	Link(ctx context.Context, sum credential.Sum, now time.Time) (u access.User, first bool, err error)
	ClaimFirst(ctx context.Context, sum credential.Sum, now time.Time, u access.User, phc string, by access.Entry) error
	ClaimLink(ctx context.Context, sum credential.Sum, now time.Time, user, phc string, by access.Entry) error
}

// Opener opens the sealed secret of a user's second factor.
type Opener interface {
	OpenSecret(owner string, sealed []byte) ([]byte, error)
}

// Config bounds the console. The zero value works.
type Config struct {
	// SessionIdle is how long an unused session lives: 8 h when zero, a shift.
	SessionIdle time.Duration
	// SessionLife is how long a session lives at most: 36 h when zero, a giving day
	// and the evening before it.
	SessionLife time.Duration
	// Connections is how many connections are served at once: 512 when zero.
	Connections int
	// Streams is how many streams are open at once: 128 when zero.
	Streams int
}

// Deps are what the console works with. All but Registerer and Now are needed.
type Deps struct {
	Store  Store
	Opener Opener
	Hasher *credential.Hasher
	// Client is the address that a request comes from, when its connection comes from
	// remote and its X-Forwarded-For is forwarded; Trusts tells whether remote may speak
	// for others, and say that the browser reached it over TLS.
	Client func(remote netip.Addr, forwarded string) netip.Addr
	Trusts func(remote netip.Addr) bool
	// Sections are the parts of the console, in no order.
	Sections []frame.Section
	// Documents are files that anybody may read, such as /openapi.yaml.
	Documents  []Document
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Document is a fixed file at a path of its own.
type Document struct {
	Path, ContentType string
	Body              []byte
	Policy            string // its Content-Security-Policy; "" for the console's
}

func (c Config) withDefaults() Config {
	if c.SessionIdle == 0 {
		c.SessionIdle = 8 * time.Hour
	}
	if c.SessionLife == 0 {
		c.SessionLife = 36 * time.Hour
	}
	if c.Connections == 0 {
		c.Connections = 512
	}
	if c.Streams == 0 {
		c.Streams = 128
	}
	return c
}

// Validate reports every value that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if c.SessionIdle < 0 || c.SessionLife < 0 {
		errs = append(errs, errors.New("sessions cannot end before they begin"))
	}
	if d := c.withDefaults(); d.SessionIdle > d.SessionLife {
		errs = append(errs, fmt.Errorf("an unused session would live for %v, longer than any (%v)", d.SessionIdle, d.SessionLife))
	}
	if c.Connections < 0 || c.Streams < 0 {
		errs = append(errs, errors.New("connections and streams cannot be fewer than none"))
	}
	return errors.Join(errs...)
}

func (d Deps) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Store": d.Store == nil, "Opener": d.Opener == nil, "Hasher": d.Hasher == nil,
		"Client": d.Client == nil, "Trusts": d.Trusts == nil, "Log": d.Log == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("no %s", name))
		}
	}
	return errors.Join(errs...)
}
