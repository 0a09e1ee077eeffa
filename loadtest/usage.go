package loadtest

import (
	"syscall"
	"time"
)

// cpuTime is the processor time that this process has used, in user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // cannot fail with these arguments (getrusage(2))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
