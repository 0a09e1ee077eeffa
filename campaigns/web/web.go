// Package web is what donors see: the giving day, a campaign, a gift, the basket and
// the widget for other people's pages, as HTML that reads well without a script, with
// the styles, scripts and pictures that belong to it.
//
// The one invariant: a page is rendered from memory, at most once in refreshEvery
// whatever its readers ask, and carries the time up to which its figures are
// complete. Nothing of it comes from a database, and nothing that a donor or an
// organiser wrote is anything but text in it.
//
// Goroutines: none. A reader whose page is due renders it, those who come meanwhile
// get the one before.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/singleflight"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ingest"
	"spillway/ledger"
)

// Directory knows campaigns, giving days and switches; all from memory.
type Directory interface {
	Lookup(slug []byte) (*campaigns.Campaign, bool)
	// Event is the giving day that pages show, nil for none.
	Event() *campaigns.Event
	Events() []*campaigns.Event
	Switches() campaigns.Switches
	// Listing is the public list of campaigns.
	Listing() *render.Listing
	// Ready is nil once all campaigns are known.
	Ready() error
}

// Totals gives a campaign's newest total: the cache. Errors: campaigns.ErrUnknown,
// campaigns.ErrWarming.
type Totals interface {
	Get(slug []byte) (*render.Total, error)
}

// Ages gives the published age of a book's totals.
type Ages interface {
	Age(book ledger.Book) *render.Age
}

// Board gives the whole day.
type Board interface {
	// Snapshot is immutable and never nil.
	Snapshot() *board.Day
}

// Media gives a picture by its key. Errors: campaigns.ErrUnknown.
type Media interface {
	Media(ctx context.Context, key string) (contentType string, data []byte, err error)
}

// Deps is what pages are made from. All but Registerer are required.
type Deps struct {
	Directory  Directory
	Totals     Totals
	Ages       Ages
	Board      Board
	Media      Media
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Web answers for the donors' pages.
type Web struct {
	cfg       Config
	deps      Deps
	assets    *assets
	pages     *pages
	headers   headers
	shelf     *shelf
	pictures  *gallery
	loads     singleflight.Group // of pictures
	renderers chan struct{}      // a place for each rendering under way
	metrics   *metrics
}

// New returns the pages' server. Errors: those of Config.Validate, and what is wrong
// with templates and assets, which the tests find first.
func New(cfg Config, deps Deps) (*Web, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	w := &Web{cfg: cfg, deps: deps, shelf: newShelf(cfg.PageBytesMax), pictures: newGallery(cfg.PictureBytesMax)}
	w.renderers = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	if w.assets, err = theAssets(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if w.pages, err = loadPages(w.assets); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	w.headers = newHeaders(&w.cfg)
	w.metrics = newMetrics(w, deps.Registerer)
	return w, nil
}

const (
	pathDay     = "/"
	pathBasket  = "/basket"
	pathRobots  = "/robots.txt"
	pathIcon    = "/favicon.ico"
	prefixGive  = "/c/"
	prefixGift  = "/d/"
	prefixEmbed = "/embed/"
	prefixAsset = "/assets/"
	prefixMedia = "/media/"
	leafQR      = "/qr.svg"
)

// Handle answers a request for a page or what belongs to one and returns true. It
// leaves what is none of these alone and returns false, unless a person asks for it
// with a browser: then it says that there is no such page.
func (w *Web) Handle(ctx *fasthttp.RequestCtx) bool {
	path := ctx.URI().PathOriginal()
	var answer func(*Web, *fasthttp.RequestCtx, []byte)
	switch {
	case string(path) == pathDay:
		answer = (*Web).day
	case string(path) == pathBasket:
		answer = (*Web).basket
	case string(path) == pathRobots:
		answer = (*Web).robots
	case string(path) == pathIcon:
		answer = (*Web).icon
	case below(path, prefixGive):
		answer = (*Web).campaign
		if bytes.HasSuffix(path, []byte(leafQR)) {
			answer = (*Web).qr
		}
	case below(path, prefixGift):
		answer = (*Web).gift
	case below(path, prefixEmbed):
		answer = (*Web).embed
	case below(path, prefixAsset):
		answer = (*Web).asset
	case below(path, prefixMedia):
		answer = (*Web).media
	case isRead(ctx) && !below(path, "/v1/") && asksForPage(ctx):
		answer = (*Web).missing
	default:
		return false
	}
	if !isRead(ctx) {
		w.problem(ctx, wrongMethod)
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		return true
	}
	answer(w, ctx, path)
	return true
}

func isRead(ctx *fasthttp.RequestCtx) bool { return ctx.IsGet() || ctx.IsHead() }

func below(path []byte, prefix string) bool {
	return len(path) > len(prefix) && string(path[:len(prefix)]) == prefix
}

var typeHTMLBare = []byte("text/html")

// asksForPage tells a browser that goes somewhere from a program.
func asksForPage(ctx *fasthttp.RequestCtx) bool {
	return bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), typeHTMLBare)
}

