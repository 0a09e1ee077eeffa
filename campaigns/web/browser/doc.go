// Package browser holds the tests that give in a real browser: headless Chromium
// against a real `spillway up`, on the pages that donors get. There is no code in it
// that ships.
//
// The one invariant that all of its tests hold: whatever the donor, the network or the
// browser does, one wish is one donation, and "thank you" is said after "succeeded".
package browser
