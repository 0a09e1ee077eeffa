// Package faults plans what a rehearsal breaks while it runs, and plays the plan:
// kills, pauses, restarts, bad networks, an absent processor, a full disk.
//
// The one invariant: the same plan, seed, cast and length give the same faults at the
// same times; and whatever was broken is mended before Play returns.
//
// The package knows no process: a Stage does what an Event says, and a Cast says what
// there is to be broken, which is what the rehearsal itself started and nothing else.
//
// Goroutines, started by Play and ended before it returns:
//
//	lane  one for each role, for the network and for the processor; plays its events
//	      one after the other
package faults
