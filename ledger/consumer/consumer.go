// Package consumer moves donations from the broker into one book of the ledger and
// publishes what that changed. It fetches envelopes, records them in batches of one
// transaction each, acknowledges them after the commit, and tells the front-ends
// about its slot's rows and how complete they are. Any number of processes may run
// it on the same streams.
//
// The one invariant: whatever a frame claims to be complete up to, is. A frame's
// CountedThrough is never later than a time before which every acknowledged
// donation was recorded before the oldest of our transactions whose rows are not
// yet published had begun.
//
// Goroutines, all started by Run and all ended when it returns:
//   - tenure: leases a slot, opens it, publishes frames, closes it; one at a time;
//   - renew and snapshot: for as long as a tenure lasts;
//   - fetch, record and heartbeat: one of each per shard, until Run's context ends
//     (record: until the batch in hand is settled);
//   - adopt: takes over the slots of processes that are gone;
//   - watch: asks for the figures that only the database and the broker know.
//
// Move lets others run transactions under the same slot, in goroutines of theirs.
package consumer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest/trace"
	"spillway/ledger"
	"spillway/ledger/backoff"
)

// Config bounds the work. Zero fields take the default that is named with them.
type Config struct {
	// AckWait is the broker's: how long it waits for an acknowledgement before it
	// gives a message to somebody else. Messages held longer than a third of it are
	// reported as in progress. 10 s.
	AckWait time.Duration
	// HoldMax ends those reports: a message that this process could not record for
	// so long is left to others, while it goes on trying itself. 1 min.
	HoldMax time.Duration
	// BatchMessages, BatchBytes and BatchDonations bound what one transaction
	// records, and with it the memory (one batch is recorded while the next is
	// decoded) and how long a transaction keeps its locks. The last may be exceeded
	// by one fetch's donations. 1024 messages, 2 MiB, 8192 donations: 50 ms.
	BatchMessages, BatchBytes, BatchDonations int
	// FetchWait is how long one request waits for a first message. 1 s.
	FetchWait time.Duration
	// RecordEvery is the pace of batches, so that a light load is recorded in few
	// transactions: they begin half way between its multiples. 50 ms, as FrameEvery.
	RecordEvery time.Duration

	// LeaseTTL is how long a slot stays ours without a renewal. 3 s.
	LeaseTTL time.Duration
	// RenewEvery is the pace of renewals. A third of LeaseTTL.
	RenewEvery time.Duration
	// AdoptEvery is the pace of the search for lapsed leases. A third of LeaseTTL.
	AdoptEvery time.Duration
	// FrameEvery is the tick: what changed is published after at most so long. 50 ms.
	FrameEvery time.Duration
	// IdleFrameEvery is how long a slot may be silent when nothing changed: as
	// old as it makes what all others claim. 100 ms.
	IdleFrameEvery time.Duration
	// QuietAfter is how long without news makes a slot quiet: from then on it may be
	// silent for QuietFrameEvery, so that a service without donors costs little. 1 min,
	// and 400 ms: less than a reader takes for no ledger at all (cache/feed, 500 ms).
	QuietAfter, QuietFrameEvery time.Duration
	// SnapshotEvery is the pace of whole snapshots. 5 s.
	SnapshotEvery time.Duration
	// StopTimeout bounds what happens after Run's context has ended: the batch in
	// hand, the last frame, the release of the slot. 10 s.
	StopTimeout time.Duration
	// UnknownTries is how often a failure that nobody can name is tried again
	// before the culprit is looked for in the data. 8.
	UnknownTries int

	// Holder names this process in the lease table; host, process and a random
	// number when empty. It must differ from every other process's.
	Holder string
}

