package projector_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
	"spillway/ledger/search/postgres"
	"spillway/ledger/search/projector"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// patience bounds a wait for something that takes a second on an idle machine.
const patience = time.Minute

// storageBytes is what the broker may keep: room for the least size of every stream.
const storageBytes = 64 << 30

// rig is a real broker and a real database with a ledger, and whatever a test runs on them.
type rig struct {
	t      *testing.T
	url    string
	server *brokertest.Server
	broker *broker.Broker
	ledger *ledgerdb.DB
	pay    *paymentsdb.Book
	lease  ledger.Lease
	keys   *keyring.Keyring
	db     *postgres.DB
	store  *postgres.Store
	given  []ingest.ID

	publisher *broker.Publisher
	mu        sync.Mutex
	walls     map[string]*campaigns.Wall // the newest that a front-end has heard of
}

func newRig(t *testing.T) *rig { return newRigOn(t, pgtest.URL(t)) }

func newRigOn(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, url: url, walls: map[string]*campaigns.Wall{}, server: brokertest.Start(t, brokertest.WithStorage(storageBytes))}
	r.broker = r.server.Connect()
	r.check(r.broker.EnsureTopology(t.Context()))
	var err error
	r.keys, err = keyring.Generate(rand.Reader)
	r.check(err)
	r.ledger, err = ledgerdb.Open(ledgerdb.Config{URL: url})
	r.check(err)
	t.Cleanup(r.ledger.Close)
	r.check(r.ledger.Migrate(t.Context()))
	r.lease, err = r.ledger.Book(ledger.Live).Acquire(t.Context(), "test", time.Hour)
	r.check(err)
	db, err := paymentsdb.Open(paymentsdb.Config{URL: url})
	r.check(err)
	t.Cleanup(db.Close)
	r.pay = db.Book(ledger.Live)
	r.db = r.open()
	r.check(r.db.Migrate(t.Context()))
	r.store = r.db.Store(ledger.Live)
	r.publisher = r.broker.NewPublisher(broker.PublisherConfig{}, nil)
	r.run("publisher", r.publisher.Run)
	r.run("front-end", func(ctx context.Context) error {
		return r.broker.WatchWalls(ctx, func(w *campaigns.Wall) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if have := r.walls[w.Campaign]; have == nil || have.Version < w.Version {
				r.walls[w.Campaign] = w
			}
		}, func() {})
	})
	return r
}

func (r *rig) open() *postgres.DB {
	r.t.Helper()
	db, err := postgres.Open(postgres.Config{URL: r.url, Keys: r.keys})
	r.check(err)
	r.t.Cleanup(db.Close)
	return db
}

func (r *rig) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// run starts a part; stop ends it and waits.
func (r *rig) run(name string, run func(context.Context) error) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, context.Canceled) {
					r.t.Errorf("%s: %v", name, err)
				}
			case <-time.After(patience):
				r.t.Errorf("%s does not end", name)
			}
		})
	}
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// record runs the ledger.
func (r *rig) record() (stop func()) {
	r.t.Helper()
	s := r.broker.Source(ledger.Live, 0)
	r.t.Cleanup(s.Close)
	c, err := consumer.New(consumer.Config{}, consumer.Deps{
		Book: ledger.Live, Store: r.ledger.Book(ledger.Live), Frames: r.broker,
		Shards: []consumer.Shard{{Stream: s.Stream(), Source: ledgerSource{s}}}, Log: r.log(),
	})
	r.check(err)
	return r.run("ledger", c.Run)
}

type ledgerSource struct{ *broker.Source }

func (s ledgerSource) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]consumer.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	messages := make([]consumer.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = consumer.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return messages, err
}

func (s ledgerSource) Lag(ctx context.Context) (consumer.Lag, error) {
	lag, err := s.Source.Lag(ctx)
	return consumer.Lag{Waiting: lag.Pending, Held: uint64(lag.AckPending), Oldest: lag.Oldest}, err
}

// shard is what the projector reads, as cmd wires it; around changes what is fetched.
type shard struct {
	*broker.Source
	broker *broker.Broker
	around func(projector.Message) projector.Message
}

func (s shard) Fetch(ctx context.Context, maxMessages, maxBytes int) ([]projector.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, 0)
	messages := make([]projector.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = projector.Message{Data: m.Data, Sequence: m.Sequence, Handle: m}
		if s.around != nil {
			messages[i] = s.around(messages[i])
		}
	}
	return messages, err
}

func (s shard) Waiting(ctx context.Context) (int64, error) {
	lag, err := s.Source.Lag(ctx)
	return int64(lag.Pending) + int64(lag.AckPending), err
}

