//go:build linux

package mutants

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// The freezes that matter to what totals claim, each played out to the end instead
// of hoped for: two ledgers, one of which stands still at the worst moment.

const (
	// frozenAckWait is the broker's patience here; a freeze outlasts it.
	frozenAckWait = 500 * time.Millisecond
	// frozenLease is the slot's lease where it is to lapse, and heldLease where not.
	frozenLease = time.Second
	heldLease   = time.Minute
	// frozenPatience bounds each wait for something that takes about a second.
	frozenPatience = time.Minute
	// firstTerm is the term of a slot that was never leased before.
	firstTerm = 1
)

// A ledger freezes after its transaction, before it knows the rows, for longer than
// AckWait but not than its lease. Another gets the donation, finds it recorded and
// acknowledges it. The first must not claim to be complete beyond it.
func TestFrozen_ClaimsNothingItHolds(t *testing.T) {
	g := newGround(t)
	a := g.ledger("a", consumer.Config{LeaseTTL: heldLease, HoldMax: time.Nanosecond})
	a.recorded.shut()
	a.run()
	g.see("a's slot", func(v view) bool { return len(v.slots) == 1 })
	stored := g.give("first donor")
	select {
	case <-a.recorded.reached:
	case <-time.After(frozenPatience):
		t.Fatal("a never recorded")
	}

	g.ledger("b", consumer.Config{LeaseTTL: heldLease}).run()
	g.see("b's slot", func(v view) bool { return len(v.slots) == 2 })
	g.acknowledged()
	var heard int
	g.see("b's word that it is complete", func(v view) bool {
		heard = v.slots[1].frames
		return v.slots[2].through.After(stored)
	})
	// a's ticks go on: it has asked the broker since, which knows of nothing pending.
	g.see("more of a's words", func(v view) bool { return v.slots[1].frames > heard+5 })
	g.noFalseClaim()

	a.recorded.open()
	g.see("the donation, and that totals are complete", func(v view) bool { return v.asOf.After(stored) && v.donations == 1 })
	g.noFalseClaim()
}

// A ledger freezes before its transaction, for longer than its lease, and goes on
// before it learns that its slot was adopted and closed. Nobody listens to that
// slot any more: the transaction must be refused.
func TestFrozen_RecordsNothingUnderALostLease(t *testing.T) {
	g := newGround(t)
	a := g.ledger("a", consumer.Config{LeaseTTL: frozenLease, RenewEvery: frozenLease / 10, HoldMax: time.Nanosecond})
	b := g.ledger("b", consumer.Config{LeaseTTL: frozenLease, RenewEvery: frozenLease / 10})
	b.fetch.shut() // so that the donation is a's
	a.run()
	g.see("a's slot", func(v view) bool { return len(v.slots) == 1 })
	b.run()
	g.see("b's slot", func(v view) bool { return len(v.slots) == 2 })

	a.fetch.shut()
	a.renew.shut()
	a.publish.shut()
	g.see("a's slot adopted and closed", func(v view) bool { return v.slots[1].closed })
	stored := g.give("first donor")
	a.fetch.open() // and the rest of a wakes later

	g.see("that totals are complete", func(v view) bool { return v.asOf.After(stored) })
	g.noFalseClaim()
	g.see("the donation", func(v view) bool { return v.donations == 1 })
}

// ground is a real broker and a real database, and a front-end that looks on.
type ground struct {
	t         *testing.T
	server    *brokertest.Server
	url       string
	js        jetstream.JetStream
	publisher *broker.Publisher
	source    *broker.Source

	mu    sync.Mutex
	now   view
	looks []look
	news  chan struct{} // closed and replaced with every frame
	given []time.Time   // when each donation was stored
}

func newGround(t *testing.T) *ground {
	g := &ground{t: t, url: pgtest.URL(t), server: brokertest.Start(t, brokertest.WithStorage(64<<30)), news: make(chan struct{}), now: view{slots: map[int32]slotView{}}}
	b := g.server.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := g.openDB()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(g.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if g.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	// The product's consumer in every respect but its patience.
	c, err := g.js.Consumer(t.Context(), "DONATIONS_0", "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	config := c.CachedInfo().Config
	config.AckWait = frozenAckWait
	if _, err := g.js.UpdateConsumer(t.Context(), "DONATIONS_0", config); err != nil {
		t.Fatal(err)
	}
	g.source = b.Source(ledger.Live, 0)
	t.Cleanup(g.source.Close)
	g.publisher = b.NewPublisher(broker.PublisherConfig{Node: "test"}, nil)
	g.background(g.publisher.Run)
	g.background(func(ctx context.Context) error { return g.server.Connect().ReadFrames(ctx, g.hear) })
	return g
}

// background runs something until the test ends, and waits for it.
func (g *ground) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			g.t.Error(err)
		}
	}()
	g.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func (g *ground) openDB() *postgres.DB {
	db, err := postgres.Open(postgres.Config{URL: g.url})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(db.Close)
	return db
}

