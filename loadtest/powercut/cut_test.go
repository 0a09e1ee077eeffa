//go:build linux

package powercut

import (
	"flag"
	"testing"

	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

var long = flag.Bool("powercut", false, "pull the plug under `up`, with a load: a minute")

// Every donation that `up` acknowledged before the power went is in the ledger
// once after it came back. That the same cut catches a broker that does not sync
// is for loadtest/mutants to prove.
func TestCut_UpKeepsEveryAcknowledgedDonation(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/powercut -powercut -v")
	}
	if err := Missing(); err != nil {
		t.Skipf("no power cut on this machine: %v", err)
	}
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := programs.BuildSpillway(t.Context(), tree, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := Cut(t.Context(), rig.Programs{Spillway: binary}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if !verdict.Holds() {
		t.Errorf("the proof fails (status %d):\n%s", verdict.ExitCode, verdict.Tail)
	}
	t.Log(verdict.Tail)
}
