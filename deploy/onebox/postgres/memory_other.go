//go:build unix && !linux

package postgres

import "golang.org/x/sys/unix"

// memoryBytes is the machine's memory, 0 when nobody says.
func memoryBytes() int64 {
	for _, name := range []string{"hw.memsize", "hw.physmem"} { // macOS, the BSDs
		if n, err := unix.SysctlUint64(name); err == nil {
			return int64(n)
		}
	}
	return 0
}
