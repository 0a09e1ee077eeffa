package main

import (
	"os"
	"runtime"
	"syscall"
)

// privateAttributes puts the child in a process group of its own, so that Ctrl-C
// reaches this process only, and has the kernel stop it when this process dies.
func privateAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// child starts the child and waits for its end, on one thread of its own: the
// signal of Pdeathsig comes when the thread that started the child ends (prctl(2)).
func (u *private) child(log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	u.run(log, started)
}
