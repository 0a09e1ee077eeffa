package stripesim

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// agenda is what happens by itself, by time. An entry is a reminder only: the
// object says whether it is still due.
type agenda struct {
	mu    sync.Mutex
	items dueHeap
	woken chan struct{}
}

type dueItem struct {
	at   int64 // Unix milliseconds of the stand-in's clock
	kind kind
	n    uint32
}

type dueHeap []dueItem

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueItem)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newAgenda() *agenda { return &agenda{woken: make(chan struct{}, 1)} }

// add reminds at a time; at 0 is never.
func (a *agenda) add(at int64, k kind, n uint32) {
	if at == 0 {
		return
	}
	a.mu.Lock()
	heap.Push(&a.items, dueItem{at, k, n})
	first := a.items[0] == dueItem{at, k, n}
	a.mu.Unlock()
	if first {
		a.wake()
	}
}

// wake makes the clockwork look again.
func (a *agenda) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// next takes what is due, or says when to look again (Unix milliseconds, 0: when woken).
func (a *agenda) next(now int64) (item dueItem, due bool, at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.items) == 0 {
		return dueItem{}, false, 0
	}
	if a.items[0].at > now {
		return dueItem{}, false, a.items[0].at
	}
	return heap.Pop(&a.items).(dueItem), true, 0
}

// pending is how many reminders there are.
func (a *agenda) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.items)
}

// look is how often the clockwork looks at a clock that may have been moved
// behind its back.
const look = 250 * time.Millisecond

// clockwork makes happen what happens by itself, until ctx ends.
func (s *Server) clockwork(ctx context.Context) {
	timer := time.NewTimer(look)
	defer timer.Stop()
	payday := s.Now()
	for ctx.Err() == nil {
		now := s.Now()
		item, due, at := s.due.next(now.UnixMilli())
		if due {
			s.happen(item)
			continue
		}
		if every := s.cfg.PayoutEvery; every > 0 && now.Sub(payday) >= every {
			payday = now
			s.payAll()
		}
		wait := look
		if at != 0 {
			wait = min(wait, max(time.UnixMilli(at).Sub(now), time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.due.woken:
		}
	}
}

// happen does what is due about one object, when it still is.
func (s *Server) happen(item dueItem) {
	s.mu.Lock()
	c := &change{at: s.now().UnixMilli()}
	switch item.kind {
	case intentKind:
		s.intentDue(c, *s.intents.at(item.n))
	case chargeKind:
		s.chargeDue(c, *s.charges.at(item.n))
	case refundKind:
		s.refundDue(c, *s.refunds.at(item.n))
	case disputeKind:
		s.disputeDue(c, *s.disputes.at(item.n))
	case payoutKind:
		s.payoutDue(c, *s.payouts.at(item.n))
	}
	if c.any() {
		s.commit(c)
	}
	s.mu.Unlock()
	if s.settle() != nil {
		return // Run is being stopped
	}
}

// any tells whether anything changed.
func (c *change) any() bool {
	return len(c.intents)+len(c.charges)+len(c.txns)+len(c.refunds)+len(c.disputes)+len(c.payouts)+len(c.tokens)+len(c.events) > 0
}

// noticeDue reminds of what a change made due. mu is held.
func (s *Server) noticeDue(c *change) {
	for i := range c.intents {
		s.noticeIntent(&c.intents[i])
	}
	for i := range c.charges {
		s.noticeCharge(&c.charges[i])
	}
	for i := range c.refunds {
		s.due.add(c.refunds[i].dueAt, refundKind, c.refunds[i].n)
	}
	for i := range c.disputes {
		s.due.add(c.disputes[i].dueAt, disputeKind, c.disputes[i].n)
	}
	for i := range c.payouts {
		s.due.add(c.payouts[i].dueAt, payoutKind, c.payouts[i].n)
	}
}

func (s *Server) noticeIntent(p *intent) { s.due.add(p.dueAt, intentKind, p.n) }

func (s *Server) noticeCharge(c *charge) { s.due.add(c.dueAt, chargeKind, c.n) }
