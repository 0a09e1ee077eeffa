// Package dashboard is the console's first page: how the day goes and how the machine
// does, moving, on a phone and on a wall; and what can be turned by hand when everybody
// comes at once: switches, and the pace of charging.
//
// The one invariant: what it shows says how old it is, and what nobody tells is shown
// as not known, never as zero or as the last good figure. Totals come by the broker,
// so that the page goes on while the database is away, and says so.
//
// Goroutines, all started by Run and ended with its context: one each for the news of
// walls, status and switches, one that asks the database, and one that makes a moment
// each second. Streams are the console's.
package dashboard

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/status"
	"spillway/ledger/payments"
)

// News is what the broker tells a console.
type News interface {
	WatchStatus(ctx context.Context, handle func(*status.Report)) error
	WatchWalls(ctx context.Context, handle func(*campaigns.Wall), ready func()) error
}

// Switches are kept by the broker.
type Switches interface {
	Switches(ctx context.Context) (*campaigns.Switches, error)
	// PublishSwitches returns campaigns.ErrOvertaken when somebody else was faster.
	PublishSwitches(ctx context.Context, s *campaigns.Switches) error
	WatchSwitches(ctx context.Context, handle func(*campaigns.Switches), ready func()) error
}

// Pace is kept by the database.
type Pace interface {
	Paces(ctx context.Context) ([]payments.Pace, error)
	SetPace(ctx context.Context, account, endpoint string, perSecond float64, by string) error
	Pause(ctx context.Context, account, endpoint, by string) error
	Resume(ctx context.Context, account, endpoint, by string) error
}

// Config says what the dashboard is about. Node and Endpoint are needed.
type Config struct {
	// Node is what this process calls itself in its own reports.
	Node string
	// Endpoint is that of the processor which charges, as the pace knows it.
	Endpoint string
}

// Deps are what the dashboard works with. Now may be nil.
type Deps struct {
	News     News
	Switches Switches
	Pace     Pace
	// Tally is fed by the console's own feed of totals; AsOf is that feed's age of the
	// live book, zero while nothing was heard.
	Tally *Tally
	AsOf  func() time.Time
	Log   *slog.Logger
	Now   func() time.Time
}

const (
	// askEvery is how soon the page notices that the database is away or back, and a
	// pace that was set elsewhere.
	askEvery   = 2 * time.Second
	askTimeout = 1500 * time.Millisecond
	// retryPause is the time before news that gave up are asked for again.
	retryPause = time.Second
	// giftsWindow is what gifts per minute are a mean of: what is shown does not dance.
	giftsWindow = time.Minute
)

//go:embed templates assets
var files embed.FS

// Section is the dashboard, the switches and the pace.
type Section struct {
	config   Config
	deps     Deps
	log      *slog.Logger
	now      func() time.Time
	assets   *frame.Assets
	pages    struct{ dashboard, wall, switches *template.Template }
	roster   Roster
	history  history
	journal  journal
	switches atomic.Pointer[campaigns.Switches]
	wall     atomic.Pointer[campaigns.Wall]
	database atomic.Pointer[databaseView]
	shown    atomic.Pointer[shown]

	ticking  sync.Mutex // held while a moment is made
	currency string     // of the history's amounts; with ticking
}

// shown is a moment and what is sent of it.
type shown struct {
	*Moment
	event []byte        // as server-sent event
	next  chan struct{} // closed when there is a newer one
}

// New returns the section; Run brings it to life.
func New(config Config, deps Deps) *Section {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Section{config: config, deps: deps, log: deps.Log, now: deps.Now, assets: frame.NewAssets(files, "assets")}
	s.pages.dashboard = frame.Parse(files, s.assets, "templates/dashboard.html", "templates/board.html")
	s.pages.wall = frame.Parse(files, s.assets, "templates/wall.html", "templates/board.html")
	s.pages.switches = frame.Parse(files, s.assets, "templates/switches.html")
	s.switches.Store(&campaigns.Switches{})
	s.database.Store(&databaseView{Endpoint: config.Endpoint})
	s.shown.Store(&shown{Moment: s.look(), next: make(chan struct{})})
	return s
}

// Paths of the pages.
const (
	pagePath     = frame.PageRoot + "/dashboard"
	wallPath     = frame.PageRoot + "/wall"
	switchesPath = frame.PageRoot + "/switches"
)

