package consumer

import (
	"context"
	"sync"
	"time"

	"spillway/ledger/backoff"
)

const (
	// topUpFirst is how long a batch is offered before more is fetched for it; each
	// further offer lasts twice as long, up to topUpMost. A fetch costs the broker as
	// much for one message as for many, and a record loop that waits for its
	// database wants none.
	topUpFirst = 10 * time.Millisecond
	topUpMost  = 320 * time.Millisecond
	// topUpLast is how long ago the broker was asked last when a batch that is about to
	// be taken is filled up once more: what waits there would be a whole batch later.
	topUpLast = 5 * time.Millisecond
	// forever is longer than any process lives.
	forever = 100 * 365 * 24 * time.Hour
)

// heartbeatsPerWait is how often a held message is reported in one AckWait.
const heartbeatsPerWait = 3

// lane moves one shard's donations: a fetch loop decodes the next batch while a
// record loop settles the one before.
type lane struct {
	c     *Consumer
	shard Shard
	due   chan struct{} // from record to fetch: a batch is wanted now
	ready chan *batch   // from fetch to record, once for each that was wanted

	mu   sync.Mutex
	held map[*batch]*holding // fetched and not yet acknowledged
}

// holding is what the broker thinks we are working on, for one batch.
type holding struct {
	since    time.Time // when the first of the messages was fetched
	messages []Message
}

func newLane(c *Consumer, s Shard) *lane {
	return &lane{c: c, shard: s, due: make(chan struct{}), ready: make(chan *batch), held: map[*batch]*holding{}}
}

// run fetches until ctx ends and returns when the batch in hand is settled, or when
// work ends.
func (l *lane) run(ctx, work context.Context) {
	beating, still := context.WithCancel(work)
	var loops sync.WaitGroup
	loops.Go(func() { l.heartbeatLoop(beating) })
	loops.Go(func() {
		defer close(l.ready)
		l.fetchLoop(ctx)
	})
	l.recordLoop(work)
	still()
	loops.Wait()
}

// fetchLoop fills batches. Nothing is fetched before a slot is open: see openSlot.
func (l *lane) fetchLoop(ctx context.Context) {
	var retry backoff.Tries
	var asked time.Time // when the broker was asked last
	b, topUp := newBatch(), topUpFirst
	defer func() { l.giveBack(b) }()
	for ctx.Err() == nil {
		if _, err := l.c.writer(ctx); err != nil {
			return
		}
		wait := l.c.config.FetchWait
		if len(b.messages) > 0 {
			// A batch is offered as long as it may grow, then until it is wanted.
			patience := topUp
			if l.room(b) == 0 || retry.Count() > 0 { // full, or the broker is away
				patience = forever
			}
			if l.offer(ctx, patience) {
				if patience != forever && time.Since(asked) >= topUpLast {
					_ = l.fetch(ctx, b, 0) // the next fetch fails alike, and tells
				}
				l.ready <- b
				b, topUp = newBatch(), topUpFirst
				continue
			}
			wait, topUp = 0, min(2*topUp, topUpMost)
		}
		asked = time.Now()
		err := l.fetch(ctx, b, wait)
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
	for _, m := range messages {
		b.add(l.c.book, l.shard.Stream, m)
	}
	return err
}

// offer waits for the record loop to want the batch, and tells whether it does.
func (l *lane) offer(ctx context.Context, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.due:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
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
