package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
)

const (
	// lookEvery is how often everything is asked anew: the streams' settings, who
	// holds copies, whether they sync, and how full they are. A server of a cluster
	// that comes back set up otherwise is noticed by this alone; all questions
	// together cost a few small messages.
	lookEvery = 5 * time.Second
	// proofLife is how long a proof stands when the next one cannot be had because
	// somebody does not answer. An answer that contradicts it ends it at once.
	proofLife = 75 * time.Second
	// retryProofEvery is how soon it is tried again while not ready.
	retryProofEvery = time.Second
	// fullPercent of MaxBytes is where donations are no longer taken, so that the
	// broker never has to refuse one that was already promised a place.
	fullPercent = 90
)

// Gate knows whether an acknowledgement means disk. It is closed until it has seen
// that every stream of donations is set up safely and that every server which
// holds a copy syncs before it acknowledges, and it closes again when that is no
// longer known for the connection in use.
type Gate struct {
	b       *Broker
	verdict atomic.Pointer[verdict]
	metrics *gateMetrics
	// publisher, when it has one, tells whether acknowledgements come at all.
	publisher atomic.Pointer[Publisher]

	// Run's own.
	proven map[string]time.Time // server name: when it last said that it syncs
	zones  map[string]string    // server name: its failure domain, where it has told one
	peers  []string             // of all streams, as of the last look
	growth map[string]*growth
	last   string // reason that was logged last
	// lastTogether are the streams that were last said to have copies in one zone.
	lastTogether string
}

// verdict is what the gate says, and for which connection.
type verdict struct {
	err        error
	generation uint64
}

var (
	// ErrNoProof says that a server holds a copy of donations and nobody said that
	// it syncs before it acknowledges.
	ErrNoProof = errors.New("durability is not proven")
	// ErrNotDurable says that a server or stream is set up so that what is
	// acknowledged can be lost.
	ErrNotDurable = errors.New("broker is not durable")
	// ErrFull says that a stream is so full that donations are no longer taken.
	ErrFull = errors.New("broker's stream is nearly full")

	errDisconnected = errors.New("no connection to the broker")
	errNotAsked     = fmt.Errorf("%w: the broker has not been asked yet", ErrNoProof)
)

// NewGate returns a closed gate; Run opens it. reg may be nil.
func (b *Broker) NewGate(reg prometheus.Registerer) *Gate {
	g := &Gate{b: b, proven: make(map[string]time.Time), zones: make(map[string]string), growth: make(map[string]*growth)}
	g.verdict.Store(&verdict{err: errNotAsked})
	g.metrics = newGateMetrics(reg, g)
	return g
}

// Ready returns nil when donations may be taken, and otherwise the reason in
// words for an operator: ErrNoProof, ErrNotDurable, ErrFull, ErrStalled, or that
// there is no connection. It is cheap enough to be asked for every donation.
func (g *Gate) Ready() error {
	if !g.b.link.connected.Load() {
		return errDisconnected
	}
	if err := g.verdict.Load().err; err != nil {
		return err
	}
	if p := g.publisher.Load(); p != nil {
		return p.Stalled()
	}
	return nil
}

// allows is Ready for one connection: an envelope leaves only on the very
// connection that the proof is about.
func (g *Gate) allows(generation uint64) error {
	v := g.verdict.Load()
	if v.err != nil {
		return notReady(v.err)
	}
	if v.generation != generation {
		return notReady(fmt.Errorf("%w: the connection is new", ErrNoProof))
	}
	return nil
}

// Run asks at start, at every new connection and every lookEvery, until ctx ends;
// then the gate shuts, so stop it after what takes donations.
func (g *Gate) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	changed := g.b.link.changed()
	for {
		select {
		case <-ctx.Done():
			g.verdict.Store(&verdict{err: errNotAsked})
			return nil
		case <-changed:
			changed = g.b.link.changed()
			clear(g.proven) // another server may be at the other end
		case <-timer.C:
		}
		g.look(ctx)
		if g.verdict.Load().err != nil {
			timer.Reset(retryProofEvery)
		} else {
			timer.Reset(lookEvery)
		}
	}
}

// look forms one verdict. What it is about may change while it asks: the
// generation is taken before and compared after.
func (g *Gate) look(parent context.Context) {
	ctx, cancel := g.b.within(parent)
	defer cancel()
	generation, connected := g.b.generation()
	err := errDisconnected
	if connected {
		err = g.judge(ctx)
		if after, _ := g.b.generation(); after != generation {
			err = fmt.Errorf("%w: the connection is new", ErrNoProof)
		}
	}
	if parent.Err() != nil {
		return // stopped in the middle: Run shuts the gate
	}
	g.verdict.Store(&verdict{err: err, generation: generation})
	if errors.Is(err, ErrNoProof) {
		g.b.useless(err)
	} else {
		g.b.useful()
	}
	switch {
	case err == nil && g.last != "":
		g.b.log.Info("broker is durable: donations are taken", "servers", strings.Join(g.peers, ","))
		g.last = ""
	case err != nil && err.Error() != g.last:
		g.last = err.Error()
		g.b.log.Warn("donations are not taken", "reason", err)
	case err == nil:
		g.last = ""
	}
}

// judge looks at every stream of donations and at the servers that hold them.
func (g *Gate) judge(ctx context.Context) error {
	holders := make(map[string][]string) // server: streams it takes part in
	var quorums []quorum
	var full error
	for _, book := range ledger.Books {
		for shard := range g.b.cfg.Shards {
			info, err := g.b.streamInfo(ctx, Stream(book, shard))
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				return fmt.Errorf("%w: stream %s does not exist; the ledger or `up` creates it", ErrNotDurable, Stream(book, shard))
			}
			if err != nil {
				return fmt.Errorf("%w: stream %s: %w", ErrNoProof, Stream(book, shard), err)
			}
			if err := g.checkDonationStream(info, book, shard); err != nil {
				return err
			}
			q := g.copies(info)
			quorums = append(quorums, q)
			for _, server := range q.online {
				holders[server] = append(holders[server], q.stream)
			}
			full = errors.Join(full, g.room(info))
		}
	}
	if err := g.prove(ctx, holders); err != nil {
		return err
	}
	for _, q := range quorums {
		if len(q.online) < q.needed {
			return fmt.Errorf("%w: %d of %d copies of %s are reachable", ErrNoProof, len(q.online), q.copies, q.stream)
		}
	}
	g.tellTogether(g.together(quorums))
	return full
}

func (g *Gate) checkDonationStream(info *jetstream.StreamInfo, book ledger.Book, shard int) error {
	want := g.b.donationStream(book, shard, 0)
	wrong := unsafeSettings(info.Config, want.Replicas)
	if info.Config.Discard != jetstream.DiscardNew {
		wrong = append(wrong, "discard is old: a full stream drops donations")
	}
	if info.Config.MaxAge != 0 {
		wrong = append(wrong, "max_age is set: it removes what the ledger may not have seen")
	}
	if info.Config.MaxMsgsPerSubject > 0 {
		wrong = append(wrong, "max_msgs_per_subject is set: it drops donations")
	}
	if !slices.Equal(info.Config.Subjects, want.Subjects) {
		wrong = append(wrong, "its subjects are "+strings.Join(info.Config.Subjects, ", "))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: stream %s: %s", ErrNotDurable, info.Config.Name, strings.Join(wrong, "; "))
	}
	return nil
}
