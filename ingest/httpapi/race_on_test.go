//go:build race

package httpapi

// raceEnabled tells that sync.Pool drops at random, so allocations mean nothing.
const raceEnabled = true
