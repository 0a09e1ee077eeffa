package config

import (
	"os"
	"path/filepath"
	"runtime"
)

// DataDefault is the user's folder for state: for root the system's, for anyone
// else $XDG_STATE_HOME/spillway or ~/.local/state/spillway (XDG Base Directory
// Specification 0.8), on macOS ~/Library/Application Support/Spillway.
func DataDefault() string { return dataDefault(runtime.GOOS, os.Geteuid(), os.Getenv) }

func dataDefault(goos string, uid int, getenv func(string) string) string {
	home := getenv("HOME")
	switch state := getenv("XDG_STATE_HOME"); {
	case uid == 0:
		return "/var/lib/spillway"
	case goos == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support", "Spillway")
	case filepath.IsAbs(state): // the specification ignores relative ones
		return filepath.Join(state, "spillway")
	case home != "":
		return filepath.Join(home, ".local", "state", "spillway")
	}
	return filepath.Join(os.TempDir(), "spillway") // a user without a home
}
