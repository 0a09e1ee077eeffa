package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"spillway/ledger/backoff"
)

const (
	// topUpFirst is how long a batch is offered before more is fetched for it, where much
	// comes; each further offer lasts twice as long, up to topUpMost. So it is decoded
	// while the one before is recorded. A fetch costs the broker as much for one message
	// as for many, and a recorder that waits for its database wants none.
	topUpFirst = 10 * time.Millisecond
	topUpMost  = 320 * time.Millisecond
	// topUpMuch is much: so many donations in the batch before, milliseconds of decoding.
	// Where less comes, one fetch begins a batch and one ends it.
	topUpMuch = 1024
	// topUpLast is how long ago the broker was asked last when a batch that is about to
	// be taken is filled up once more: what waits there would be a whole batch later.
	topUpLast = 5 * time.Millisecond
	// topUpSlow is how long the last top-up may have taken for that: the recorder, and
	// with it the batches of other shards, wait for it.
	topUpSlow = 20 * time.Millisecond
	// forever is longer than any process lives.
	forever = 100 * 365 * 24 * time.Hour
)

// heartbeatsPerWait is how often a held message is reported in one AckWait.
const heartbeatsPerWait = 3

// lane fetches one shard's donations: it decodes the next batch while the recorder
// settles the one before.
type lane struct {
	c      *Consumer
	shard  Shard
	wants  <-chan want // of the recorder; shared by all lanes
	filled atomic.Bool // holds something that was not taken

	mu   sync.Mutex
	held map[*batch]*holding // fetched and not yet acknowledged
}

// holding is what the broker thinks we are working on, for one batch.
type holding struct {
	since    time.Time // when the first of the messages was fetched
	messages []Message
}

func newLane(c *Consumer, s Shard, wants <-chan want) *lane {
	return &lane{c: c, shard: s, wants: wants, held: map[*batch]*holding{}}
}

// fetchLoop fills batches. Nothing is fetched before a slot is open: see openSlot.
func (l *lane) fetchLoop(ctx context.Context) {
	var retry backoff.Tries
	var asked time.Time    // when the broker was asked last
	var slow time.Duration // how long the last top-up took
	much := false          // was in the batch before
	b, topUp := newBatch(), topUpFirst
	defer func() { l.giveBack(b) }()
	for ctx.Err() == nil {
		if _, err := l.c.writer(ctx); err != nil {
			return
		}
		wait := l.c.config.FetchWait
		if len(b.messages) > 0 {
			grows := l.room(b) > 0 && retry.Count() == 0 // else it is full, or the broker is away
			patience := forever
			if grows && (much || slow >= topUpSlow) {
				patience = topUp
			}
			if w, wanted := l.offer(ctx, patience); wanted {
				if len(b.donations) > w.room {
					w.given <- part{lane: l} // it is of another transaction
					continue
				}
				if grows && time.Since(asked) >= topUpLast && slow < topUpSlow {
					asked = time.Now()
					_ = l.fetch(ctx, b, 0) // the next fetch fails alike, and tells
					slow = time.Since(asked)
				}
				much = len(b.donations) >= topUpMuch
				l.filled.Store(false)
				w.given <- part{l, b}
				b, topUp = newBatch(), topUpFirst
				continue
			}
			wait, topUp = 0, min(2*topUp, topUpMost)
		}
		asked = time.Now()
		err := l.fetch(ctx, b, wait)
		if wait == 0 {
			slow = time.Since(asked)
		}
		switch {
		case err == nil:
			retry = backoff.Tries{}
		case ctx.Err() == nil:
			l.c.metrics.fetchFailures.Inc()
			if retry.Count() == 0 {
				l.c.log.Warn("fetch", "stream", l.shard.Stream, "error", err)
			}
			retry.Wait(ctx)
		}
	}
}

// fetch puts what the broker has into the batch, as far as there is room. Messages
// may have come together with an error.
func (l *lane) fetch(ctx context.Context, b *batch, wait time.Duration) error {
	messages, err := l.shard.Source.Fetch(ctx, l.room(b), l.c.config.BatchBytes-b.bytes, wait)
	l.hold(b, messages)
	if len(messages) > 0 {
		l.filled.Store(true)
	}
	for _, m := range messages {
		b.add(l.c.book, l.shard.Stream, m)
	}
	return err
}

// offer waits for the recorder to want the batch, and tells whether it does.
func (l *lane) offer(ctx context.Context, patience time.Duration) (w want, wanted bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case w = <-l.wants:
		return w, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return w, false
}

// room is how many more messages the batch may take.
func (l *lane) room(b *batch) int {
	if b.bytes >= l.c.config.BatchBytes || len(b.donations) >= l.c.config.BatchDonations {
		return 0
	}
	return l.c.config.BatchMessages - len(b.messages)
}

// hold notes that a batch's new messages are ours, from the moment they are fetched.
func (l *lane) hold(b *batch, messages []Message) {
	if len(messages) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[b]
	if h == nil {
		h = &holding{since: time.Now()}
		l.held[b] = h
	}
	h.messages = append(h.messages, messages...)
}

func (l *lane) letGo(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, b)
}

// giveBack leaves a batch that was not begun to others, at once.
func (l *lane) giveBack(b *batch) {
	l.letGo(b)
	for _, m := range b.messages {
		_ = m.Handle.Nak(0) // lost: AckWait does the same later
	}
}

// heartbeatLoop keeps the broker from giving held messages to others while they
// wait for a transaction, for at most HoldMax.
func (l *lane) heartbeatLoop(ctx context.Context) {
	every := l.c.config.AckWait / heartbeatsPerWait
	for backoff.Pause(ctx, every) {
		now := time.Now()
		l.mu.Lock()
		var late []Message
		for _, h := range l.held {
			if age := now.Sub(h.since); age >= every/2 && age < l.c.config.HoldMax {
				late = append(late, h.messages...)
			}
		}
		l.mu.Unlock()
		for _, m := range late {
			_ = m.Handle.InProgress() // lost: a redelivery is harmless
		}
	}
}
