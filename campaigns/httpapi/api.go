// Package httpapi answers what donors and programs read: campaigns, their totals and
// newest gifts, the giving day and its leaderboards, and streams of changes. It answers from memory only; no read of
// totals reaches a database.
//
// The one invariant: the age of a total is read before the total, so that an
// as_of that was shown is true, and a read costs no allocation, so that readers, a
// hundred for every gift, leave the machine to the donors.
//
// Goroutines: one per stream to notice that its viewer left, ended with the
// stream; streams end when their viewer goes, when the hub stops, or by Close.
package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// Totals gives a campaign's newest total: the cache. Errors: campaigns.ErrUnknown,
// campaigns.ErrWarming.
type Totals interface {
	Get(slug []byte) (*render.Total, error)
}

// Ages gives the published age of a book's totals.
type Ages interface {
	Age(book ledger.Book) *render.Age
}

// Directory knows the campaigns.
type Directory interface {
	Lookup(slug []byte) (*campaigns.Campaign, bool)
	Listing() *render.Listing
	// Ready is nil once all campaigns are known.
	Ready() error
}

// Board is the giving day at a moment.
type Board interface {
	Snapshot() *board.Day
	Document() *render.Day
}

// Switches is what organisers have turned off.
type Switches interface {
	Switches() campaigns.Switches
}

// Hub brings changes to viewers; see live.Hub's methods of these names.
type Hub interface {
	Watch(book ledger.Book, slug string, after *render.Position, gone <-chan struct{}, send func(event []byte) error) error
	WatchMany(book ledger.Book, slugs []string, day bool, gone <-chan struct{}, send func(events []byte) error) error
}

// ViewersMax is the default bound of open streams: each takes a file descriptor and
// about 17 KiB (measured 2026-11), so 280 MB when full.
const ViewersMax = 16 << 10

// Config bounds the streams. The zero value works.
type Config struct {
	// ViewersMax is how many streams are open at once, default ViewersMax.
	ViewersMax int
	// WriteTimeout is how long a viewer's connection may take one event or the
	// answer's head before it is closed, default 10 s.
	WriteTimeout time.Duration
	// Now is the clock, default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.ViewersMax == 0 {
		c.ViewersMax = ViewersMax
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	if c.ViewersMax < 0 || c.ViewersMax > 1<<20 {
		errs = append(errs, fmt.Errorf("viewers: %d, want 0 to %d", c.ViewersMax, 1<<20))
	}
	if c.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("write timeout of streams: %v is negative", c.WriteTimeout))
	}
	return errors.Join(errs...)
}

// Deps is what the API answers from. All but Switches (everything is on) and
// Registerer are required.
type Deps struct {
	Totals     Totals
	Ages       Ages
	Directory  Directory
	Board      Board
	Switches   Switches
	Hub        Hub
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// API answers the read routes.
type API struct {
	cfg     Config
	deps    Deps
	streams streams
	metrics *metrics
}

// New returns an API. Errors: those of Config.Validate.
func New(cfg Config, deps Deps) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &API{cfg: cfg.withDefaults(), deps: deps}
	a.streams.init(a.cfg.ViewersMax)
	a.metrics = newMetrics(a, deps.Registerer)
	return a, nil
}

// Close ends every stream and refuses new ones; it returns once all have ended, or
// with ctx's error.
func (a *API) Close(ctx context.Context) error { return a.streams.close(ctx) }

var (
	pathCampaigns = []byte("/v1/campaigns")
	partTotals    = []byte("totals")
	partLive      = []byte("live")
	partGifts     = []byte("gifts")
)

// Handle answers a request for a path of its own and returns true; it leaves any
// other alone and returns false.
func (a *API) Handle(ctx *fasthttp.RequestCtx) bool {
	rest, ok := bytes.CutPrefix(ctx.Path(), pathCampaigns)
	if !ok {
		return a.handleDay(ctx)
	}
	if len(rest) == 0 {
		a.route(ctx, a.list)
		return true
	}
	if rest[0] != '/' {
		return false
	}
	slug, part, deeper := bytes.Cut(rest[1:], []byte{'/'})
	switch {
	case !deeper:
		a.routeCampaign(ctx, slug, a.campaign)
	case bytes.Equal(part, partTotals):
		a.routeCampaign(ctx, slug, a.totals)
	case bytes.Equal(part, partLive):
		a.live(ctx, slug)
	case bytes.Equal(part, partGifts):
		a.routeCampaign(ctx, slug, a.gifts)
	default:
		a.refuse(ctx, noSuchRoute)
	}
	return true
}

// handleDay is Handle for the routes of the whole day.
func (a *API) handleDay(ctx *fasthttp.RequestCtx) bool {
	switch string(ctx.Path()) {
	case "/v1/day":
		a.route(ctx, a.day)
	case "/v1/day/gifts":
		a.route(ctx, a.dayGifts)
	case "/v1/leaderboards":
		a.route(ctx, a.leaderboards)
	case "/v1/live":
		a.liveMany(ctx)
	default:
		return false
	}
	return true
}

// route answers GET and HEAD with handle; HEAD's body is left out by fasthttp.
func (a *API) route(ctx *fasthttp.RequestCtx, handle func(*fasthttp.RequestCtx)) {
	if !readOnly(ctx) {
		a.refuseMethod(ctx, "GET, HEAD")
		return
	}
	handle(ctx)
}

func (a *API) routeCampaign(ctx *fasthttp.RequestCtx, slug []byte, handle func(*fasthttp.RequestCtx, []byte)) {
	if !readOnly(ctx) {
		a.refuseMethod(ctx, "GET, HEAD")
		return
	}
	handle(ctx, slug)
}

func readOnly(ctx *fasthttp.RequestCtx) bool { return ctx.IsGet() || ctx.IsHead() }

// find finds the campaign or says why it cannot.
func (a *API) find(slug []byte) (*campaigns.Campaign, error) {
	if c, ok := a.deps.Directory.Lookup(slug); ok {
		return c, nil
	}
	if err := a.deps.Directory.Ready(); err != nil {
		return nil, err
	}
	return nil, campaigns.ErrUnknown
}
