package projector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/backoff"
	"spillway/ledger/search"
)

const (
	// batchMost is how many donations one transaction looks at: some 50 ms.
	batchMost = 500
	// fetchMessages and fetchBytes bound what is held of the broker at a time: a second's
	// work, far below the time after which the broker gives it to somebody else. Under
	// light load each message is one donation, and a transaction of few costs nearly as
	// much as one of many.
	fetchMessages = batchMost
	fetchBytes    = 1 << 20
	// idlePause is between two looks while there is no backlog; what happens meanwhile is
	// looked at together.
	idlePause = 200 * time.Millisecond
	// journalEvery, sweepEvery, wallsEvery and standEvery are the least times between two
	// looks of their kind.
	journalEvery = 300 * time.Millisecond
	sweepEvery   = time.Second
	wallsEvery   = time.Second
	standEvery   = 500 * time.Millisecond
	// sweepMost donations are looked at again each second, however many wait: with a
	// million gifts in the queue of charges, news and the journal tell first.
	sweepMost = 200
	// wallsMost is how many walls are read at a time.
	wallsMost = 200
	// wallsShare is the part of the time that publishing walls may take: with thousands
	// of campaigns moving at once, each is published less often.
	wallsShare = 5
	// restMost bounds one rest.
	restMost = time.Second
	// retryLater is when a donation that the ledger has not recorded is delivered again.
	retryLater = 300 * time.Millisecond
	// busyBytes a second mean that donors give: a handful of donations.
	busyBytes = 4 << 10
)

// follower keeps the projection of one book.
type follower struct {
	config  Config
	book    ledger.Book
	store   Store
	shards  []Shard
	streams Streams
	walls   *watchedWalls
	log     *slog.Logger
	metrics *metrics
	changed *changed

	said string // the last trouble that was told

	// Where the ledger stood when it was last asked.
	stood   time.Time
	floors  []uint64
	stored  uint64
	giveWay way

	journaled   time.Time // when the journal was last looked at, by our clock
	journalMore bool
	journalAsOf time.Time // every entry committed before, by the database's clock, was followed
	swept       time.Time
	walked      bool // the whole ledger, when it was last looked at
	walkedAt    time.Time
	walledAt    time.Time
	wallsTook   time.Duration
	published   int64 // walls up to this version were published
	lost        int64 // watchedWalls.lost, when they were
}

// way says how much of the work is done at the moment.
type way int

const (
	wayFree   way = iota // nobody gives
	wayShared            // donors give: work and rest
	wayStates            // many give: states only
	wayClosed            // the ledger is behind: nothing
)

func newFollower(config Config, b Book, walls *watchedWalls, deps Deps) *follower {
	return &follower{
		config: config, book: b.Book, store: b.Store, shards: b.Shards, streams: deps.Streams, walls: walls,
		log: deps.Log.With("book", b.Book.String()), metrics: newMetrics(deps.Registerer, b.Book), changed: newChanged(),
		floors: make([]uint64, len(b.Shards)),
	}
}

// run leads whenever nobody else does, until ctx ends.
func (f *follower) run(ctx context.Context) {
	var tries backoff.Tries
	for ctx.Err() == nil {
		err := f.store.Lead(ctx, func(ctx context.Context) error {
			f.metrics.leading.Set(1)
			defer f.metrics.leading.Set(0)
			return f.lead(ctx, func() { tries = backoff.Tries{} })
		})
		if ctx.Err() != nil {
			return
		}
		f.metrics.failures.Inc()
		f.trouble(err)
		tries.Wait(ctx)
	}
}

// trouble says once what the projection waits for.
func (f *follower) trouble(err error) {
	if text := err.Error(); text != f.said {
		f.said = text
		f.log.Warn("the projection waits: searches and walls grow older", "reason", err)
	}
}

// lead follows the ledger until something fails. going is called after every round
// that went well.
func (f *follower) lead(ctx context.Context, going func()) error {
	if err := f.streams.EnsureSearch(ctx); err != nil {
		return err
	}
	restored, err := f.store.Begin(ctx)
	if err != nil {
		return err
	}
	if restored {
		f.log.Warn("the ledger was restored: the projection is made anew")
		if err := f.streams.RestartSearch(ctx, f.book); err != nil {
			return err
		}
	}
	f.walked, f.journalAsOf, f.stood = false, time.Time{}, time.Time{}
	for ctx.Err() == nil {
		looked, err := f.round(ctx)
		if err != nil {
			return err
		}
		going()
		if f.said != "" {
			f.said = ""
			f.log.Info("the projection goes on")
		}
		if looked < batchMost { // there is no backlog
			backoff.Pause(ctx, idlePause)
		}
	}
	return errors.Join(errEnded, ctx.Err())
}

// round does what is due, a little of everything, and returns how many donations it
// looked at.
func (f *follower) round(ctx context.Context) (looked int, err error) {
	if err := f.stand(ctx); err != nil {
		return 0, err
	}
	if time.Since(f.walledAt) >= max(wallsEvery, wallsShare*f.wallsTook) {
		if err := f.publish(ctx); err != nil {
			return 0, err
		}
	}
	if f.giveWay == wayClosed {
		return 0, nil
	}
	steps := []func(context.Context) (int, error){f.hear, f.journal}
	if f.giveWay != wayStates {
		steps = append(steps, f.stream, f.sweep, f.walk)
	}
	for _, step := range steps {
		began := time.Now()
		n, err := step(ctx)
		if err != nil {
			return looked, err
		}
		looked += n
		if n > 0 {
			f.rest(ctx, time.Since(began))
		}
	}
	if f.giveWay == wayStates {
		return 0, nil // and a pause
	}
	return looked, nil
}

