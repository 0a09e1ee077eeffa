// Package house holds the rules that keep Spillway's packages apart, as tests:
// who lives in which ring, who may import whom, where each third-party library
// has its home, and what the inner rings never do.
//
// The one invariant: a package that rings_test.go does not place, or a library
// that it gives no home, fails the build. Moving a wall is one line there, next
// to the reason, and so is seen in review.
package house
