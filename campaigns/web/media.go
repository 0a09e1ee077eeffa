package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
)

const (
	// pictureWait is how long the broker has for a picture.
	pictureWait = 3 * time.Second
	// missingMax is how many unknown keys are remembered, so that a broken link does
	// not ask the broker each time.
	missingMax = 1024
	// missingFor is how long: a picture that was just put in appears soon after.
	missingFor = 5 * time.Second
)

// gallery keeps pictures, at most so many bytes; when it is full it is emptied: they
// are few, and one round to the broker brings each back.
type gallery struct {
	max     int
	mu      sync.RWMutex
	all     map[string]*asset
	bytes   int
	missing map[string]time.Time
}

func newGallery(bytesMax int) *gallery {
	return &gallery{max: bytesMax, all: map[string]*asset{}, missing: map[string]time.Time{}}
}

// find returns the picture, nil when it is not here; known is true when nobody need be
// asked for it.
func (g *gallery) find(key []byte, now time.Time) (a *asset, known bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if a = g.all[string(key)]; a != nil {
		return a, true
	}
	since, ok := g.missing[string(key)]
	return nil, ok && now.Sub(since) < missingFor
}

func (g *gallery) put(key string, a *asset) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bytes+len(a.body) > g.max {
		g.all, g.bytes = map[string]*asset{}, 0
	}
	g.all[key] = a
	g.bytes += len(a.body)
}

func (g *gallery) miss(key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.missing) >= missingMax {
		g.missing = map[string]time.Time{}
	}
	g.missing[key] = now
}

// media answers GET /media/{key}: a picture of a campaign.
func (w *Web) media(ctx *fasthttp.RequestCtx, path []byte) {
	key := path[len(prefixMedia):]
	if !campaigns.ValidMediaKey(string(key)) {
		w.problem(ctx, noSuchPage)
		return
	}
	a, known := w.pictures.find(key, w.cfg.Now())
	if !known {
		a = w.fetch(string(key))
	}
	if a == nil {
		w.problem(ctx, noSuchPage)
		return
	}
	w.file(ctx, a, forever)
}

// fetch asks the broker for a picture, once for all who wait; nil when it has none.
func (w *Web) fetch(key string) *asset {
	v, err, _ := w.loads.Do(key, func() (any, error) {
		// Whoever asked first may leave; the others still want it.
		ctx, cancel := context.WithTimeout(context.Background(), pictureWait)
		defer cancel()
		contentType, data, err := w.deps.Media.Media(ctx, key)
		if err == nil && !campaigns.ValidMediaType(contentType) {
			err = campaigns.ErrUnknown
		}
		if err != nil {
			w.pictures.miss(key, w.cfg.Now())
			return nil, err
		}
		a := &asset{body: data, contentType: []byte(contentType), etag: []byte(`"` + key + `"`)}
		w.pictures.put(key, a)
		return a, nil
	})
	if err != nil {
		if !errors.Is(err, campaigns.ErrUnknown) {
			w.deps.Log.Warn("a picture could not be read", "key", key, "err", err)
		}
		return nil
	}
	return v.(*asset)
}

// robots answers GET /robots.txt.
func (w *Web) robots(ctx *fasthttp.RequestCtx, _ []byte) { w.file(ctx, robotsFile, askAgain) }

var robotsFile = &asset{
	body:        []byte("User-agent: *\nDisallow: /d/\nDisallow: /basket\nDisallow: /v1/\nDisallow: /*?\n"),
	contentType: []byte("text/plain; charset=utf-8"), etag: []byte(`W/"robots-1"`),
}

// icon answers GET /favicon.ico, which browsers ask for where no page names another.
func (w *Web) icon(ctx *fasthttp.RequestCtx, _ []byte) {
	w.file(ctx, w.assets.files[w.assets.urls["favicon.ico"]], []byte("public, max-age=86400"))
}