// rest leaves the machine to others for a while, after working so long.
func (f *follower) rest(ctx context.Context, worked time.Duration) {
	if f.giveWay == wayFree {
		return
	}
	backoff.Pause(ctx, min(restMost, time.Duration(float64(worked)*(1/f.config.Share-1))))
}

// stand asks where the ledger stands, and decides how much we may work.
func (f *follower) stand(ctx context.Context) error {
	since := time.Since(f.stood)
	if since < standEvery {
		return nil
	}
	var oldest time.Time
	var stored uint64
	for i, shard := range f.shards {
		at, err := shard.Standing(ctx)
		if err != nil {
			return err
		}
		f.floors[i] = at.AckFloor
		stored += at.StoredBytes
		if !at.Oldest.IsZero() && (oldest.IsZero() || at.Oldest.Before(oldest)) {
			oldest = at.Oldest
		}
	}
	rate := 0.0
	if !f.stood.IsZero() && stored > f.stored {
		rate = float64(stored-f.stored) / since.Seconds()
	}
	f.stood, f.stored = time.Now(), stored
	f.giveWay = f.config.wayFor(rate, oldest, f.stood)
	f.metrics.way.Set(float64(f.giveWay))
	return nil
}

// wayFor decides how much we may work, from the bytes that arrive a second and the
// oldest donation that is not recorded.
func (c Config) wayFor(rate float64, oldest, now time.Time) way {
	switch {
	case !oldest.IsZero() && now.Sub(oldest) > c.GiveWayAge:
		return wayClosed
	case rate > c.GiveWayBytes:
		return wayStates
	case rate > busyBytes || !oldest.IsZero():
		return wayShared
	}
	return wayFree
}

// hear looks at donations whose change was told.
func (f *follower) hear(ctx context.Context) (int, error) {
	ids := f.changed.take(batchMost)
	if len(ids) == 0 {
		return 0, nil
	}
	_, err := f.refresh(ctx, ids)
	return len(ids), err
}

func (f *follower) refresh(ctx context.Context, ids []ingest.ID) (search.Refreshed, error) {
	began := time.Now()
	r, err := f.store.Refresh(ctx, ids)
	if err == nil {
		f.metrics.batchSeconds.Observe(time.Since(began).Seconds())
		f.count(r)
	}
	return r, err
}

func (f *follower) count(r search.Refreshed) {
	f.metrics.count(r)
	for _, id := range r.Refused {
		f.log.Error("a donation cannot be searched: its tables refuse it", "donation", id)
	}
}

// journal looks at donations of the journal's next entries.
func (f *follower) journal(ctx context.Context) (int, error) {
	if !f.journalMore && time.Since(f.journaled) < journalEvery {
		return 0, nil
	}
	now, err := f.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	r, more, err := f.store.FollowJournal(ctx, batchMost)
	if err != nil {
		return 0, err
	}
	f.count(r)
	f.journaled, f.journalMore = time.Now(), more
	if !more {
		f.journalAsOf = now
	}
	return r.New + r.Changed, nil
}

// sweep looks again at donations that nothing has settled.
func (f *follower) sweep(ctx context.Context) (int, error) {
	if time.Since(f.swept) < sweepEvery {
		return 0, nil
	}
	r, looked, err := f.store.Sweep(ctx, sweepMost)
	if err != nil {
		return 0, err
	}
	f.count(r)
	f.swept = time.Now()
	return looked, nil
}

// walk looks at the ledger's next donations, until it was walked once from end to end,
// and again when somebody has thrown the projection away.
func (f *follower) walk(ctx context.Context) (int, error) {
	if f.walked && time.Since(f.walkedAt) < sweepEvery {
		return 0, nil
	}
	r, done, err := f.store.Walk(ctx, batchMost)
	if err != nil {
		return 0, err
	}
	f.count(r)
	f.walked, f.walkedAt = done, time.Now()
	if done {
		return r.New + r.Changed, nil
	}
	return batchMost, nil
}

// never is the age of a projection that promises nothing.
var never = time.Unix(0, 0).UTC()

// age works out up to when the projection is complete, and notes it.
func (f *follower) age(ctx context.Context) (time.Time, error) {
	asOf, behind := f.journalAsOf, int64(0)
	if asOf.IsZero() {
		asOf = never
	}
	for _, shard := range f.shards {
		at, err := shard.Watermark(ctx)
		if err != nil {
			return never, err
		}
		if at.Before(asOf) {
			asOf = at
		}
		n, err := shard.Waiting(ctx)
		if err != nil {
			return never, err
		}
		behind += n
	}
	if err := f.store.Progress(ctx, asOf, behind); err != nil {
		return never, err
	}
	figures, err := f.store.Figures(ctx) // not asOf while the ledger is still walked
	if err != nil {
		return never, err
	}
	f.metrics.asOf.Set(float64(figures.AsOf.UnixMilli()) / 1000)
	f.metrics.behind.Set(float64(figures.Behind))
	return figures.AsOf, nil
}
