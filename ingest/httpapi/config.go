package httpapi

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of HTTP itself. They are fixed: a client may rely on those of the
// contract, and the others have no better value for anybody.
const (
	// bodyBytesMax is the contract's: 200 lines with long slugs fit three times.
	bodyBytesMax = 32 << 10
	// headerBytesMax bounds request line and header fields together; it is the
	// size of the read buffer of every connection. Cookies of other applications
	// on the same host fit.
	headerBytesMax = 8 << 10
	// writeBufferBytes holds any answer of intake in one piece.
	writeBufferBytes = 4 << 10
	// requestsPerConnMax ends a connection now and then, so that clients spread
	// over front-ends that were added after they connected.
	requestsPerConnMax = 100_000
	// workerIdleMax is how long a goroutine without a connection is kept; longer
	// than the pauses within a spike.
	workerIdleMax = 10 * time.Second
	// idleCrowdedMax is the idle time while three quarters of the connections are
	// taken: at 350 donors a second, each idle for 75 s, they would all be.
	idleCrowdedMax = 5 * time.Second
	// drainBytesMax and drainTimeMax bound what is read from a client that is
	// still sending when it is refused. Closing at once would reset the
	// connection and could destroy the answer before the client reads it.
	drainBytesMax = 256 << 10
	drainTimeMax  = 500 * time.Millisecond
)

// Bounds of time inside a request.
const (
	// askTimeMax is how long the ledger has for a donation's state.
	askTimeMax = 300 * time.Millisecond
	// waitSecondsMax bounds ?wait=: shorter than the idle time of proxies.
	waitSecondsMax = 30
	// askAgainFirst and askAgainMax bound the pause between two questions of a
	// long poll; it grows by half each time.
	askAgainFirst = 100 * time.Millisecond
	askAgainMax   = 1 * time.Second
)

// Defaults of Config.
const (
	// DefaultConnections bounds open connections; each costs 26 KiB with its
	// goroutine's stack (measured), so all of them 420 MiB.
	DefaultConnections = 16 << 10
	// DefaultReadTimeout is how long a whole request may take to arrive: 32 KiB
	// in 10 s is a very slow telephone.
	DefaultReadTimeout = 10 * time.Second
	// DefaultWriteTimeout is how long an answer of at most a few KiB may take to leave.
	DefaultWriteTimeout = 10 * time.Second
	// DefaultIdleTimeout keeps a donor's connection from the form to the button,
	// and is longer than the usual 60 s of proxies in front, so that it is they who
	// end a connection.
	DefaultIdleTimeout = 75 * time.Second
	// DefaultRemembered is how many acknowledged donations are remembered, in 32
	// bytes each: 8 MiB, five seconds of the highest rate and twelve minutes of the
	// highest that was ever published (350/s).
	DefaultRemembered = 1 << 18
)

// Config configures a Server; its zero value works.
type Config struct {
	// Connections bounds open connections, hijacked ones not counted. Zero is
	// DefaultConnections.
	Connections int
	// ReadTimeout, WriteTimeout and IdleTimeout bound a connection's phases; zero
	// is the default.
	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// Remembered is how many acknowledged donations are remembered to refuse a
	// reused key at once. Zero is DefaultRemembered.
	Remembered int
}

// Validate reports everything that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Connections < 0 || c.Connections > 1<<20 {
		errs = append(errs, fmt.Errorf("connections: %d, want 0 to %d", c.Connections, 1<<20))
	}
	if c.Remembered < 0 || c.Remembered > 1<<28 {
		errs = append(errs, fmt.Errorf("remembered donations: %d, want 0 to %d", c.Remembered, 1<<28))
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"read timeout", c.ReadTimeout}, {"write timeout", c.WriteTimeout}, {"idle timeout", c.IdleTimeout}} {
		if t.d < 0 {
			errs = append(errs, fmt.Errorf("%s: %v is negative", t.name, t.d))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = DefaultReadTimeout
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.Remembered == 0 {
		c.Remembered = DefaultRemembered
	}
	return c
}
