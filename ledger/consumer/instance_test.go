package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/postgres"
)

// kind is which of an instance's goroutines makes a call, so that a schedule can
// say which of them wakes late.
type kind int

const (
	recording kind = iota
	publishing
	renewing
	adopting
	fetching
	answering
	kinds
)

// nap freezes a whole instance, as a machine does that swaps, or is paused.
type nap struct {
	where place
	lasts time.Duration
	// late is how long after the others a goroutine of a kind wakes.
	late [kinds]time.Duration
}

// place is a moment of a batch's life.
type place int

const (
	beforeCommit place = iota // the batch is in hand, its transaction not begun
	afterCommit               // committed, its rows not yet known to the process
)

var (
	errDead = fmt.Errorf("%w: this process is dead", ledger.ErrUnavailable)
	errLost = errors.New("lost on the way")
)

// turn comes up once in so many calls, whoever makes them.
type turn struct {
	every int64
	calls atomic.Int64
	Count atomic.Int64 // how often it came up
}

func (t *turn) up() bool {
	if t.calls.Add(1)%t.every != 0 {
		return false
	}
	t.Count.Add(1)
	return true
}

// instance is a ledger process of its own: its own connections, and a wall around
// the consumer through which every word to the outside passes, where a schedule may
// freeze it, kill it, or lose the word.
type instance struct {
	name string
	tell *faults

	frozen sync.RWMutex // locked while the instance is frozen
	dead   atomic.Bool
	mu     sync.Mutex
	wakes  [kinds]time.Time // when goroutines of each kind go on after a freeze
	nap    *nap             // waiting for its place
	asleep bool
	death  *place // waiting for its place

	cancel context.CancelFunc
	ended  chan struct{}
}

// faults counts what was done, so that a run that did nothing proves nothing.
type faults struct {
	napsBefore, napsAfter, deathsBefore, deathsAfter, adopted, databaseAway        atomic.Int64
	framesRefused, framesUnanswered, snapshotsRefused, commitsUnanswered, acksLost turn
}

// happened names every fault with the times that it happened.
func (f *faults) happened() map[string]int64 {
	return map[string]int64{
		"freezes before a commit": f.napsBefore.Load(), "freezes after a commit": f.napsAfter.Load(),
		"deaths before a commit": f.deathsBefore.Load(), "deaths after a commit": f.deathsAfter.Load(),
		"absences of the database": f.databaseAway.Load(), "adoptions": f.adopted.Load(),
		"frames refused": f.framesRefused.Count.Load(), "frames unanswered": f.framesUnanswered.Count.Load(),
		"snapshots refused": f.snapshotsRefused.Count.Load(), "commits unanswered": f.commitsUnanswered.Count.Load(), "acks lost": f.acksLost.Count.Load(),
	}
}

// spawn starts an instance.
func spawn(name string, config consumer.Config, b *broker.Broker, db *postgres.DB, tell *faults, log *slog.Logger) (*instance, error) {
	i := &instance{name: name, tell: tell, ended: make(chan struct{})}
	var shards []consumer.Shard
	var sources []*broker.Source
	for shard := range simShards {
		s := b.Source(ledger.Live, shard)
		sources = append(sources, s)
		shards = append(shards, consumer.Shard{Stream: s.Stream(), Source: &walledSource{source{s}, i}})
	}
	config.Holder = name
	c, err := consumer.New(config, consumer.Deps{
		Book: ledger.Live, Store: &walledStore{Book: db.Book(ledger.Live), i: i}, Frames: &walledFrames{b, i},
		Shards: shards, Log: log.With("instance", name),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	go func() {
		defer close(i.ended)
		_ = c.Run(ctx)
		for _, s := range sources {
			s.Close()
		}
	}()
	return i, nil
}

// pass lets a goroutine through the wall: not while the instance is frozen, late
// when the schedule says so, and never again once it is dead.
func (i *instance) pass(ctx context.Context, k kind) error {
	i.frozen.RLock()
	//lint:ignore SA2001 only to wait while it is frozen
	i.frozen.RUnlock()
	i.mu.Lock()
	wait := time.Until(i.wakes[k])
	i.mu.Unlock()
	if wait > 0 && !i.dead.Load() {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	if i.dead.Load() {
		return errDead
	}
	return nil
}

// at freezes or kills the instance if the schedule wants it at this place.
func (i *instance) at(p place) {
	i.mu.Lock()
	n, d := i.nap, i.death
	if n != nil && n.where == p {
		i.nap, i.asleep = nil, true
	} else {
		n = nil
	}
	i.mu.Unlock()
	if d != nil && *d == p && i.dead.CompareAndSwap(false, true) {
		if p == beforeCommit {
			i.tell.deathsBefore.Add(1)
		} else {
			i.tell.deathsAfter.Add(1)
		}
		i.cancel()
	}
	if n == nil {
		return
	}
	if p == beforeCommit {
		i.tell.napsBefore.Add(1)
	} else {
		i.tell.napsAfter.Add(1)
	}
	i.frozen.Lock()
	<-time.After(n.lasts)
	i.mu.Lock()
	i.asleep = false
	for k, late := range n.late {
		i.wakes[k] = time.Now().Add(late)
	}
	i.mu.Unlock()
	i.frozen.Unlock()
}

// idle tells whether the instance waits for nothing that the schedule planned.
func (i *instance) idle() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.nap == nil && !i.asleep && time.Now().After(slices.MaxFunc(i.wakes[:], time.Time.Compare))
}

func (i *instance) plan(n nap) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.nap = &n
}

func (i *instance) doom(p place) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.death = &p
}