// The defaults of Config, where the reason is not in its comment.
const (
	defaultAckWait      = 10 * time.Second
	defaultHoldMax      = time.Minute
	defaultMessages     = 1024
	defaultBytes        = 2 << 20
	defaultDonations    = 8192
	defaultFetchWait    = time.Second
	defaultRecordEvery  = 50 * time.Millisecond
	defaultLeaseTTL     = 3 * time.Second
	defaultFrameEvery   = 50 * time.Millisecond
	defaultIdleFrame    = 100 * time.Millisecond
	defaultQuietAfter   = time.Minute
	defaultQuietFrame   = 400 * time.Millisecond
	defaultSnapshot     = 5 * time.Second
	defaultStop         = 10 * time.Second
	defaultUnknownTries = 8

	// askTimeout bounds one question to the broker, and publishTimeout one
	// publication: both are milliseconds when it is well, and a tick that waits
	// longer only makes the totals older.
	askTimeout     = 2 * time.Second
	publishTimeout = 5 * time.Second
	// refreshTimeout bounds what a batch may wait for a younger watermark: less than it
	// gains by it.
	refreshTimeout = 20 * time.Millisecond
	// storeTimeout bounds one statement outside recording.
	storeTimeout = 5 * time.Second
	// watchEvery is the pace of figures that cost a query.
	watchEvery = 5 * time.Second
)

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, or time.Duration) {
		if *d == 0 {
			*d = or
		}
	}
	number := func(n *int, or int) {
		if *n == 0 {
			*n = or
		}
	}
	duration(&c.AckWait, defaultAckWait)
	duration(&c.HoldMax, defaultHoldMax)
	number(&c.BatchMessages, defaultMessages)
	number(&c.BatchBytes, defaultBytes)
	number(&c.BatchDonations, defaultDonations)
	duration(&c.FetchWait, defaultFetchWait)
	duration(&c.RecordEvery, defaultRecordEvery)
	duration(&c.LeaseTTL, defaultLeaseTTL)
	duration(&c.RenewEvery, c.LeaseTTL/3)
	duration(&c.AdoptEvery, c.LeaseTTL/3)
	duration(&c.FrameEvery, defaultFrameEvery)
	duration(&c.IdleFrameEvery, defaultIdleFrame)
	duration(&c.QuietAfter, defaultQuietAfter)
	duration(&c.QuietFrameEvery, defaultQuietFrame)
	duration(&c.SnapshotEvery, defaultSnapshot)
	duration(&c.StopTimeout, defaultStop)
	number(&c.UnknownTries, defaultUnknownTries)
	if c.Holder == "" {
		var random [6]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		host, err := os.Hostname()
		if err != nil {
			host = "unknown-host"
		}
		c.Holder = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), hex.EncodeToString(random[:]))
	}
	return c
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	for name, d := range map[string]time.Duration{
		"AckWait": c.AckWait, "HoldMax": c.HoldMax, "FetchWait": c.FetchWait, "RecordEvery": c.RecordEvery,
		"LeaseTTL": c.LeaseTTL, "RenewEvery": c.RenewEvery, "AdoptEvery": c.AdoptEvery, "FrameEvery": c.FrameEvery,
		"IdleFrameEvery": c.IdleFrameEvery, "QuietAfter": c.QuietAfter, "QuietFrameEvery": c.QuietFrameEvery,
		"SnapshotEvery": c.SnapshotEvery, "StopTimeout": c.StopTimeout,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("consumer: %s is negative", name))
		}
	}
	if c.BatchMessages < 0 || c.BatchBytes < 0 || c.BatchDonations < 0 || c.UnknownTries < 0 {
		errs = append(errs, errors.New("consumer: a bound is negative"))
	}
	if c.RenewEvery >= c.LeaseTTL {
		errs = append(errs, errors.New("consumer: RenewEvery must be below LeaseTTL"))
	}
	return errors.Join(errs...)
}

// Deps is what the consumer works with.
type Deps struct {
	Book   ledger.Book
	Shards []Shard // all shards of the book: a frame's claim is about all of them
	// SlotOnly makes a consumer that fetches and records nothing: it owns a slot for
	// Move. It asks the shards for their watermark all the same, because its frames
	// claim what everybody's do, and are the only ones while no ledger runs.
	SlotOnly bool
	Store    Store
	Frames   Frames
	// Tracer records the spans of batches with a traced donation in them; nil for none.
	Tracer *trace.Tracer
	// Registerer receives the metrics; nil for none. Those of SlotOnly are the slot's,
	// their names with the prefix "payments_", so that both kinds share a process.
	Registerer prometheus.Registerer
	Log        *slog.Logger // slog.Default when nil
}

