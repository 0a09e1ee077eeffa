// Package capacity finds the highest rate of donations that an installation holds
// under given levels, says how sure that is and what gave way first, and holds it
// against the day that is expected.
//
// The one invariant: a verdict on the target comes from trials in which the generator
// did what it was asked to. A trial in which it was late, or offered another rate than
// planned, is none; the search then says "at least".
//
// The search is pure but for Measure, which makes one trial. No goroutines.
package capacity
