package consumer_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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

// storageBytes is what the broker may keep: room for the least size of every stream.
const storageBytes = 64 << 30

// patience bounds a wait for something that takes milliseconds on an idle machine.
const patience = 30 * time.Second

// source fits the broker's source to the consumer, as cmd does.
type source struct{ *broker.Source }

func (s source) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]consumer.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	messages := make([]consumer.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = consumer.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return messages, err
}

func (s source) Lag(ctx context.Context) (consumer.Lag, error) {
	lag, err := s.Source.Lag(ctx)
	return consumer.Lag{Waiting: lag.Pending, Held: uint64(max(0, lag.AckPending)), Oldest: lag.Oldest}, err
}

// rig is a real broker and a real database, with nothing running on them yet.
type rig struct {
	t      testing.TB
	server *brokertest.Server
	broker *broker.Broker
	db     *postgres.DB
	url    string
}

func newRig(t testing.TB, opts ...brokertest.Option) *rig {
	t.Helper()
	return newRigOn(t, pgtest.URL(t), opts...)
}

// newRigOn uses the database at url.
func newRigOn(t testing.TB, url string, opts ...brokertest.Option) *rig {
	t.Helper()
	r := &rig{t: t, url: url, server: brokertest.Start(t, append(opts, brokertest.WithStorage(storageBytes))...)}
	r.broker = r.server.Connect()
	if err := r.broker.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.db = r.openDB()
	if err := r.db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) openDB() *postgres.DB {
	r.t.Helper()
	db, err := postgres.Open(postgres.Config{URL: r.url})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(db.Close)
	return db
}

// deps are what a consumer of the live book works with.
func (r *rig) deps() consumer.Deps {
	s := r.broker.Source(ledger.Live, 0)
	r.t.Cleanup(s.Close)
	return consumer.Deps{
		Book: ledger.Live, Store: r.db.Book(ledger.Live), Frames: r.broker,
		Shards: []consumer.Shard{{Stream: s.Stream(), Source: source{s}}},
		Log:    slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// run starts a consumer; stop ends it and waits.
func (r *rig) run(config consumer.Config, deps consumer.Deps) (stop func()) {
	r.t.Helper()
	c, err := consumer.New(config, deps)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				r.t.Error(err)
			}
		case <-time.After(patience):
			r.t.Error("the consumer does not stop")
		}
	}
	r.t.Cleanup(stop)
	return stop
}

// publish stores an envelope of donations.
func (r *rig) publish(p *broker.Publisher, donations ...*envelope.Donation) {
	r.t.Helper()
	errs := make(chan error, len(donations))
	for _, d := range donations {
		go func() {
			err := p.Publish(ledger.Live, d)
			for deadline := time.Now().Add(patience); errors.Is(err, ingest.ErrNotReady) && time.Now().Before(deadline); {
				<-time.After(time.Millisecond) // its Run has only just been called
				err = p.Publish(ledger.Live, d)
			}
			errs <- err
		}()
	}
	for range donations {
		if err := <-errs; err != nil {
			r.t.Fatal(err)
		}
	}
}

// publisher returns a running publisher.
func (r *rig) publisher() *broker.Publisher {
	p := r.broker.NewPublisher(broker.PublisherConfig{Node: "test"}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// store puts bytes into the stream as they are.
func (r *rig) store(data []byte) error {
	nc, err := nats.Connect(r.server.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.Publish(r.t.Context(), "donations.v1.0", data)
	return err
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// ask runs a query of one row on the live book.
func (r *rig) ask(sql string, into ...any) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.url+"&search_path=spillway")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(r.t.Context(), sql).Scan(into...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) count(sql string) (n int64) {
	r.t.Helper()
	r.ask(sql, &n)
	return n
}

// gift is a donation of 10.00 to each campaign under a key.
func gift(key string, campaigns ...string) *envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := &envelope.Donation{
		ID: ingest.DeriveID([]byte(key)), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour),
		Source: 1, Currency: "USD", ConfirmationToken: "ctoken_card_visa",
	}
	for _, c := range campaigns {
		d.Lines = append(d.Lines, ingest.Line{Campaign: c, AmountMinor: 1000})
		d.AmountMinor += 1000
	}
	hash := sha256.Sum256([]byte(fmt.Sprint(key, campaigns)))
	copy(d.Fingerprint[:], hash[:])
	return d
}
