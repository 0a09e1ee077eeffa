package admission

import (
	"errors"
	"fmt"
	"net/netip"
)

// Defaults of Config, per process.
const (
	// DefaultDonations is how many donations wait for their acknowledgement at
	// once: at 40,000/s a full house is a tenth of a second old, and one more
	// would only wait longer than it takes to come back.
	DefaultDonations = 4096
	// DefaultReads is how many questions for a donation's state are asked of the
	// ledger at once; each takes 300 ms at most.
	DefaultReads = 1024
	// DefaultWaits is how many such questions may wait for a change (?wait=);
	// each holds a connection for up to 30 s.
	DefaultWaits = 2048
	// DefaultRequests is how many donors' further wishes (another card, a
	// cancellation) are inside at once: few compared with donations, each waiting for
	// the ledger's word and then for the broker's.
	DefaultRequests = 512
	// slotsMax is beyond any machine, and keeps sums of bounds far from overflow.
	slotsMax = 1 << 20
)

// Config configures what a front-end lets in; its zero value works.
type Config struct {
	// Donations, Reads, Waits and Requests bound what is inside at once; zero is the
	// default.
	Donations, Reads, Waits, Requests int
	// Limiter holds clients to a rate.
	Limiter LimiterConfig
	// TrustedProxies lists the networks whose X-Forwarded-For is believed; none
	// by default.
	TrustedProxies []netip.Prefix
}

// Admission is one front-end's house rules, each for the caller that asks for it.
type Admission struct {
	Donations, Reads, Waits, Requests *Slots
	Limiter                           *Limiter
	Proxies                           Proxies
}

// New builds the rules. Its error reports everything that is wrong with c.
func New(c Config) (*Admission, error) {
	var errs []error
	slots := func(name string, n, normal int) *Slots {
		if n < 0 || n > slotsMax {
			errs = append(errs, fmt.Errorf("%s: %d at once, want 0 to %d", name, n, slotsMax))
		}
		if n == 0 {
			n = normal
		}
		return NewSlots(n)
	}
	a := &Admission{
		Donations: slots("donations", c.Donations, DefaultDonations),
		Reads:     slots("reads", c.Reads, DefaultReads),
		Waits:     slots("waits", c.Waits, DefaultWaits),
		Requests:  slots("requests", c.Requests, DefaultRequests),
	}
	var err error
	if a.Limiter, err = NewLimiter(c.Limiter); err != nil {
		errs = append(errs, err)
	}
	if a.Proxies, err = NewProxies(c.TrustedProxies); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("admission: %w", err)
	}
	return a, nil
}
