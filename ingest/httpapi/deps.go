package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ingest/trace"
	"spillway/ledger"
)

// Publisher makes a donation, or a further wish about one, durable.
type Publisher interface {
	// Publish returns nil once the donation is on disk, and otherwise an error
	// that is, wraps or is treated as ingest.ErrBusy, ErrNotReady or ErrUnknown.
	// It waits a bounded time. d and all it refers to belong to the caller again
	// when it returns, whatever it returns.
	Publish(book ledger.Book, d *envelope.Donation) error
	// PublishRequest is Publish for a further wish; what was acknowledged earlier
	// about the same donation is recorded earlier.
	PublishRequest(book ledger.Book, r *envelope.Request) error
}

// Directory knows the campaigns. Both methods are called for every donation and
// answer from memory.
type Directory interface {
	// Lookup keeps no reference to slug; the campaign it returns is not changed
	// by anybody afterwards.
	Lookup(slug []byte) (*campaigns.Campaign, bool)
	// Ready is nil once every campaign is known.
	Ready() error
}

// Gate knows whether durability is proven. Ready is called for every donation
// and answers from memory; its error's text is shown by /readyz.
type Gate interface {
	Ready() error
}

// States asks the ledger for a donation's state. An error is no answer; a
// donation that is not recorded is an answer with Found false.
type States interface {
	AskDonation(ctx context.Context, id ingest.ID) (ledger.State, error)
}

// Limiter holds a client to a rate; wait is how long until it may come again.
type Limiter interface {
	Allow(source uint64, client netip.Addr, now time.Time) (wait time.Duration, ok bool)
}

// Proxies finds the client behind trusted proxies: forwarded is what all
// X-Forwarded-For headers say, joined by commas, "" for none.
type Proxies interface {
	Trusts(remote netip.Addr) bool
	Client(remote netip.Addr, forwarded string) netip.Addr
}

// Slots bounds how many requests of one sort are inside. Whoever Take gave true
// calls Give once.
type Slots interface {
	Take() bool
	Give()
	Taken() int64
}

// Check is one more condition that /readyz shows and waits for, such as a warmed
// cache. Donations do not wait for it.
type Check struct {
	Name  string // a word
	Ready func() error
}

// Deps is what the server works with. All but Next, Bodies, Checks, Tracer, Registerer
// and Now are required.
type Deps struct {
	Keyring   *keyring.Keyring
	Publisher Publisher
	Directory Directory
	Gate      Gate
	States    States

	Limiter Limiter
	Proxies Proxies
	// Donations bounds waiting donations, Reads questions to the ledger, Waits
	// long polls, Requests further wishes. Nothing but the donate path takes a slot
	// of Donations.
	Donations, Reads, Waits, Requests Slots

	// Next is offered what is not intake's own route; it answers and returns
	// true, or leaves the request alone and returns false.
	Next func(*fasthttp.RequestCtx) bool
	// Bodies says how many bytes a body may hold at those of Next's paths that take
	// more than a donation does, such as the processor's events.
	Bodies map[string]int
	// Checks are added to /readyz.
	Checks []Check

	// Tracer records the spans of donations that are traced; nil for none.
	Tracer     *trace.Tracer
	Registerer prometheus.Registerer
	Log        *slog.Logger
	// Now is the clock that opening and closing are judged by; time.Now when nil.
	Now func() time.Time
}

func (d *Deps) validate() error {
	var errs []error
	need := func(name string, missing bool) {
		if missing {
			errs = append(errs, errors.New("missing: "+name))
		}
	}
	need("Keyring", d.Keyring == nil)
	need("Publisher", d.Publisher == nil)
	need("Directory", d.Directory == nil)
	need("Gate", d.Gate == nil)
	need("States", d.States == nil)
	need("Limiter", d.Limiter == nil)
	need("Proxies", d.Proxies == nil)
	need("Donations", d.Donations == nil)
	need("Reads", d.Reads == nil)
	need("Waits", d.Waits == nil)
	need("Requests", d.Requests == nil)
	need("Log", d.Log == nil)
	return errors.Join(errs...)
}