// Routes are the pages, their JSON, and the stream.
func (s *Section) Routes() []frame.Route {
	return append(frame.Both(
		frame.Route{Method: "GET", Path: "/switches", Needs: access.ViewDashboard, Handle: s.showSwitches},
		frame.Route{Method: "POST", Path: "/switches", Needs: access.Switch, Handle: s.turn},
		frame.Route{Method: "POST", Path: "/pace", Needs: access.Pace, Handle: s.setPace},
	),
		frame.Route{Method: "GET", Path: pagePath, Needs: access.ViewDashboard, Handle: s.page},
		frame.Route{Method: "GET", Path: wallPath, Needs: access.ViewDashboard, Handle: s.wallPage},
		frame.Route{Method: "GET", Path: frame.JSONRoot + "/dashboard", Needs: access.ViewDashboard, Handle: s.document},
		frame.Route{Method: "GET", Path: frame.JSONRoot + "/dashboard/live", Needs: access.ViewDashboard, Handle: s.live},
		frame.Route{Method: "GET", Path: frame.JSONRoot + "/pace", Needs: access.ViewDashboard, Handle: s.showPace},
	)
}

// Menu is the dashboard and the switches.
func (s *Section) Menu() []frame.MenuItem {
	return []frame.MenuItem{
		{Title: "Dashboard", Path: pagePath, Needs: access.ViewDashboard, Order: 10},
		{Title: "Switches", Path: switchesPath, Needs: access.ViewDashboard, Order: 60},
	}
}

// Assets are the scripts and styles of the pages.
func (s *Section) Assets() *frame.Assets { return s.assets }

// Now is the newest moment.
func (s *Section) Now() *Moment { return s.shown.Load().Moment }

// Run follows the news and makes a moment each second until ctx ends; it returns nil
// then, after everything it started has ended.
func (s *Section) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	follow := func(what string, watch func(context.Context) error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := watch(ctx); err != nil && ctx.Err() == nil {
					s.log.Warn("news for the dashboard stopped, asking again", "of", what, "err", err)
				}
				pause(ctx, retryPause)
			}
		})
	}
	follow("status", func(ctx context.Context) error {
		return s.deps.News.WatchStatus(ctx, func(r *status.Report) { s.roster.Hear(r, s.now()) })
	})
	follow("walls", func(ctx context.Context) error { return s.deps.News.WatchWalls(ctx, s.heardWall, func() {}) })
	follow("switches", func(ctx context.Context) error {
		return s.deps.Switches.WatchSwitches(ctx, s.heardSwitches, func() {})
	})
	wg.Go(func() {
		for {
			s.askDatabase(ctx)
			if !pause(ctx, askEvery) {
				return
			}
		}
	})
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		s.tick()
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-tick.C:
		}
	}
}

// pause waits and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *Section) heardWall(w *campaigns.Wall) {
	if w.Campaign == campaigns.DayWall {
		s.wall.Store(w)
	}
}

// heardSwitches takes in switches, unless newer ones are known.
func (s *Section) heardSwitches(next *campaigns.Switches) {
	for {
		have := s.switches.Load()
		if have.Revision > next.Revision || s.switches.CompareAndSwap(have, next) {
			return
		}
	}
}

// askDatabase asks for the pace. What the database does not
// tell now is not known.
func (s *Section) askDatabase(ctx context.Context) {
	if s.deps.Pace == nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	paces, err := s.deps.Pace.Paces(bounded)
	if ctx.Err() != nil {
		return
	}
	next := &databaseView{AskedAt: s.now(), Paces: paces, Endpoint: s.config.Endpoint}
	if err != nil {
		next.Away, next.Since = true, s.now()
		if before := s.database.Load(); before.Away {
			next.Since = before.Since
		}
	}
	s.database.Store(next)
}

// look is the moment as everything is known now.
func (s *Section) look() *Moment {
	now := s.now()
	v := &view{Now: now, Sums: s.deps.Tally.Sums(), Wall: s.wall.Load(), Processes: s.roster.Processes(now),
		Switches: *s.switches.Load(), Database: *s.database.Load(), Own: s.config.Node}
	if s.deps.AsOf != nil {
		v.AsOf = s.deps.AsOf()
	}
	return newMoment(v)
}

// tick makes a moment, remembers it, and wakes the streams.
func (s *Section) tick() {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	m := s.look()
	before := s.shown.Load()
	if len(m.Totals) > 0 && string(m.Totals[0].Currency) != s.currency {
		s.currency = string(m.Totals[0].Currency)
		s.history.forget(raisedSeries, pledgedSeries)
	}
	// The newest second is not in the history yet.
	seconds := int(giftsWindow / step)
	m.GiftsPerMinute = math.Round(10*giftsWindow.Seconds()*(s.history.mean(acceptedSeries, seconds-1)*float64(seconds-1)+m.FrontEnds.AcceptedPerSecond)/float64(seconds)) / 10
	p := m.point()
	m.Number = s.history.add(p)
	changes(&s.journal, before.Moment, m)
	s.journal.weigh(m.At, conditions(m))
	next := &shown{Moment: m, next: make(chan struct{})}
	next.event = s.event(m, &p)
	s.shown.Store(next)
	close(before.next)
}
