//go:build linux

package powercut

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"spillway/loadtest/chaos"
	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

// fullFor outlasts what the front-end waits for an acknowledgement (5 s), so that
// donors are refused while the disk is full.
const fullFor = 8 * time.Second

// A disk that fills up under broker and database costs no acknowledged donation
// and counts none twice. Room alone does not heal it: nats-server 2.15.2 writes no
// more to a stream whose write failed once, until it is started again, so the test
// does what the operator has to do.
func TestFull_NothingAcknowledgedIsLost(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/powercut -powercut -v")
	}
	r, disk := onItsOwnDisk(t)
	ctx := t.Context()
	if err := r.StartUp(ctx); err != nil {
		t.Fatal(err)
	}
	h, err := chaos.Rehearse(r, "full", chaos.Load{RatePerSecond: ratePerSecond, For: loadLasts})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AwaitAccepted(ctx, acceptedBefore); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk.Folder(), "filler")
	fill(t, filler)
	t.Log("the disk is full")
	<-time.After(fullFor)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	t.Log("there is room again; starting up again")
	up, err := r.Process(rig.RoleUp)
	if err != nil {
		t.Fatal(err)
	}
	if !up.Running() {
		t.Errorf("up did not outlive a full disk:\n%s", up.Tail())
	}
	if orderly, err := up.Stop(time.Minute); !orderly || err != nil {
		t.Errorf("up does not stop in order: %v", err)
	}
	if err := r.StartUp(ctx); err != nil {
		t.Fatal(err)
	}
	verdict, err := h.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !verdict.Holds() {
		t.Errorf("the proof fails (status %d):\n%s", verdict.ExitCode, verdict.Tail)
	}
	if verdict.Report.Sending.UnknownAnswers == 0 {
		t.Error("no donor was refused: the disk was never full for the broker")
	}
}

// onItsOwnDisk is a rig whose `up` works on a disk of its own; both go with the test.
func onItsOwnDisk(t *testing.T) (*rig.Rig, *Disk) {
	t.Helper()
	if err := Missing(); err != nil {
		t.Skipf("no disk of its own on this machine: %v", err)
	}
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := programs.BuildSpillway(t.Context(), tree, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMachine(t.Context(), rig.Programs{Spillway: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	return m.rig, m.disk
}

// fill writes until nothing fits any more, the blocks kept for root included.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for block := make([]byte, size); ; {
			if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
