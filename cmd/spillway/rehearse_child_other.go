//go:build !linux

package main

import (
	"os"
	"syscall"
)

// privateAttributes puts the child in a process group of its own, so that Ctrl-C
// reaches this process only.
func privateAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// child starts the child and waits for its end.
func (u *private) child(log *os.File, started chan<- error) { u.run(log, started) }
