package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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
