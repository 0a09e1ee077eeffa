package browser

import (
	"testing"
)

func TestLive_TotalsMoveOnEveryOpenPageOverOneStream(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	first := newTab(t, p.url, "/c/"+slug)
	second := first.beside("/c/" + slug)
	third := first.beside("/?q=" + slug)
	giveDirectly(t, slug, 12300, "visa")
	for _, b := range []*tab{first, second, third} {
		b.until(`document.querySelector('[data-total="raised"][data-campaign="` + slug + `"]').textContent === "$123"`)
	}
	// A stream that gave way to one with more topics may still be closing.
	p.oneStream(t)
	// Whoever leads goes, and another one takes over.
	first.go_("about:blank")
	giveDirectly(t, slug, 100, "visa")
	for _, b := range []*tab{second, third} {
		b.until(`document.querySelector('[data-total="raised"][data-campaign="` + slug + `"]').textContent === "$124"`)
	}
}

func TestLive_WithoutStreamsThePageAsks(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	p.noStreams.Store(true)
	b := newTab(t, p.url, "/c/"+slug)
	b.unreachable = true // the browser tells of the 503
	giveDirectly(t, slug, 4500, "visa")
	b.until(`document.querySelector('[data-total="raised"][data-campaign="` + slug + `"]').textContent === "$45"`)
}

func TestLive_SilenceIsShownAsAge(t *testing.T) {
	t.Parallel()
	slug := newCampaign(t)
	p := newProxy(t)
	b := newTab(t, p.url, "/c/"+slug)
	b.unreachable = true
	p.oneStream(t)
	b.until(`document.querySelector("[data-asof]").hidden`)
	p.dead.Store(true)
	p.endStreams()
	b.until(`!document.querySelector("[data-asof]").hidden && document.querySelector("[data-asof] time").textContent.length > 3`)
	p.dead.Store(false)
	b.until(`document.querySelector("[data-asof]").hidden`)
}
