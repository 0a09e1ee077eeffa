//go:build race

package keyring_test

// raceEnabled tells that sync.Pool drops at random, so allocations mean nothing.
const raceEnabled = true
