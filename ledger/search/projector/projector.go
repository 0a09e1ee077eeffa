// Package projector keeps the projection that donations are searched by in step with
// the ledger, and publishes the walls that donors' pages show.
//
// The one invariant: it only ever reads the ledger, and gives way to it. Whatever it
// missed, did twice or did in another order is put right by looking again; nothing
// waits for it.
//
// It hears of donations by four roads: its own consumer of their streams, the news of
// changed states, the journal, which it follows entry by entry, and a sweep over those
// that no entry has settled. All of them only say which donations to look at.
//
// Goroutines: one for each book and one for the news of changes, started by Run and
// ended with it.
package projector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/backoff"
	"spillway/ledger/search"
)

// Config says how much of the machine the projection may take. Zero values are the
// defaults.
type Config struct {
	// Share is the part of the time that it works while donors give, 0 to 1; a fifth by
	// default. While nobody gives it takes what it needs.
	Share float64
	// GiveWayAge is how old the oldest donation that the ledger has not recorded may be
	// before all looking stops; 1 s by default.
	GiveWayAge time.Duration
	// GiveWayBytes is how many bytes of donations may arrive a second before only states
	// are followed and new donations wait; 512 KiB by default, some 1,500 donations a
	// second and four times the highest peak that was ever published. Measured on two
	// cores at 5,000 a second: following them all doubled the donors' p99, 6 ms to 13.
	GiveWayBytes float64
}

func (c Config) withDefaults() Config {
	if c.Share <= 0 || c.Share > 1 {
		c.Share = 1.0 / 5
	}
	if c.GiveWayAge <= 0 {
		c.GiveWayAge = time.Second
	}
	if c.GiveWayBytes <= 0 {
		c.GiveWayBytes = 512 << 10
	}
	return c
}

// Store is one book's projection; spillway/ledger/search/postgres.Store says what each
// method promises. Errors of theirs are healed by time.
type Store interface {
	Lead(ctx context.Context, lead func(context.Context) error) error
	Begin(ctx context.Context) (restored bool, err error)
	Refresh(ctx context.Context, ids []ingest.ID) (search.Refreshed, error)
	FollowJournal(ctx context.Context, most int) (refreshed search.Refreshed, more bool, err error)
	Sweep(ctx context.Context, most int) (refreshed search.Refreshed, looked int, err error)
	Walk(ctx context.Context, most int) (refreshed search.Refreshed, done bool, err error)
	Now(ctx context.Context) (time.Time, error)
	Progress(ctx context.Context, asOf time.Time, behind int64) error
	Figures(ctx context.Context) (search.Figures, error)
	ChangedWalls(ctx context.Context, after int64, most int) ([]search.ChangedWall, error)
	Walls(ctx context.Context, slugs []string) ([]*campaigns.Wall, error)
}

// Message is one envelope as the broker delivered it.
type Message struct {
	Data     []byte
	Sequence uint64 // in its stream
	Handle   Handle
}

// Handle answers the broker about a message. A lost answer means another delivery.
type Handle interface {
	Ack() error
	Nak(delay time.Duration) error
	InProgress() error
}

// Shard is one stream of a book's donations.
type Shard interface {
	// Fetch returns what is there, at most so many messages and bytes, without waiting.
	Fetch(ctx context.Context, maxMessages, maxBytes int) ([]Message, error)
	// Watermark is a time of the broker's such that every donation acknowledged before it
	// was acknowledged by us.
	Watermark(ctx context.Context) (time.Time, error)
	// Waiting is how many messages we have not acknowledged.
	Waiting(ctx context.Context) (int64, error)
	// Standing is where the ledger stands.
	Standing(ctx context.Context) (Standing, error)
}

// Standing is where the ledger stands on one shard.
type Standing struct {
	// AckFloor: every message up to it is the ledger's, recorded or set aside.
	AckFloor uint64
	// Oldest is when the first message that is not was stored; zero when all are.
	Oldest time.Time
	// StoredBytes is what the stream holds.
	StoredBytes uint64
}

// Streams makes the consumers behind the shards.
type Streams interface {
	EnsureSearch(ctx context.Context) error
	// RestartSearch begins again at the start of a book's streams.
	RestartSearch(ctx context.Context, book ledger.Book) error
}

// Changes tells of donations whose states have changed. It may miss some.
type Changes interface {
	WatchChanges(ctx context.Context, changed func(ids [][16]byte)) error
}

// Walls is where walls are published for everybody.
type Walls interface {
	// EnsureWalls tells whether the broker holds no walls: then all are published.
	EnsureWalls(ctx context.Context) (fresh bool, err error)
	PublishWalls(ctx context.Context, walls []*campaigns.Wall) error
}

// Book is one book to follow.
type Book struct {
	Book   ledger.Book
	Store  Store
	Shards []Shard
}

// Deps are what the projector works with.
type Deps struct {
	Books      []Book
	Streams    Streams
	Changes    Changes
	Walls      Walls
	Registerer prometheus.Registerer // nil for none
	Log        *slog.Logger
}

// Service is the projector. Any number of processes run one; of each book, one of them
// leads.
type Service struct {
	deps      Deps
	followers []*follower
}

// New returns a projector that Run starts.
func New(config Config, deps Deps) *Service {
	walls := &watchedWalls{Walls: deps.Walls}
	s := &Service{deps: deps}
	for _, b := range deps.Books {
		s.followers = append(s.followers, newFollower(config.withDefaults(), b, walls, deps))
	}
	return s
}

// Run follows the ledger until ctx ends, which is no error. A database or broker that
// is away is waited for.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range s.followers {
		group.Go(func() error { f.run(ctx); return nil })
	}
	group.Go(func() error { s.watchChanges(ctx); return nil })
	return group.Wait()
}

func (s *Service) watchChanges(ctx context.Context) {
	var tries backoff.Tries
	for ctx.Err() == nil {
		err := s.deps.Changes.WatchChanges(ctx, func(ids [][16]byte) {
			for _, f := range s.followers {
				f.changed.add(ids)
			}
		})
		if err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("changes of donations are not heard; they are looked for", "error", err)
		}
		tries.Wait(ctx)
	}
}

// errEnded says that a leader has nothing to lead any more.
var errEnded = errors.New("context ended")
