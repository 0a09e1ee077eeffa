// Package admission decides who may go on before work is done: a bound on how
// many requests of one sort are inside at once, and a rate per client that no
// client's junk can make others pay for.
//
// The one invariant: memory is fixed at the start. Whoever comes, and however
// many, nothing here grows.
//
// No goroutines: a decision is made in the caller's, in well under a microsecond.
package admission

import "sync/atomic"

// Slots bounds how many requests of one sort are inside at once. Sorts that must
// not wait for each other have Slots of their own.
type Slots struct {
	max   int64
	taken atomic.Int64
}

// NewSlots returns max free slots.
func NewSlots(max int) *Slots { return &Slots{max: int64(max)} }

// Take takes a slot if one is free. Whoever got true gives it back.
func (s *Slots) Take() bool {
	if s.taken.Add(1) <= s.max {
		return true
	}
	s.taken.Add(-1)
	return false
}

// Give gives a slot back.
func (s *Slots) Give() { s.taken.Add(-1) }

// Taken is how many slots are taken; it may show a refused caller for a moment.
func (s *Slots) Taken() int64 { return min(s.taken.Load(), s.max) }
