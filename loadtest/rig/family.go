//go:build linux

package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bindToParent makes the kernel kill the child when the test binary dies, however it dies.
func bindToParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// Family returns the ids of all processes that belong to dir: that work in it, or
// name it in their command line or environment. A private Postgres and its
// backends outlive a killed parent and are found so; dir must be a rig's own
// temporary folder, so that nobody else's process can match. The caller itself is
// left out.
func Family(dir string) ([]int, error) {
	if real, err := filepath.EvalSymlinks(dir); err == nil { // else it is not there any more, or not yet
		dir = real
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if state, _ := processState(pid); state != 'Z' && state != 0 && belongs(pid, dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func belongs(pid int, dir string) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	if cwd, err := os.Readlink(proc + "/cwd"); err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) {
		return true
	}
	for _, file := range []string{"/cmdline", "/environ"} {
		if text, err := os.ReadFile(proc + file); err == nil && bytes.Contains(text, []byte(dir)) {
			return true
		}
	}
	return false
}

// Freeze stops the processes and returns once every thread of every one of them
// stands still: from then on none of them reads, writes or answers.
func Freeze(pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("freeze %d: %w", pid, err)
		}
	}
	return untilState(pids, "stopped", func(state byte) bool { return state == 'T' || state == 'Z' || state == 0 })
}

// KillAll kills the processes and returns once they are gone.
func KillAll(pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return untilState(pids, "gone", func(state byte) bool { return state == 'Z' || state == 0 })
}

// statePoll is how often a signalled process is looked at.
const statePoll = 5 * time.Millisecond

func untilState(pids []int, what string, reached func(state byte) bool) error {
	deadline := time.Now().Add(stateWait)
	for _, pid := range pids {
		for !allThreads(pid, reached) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d is not %s after %v", pid, what, stateWait)
			}
			time.Sleep(statePoll)
		}
	}
	return nil
}

func allThreads(pid int, reached func(state byte) bool) bool {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return reached(0)
	}
	for _, t := range tasks {
		state, _ := stateOf(fmt.Sprintf("/proc/%d/task/%s/stat", pid, t.Name()))
		if !reached(state) {
			return false
		}
	}
	return true
}

func processState(pid int) (state byte, err error) {
	return stateOf(fmt.Sprintf("/proc/%d/stat", pid))
}

// stateOf reads proc_pid_stat(5): the state follows the command's closing bracket.
// 0 when the process is gone.
func stateOf(path string) (state byte, err error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 || i+2 >= len(stat) {
		return 0, fmt.Errorf("%s: %q", path, stat)
	}
	return stat[i+2], nil
}