type walledSource struct {
	source
	i *instance
}

func (s *walledSource) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]consumer.Message, error) {
	if err := s.i.pass(ctx, fetching); err != nil {
		<-ctx.Done()
		return nil, err
	}
	messages, err := s.source.Fetch(ctx, maxMessages, maxBytes, wait)
	for n := range messages {
		messages[n].Handle = &walledHandle{messages[n].Handle, s.i}
	}
	_ = s.i.pass(ctx, fetching)
	return messages, err
}

func (s *walledSource) Watermark(ctx context.Context) (time.Time, error) {
	if err := s.i.pass(ctx, publishing); err != nil {
		return time.Time{}, err
	}
	t, err := s.source.Watermark(ctx)
	return t, errors.Join(err, s.i.pass(ctx, publishing))
}

type walledHandle struct {
	consumer.Handle
	i *instance
}

func (h *walledHandle) Ack() error {
	if err := h.i.pass(context.Background(), answering); err != nil {
		return err
	}
	if h.i.tell.acksLost.up() {
		return nil
	}
	return h.Handle.Ack()
}

func (h *walledHandle) Nak(delay time.Duration) error {
	if err := h.i.pass(context.Background(), answering); err != nil {
		return err
	}
	return h.Handle.Nak(delay)
}

func (h *walledHandle) InProgress() error {
	if err := h.i.pass(context.Background(), answering); err != nil {
		return err
	}
	return h.Handle.InProgress()
}

type walledFrames struct {
	*broker.Broker
	i *instance
}

func (f *walledFrames) PublishFrame(ctx context.Context, frame *campaigns.Frame) error {
	if err := f.i.pass(ctx, publishing); err != nil {
		return err
	}
	if f.i.tell.framesRefused.up() {
		return errLost
	}
	err := f.Broker.PublishFrame(ctx, frame)
	if f.i.tell.framesUnanswered.up() {
		return errLost
	}
	return errors.Join(err, f.i.pass(ctx, publishing))
}

func (f *walledFrames) PublishSnapshot(ctx context.Context, s *campaigns.Snapshot) error {
	if err := f.i.pass(ctx, publishing); err != nil {
		return err
	}
	if f.i.tell.snapshotsRefused.up() {
		return errLost
	}
	return errors.Join(f.Broker.PublishSnapshot(ctx, s), f.i.pass(ctx, publishing))
}

type walledStore struct {
	*postgres.Book
	i *instance
}

func (s *walledStore) Record(ctx context.Context, lease ledger.Lease, donations, repeats []*envelope.Donation) ([]campaigns.SlotRow, ledger.Counts, error) {
	s.i.at(beforeCommit)
	if err := s.i.pass(ctx, recording); err != nil {
		return nil, ledger.Counts{}, err
	}
	rows, counts, err := s.Book.Record(ctx, lease, donations, repeats)
	if err == nil {
		s.i.at(afterCommit)
	}
	if dead := s.i.pass(ctx, recording); dead != nil {
		return nil, ledger.Counts{}, dead
	}
	if err == nil && s.i.tell.commitsUnanswered.up() {
		return nil, ledger.Counts{}, fmt.Errorf("%w: %w", ledger.ErrUnavailable, errLost)
	}
	return rows, counts, err
}

func (s *walledStore) Request(ctx context.Context, requests []*envelope.Request) error {
	if err := s.i.pass(ctx, recording); err != nil {
		return err
	}
	return errors.Join(s.Book.Request(ctx, requests), s.i.pass(ctx, recording))
}

func (s *walledStore) Quarantine(ctx context.Context, rejected []ledger.Rejected) error {
	if err := s.i.pass(ctx, recording); err != nil {
		return err
	}
	return s.Book.Quarantine(ctx, rejected)
}

func (s *walledStore) Slots(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, campaigns.ChainHead, error) {
	if err := s.i.pass(ctx, publishing); err != nil {
		return nil, campaigns.ChainHead{}, err
	}
	rows, chain, err := s.Book.Slots(ctx, lease)
	return rows, chain, errors.Join(err, s.i.pass(ctx, publishing))
}

func (s *walledStore) Acquire(ctx context.Context, holder string, ttl time.Duration) (ledger.Lease, error) {
	if err := s.i.pass(ctx, renewing); err != nil {
		return ledger.Lease{}, err
	}
	lease, err := s.Book.Acquire(ctx, holder, ttl)
	return lease, errors.Join(err, s.i.pass(ctx, renewing))
}

func (s *walledStore) Renew(ctx context.Context, lease ledger.Lease, ttl time.Duration) error {
	if err := s.i.pass(ctx, renewing); err != nil {
		return err
	}
	return errors.Join(s.Book.Renew(ctx, lease, ttl), s.i.pass(ctx, renewing))
}

func (s *walledStore) Release(ctx context.Context, lease ledger.Lease) error {
	if err := s.i.pass(ctx, renewing); err != nil {
		return err
	}
	return errors.Join(s.Book.Release(ctx, lease), s.i.pass(ctx, renewing))
}

func (s *walledStore) AdoptLapsed(ctx context.Context, holder string, ttl time.Duration) ([]ledger.Lease, error) {
	if err := s.i.pass(ctx, adopting); err != nil {
		return nil, err
	}
	leases, err := s.Book.AdoptLapsed(ctx, holder, ttl)
	s.i.tell.adopted.Add(int64(len(leases)))
	return leases, errors.Join(err, s.i.pass(ctx, adopting))
}
