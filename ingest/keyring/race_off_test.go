//go:build !race

package keyring_test

// raceEnabled: see race_on_test.go.
const raceEnabled = false
