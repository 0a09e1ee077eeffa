package consumer

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/ledger/backoff"
)

// joinWait is how long a batch that is taken waits for another lane that holds
// something and is busy with the broker: a shard that does not answer must not hold
// up the others.
const joinWait = 5 * time.Millisecond

// recorder settles what the lanes of all shards have fetched, one batch after the
// other. A transaction costs the database and this process the same for many
// donations as for few, and writes each campaign's sum once: so what several shards
// brought in the same 50 ms is recorded together, up to BatchDonations.
type recorder struct {
	c     *Consumer
	lanes []*lane
	wants chan want     // to whichever lane holds a batch
	ended chan struct{} // closed when no lane fetches any more
}

// want asks a lane for its batch.
type want struct {
	room  int // donations that still fit
	given chan<- part
}

// part is the batch of one lane, and a batch that is settled with those of others. Its
// batch is nil where the lane had more than there was room for.
type part struct {
	lane  *lane
	batch *batch
}

func newRecorder(c *Consumer) *recorder {
	r := &recorder{c: c, wants: make(chan want), ended: make(chan struct{})}
	for _, s := range c.shards {
		r.lanes = append(r.lanes, newLane(c, s, r.wants))
	}
	return r
}

// run fetches until ctx ends and returns when the batch in hand is settled, or when
// work ends.
func (r *recorder) run(ctx, work context.Context) {
	beating, still := context.WithCancel(work)
	var fetching, beats sync.WaitGroup
	for _, l := range r.lanes {
		beats.Go(func() { l.heartbeatLoop(beating) })
		fetching.Go(func() { l.fetchLoop(ctx) })
	}
	beats.Go(func() {
		fetching.Wait()
		close(r.ended)
	})
	r.recordLoop(work)
	still()
	beats.Wait()
}

// recordLoop settles one batch after the other until the lanes have ended, or ctx.
func (r *recorder) recordLoop(ctx context.Context) {
	every := r.c.config.RecordEvery
	next := time.Time{}
	for {
		backoff.Pause(ctx, time.Until(next))
		parts := r.take()
		if len(parts) == 0 {
			return
		}
		// Half way between two ticks, so that the batch has landed when the next
		// frame asks what is complete, and is as young as that allows.
		began := time.Now()
		next = began.Add(untilTick(began.Add(every/2), every))
		s := settlement{c: r.c, parts: parts, batch: join(parts)}
		s.batch.sort()
		err := s.run(ctx)
		for _, p := range parts {
			if err != nil {
				p.lane.giveBack(p.batch) // ctx has ended: nothing was acknowledged
				continue
			}
			p.lane.letGo(p.batch)
		}
	}
}

// take waits for a first lane's batch and takes those of the others that hold
// something, as far as there is room; none when all lanes have ended.
func (r *recorder) take() (parts []part) {
	given := make(chan part, 1)
	select {
	case r.wants <- want{room: math.MaxInt, given: given}:
	case <-r.ended:
		return nil
	}
	parts = append(parts, <-given)
	if len(r.lanes) == 1 {
		return parts
	}
	patience := time.NewTimer(joinWait)
	defer patience.Stop()
	for room := r.c.config.BatchDonations - len(parts[0].batch.donations); room > 0 && r.filled(); {
		select {
		case r.wants <- want{room: room, given: given}:
		case <-patience.C:
			return parts
		case <-r.ended:
			return parts
		}
		p := <-given
		if p.batch == nil {
			return parts
		}
		parts = append(parts, p)
		room -= len(p.batch.donations)
	}
	return parts
}

// filled tells whether any lane holds something that nobody has taken.
func (r *recorder) filled() bool {
	for _, l := range r.lanes {
		if l.filled.Load() {
			return true
		}
	}
	return false
}

// join makes one batch of several lanes'. The parts keep their messages, which are
// given back or let go by their lanes.
func join(parts []part) *batch {
	if len(parts) == 1 {
		return parts[0].batch
	}
	all := *parts[0].batch
	for _, p := range parts[1:] {
		b := p.batch
		all.messages = append(slices.Clip(all.messages), b.messages...)
		all.requests = append(slices.Clip(all.requests), b.requests...)
		all.rejected = append(slices.Clip(all.rejected), b.rejected...)
		all.traced = append(slices.Clip(all.traced), b.traced...)
		all.donations, all.repeats = slices.Clip(all.donations), slices.Clip(all.repeats)
		all.bytes += b.bytes
		all.records += b.records
		all.dropped += b.dropped
		all.untold += b.untold
		// The same key may have come by two shards: while front-ends with fewer
		// shards than there are run, or a donor repeats after their number was changed.
		for _, d := range b.donations {
			all.place(d)
		}
		for _, d := range b.repeats {
			all.place(d)
		}
	}
	return &all
}

// streams names where parts came from, for people.
func streams(parts []part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.lane.shard.Stream
	}
	return strings.Join(names, " ")
}