func (s shard) Standing(ctx context.Context) (projector.Standing, error) {
	at, err := s.broker.LedgerStanding(ctx, ledger.Live, 0)
	return projector.Standing{AckFloor: at.AckFloor, Oldest: at.Oldest, StoredBytes: at.StoredBytes}, err
}

// deaf hears of no change.
type deaf struct{}

func (deaf) WatchChanges(ctx context.Context, _ func([][16]byte)) error {
	<-ctx.Done()
	return nil
}

// project runs a projector, as a process of its own would.
func (r *rig) project(change func(*projector.Deps, *shard)) (stop func()) {
	r.t.Helper()
	b := r.server.Connect()
	source := b.SearchSource(ledger.Live, 0)
	one := shard{Source: source, broker: b}
	deps := projector.Deps{Streams: b, Changes: b, Walls: b, Log: r.log()}
	if change != nil {
		change(&deps, &one)
	}
	deps.Books = []projector.Book{{Book: ledger.Live, Store: r.open().Store(ledger.Live), Shards: []projector.Shard{one}}}
	end := r.run("projector", projector.New(projector.Config{}, deps).Run)
	return func() { end(); source.Close() }
}

// give publishes donations of one person each, unless email says whose they are.
func (r *rig) give(n int, email, campaign string) (ids []ingest.ID) {
	r.t.Helper()
	for range n {
		d := r.donation(email, campaign)
		ids = append(ids, d.ID)
		deadline := time.Now().Add(patience)
		for err := r.publisher.Publish(ledger.Live, d); err != nil; err = r.publisher.Publish(ledger.Live, d) {
			if time.Now().After(deadline) {
				r.t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return ids
}

func (r *rig) donation(email, campaign string) *envelope.Donation {
	n := len(r.given)
	id := ingest.DeriveID(fmt.Appendf(nil, "a donor's key, number %d", n))
	r.given = append(r.given, id)
	at := time.Now().UTC().Truncate(time.Microsecond)
	if email == "" {
		email = fmt.Sprintf("donor-%d@example.org", n)
	}
	d := &envelope.Donation{
		ID: id, ReceivedAt: at, TokenExpiresAt: at.Add(12 * time.Hour), Currency: "USD", ConfirmationToken: "ctoken_card_visa",
		AmountMinor: 5000, Lines: []ingest.Line{{Campaign: campaign, AmountMinor: 5000}},
	}
	hash := sha256.Sum256(fmt.Append(nil, n))
	copy(d.Fingerprint[:], hash[:])
	d.Sealed, d.SealKey = r.keys.Seal(nil, id, &ingest.Personal{Name: fmt.Sprint("Donor ", n), Email: email})
	return d
}

// capture has donations charged, and tells nobody.
func (r *rig) capture(ids ...ingest.ID) {
	r.t.Helper()
	var facts []payments.Fact
	for _, id := range ids {
		facts = append(facts, payments.Fact{Donation: id, Source: payments.FromCall, At: time.Now().UTC().Truncate(time.Microsecond),
			Intent: &payments.IntentSeen{AttemptNo: 1, ID: "pi_" + id.String(), Status: payments.IntentSucceeded, AmountMinor: 5000, Currency: "USD", Charge: "ch_" + id.String()}})
	}
	_, _, err := r.pay.Apply(context.Background(), r.lease, facts)
	r.check(err)
}

// cancel has donations canceled, which books nothing, and tells nobody.
func (r *rig) cancel(ids ...ingest.ID) {
	r.t.Helper()
	var facts []payments.Fact
	for _, id := range ids {
		facts = append(facts, payments.Fact{Donation: id, Source: payments.FromDonor, At: time.Now().UTC(), Cancel: &payments.CancelAsked{Request: id}})
	}
	_, _, err := r.pay.Apply(context.Background(), r.lease, facts)
	r.check(err)
}

// eventually waits until done returns true.
func (r *rig) eventually(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// wall is the newest that a front-end has.
func (r *rig) wall(campaign string) campaigns.Wall {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.walls[campaign]; w != nil {
		return *w
	}
	return campaigns.Wall{}
}

// count runs a query of one number on the projection; -1 while the database is away.
func (r *rig) count(sql string, args ...any) (n int64) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.url+"&search_path=search")
	if err != nil {
		return -1
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := conn.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return -1
	}
	return n
}

// rows is how many donations are searched.
func (r *rig) rows() int64 { return r.count("SELECT count(*) FROM search_donations") }

// waiting is how many messages the projection has not acknowledged.
func (r *rig) waiting() uint64 {
	lag, err := r.broker.SearchSource(ledger.Live, 0).Lag(context.Background())
	if err != nil {
		return 1 << 32
	}
	return lag.Pending + uint64(lag.AckPending)
}