// give has a donation acknowledged and returns when the broker stored it.
func (g *ground) give(key string) (stored time.Time) {
	g.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	fingerprint := sha256.Sum256([]byte(key))
	d := &envelope.Donation{
		ID: ingest.DeriveID([]byte(key)), Fingerprint: ingest.Fingerprint(fingerprint[:16]), ReceivedAt: now,
		Currency: "USD", AmountMinor: 1000, Lines: []ingest.Line{{Campaign: "river-school", AmountMinor: 1000}},
		ConfirmationToken: "ctoken_card_visa", TokenExpiresAt: now.Add(time.Hour),
	}
	for {
		err := g.publisher.Publish(ledger.Live, d)
		if err == nil {
			break
		}
		if !errors.Is(err, ingest.ErrNotReady) || time.Since(now) > frozenPatience {
			g.t.Fatal(err)
		}
		<-time.After(time.Millisecond) // its Run has only just been called
	}
	stream, err := g.js.Stream(g.t.Context(), "DONATIONS_0")
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := stream.GetMsg(g.t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.given = append(g.given, m.Time)
	return m.Time
}

// acknowledged waits until a ledger has acknowledged everything.
func (g *ground) acknowledged() {
	g.t.Helper()
	for deadline := time.Now().Add(frozenPatience); ; {
		lag, err := g.source.Lag(g.t.Context())
		if err == nil && lag.Pending == 0 && lag.AckPending == 0 {
			return
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("nobody acknowledges: %+v, %v", lag, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// view is what the front-end knows: a front-end reduced to the rules of frames.
type view struct {
	slots     map[int32]slotView
	donations int64     // in all slots
	asOf      time.Time // least claim of the slots that are not closed
}

type slotView struct {
	epoch, term int64
	frames      int
	through     time.Time
	closed      bool
	rows        map[string]campaigns.SlotRow
}

// look is what was shown when asOf had moved on.
type look struct {
	asOf      time.Time
	donations int64
}

// hear applies a frame. A row that only a snapshot carries is not seen: here every
// row that can be seen travels in a frame.
func (g *ground) hear(f *campaigns.Frame) {
	if f.Book != ledger.Live {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s, known := g.now.slots[f.Slot]
	if !known {
		s.rows = map[string]campaigns.SlotRow{}
	}
	if f.Epoch < s.epoch || f.Epoch == s.epoch && f.Term < s.term {
		return
	}
	s.epoch, s.term, s.through, s.closed = f.Epoch, f.Term, f.CountedThrough, f.Closed
	s.frames++
	for _, r := range f.Rows {
		if r.Version > s.rows[r.Campaign].Version {
			s.rows[r.Campaign] = r
		}
	}
	g.now.slots[f.Slot] = s
	g.now.add()
	if n := len(g.looks); n == 0 || g.now.asOf.After(g.looks[n-1].asOf) {
		g.looks = append(g.looks, look{g.now.asOf, g.now.donations})
	}
	close(g.news)
	g.news = make(chan struct{})
}

func (v *view) add() {
	v.donations, v.asOf = 0, time.Time{}
	for _, s := range v.slots {
		for _, r := range s.rows {
			v.donations += r.Donations
		}
		if !s.closed && (v.asOf.IsZero() || s.through.Before(v.asOf)) {
			v.asOf = s.through
		}
	}
}

// see waits until the front-end sees something.
func (g *ground) see(what string, seen func(view) bool) {
	g.t.Helper()
	timeout := time.After(frozenPatience)
	for {
		g.mu.Lock()
		ok, news, now := seen(g.now), g.news, g.now
		g.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-timeout:
			g.t.Fatalf("the front-end never saw %s; it sees %+v", what, now)
		}
	}
}

// noFalseClaim holds every look against what was stored by then.
func (g *ground) noFalseClaim() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.looks {
		due := int64(0)
		for _, stored := range g.given {
			if stored.Before(l.asOf) {
				due++
			}
		}
		if l.donations < due {
			g.t.Fatalf("as_of was false: as of %s the totals hold %d donations, and %d were acknowledged before it",
				l.asOf.Format(time.RFC3339Nano), l.donations, due)
		}
	}
}

// oneLedger is a ledger process of its own, behind doors.
type oneLedger struct {
	g      *ground
	config consumer.Config
	// Doors of everything that it does: shut, whoever comes waits there.
	recorded, fetch, renew, publish *door
}

func (g *ground) ledger(name string, config consumer.Config) *oneLedger {
	config.Holder, config.AckWait = name, frozenAckWait
	config.FrameEvery, config.IdleFrameEvery, config.FetchWait = 10*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	return &oneLedger{g: g, config: config, recorded: newDoor(), fetch: newDoor(), renew: newDoor(), publish: newDoor()}
}

func (l *oneLedger) run() {
	l.g.t.Helper()
	b := l.g.server.Connect()
	source := b.Source(ledger.Live, 0)
	l.g.t.Cleanup(source.Close)
	c, err := consumer.New(l.config, consumer.Deps{
		Book: ledger.Live, Store: doorStore{l.g.openDB().Book(ledger.Live), l}, Frames: doorFrames{b, l},
		Shards: []consumer.Shard{{Stream: source.Stream(), Source: doorSource{source, l}}},
		Log:    slog.New(slog.NewTextHandler(l.g.t.Output(), nil)).With("ledger", l.config.Holder),
	})
	if err != nil {
		l.g.t.Fatal(err)
	}
	l.g.background(c.Run)
	l.g.t.Cleanup(func() { // before the end of the ledger, which has to pass
		for _, d := range []*door{l.recorded, l.fetch, l.renew, l.publish} {
			d.open()
		}
	})
}

// door holds up whoever comes while it is shut.
type door struct {
	mu      sync.Mutex
	way     chan struct{} // closed while the door is open
	reached chan struct{} // gets a value when somebody has to wait
}

func newDoor() *door {
	d := &door{way: make(chan struct{}), reached: make(chan struct{}, 1)}
	close(d.way)
	return d
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.way = make(chan struct{})
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.way:
	default:
		close(d.way)
	}
}

func (d *door) pass(ctx context.Context) error {
	d.mu.Lock()
	way := d.way
	d.mu.Unlock()
	select {
	case <-way:
		return nil
	default:
	}
	select {
	case d.reached <- struct{}{}:
	default:
	}
	select {
	case <-way:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type doorStore struct {
	*postgres.Book
	l *oneLedger
}

func (s doorStore) Record(ctx context.Context, lease ledger.Lease, donations, repeats []*envelope.Donation) ([]campaigns.SlotRow, ledger.Counts, error) {
	rows, counts, err := s.Book.Record(ctx, lease, donations, repeats)
	return rows, counts, errors.Join(err, s.l.recorded.pass(ctx))
}

func (s doorStore) Renew(ctx context.Context, lease ledger.Lease, ttl time.Duration) error {
	if s.l.renew.pass(ctx) != nil {
		return ledger.ErrUnavailable
	}
	return s.Book.Renew(ctx, lease, ttl)
}

type doorFrames struct {
	*broker.Broker
	l *oneLedger
}

func (f doorFrames) PublishFrame(ctx context.Context, frame *campaigns.Frame) error {
	if frame.Term == firstTerm { // a later tenure's words are not those of the frozen one
		if err := f.l.publish.pass(ctx); err != nil {
			return err
		}
	}
	return f.Broker.PublishFrame(ctx, frame)
}

type doorSource struct {
	*broker.Source
	l *oneLedger
}

func (s doorSource) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]consumer.Message, error) {
	if err := s.l.fetch.pass(ctx); err != nil {
		return nil, err
	}
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	messages := make([]consumer.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = consumer.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return messages, err
}

func (s doorSource) Lag(ctx context.Context) (consumer.Lag, error) {
	lag, err := s.Source.Lag(ctx)
	return consumer.Lag{Waiting: lag.Pending, Held: uint64(lag.AckPending), Oldest: lag.Oldest}, err
}
