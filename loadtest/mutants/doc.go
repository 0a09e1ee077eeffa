// Package mutants tests the tests: builds that were broken on purpose must be
// caught, each by the check that is there for it, while the unbroken build passes
// the very same schedule.
//
// The one invariant: no mutation lives in the product. A mutant is an edit of its
// text, laid over the source at build time; an edit whose anchor is not in the
// file exactly once is an error and never a mutant that changed nothing.
package mutants
