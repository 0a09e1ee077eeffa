package stripesim

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the stand-in. New rebuilds its state from the log; Run serves.
type Server struct {
	cfg Config
	log *logFile

	mu sync.RWMutex // guards state and what is below
	*state
	busy    map[uint32]bool  // intents that a call is working on
	running map[keyHash]bool // idempotency keys of calls in execution

	faults  atomic.Pointer[Faults]
	limits  limiter
	pace    atomic.Pointer[Limits]
	due     *agenda
	hooks   *courier
	calls   atomic.Uint64 // for draws of calls that have no key
	counted counts

	failOnce sync.Once
	failed   chan struct{} // closed when the log cannot be written
	failure  error
	stopping chan struct{} // closed when Run ends
}

// counts are what GET /sim/stats shows.
type counts struct {
	calls, replays, limited, errors, hung, reset       atomic.Int64
	delivered, refused, lost, duplicated, held, gaveUp atomic.Int64
}

// New rebuilds the state from the log in cfg.Data, or starts a new one. Run is to
// be called once, and ends with the log closed; without it, call Close.
//
// Errors: everything that is wrong with cfg; a log that cannot be opened, read or
// belongs to another process.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("stripesim: %w", err)
	}
	cfg = cfg.withDefaults()
	if cfg.Seed == 0 {
		cfg.Seed = drawSeed()
	}
	log, seed, err := openLog(cfg.Data, cfg.Seed)
	if err != nil {
		return nil, fmt.Errorf("stripesim: %w", err)
	}
	s := &Server{
		cfg: cfg, log: log,
		state: newState(idMaker{seed}, int64(cfg.KeyLife/time.Second)),
		busy:  map[uint32]bool{}, running: map[keyHash]bool{},
		limits: limiter{endpoints: map[string]*bucket{}},
		due:    newAgenda(),
		failed: make(chan struct{}), stopping: make(chan struct{}),
	}
	s.hooks = newCourier(s)
	s.faults.Store(&cfg.Faults)
	s.pace.Store(&cfg.Limits)
	cut, err := log.replay(func(offset int64, payload []byte) error {
		c, err := decodeChange(payload)
		if err != nil {
			return err
		}
		return s.apply(c, offset, uint32(len(payload)))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stripesim: %w", err), log.f.Close())
	}
	if cut > 0 {
		cfg.Log.Warn("the log's torn tail was cut off", "bytes", cut)
	}
	s.resume()
	return s, nil
}

// drawSeed returns a seed that nobody chose.
func drawSeed() uint64 {
	var b [8]byte
	if _, err := crand.Read(b[:]); err != nil {
		panic(err) // the system has no randomness: crypto/rand says this never happens
	}
	return binary.BigEndian.Uint64(b[:])
}

// Seed is the seed of the faults, to run them again.
func (s *Server) Seed() uint64 { return s.cfg.Seed }

// Close ends a server whose Run was never called.
func (s *Server) Close() error { return s.log.close() }

// Bounds of the HTTP server.
const (
	headersTimeout = 10 * time.Second
	headersMax     = 16 << 10 // bytes
	drainTimeout   = 5 * time.Second
)

// Run serves until ctx ends or the log cannot be written, and returns when
// everything that it started has ended and the log is closed. It owns ln.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headersTimeout, MaxHeaderBytes: headersMax,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug), // clients that go away are the point of it
	}
	var parts sync.WaitGroup
	parts.Go(func() { s.clockwork(ctx) })
	parts.Go(func() { s.hooks.run(ctx) })
	serving := make(chan error, 1)
	parts.Go(func() { serving <- server.Serve(ln) })

	var err error
	select {
	case <-ctx.Done():
	case <-s.failed:
		err = s.failure
	case err = <-serving:
	}
	close(s.stopping) // calls that hang, or take their time, end now
	cancel()
	drain, stop := context.WithTimeout(context.Background(), drainTimeout)
	defer stop()
	if e := server.Shutdown(drain); e != nil {
		err = errors.Join(err, server.Close())
	}
	parts.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.log.close())
}

// fail stops the server: what it knows is no longer what the log says.
func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = err
		s.cfg.Log.Error("stripesim stops", "error", err)
		close(s.failed)
	})
}

// now is the clock that everything is written by: it does not go back, so that
// lists are in the order of their times.
func (s *Server) now() time.Time {
	t := s.cfg.Now().Add(time.Duration(s.moved) * time.Millisecond)
	if last := time.UnixMilli(s.last); t.Before(last) {
		return last
	}
	return t
}

// Now is the stand-in's clock.
func (s *Server) Now() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now()
}

// Advance moves the clock forward, for good: tokens and keys age, and what is due
// by then happens. d is not negative.
func (s *Server) Advance(d time.Duration) error {
	s.mu.Lock()
	moved := s.moved + max(d, 0).Milliseconds()
	s.commit(&change{at: s.now().UnixMilli(), clock: &moved})
	s.mu.Unlock()
	s.due.wake()
	return s.settle()
}

// Faults returns the faults as they are now.
func (s *Server) Faults() Faults { return *s.faults.Load() }

// SetFaults changes the faults from now on; a restart begins with those of Config.
func (s *Server) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.Store(&f)
	s.hooks.wake()
	return nil
}

// SetLimits changes the rate limits from now on.
func (s *Server) SetLimits(l Limits) error {
	if err := (&Config{Limits: l}).Validate(); err != nil {
		return err
	}
	s.pace.Store(&l)
	return nil
}

// commit makes a change part of log and state, in this order of offsets, and
// notices what it makes due. mu is held for writing. Nobody may be told before
// settle has returned.
func (s *Server) commit(c *change) {
	first := s.events.last + 1
	offset, size := s.log.append(c.append)
	if err := s.apply(c, offset, size); err != nil {
		panic(err) // a change of our own making is always in order
	}
	for n := first; n <= s.events.last; n++ {
		s.hooks.add(n, s.events.at(n))
	}
	s.noticeDue(c)
}

// settle returns when everything that is known is in the log.
func (s *Server) settle() error {
	err := s.log.flush()
	if err != nil {
		s.fail(err)
	}
	return err
}

// resume notices what was due when the last process ended.
func (s *Server) resume() {
	for n := uint32(1); n <= s.intents.last; n++ {
		s.noticeIntent(s.intents.at(n))
	}
	for n := uint32(1); n <= s.charges.last; n++ {
		s.noticeCharge(s.charges.at(n))
	}
	for n := uint32(1); n <= s.refunds.last; n++ {
		s.due.add(s.refunds.at(n).dueAt, refundKind, n)
	}
	for n := uint32(1); n <= s.disputes.last; n++ {
		s.due.add(s.disputes.at(n).dueAt, disputeKind, n)
	}
	for n := uint32(1); n <= s.payouts.last; n++ {
		s.due.add(s.payouts.at(n).dueAt, payoutKind, n)
	}
	for n := uint32(1); n <= s.events.last; n++ {
		if e := s.events.at(n); !e.sent {
			s.hooks.add(n, e)
		}
	}
}
