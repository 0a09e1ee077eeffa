//go:build unix && !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes puts the child in a process group of its own, so that a terminal's
// Ctrl-C reaches this process only and the drain keeps its order. There is no
// parent-death signal here: what a killed process leaves is ended at the next start.
func attributes(id Identity) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if id.Drop {
		a.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	return a
}

// favour does nothing here: the scheduler gives a server that waits its turn.
func favour(int) {}

// servesFolder tells whether the process is a server that was started on dir.
func servesFolder(pid int, dir string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), dir)
}
