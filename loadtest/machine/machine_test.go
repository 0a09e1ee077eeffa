package machine

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestHere_KnowsThisMachine(t *testing.T) {
	t.Parallel()
	m := Here()
	if m.Cores < 1 || m.CPU == "" || m.OS == "" {
		t.Errorf("%+v", m)
	}
	if runtime.GOOS == "linux" && m.Memory < 64<<20 {
		t.Errorf("memory %d", m.Memory)
	}
}

func TestOf_CountsWhatAProcessAndItsChildrenUse(t *testing.T) {
	t.Parallel()
	self := Role{Name: "test", PID: os.Getpid(), Children: true}
	if runtime.GOOS != "linux" {
		if _, err := Of(self); err == nil {
			t.Error("measured without /proc")
		}
		return
	}
	before, err := Of(self)
	if err != nil || before.Resident < 1<<20 {
		t.Fatalf("%+v, %v", before, err)
	}
	// A child that works, while it runs and after it has ended, is its parent's.
	child := exec.Command("sh", "-c", "while :; do :; done")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	const want = 50 * time.Millisecond
	deadline := time.Now().Add(20 * time.Second)
	grown := func() bool {
		now, err := Of(self)
		return err == nil && now.CPU-before.CPU >= want
	}
	for !grown() && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	running := grown()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	if !running || !grown() {
		t.Errorf("while it ran %v, after it had ended %v", running, grown())
	}
	if _, err := Of(Role{PID: child.Process.Pid}); err == nil {
		t.Error("measured a process that has ended")
	}
	if busy, ok := Busy(); !ok || busy < want {
		t.Errorf("the machine: %v, %v", busy, ok)
	}
}
