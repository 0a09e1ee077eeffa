package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
)

// fakeSource delivers the messages that a test pushes, once each.
type fakeSource struct {
	mu        sync.Mutex
	queue     []consumer.Message
	arrived   chan struct{}
	watermark func() (time.Time, error)
}

func newFakeSource() *fakeSource {
	return &fakeSource{arrived: make(chan struct{}, 1), watermark: func() (time.Time, error) { return time.Now(), nil }}
}

func (s *fakeSource) push(messages ...consumer.Message) {
	s.mu.Lock()
	s.queue = append(s.queue, messages...)
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

func (s *fakeSource) Fetch(ctx context.Context, maxMessages, _ int, wait time.Duration) ([]consumer.Message, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if n := min(maxMessages, len(s.queue)); n > 0 {
			got := slices.Clone(s.queue[:n])
			s.queue = s.queue[n:]
			s.mu.Unlock()
			return got, nil
		}
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *fakeSource) Watermark(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watermark()
}

func (s *fakeSource) setWatermark(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watermark = func() (time.Time, error) { return t, nil }
}

func (s *fakeSource) Lag(context.Context) (consumer.Lag, error) { return consumer.Lag{}, nil }

// fakeHandle counts what the broker was told about a message.
type fakeHandle struct{ acks, naks, progress atomic.Int64 }

func (h *fakeHandle) Ack() error              { h.acks.Add(1); return nil }
func (h *fakeHandle) Nak(time.Duration) error { h.naks.Add(1); return nil }
func (h *fakeHandle) InProgress() error       { h.progress.Add(1); return nil }

// message wraps donations in an envelope.
func message(sequence uint64, storedAt time.Time, donations ...*envelope.Donation) (consumer.Message, *fakeHandle) {
	data := envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{byte(sequence), 1}, Node: "test"})
	for _, d := range donations {
		data = envelope.AppendDonation(data, d)
	}
	h := &fakeHandle{}
	return consumer.Message{Data: data, Sequence: sequence, StoredAt: storedAt, Deliveries: 1, Handle: h}, h
}

// fakeFrames keeps what was published.
type fakeFrames struct {
	mu        sync.Mutex
	frames    []*campaigns.Frame
	snapshots []*campaigns.Snapshot
	refuse    func(*campaigns.Frame) error
}

func (f *fakeFrames) PublishFrame(_ context.Context, frame *campaigns.Frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(frame); err != nil {
			return err
		}
	}
	f.frames = append(f.frames, frame)
	return nil
}

func (f *fakeFrames) PublishSnapshot(_ context.Context, s *campaigns.Snapshot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots = append(f.snapshots, s)
	return nil
}

func (f *fakeFrames) all() []*campaigns.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.frames)
}

// last is the newest frame, a zero one when there is none.
func (f *fakeFrames) last() campaigns.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.frames) == 0 {
		return campaigns.Frame{}
	}
	return *f.frames[len(f.frames)-1]
}

// fakeStore is a ledger in memory whose Record and Request a test may replace.
type fakeStore struct {
	mu        sync.Mutex
	record    func(ctx context.Context, donations []*envelope.Donation) error
	request   func(ctx context.Context, requests []*envelope.Request) error
	recorded  map[string]*envelope.Donation // by ID
	requested map[ingest.RequestID]*envelope.Request
	rows      map[string]campaigns.SlotRow
	chain     campaigns.ChainHead // of the slot's journal
	rejected  []ledger.Rejected
	term      int64
	released  int
}

func newFakeStore() *fakeStore {
	return &fakeStore{recorded: map[string]*envelope.Donation{}, requested: map[ingest.RequestID]*envelope.Request{}, rows: map[string]campaigns.SlotRow{}}
}

