package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes puts the child in a process group of its own, so that a terminal's
// Ctrl-C reaches this process only and the drain keeps its order, and has the
// kernel ask the child for a fast shutdown when this process dies.
func attributes(id Identity) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if id.Drop {
		a.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	return a
}

// favourBy is how many steps of niceness the server stands before this process:
// each is a quarter more of a contended processor.
const favourBy = 5

// favour lets the server go first where processors are short, as far as this user
// may. On one machine the front-end would otherwise take what the ledger needs, and
// a rush would end with a backlog; a donor waits some milliseconds longer instead.
// Whoever may not (it takes root or CAP_SYS_NICE) has the server as an equal.
func favour(pid int) {
	kernel, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return
	}
	own := 20 - kernel // the system call answers with 20 less the niceness
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, max(-20, own-favourBy))
}

// servesFolder tells whether the process is a server whose data folder is dir: a
// postmaster makes the data folder its working folder and stays there.
func servesFolder(pid int, dir string) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(dir)
	return err == nil && cwd == real
}
