package web

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// refreshEvery is the least time between two renderings of one page: a page is
	// read on while its figures move by live events.
	refreshEvery = 250 * time.Millisecond
	// olderMax is how old a page may be that is given while a newer one is rendered,
	// or while all renderers are taken. What it says is true as of the time it names.
	olderMax = 5 * time.Second
	// renderWait is how long a reader of a page that nobody has rendered waits for a
	// renderer: longer than a page takes by three orders of magnitude.
	renderWait = 2 * time.Second
)

// errBusy says that all renderers were taken for renderWait.
var errBusy = errors.New("too many pages are being made")

// sheet is one rendering of a page. It is immutable but for its compressed copy,
// which is made when first asked for.
type sheet struct {
	body []byte
	etag []byte // weak: the same figures and words, whatever their age
	at   time.Time
	once sync.Once
	gzip []byte
}

// gzipLevel is compress/flate's default: half the size of the fastest, and the
// result is sent many times.
const gzipLevel = fasthttp.CompressDefaultCompression

func (s *sheet) compressed() []byte {
	s.once.Do(func() { s.gzip = fasthttp.AppendGzipBytesLevel(make([]byte, 0, len(s.body)/3), s.body, gzipLevel) })
	return s.gzip
}

// bytes is about what the sheet takes, its compressed copy included.
func (s *sheet) bytes() int { return len(s.body) * 4 / 3 }

// spot is one page's place on the shelf.
type spot struct {
	now  atomic.Pointer[sheet]
	busy chan struct{} // capacity 1: a place for the one who renders
}

// fresh returns the sheet when it need not be rendered again yet, else nil.
func (s *spot) fresh(now time.Time) *sheet {
	if sh := s.now.Load(); sh != nil && now.Sub(sh.at) < refreshEvery {
		return sh
	}
	return nil
}

// shelf keeps rendered pages in two generations: when the young one holds half of
// what may be kept, it becomes the old one, and what nobody asked for since is
// dropped with the one before. So what is read stays, without a list to keep in order.
type shelf struct {
	half       int64 // bytes
	mu         sync.RWMutex
	young, old map[string]*spot
	bytes      int64 // of young
}

// spotBytes is what a place takes beside its sheet, key included.
const spotBytes = 256

func newShelf(bytesMax int) *shelf {
	return &shelf{half: int64(bytesMax) / 2, young: map[string]*spot{}}
}

// find returns the page's place, or nil. It does not allocate and keeps no
// reference to key.
func (s *shelf) find(key []byte) *spot {
	s.mu.RLock()
	p, young := s.young[string(key)]
	if !young {
		p = s.old[string(key)]
	}
	s.mu.RUnlock()
	if p != nil && !young {
		return s.place(string(key))
	}
	return p
}

// place returns the page's place among the young, made if need be.
func (s *shelf) place(key string) *spot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.young[key]; ok {
		return p
	}
	p := s.old[key]
	if p == nil {
		p = &spot{busy: make(chan struct{}, 1)}
	}
	s.young[key] = p
	s.grow(spotBytes)
	if sh := p.now.Load(); sh != nil {
		s.grow(int64(sh.bytes()))
	}
	return p
}

// grown counts a sheet that took the place of another.
func (s *shelf) grown(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grow(int64(by))
}

func (s *shelf) grow(by int64) {
	s.bytes = max(0, s.bytes+by)
	if s.bytes > s.half {
		s.old, s.young, s.bytes = s.young, map[string]*spot{}, 0
	}
}

// pagesKept is the number of places, for metrics.
func (s *shelf) pagesKept() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.young) + len(s.old)
}

// patience is how long one reader waits, for a page's renderer and for a place to
// render together.
type patience struct{ timer *time.Timer }

// take waits for a place; false says that patience is at its end.
func (p *patience) take(place chan struct{}) bool {
	if p.timer == nil {
		p.timer = time.NewTimer(renderWait)
	}
	select {
	case place <- struct{}{}:
		return true
	case <-p.timer.C:
		return false
	}
}

func (p *patience) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// renew gives the page as it is now. One reader renders for all who come meanwhile:
// they get the sheet before it, if it is not too old, else they wait.
func (w *Web) renew(s *spot, render func() (*sheet, error)) (*sheet, error) {
	old := s.now.Load()
	if old != nil && w.since(old.at) > olderMax {
		old = nil
	}
	var patience patience
	defer patience.end()
	select {
	case s.busy <- struct{}{}:
	default:
		if old != nil {
			return old, nil
		}
		if !patience.take(s.busy) {
			w.metrics.busy.Inc()
			return nil, errBusy
		}
	}
	defer func() { <-s.busy }()
	if sh := s.fresh(w.cfg.Now()); sh != nil {
		return sh, nil
	}
	select {
	case w.renderers <- struct{}{}:
	default:
		if old != nil {
			w.metrics.older.Inc()
			return old, nil
		}
		if !patience.take(w.renderers) {
			w.metrics.busy.Inc()
			return nil, errBusy
		}
	}
	defer func() { <-w.renderers }()
	sh, err := render()
	if err != nil {
		return nil, err
	}
	w.metrics.rendered.Inc()
	grown := sh.bytes()
	if before := s.now.Swap(sh); before != nil {
		grown -= before.bytes()
	}
	w.shelf.grown(grown)
	return sh, nil
}