func (s *fakeStore) Record(ctx context.Context, _ ledger.Lease, donations, _ []*envelope.Donation) ([]campaigns.SlotRow, ledger.Counts, error) {
	s.mu.Lock()
	record := s.record
	s.mu.Unlock()
	if record != nil {
		if err := record(ctx, donations); err != nil {
			return nil, ledger.Counts{}, err
		}
	}
	rows := s.commit(donations)
	return rows, ledger.Counts{New: len(donations)}, nil
}

// commit is what a successful transaction does.
func (s *fakeStore) commit(donations []*envelope.Donation) []campaigns.SlotRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[string]bool{}
	for _, d := range donations {
		if s.recorded[d.ID.String()] != nil {
			continue
		}
		s.recorded[d.ID.String()] = d
		for _, l := range d.Lines {
			r := s.rows[l.Campaign]
			r.Campaign, r.Currency = l.Campaign, d.Currency
			r.PledgedMinor += l.AmountMinor
			r.Donations++
			r.Version++
			s.rows[l.Campaign] = r
			changed[l.Campaign] = true
		}
	}
	var rows []campaigns.SlotRow
	for c := range changed {
		rows = append(rows, s.rows[c])
	}
	return rows
}

func (s *fakeStore) Request(ctx context.Context, requests []*envelope.Request) error {
	s.mu.Lock()
	request := s.request
	s.mu.Unlock()
	if request != nil {
		if err := request(ctx, requests); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range requests {
		if s.requested[r.ID] == nil {
			s.requested[r.ID] = r
		}
	}
	return nil
}

func (s *fakeStore) Quarantine(_ context.Context, rejected []ledger.Rejected) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = append(s.rejected, rejected...)
	return nil
}

func (s *fakeStore) Quarantined(context.Context) (int64, error) { return 0, nil }

func (s *fakeStore) Slots(context.Context, ledger.Lease) ([]campaigns.SlotRow, campaigns.ChainHead, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []campaigns.SlotRow
	for _, r := range s.rows {
		rows = append(rows, r)
	}
	return rows, s.chain, nil
}

func (s *fakeStore) Acquire(context.Context, string, time.Duration) (ledger.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term++
	return ledger.Lease{Book: ledger.Live, Slot: 1, Term: s.term, Epoch: 1}, nil
}

func (s *fakeStore) Renew(context.Context, ledger.Lease, time.Duration) error { return nil }

func (s *fakeStore) Release(context.Context, ledger.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released++
	return nil
}

func (s *fakeStore) AdoptLapsed(context.Context, string, time.Duration) ([]ledger.Lease, error) {
	return nil, nil
}

// fakes is a consumer whose whole world is the test's.
type fakes struct {
	source *fakeSource
	others []consumer.Source // of further shards
	store  *fakeStore
	frames *fakeFrames
	stop   func() // ends Run and waits
}

// quick makes everything that a consumer waits for short.
var quick = consumer.Config{
	FetchWait: 20 * time.Millisecond, RecordEvery: time.Millisecond, FrameEvery: 2 * time.Millisecond, IdleFrameEvery: 4 * time.Millisecond,
	SnapshotEvery: 10 * time.Millisecond, StopTimeout: patience, UnknownTries: 2,
}

func runFakes(t *testing.T, config consumer.Config, prepare func(*fakes)) *fakes {
	t.Helper()
	f := &fakes{source: newFakeSource(), store: newFakeStore(), frames: &fakeFrames{}}
	if prepare != nil {
		prepare(f)
	}
	shards := []consumer.Shard{{Stream: "DONATIONS_0", Source: f.source}}
	for i, s := range f.others {
		shards = append(shards, consumer.Shard{Stream: fmt.Sprintf("DONATIONS_%d", i+1), Source: s})
	}
	c, err := consumer.New(config, consumer.Deps{
		Book: ledger.Live, Store: f.store, Frames: f.frames, Shards: shards,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * patience):
			t.Error("the consumer does not stop")
		}
	})
	t.Cleanup(f.stop)
	return f
}
