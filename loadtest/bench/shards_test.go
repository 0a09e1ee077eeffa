package bench

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestParseMachineCPU(t *testing.T) {
	before, err := parseMachineCPU([]byte("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseMachineCPU([]byte("cpu  160 10 60 890 60 5 5 10 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.busyPercentSince(before); got != 50 {
		t.Errorf("100 of 200 ticks were busy: %v %%", got)
	}
	if got := after.busyPercentSince(after); got != 0 {
		t.Errorf("no time at all: %v %%", got)
	}
	for _, text := range []string{"", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu 1 2 3 x 5 6 7 8\n"} {
		if _, err := parseMachineCPU([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestChildrenCPU_FindsGrandchildren(t *testing.T) {
	// The shell waits for a child of its own, which works a little and then for its input.
	shell := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read x'; read y")
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if got, err := childrenCPU(shell.Process.Pid); err != nil || got <= 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := childrenCPU(-1); err == nil {
		t.Error("nobody's children used some")
	}
	if err := errors.Join(in.Close(), ignoreExit(shell.Wait())); err != nil {
		t.Error(err)
	}
}

func TestShardCost_NamesWhatBoundsIt(t *testing.T) {
	for name, c := range map[string]struct {
		cost shardCost
		says string
	}{
		"CPU":     {shardCost{busyPercent: 97}, "CPUs (97 % busy"},
		"ledgers": {shardCost{busyPercent: 60, run: run{backlog: 7 * time.Second}}, "7.0 s behind"},
		"disk":    {shardCost{busyPercent: 60, run: run{backlog: time.Second}}, "disk"},
	} {
		if got := c.cost.bound(); !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// ignoreExit leaves out a status: read says 1 at the end of its input.
func ignoreExit(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return nil
	}
	return err
}