// Consumer records one book's donations, of all its shards, under one slot.
type Consumer struct {
	config  Config
	book    ledger.Book
	shards  []Shard
	store   Store
	frames  Frames
	log     *slog.Logger
	metrics *metrics
	tracer  *trace.Tracer
	moves   *moves
	// slotOnly is Deps.SlotOnly.
	slotOnly bool

	// mu guards open and changed. open is the writer whose slot is open, nil
	// between two tenures; changed is closed and replaced when open changes.
	mu      sync.Mutex
	open    *writer
	changed chan struct{}
}

// New makes a consumer; Run starts it.
func New(config Config, deps Deps) (*Consumer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if len(deps.Shards) == 0 || deps.Store == nil || deps.Frames == nil {
		return nil, errors.New("consumer: the book's shards, a store and frames are needed")
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Consumer{
		config:   config.withDefaults(),
		book:     deps.Book,
		shards:   deps.Shards,
		slotOnly: deps.SlotOnly,
		store:    deps.Store,
		frames:   deps.Frames,
		log:      deps.Log.With("book", deps.Book.String()),
		metrics:  newMetrics(deps.Registerer, deps.Book, deps.SlotOnly),
		tracer:   deps.Tracer,
		moves:    newMoves(),
		changed:  make(chan struct{}),
	}, nil
}

// Run records until ctx ends, then settles the batch in hand and the moves under
// way, publishes the last frame and gives the slot back, for at most StopTimeout. It
// needs neither database nor broker to be there when it starts, and survives the
// absence of either.
func (c *Consumer) Run(ctx context.Context) error {
	// work outlives ctx by StopTimeout: what was begun is ended in order.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(work, c.moves.abandon)()
	// recording ends when all lanes have settled and no move runs.
	recording, settled := context.WithCancel(work)
	defer settled()

	var helpers, lanes sync.WaitGroup
	helpers.Go(func() { c.adoptLoop(ctx) })
	if !c.slotOnly {
		helpers.Go(func() { c.watchLoop(ctx) })
	}
	helpers.Go(func() {
		<-ctx.Done()
		if backoff.Pause(work, c.config.StopTimeout) {
			abandon()
		}
	})
	if !c.slotOnly {
		lanes.Go(func() { newRecorder(c).run(ctx, work) })
	}
	lanes.Go(func() {
		<-ctx.Done()
		c.moves.stop()
	})
	helpers.Go(func() {
		lanes.Wait()
		settled()
	})
	c.tenures(work, recording)
	abandon() // nothing is left to be ended
	helpers.Wait()
	return nil
}

// writer returns the writer whose slot is open, waiting for one if need be. Errors:
// the context's.
func (c *Consumer) writer(ctx context.Context) (*writer, error) {
	for {
		c.mu.Lock()
		w, changed := c.open, c.changed
		c.mu.Unlock()
		if w != nil && w.live() {
			return w, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// announce makes w the writer that lanes record under; nil for none.
func (c *Consumer) announce(w *writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = w
	close(c.changed)
	c.changed = make(chan struct{})
}

// watermark asks every shard up to when everything acknowledged to a donor is
// recorded, and returns the least. Errors: any shard's.
func (c *Consumer) watermark(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	times, errs := make([]time.Time, len(c.shards)), make([]error, len(c.shards))
	var asked sync.WaitGroup
	for i, s := range c.shards {
		asked.Go(func() { times[i], errs[i] = s.Source.Watermark(ctx) })
	}
	asked.Wait()
	if err := errors.Join(errs...); err != nil {
		return time.Time{}, fmt.Errorf("ask for the watermark: %w", err)
	}
	least := times[0]
	for _, t := range times[1:] {
		least = earlier(least, t)
	}
	return least, nil
}

// refresh asks for the watermark when the writer's is older than half a tick, so that a
// flight which departs now holds frames back by no more than it must. It gives up
// soon: an older watermark is as true.
func (c *Consumer) refresh(ctx context.Context, w *writer) {
	if w.knows(c.config.FrameEvery / 2) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	w.asking()
	if asked, err := c.watermark(ctx); err == nil { // else the next tick asks, and tells
		w.learn(asked)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
