// Package machine says what this machine is, and what processes use of it.
//
// Its one rule: what cannot be known is left out, never guessed. Figures of processes
// come from /proc and are absent on other systems than Linux. No goroutines.
package machine

import (
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what a measurement was made on.
type Machine struct {
	CPU    string `json:"cpu"`                    // its model
	Cores  int    `json:"cores"`                  // that this process may use
	Memory int64  `json:"memory_bytes,omitempty"` // 0 when it is not known
	OS     string `json:"os"`                     // name and version of the kernel
}

// Here describes this machine.
func Here() Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Memory: memory()}
	if model := model(); model != "" {
		m.CPU = model
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.OS = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	return m
}

// model is the processor's, "" when it is not known.
func model() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Role is a part of an installation that has processes of its own.
type Role struct {
	Name string
	PID  int
	// Children counts in the processes that it started.
	Children bool
}

// Use is what processes have used since they began, and what they hold now.
type Use struct {
	CPU time.Duration
	// Resident is in bytes: what each has for itself, and once what they share.
	Resident int64
}
