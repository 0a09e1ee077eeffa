package consumer_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/backoff"
	"spillway/ledger/consumer"
)

var (
	simulationSeed = flag.Uint64("simulation.seed", 0, "seed of the simulation's schedule; 0 draws one")
	simulationFor  = flag.Duration("simulation.for", 21*time.Second, "how long the simulation goes on giving at least")
)

const (
	// simulationMost bounds a simulation on a machine too busy to let everything happen sooner.
	simulationMost = 3 * time.Minute
	// looksLeast is how often at least a front-end must have shown more: fewer prove little.
	looksLeast = 100
)

// What the simulation runs on: everything an order of magnitude shorter than in
// production, in the same proportions.
const (
	simInstances = 4
	simCampaigns = 20
	simShards    = 2
	simAckWait   = 700 * time.Millisecond
	simLease     = 1400 * time.Millisecond
	// simEnvelopeEvery and simEnvelope are the donors' pace: 1,000 donations/s.
	simEnvelopeEvery = 5 * time.Millisecond
	simEnvelope      = 5
)

// The two freezes that matter, each longer than AckWait, so that others get what
// the frozen one holds.
var (
	// A process that wakes before its lease has lapsed, and publishes a frame
	// before it knows what it committed when it froze.
	wakeIgnorant = nap{where: afterCommit, lasts: simAckWait + simAckWait/3, late: [kinds]time.Duration{recording: 400 * time.Millisecond, answering: 400 * time.Millisecond, adopting: 400 * time.Millisecond}}
	// A process that wakes after its slot was adopted and closed, and records on
	// before it learns that from its lease.
	wakeZombie = nap{where: beforeCommit, lasts: simLease + simLease/2, late: [kinds]time.Duration{renewing: 600 * time.Millisecond, publishing: 600 * time.Millisecond, adopting: 600 * time.Millisecond}}
)

// TestSimulation runs four ledger processes on two shards, freezes and kills them,
// takes the database away, loses answers of every kind, and checks what a front-end
// saw meanwhile: whenever it could say "complete up to", everything stored before
// then was in its sums; sums never fell; and in the end every donation is recorded
// once and every slot is the sum of its lines.
func TestSimulation(t *testing.T) {
	seed := *simulationSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -simulation.seed=%d", seed)
	s := newSimulation(t, seed)
	s.run()
	s.check()
}

type simulation struct {
	*rig
	rand   *rand.Rand // of the schedule
	seed   uint64
	log    *slog.Logger
	js     jetstream.JetStream
	faults faults

	mu        sync.Mutex
	instances []*instance // alive
	dead      []*instance
	spawned   uint64

	looks  []look
	reader *reader
}

// look is what a front-end showed when its as_of moved on.
type look struct {
	asOf time.Time
	sums map[string]campaigns.SlotRow
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{rig: newRig(t, brokertest.WithShards(simShards)), seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
	s.faults.framesRefused.every, s.faults.framesUnanswered.every, s.faults.snapshotsRefused.every = 400, 300, 40
	s.faults.commitsUnanswered.every, s.faults.acksLost.every = 100, 1200
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	s.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	nc, err := nats.Connect(s.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	// The product's consumer in every respect but its patience.
	for shard := range simShards {
		stream := broker.Stream(ledger.Live, shard)
		c, err := s.js.Consumer(t.Context(), stream, "LEDGER")
		if err != nil {
			t.Fatal(err)
		}
		config := c.CachedInfo().Config
		config.AckWait = simAckWait
		if _, err := s.js.UpdateConsumer(t.Context(), stream, config); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run is the whole event: the front-end looks on, donors give, faults happen, and
// then everything that was given is settled and shown.
func (s *simulation) run() {
	t := s.t
	reading, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopReading()
	s.reader = &reader{broker: s.server.Connect(), slots: map[int32]*readSlot{}, advanced: func(asOf time.Time, sums map[string]campaigns.SlotRow) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looks = append(s.looks, look{asOf, sums})
	}}
	wg.Go(func() { _ = s.reader.run(reading) })

	for range simInstances {
		s.spawn()
	}
	giving, stop := context.WithTimeout(context.Background(), max(*simulationFor, simulationMost))
	defer stop()
	wg.Go(func() { s.enough(giving, stop) })
	wg.Go(func() { s.replace(reading) })
	var faulty sync.WaitGroup
	faulty.Go(func() { s.give(giving) })
	faulty.Go(func() { s.schedule(giving) })
	faulty.Wait()
	gave := time.Now()

	eventually(t, "everything is acknowledged", func() bool {
		for shard := range simShards {
			if lag, err := s.broker.Source(ledger.Live, shard).Lag(t.Context()); err != nil || lag.Pending > 0 || lag.AckPending > 0 {
				return false
			}
		}
		return true
	})
	eventually(t, "the front-end shows it", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.looks) > 0 && s.looks[len(s.looks)-1].asOf.After(gave)
	})
	eventually(t, "the slots of the dead are closed", func() bool {
		return s.count("SELECT count(*) FROM slot_leases WHERE NOT closed") == simInstances
	})
	stopReading()
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.instances {
		i.cancel()
	}
	for _, i := range slices.Concat(s.instances, s.dead) {
		<-i.ended
	}
}

// enough ends the giving after its time, once everything that is to happen has happened.
func (s *simulation) enough(ctx context.Context, stop func()) {
	begun := time.Now()
	for backoff.Pause(ctx, 50*time.Millisecond) {
		s.mu.Lock()
		looks := len(s.looks)
		s.mu.Unlock()
		missing := looks < looksLeast
		for _, n := range s.faults.happened() {
			missing = missing || n == 0
		}
		if !missing && time.Since(begun) >= *simulationFor {
			stop()
			return
		}
	}
}

// spawn starts one more process.
func (s *simulation) spawn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spawned++
	i, err := spawn(fmt.Sprintf("instance %d", s.spawned), consumer.Config{
		AckWait: simAckWait, HoldMax: 5 * time.Second, BatchMessages: 10, FetchWait: 50 * time.Millisecond, RecordEvery: time.Millisecond,
		LeaseTTL: simLease, RenewEvery: simLease / 5, AdoptEvery: simLease / 10,
		FrameEvery: 20 * time.Millisecond, IdleFrameEvery: 40 * time.Millisecond, SnapshotEvery: 500 * time.Millisecond, StopTimeout: 5 * time.Second,
	}, s.server.Connect(), s.openDB(), &s.faults, s.log)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.instances = append(s.instances, i)
}