// campaign answers GET /c/{slug}.
func (w *Web) campaign(ctx *fasthttp.RequestCtx, path []byte) {
	w.about(ctx, path, path[len(prefixGive):], (*Web).renderCampaign, w.headers.page)
}

// embed answers GET /embed/{slug}.
func (w *Web) embed(ctx *fasthttp.RequestCtx, path []byte) {
	w.about(ctx, path, path[len(prefixEmbed):], (*Web).renderEmbed, w.headers.embed)
}

// about answers with a page about one campaign, which the shelf keeps under its path.
func (w *Web) about(ctx *fasthttp.RequestCtx, path, slug []byte, render func(*Web, *campaigns.Campaign) (*sheet, error), hs []header) {
	if w.quick(ctx, path, hs) {
		return
	}
	if _, err := w.lookup(slug); err != nil {
		w.fail(ctx, err)
		return
	}
	w.fresh(ctx, path, func() (*sheet, error) {
		// The campaign as it is now: it may have changed while another page was made.
		c, err := w.lookup(slug)
		if err != nil {
			return nil, err
		}
		return render(w, c)
	}, hs)
}

// day answers GET /, with what a visitor looks for in its query.
func (w *Web) day(ctx *fasthttp.RequestCtx, path []byte) {
	var q query
	key := path
	if len(ctx.URI().QueryString()) > 0 {
		q = parseQuery(ctx.QueryArgs())
		key = append(append(make([]byte, 0, 64), path...), q.encode()...)
	}
	if !w.quick(ctx, key, w.headers.page) {
		w.renewDay(ctx, key, q)
	}
}

func (w *Web) renewDay(ctx *fasthttp.RequestCtx, key []byte, q query) {
	w.fresh(ctx, key, func() (*sheet, error) { return w.renderDay(q) }, w.headers.page)
}

// basket answers GET /basket.
func (w *Web) basket(ctx *fasthttp.RequestCtx, path []byte) {
	if !w.quick(ctx, path, w.headers.private) {
		w.fresh(ctx, path, w.renderBasket, w.headers.private)
	}
}

// gift answers GET /d/{id}: one page for all gifts, whose script asks for the state
// with the token that stands behind # in the address.
func (w *Web) gift(ctx *fasthttp.RequestCtx, path []byte) {
	if _, err := ingest.ParseID(path[len(prefixGift):]); err != nil {
		w.problem(ctx, noSuchGift)
		return
	}
	path = path[:len(prefixGift)]
	if !w.quick(ctx, path, w.headers.private) {
		w.fresh(ctx, path, w.renderGift, w.headers.private)
	}
}

// quick answers with the page kept under key when it need not be rendered again yet.
// It does not allocate.
func (w *Web) quick(ctx *fasthttp.RequestCtx, key []byte, hs []header) bool {
	s := w.shelf.find(key)
	if s == nil {
		return false
	}
	sh := s.fresh(w.cfg.Now())
	if sh == nil {
		return false
	}
	w.send(ctx, sh, hs)
	return true
}

// fresh answers with the page as it is now.
func (w *Web) fresh(ctx *fasthttp.RequestCtx, key []byte, render func() (*sheet, error), hs []header) {
	if err := w.deps.Directory.Ready(); err != nil {
		w.fail(ctx, err)
		return
	}
	sh, err := w.renew(w.shelf.place(string(key)), render)
	if err != nil {
		w.fail(ctx, err)
		return
	}
	w.send(ctx, sh, hs)
}

// lookup finds the campaign or says why it cannot.
func (w *Web) lookup(slug []byte) (*campaigns.Campaign, error) {
	if c, ok := w.deps.Directory.Lookup(slug); ok {
		return c, nil
	}
	if err := w.deps.Directory.Ready(); err != nil {
		return nil, err
	}
	return nil, campaigns.ErrUnknown
}

// fail answers what rendering ended in.
func (w *Web) fail(ctx *fasthttp.RequestCtx, err error) {
	switch {
	case errors.Is(err, campaigns.ErrUnknown):
		w.problem(ctx, noSuchCampaign)
	case errors.Is(err, campaigns.ErrWarming), errors.Is(err, errBusy):
		w.problem(ctx, notYet)
	default:
		w.deps.Log.Error("a page could not be made", "path", string(ctx.URI().PathOriginal()), "err", err)
		w.problem(ctx, broken)
	}
}

// since is a duration of the clock that pages are made by.
func (w *Web) since(t time.Time) time.Duration { return w.cfg.Now().Sub(t) }
