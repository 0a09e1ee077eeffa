package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/machine"
)

// Config is who leads what.
type Config struct {
	// Fleet is what members join; "" for DefaultFleet.
	Fleet string
	// Generators counts all of them, the leader included: 2 to loadtest.GeneratorsMax.
	Generators int
	// Within is how long members may take to come.
	Within time.Duration
	// Orders are the run; Share is filled in for each member. File is the path of the
	// replayed file, "" when nothing is replayed.
	Orders Orders
	File   string
	// Beside names the file that keeps a member's record, beside the leader's own.
	Beside func(member string) string
	// Say tells people who came.
	Say func(text string)
	Log *slog.Logger

	// absent replaces absentMost in tests.
	absent time.Duration
}

// Leader leads the other generators of one run.
type Leader struct {
	cfg     Config
	link    Link
	id      string
	members []*member // in the order in which they came; shares 1, 2, ...

	under   sync.WaitGroup
	end     context.CancelFunc // ends the polling
	started time.Time
}

var _ loadtest.Fleet = (*Leader)(nil)

// member is a generator as its leader knows it.
type member struct {
	name, id string
	machine  machine.Machine
	share    loadtest.Share
	clock    span
	beginsAt int64 // nanoseconds of Unix time, of its own clock

	mu       sync.Mutex
	state    state
	heard    time.Time     // when it answered last
	lost     error         // why it is not counted on any more
	news     chan struct{} // closed and replaced when one of these changes
	released bool
}

// Gather waits until so many generators have come that the run has as many as were asked
// for, and watches over them until Close. Errors: ErrName, ErrMissing, ErrVersion, the link's.
func Gather(ctx context.Context, cfg Config, link Link) (*Leader, error) {
	if cfg.Fleet == "" {
		cfg.Fleet = DefaultFleet
	}
	if err := CheckName(cfg.Fleet); err != nil {
		return nil, err
	}
	if cfg.absent == 0 {
		cfg.absent = absentMost
	}
	if cfg.Generators < 2 || cfg.Generators > loadtest.GeneratorsMax {
		return nil, fmt.Errorf("%d generators, want 2 to %d: %w", cfg.Generators, loadtest.GeneratorsMax, loadtest.ErrConfig)
	}
	l := &Leader{cfg: cfg, link: link, id: newID()}
	hearing, done := context.WithTimeout(ctx, cfg.Within)
	defer done()
	hellos := make(chan hello)
	var heard error
	deaf := make(chan struct{})
	go func() {
		defer close(deaf)
		heard = link.Hear(hearing, cfg.Fleet, func(message []byte) {
			var h hello
			if json.Unmarshal(message, &h) != nil || CheckName(h.Name) != nil {
				return // nobody whom we could ask
			}
			select {
			case hellos <- h:
			case <-hearing.Done():
			}
		})
	}()
	polling, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	err := l.enlist(hearing, polling, hellos, deaf)
	if err != nil && errors.Is(hearing.Err(), context.DeadlineExceeded) {
		err = l.missing()
	}
	done()
	<-deaf
	if err = errors.Join(err, heard); err != nil {
		l.Close(err)
		return nil, err
	}
	return l, nil
}

// newID is drawn: two processes never have the same.
func newID() string {
	var chance [8]byte
	_, _ = rand.Read(chance[:]) // cannot fail (crypto/rand)
	return hex.EncodeToString(chance[:])
}

// enlist takes members on until there are enough.
func (l *Leader) enlist(ctx, polling context.Context, hellos <-chan hello, deaf <-chan struct{}) error {
	l.say()
	for len(l.members) < l.cfg.Generators-1 {
		var h hello
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deaf: // its own error says why
			return ctx.Err()
		case h = <-hellos:
		}
		if slices.ContainsFunc(l.members, func(m *member) bool { return m.id == h.ID }) {
			continue
		}
		switch {
		case h.Protocol != protocol:
			return fmt.Errorf("generator %q speaks version %d, this one %d: %w", h.Name, h.Protocol, protocol, ErrVersion)
		case slices.ContainsFunc(l.members, func(m *member) bool { return m.name == h.Name }):
			return fmt.Errorf("two generators are called %q; give each a --name of its own: %w", h.Name, ErrName)
		}
		m := &member{name: h.Name, id: h.ID, machine: h.Machine, share: loadtest.Share{Index: len(l.members) + 1, Of: l.cfg.Generators},
			heard: time.Now(), news: make(chan struct{})}
		if _, err := l.ask(ctx, m, question{Do: enlist}); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			l.cfg.Log.Warn("a generator said hello and cannot be led", "generator", m.name, "error", err)
			continue
		}
		l.members = append(l.members, m)
		l.under.Go(func() { l.watch(polling, m) })
		l.say()
	}
	return nil
}

// say tells how many came.
func (l *Leader) say() {
	if l.cfg.Say == nil {
		return
	}
	text := fmt.Sprintf("waiting for generators: %d of %d others came", len(l.members), l.cfg.Generators-1)
	if len(l.members) > 0 {
		text += " (" + strings.Join(l.names(), ", ") + ")"
	}
	l.cfg.Say(text)
}