// replace puts a new process in a dead one's place, as a supervisor does.
func (s *simulation) replace(ctx context.Context) {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
		s.mu.Lock()
		living := len(s.instances)
		s.instances = slices.DeleteFunc(s.instances, func(i *instance) bool {
			if !i.dead.Load() {
				return false
			}
			s.dead = append(s.dead, i)
			return true
		})
		died := living - len(s.instances)
		s.mu.Unlock()
		for range died {
			s.spawn()
		}
	}
}

// give stores envelopes, each in some shard: one donation in eight is one that was given
// before, half of them a moment ago, as by somebody who had no answer; one in a hundred
// of those with other content. So a key comes by several shards, as it does while their
// number is changed.
func (s *simulation) give(ctx context.Context) {
	random, wishing := rand.New(rand.NewPCG(s.seed, 2)), rand.New(rand.NewPCG(s.seed, 4))
	tick := time.NewTicker(simEnvelopeEvery)
	defer tick.Stop()
	for n := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		header := envelope.Header{Node: "donors"}
		binary.BigEndian.PutUint64(header.ID[:], n+1)
		data := envelope.AppendHeader(nil, header)
		for range simEnvelope {
			which := n
			if n > 0 && random.IntN(8) == 0 {
				which = random.Uint64N(n)
				if random.IntN(2) == 0 {
					which = n - 1 - random.Uint64N(min(n, 3*simEnvelope))
				}
			} else {
				n++
			}
			d := gift(fmt.Sprint("simulated donor ", which), simCampaign(which))
			if which != n-1 && random.IntN(100) == 0 {
				d.Lines[0].AmountMinor, d.AmountMinor, d.Fingerprint[0] = 999_999, 999_999, d.Fingerprint[0]+1
			}
			data = envelope.AppendDonation(data, d)
		}
		if wishing.IntN(2) == 0 { // half of the envelopes carry a wish about a gift of the last ones, some of them again
			data = envelope.AppendRequest(data, card(fmt.Sprint("simulated donor ", n-1-wishing.Uint64N(min(n, 5*simEnvelope)))))
		}
		if _, err := s.js.Publish(context.Background(), fmt.Sprint("donations.v1.", random.IntN(simShards)), data); err != nil {
			s.t.Error(err)
			return
		}
	}
}

func simCampaign(donor uint64) string { return fmt.Sprint("campaign-", donor%simCampaigns) }

// schedule does one thing at a time and lets everybody recover from it, so that
// as_of moves on in between: a claim that nobody makes cannot be false.
func (s *simulation) schedule(ctx context.Context) {
	conn, err := pgx.Connect(context.Background(), s.url+"&search_path=spillway")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	freeze := func(n nap) func() {
		return func() {
			i := s.pick()
			s.log.Info("freeze", "instance", i.name, "where", n.where, "for", n.lasts)
			i.plan(n)
			s.wait(ctx, i.idle)
		}
	}
	kill := func(p place) func() {
		return func() {
			before := s.faults.adopted.Load()
			i := s.pick()
			s.log.Info("kill", "instance", i.name, "where", p)
			i.doom(p)
			s.wait(ctx, func() bool { return s.faults.adopted.Load() > before })
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		s.wait(ctx, func() bool { return s.fresh(300 * time.Millisecond) })
		[]func(){
			freeze(wakeIgnorant), freeze(wakeZombie), kill(beforeCommit), freeze(wakeIgnorant), func() { s.takeDatabaseAway(ctx, conn) },
			freeze(wakeZombie), freeze(wakeIgnorant), kill(afterCommit), freeze(wakeZombie), freeze(wakeIgnorant),
		}[n%10]()
	}
}

// pick chooses a process that lives.
func (s *simulation) pick() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[s.rand.IntN(len(s.instances))]
}

// fresh tells whether the front-end's as_of is at most so old.
func (s *simulation) fresh(lag time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.looks) > 0 && time.Since(s.looks[len(s.looks)-1].asOf) < lag
}

// wait blocks until ok, for as long as the schedule lasts.
func (s *simulation) wait(ctx context.Context, ok func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// takeDatabaseAway locks the tables that everybody needs for longer than a lease.
func (s *simulation) takeDatabaseAway(ctx context.Context, conn *pgx.Conn) {
	tx, err := conn.Begin(context.Background())
	if err != nil {
		s.t.Error(err)
		return
	}
	if _, err := tx.Exec(context.Background(), "LOCK TABLE slot_leases, slot_terms, slots IN ACCESS EXCLUSIVE MODE"); err != nil {
		s.t.Error(err)
	}
	s.log.Info("database away")
	s.faults.databaseAway.Add(1)
	select {
	case <-time.After(simLease + simLease/4):
	case <-ctx.Done():
	}
	if err := tx.Rollback(context.Background()); err != nil {
		s.t.Error(err)
	}
}
