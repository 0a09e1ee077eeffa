package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTicks is USER_HZ, 100 on every Linux that Go supports (proc_pid_stat(5)).
const clockTicks = 100

// childrenMax bounds the children of one role that are looked at: more than any
// database has connections.
const childrenMax = 2000

// errFormat says that /proc is not what the manual says.
var errFormat = errors.New("not as proc(5) says")

// Of reads what a role's processes use. Errors: those of the file system when there is
// no such process any more.
func Of(r Role) (Use, error) {
	first, shared, err := one(r.PID, r.Children)
	if err != nil || !r.Children {
		first.Resident += shared
		return first, err
	}
	most := shared
	for _, pid := range children(r.PID) {
		u, shared, err := one(pid, true)
		if err != nil {
			continue // it has ended: what it used is its parent's by now
		}
		first.CPU += u.CPU
		first.Resident += u.Resident
		most = max(most, shared)
	}
	first.Resident += most
	return first, nil
}

// one reads a single process; shared are resident bytes that others may have too.
// With reaped, children that have ended count in.
func one(pid int, reaped bool) (u Use, shared int64, err error) {
	stat, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return u, 0, err
	}
	// The name in parentheses may hold anything, spaces included.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system, childUser, childSystem = 11, 12, 13, 14 // utime, stime, cutime, cstime, from the state on
	if len(fields) <= childSystem {
		return u, 0, fmt.Errorf("%s: %w", procPath(pid, "stat"), errFormat)
	}
	times := []int{user, system}
	if reaped {
		times = append(times, childUser, childSystem)
	}
	var ticks int64
	for _, i := range times {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return u, 0, fmt.Errorf("%s: %w", procPath(pid, "stat"), errFormat)
		}
		ticks += n
	}
	u.CPU = time.Duration(ticks) * time.Second / clockTicks
	statm, err := os.ReadFile(procPath(pid, "statm"))
	if err != nil {
		return u, 0, err
	}
	var size, resident, common int64
	if _, err := fmt.Sscan(string(statm), &size, &resident, &common); err != nil {
		return u, 0, fmt.Errorf("%s: %w", procPath(pid, "statm"), errFormat)
	}
	page := int64(os.Getpagesize())
	return Use{CPU: u.CPU, Resident: (resident - common) * page}, common * page, nil
}

// children are the processes that a process started and that still run.
func children(pid int) (all []int) {
	// Each thread has children of its own.
	lists, _ := filepath.Glob(procPath(pid, "task/*/children")) // the pattern is well-formed
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil && len(all) < childrenMax {
				all = append(all, child)
			}
		}
	}
	return all
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// Busy is for how long the machine's cores have worked since it was started, added
// up; ok is false when that is not known.
func Busy() (busy time.Duration, ok bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	// cpu user nice system idle iowait irq softirq steal guest guest_nice: the last two
	// are in the first two already, and iowait is idleness.
	const idle, iowait, steal = 4, 5, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return 0, false
	}
	var ticks int64
	for i := 1; i <= steal; i++ {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		if i != idle && i != iowait {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / clockTicks, true
}

// memory is the machine's, in bytes.
func memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit)) //nolint:gosec // far below 2^63
}