func (l *Leader) names() (names []string) {
	for _, m := range l.members {
		names = append(names, m.name)
	}
	return names
}

// missing names who is there and says how many are not.
func (l *Leader) missing() error {
	here := "none"
	if len(l.members) > 0 {
		here = strings.Join(l.names(), ", ")
	}
	return fmt.Errorf("%d of %d other generators came within %v (%s), %d missing; start each of them: spillway rehearse join: %w",
		len(l.members), l.cfg.Generators-1, l.cfg.Within, here, l.cfg.Generators-1-len(l.members), ErrMissing)
}

// ask asks a member and tries again when no answer comes. Errors: ErrRefused, the link's.
func (l *Leader) ask(ctx context.Context, m *member, q question) (answer, error) {
	q.Leader, q.To = l.id, m.id
	message, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	for try := 1; ; try++ {
		a, err := l.askOnce(ctx, m, message)
		if err == nil || errors.Is(err, ErrRefused) || try == askTries || ctx.Err() != nil {
			return a, err
		}
		if err := pause(ctx, askPause); err != nil {
			return a, err
		}
	}
}

func (l *Leader) askOnce(ctx context.Context, m *member, message []byte) (a answer, err error) {
	ctx, done := context.WithTimeout(ctx, askMost)
	defer done()
	text, err := l.link.Ask(ctx, l.cfg.Fleet, m.name, message)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if a.Refused != "" {
		return a, fmt.Errorf("%s: %w", a.Refused, ErrRefused)
	}
	return a, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// watch asks a member every second how it is, until ctx ends or it is lost.
func (l *Leader) watch(ctx context.Context, m *member) {
	for {
		q, err := json.Marshal(question{Leader: l.id, To: m.id, Do: report})
		if err != nil {
			m.lose(err)
			return
		}
		a, err := l.askOnce(ctx, m, q)
		if ctx.Err() != nil || m.learn(a.State, err, l.cfg.absent) {
			return
		}
		if pause(ctx, pollEvery) != nil {
			return
		}
	}
}

// learn takes a member's state, or that it did not answer; it tells whether it is lost,
// which it is when it has been absent for so long.
func (m *member) learn(s *state, err error, absent time.Duration) (lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	silent := time.Since(m.heard)
	switch {
	case m.released:
		return true
	case err == nil && s != nil:
		m.heard = time.Now()
		s.Counts.Recent = append(m.state.Counts.Recent, s.Counts.Recent...)
		if n := len(s.Counts.Recent); n > recentMax {
			s.Counts.Recent = s.Counts.Recent[n-recentMax:]
		}
		m.state = *s
		if s.Phase == failed {
			m.lost = fmt.Errorf("generator %q gave up: %s: %w", m.name, s.Why, ErrLost)
		}
	case errors.Is(err, ErrRefused):
		m.lost = fmt.Errorf("generator %q: %w: %w", m.name, err, ErrLost) // another process of that name
	case errors.Is(err, ErrAbsent) && silent > absent:
		m.lost = fmt.Errorf("generator %q is gone, its last answer is %v old: %w", m.name, silent.Round(time.Second), ErrLost)
	case silent > silentMost:
		m.lost = fmt.Errorf("generator %q does not answer since %v: %w", m.name, silent.Round(time.Second), ErrLost)
	default:
		return false
	}
	m.tell()
	return m.lost != nil
}

// recentMax bounds the histograms that nobody has shown yet.
const recentMax = 8

// lose gives a member up.
func (m *member) lose(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = fmt.Errorf("generator %q: %w: %w", m.name, err, ErrLost)
	m.tell()
}

// tell wakes who waits for news; m.mu is held.
func (m *member) tell() {
	close(m.news)
	m.news = make(chan struct{})
}

// now is the member's state, what is closed when there is news, and why it is lost, nil
// when it is not.
func (m *member) now() (s state, news <-chan struct{}, lost error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.news, m.lost
}

// await waits until the member is in the phase. Errors: ErrLost, ctx's.
func (m *member) await(ctx context.Context, p phase) (state, error) {
	for {
		s, news, lost := m.now()
		if lost != nil || s.Phase == p {
			return s, lost
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-news:
		}
	}
}

// Close lets every member go; those that have not handed over everything learn why.
func (l *Leader) Close(why error) {
	l.end()
	l.under.Wait()
	text := "it ended early"
	if why != nil {
		text = why.Error()
	}
	var all sync.WaitGroup
	for _, m := range l.members {
		all.Go(func() { l.release(context.Background(), m, text) })
	}
	all.Wait()
}

// release lets a member go, once; why is "" when all went well.
func (l *Leader) release(ctx context.Context, m *member, why string) {
	m.mu.Lock()
	gone := m.released
	m.released = true
	m.mu.Unlock()
	if gone {
		return
	}
	q, err := json.Marshal(question{Leader: l.id, To: m.id, Do: release, Why: why})
	if err == nil {
		_, err = l.askOnce(ctx, m, q)
	}
	if err != nil { // it notices our silence by itself
		l.cfg.Log.Debug("a generator did not hear that it is free", "generator", m.name, "error", err)
	}
}
