// Package chaos runs the roles as processes against a real broker and a real
// Postgres (see rig), hurts them while donors give, and lets the rehearsal's audit judge.
//
// The one invariant: whatever a scenario kills, freezes or cuts off, the proof of
// the rehearsal holds and verify finds nothing; and no process of a rig outlives
// its test.
//
// It needs Linux, as a rig does.
package chaos
