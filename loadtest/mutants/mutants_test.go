//go:build linux

package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

var (
	prove   = flag.Bool("mutants", false, "build every mutant and prove that it is caught: minutes")
	results = flag.String("results", "", "file for a JSON list of what caught which mutant")
)

// proof is a line of the results.
type proof struct {
	Mutant  string   `json:"mutant"`
	Without string   `json:"without"`
	Check   string   `json:"check"`
	Broken  []string `json:"broken,omitempty"` // invariants that the audit names
	Named   bool     `json:"named,omitempty"`  // a donation, by its ID
	Found   string   `json:"found"`
	Seconds float64  `json:"seconds"` // builds and control included
}

// proofWait bounds one mutant: two builds and two runs of its check.
const proofWait = 10 * time.Minute

func tree(t *testing.T) string {
	t.Helper()
	dir, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every mutant still changes what it names. The code moves on: then this test says
// which mutant to look at.
func TestCatalog_AnchorsHold(t *testing.T) {
	for _, m := range Catalog {
		t.Run(m.Name, func(t *testing.T) {
			if _, err := programs.Overlay(tree(t), t.TempDir(), m.Edits); err != nil {
				t.Error(err)
			}
		})
	}
}

// A mutant is caught by its check, and the unbroken tree passes the very same one.
func TestMutants(t *testing.T) {
	if !*prove {
		t.Skip("minutes of builds and faults: go test ./loadtest/mutants -mutants -v")
	}
	env := Env{Tree: tree(t), Dir: t.TempDir()}
	var err error
	if env.NATSServer, err = programs.BuildNATSServer(t.Context(), env.Tree, env.Dir); err != nil {
		t.Fatal(err)
	}
	judge := t.TempDir()
	if env.Judge, err = programs.BuildSpillway(t.Context(), env.Tree, judge); err != nil {
		t.Fatal(err)
	}
	controls := map[string]error{} // by check
	var proofs []proof
	for _, m := range Catalog {
		t.Run(m.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), proofWait)
			defer cancel()
			began := time.Now()
			env.Logf = t.Logf
			if _, made := controls[m.Check.String()]; !made {
				t.Logf("control: the unbroken tree, %s", m.Check)
				controls[m.Check.String()] = m.Check.Run(ctx, env, "")
			}
			switch control := controls[m.Check.String()]; {
			case errors.Is(control, ErrCannotHere):
				t.Skip(control)
			case control != nil:
				t.Fatalf("the unbroken tree does not pass %s, so it shows nothing: %v", m.Check, control)
			}
			t.Logf("mutant %s: without %q", m.Name, m.Breaks)
			found, err := m.Prove(ctx, env)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s %v: %s", m.Check, found.Codes, found.What)
			proofs = append(proofs, proof{m.Name, m.Breaks, m.Check.String(), found.Codes, found.Named, found.What, time.Since(began).Seconds()})
		})
	}
	if *results == "" {
		return
	}
	document, err := json.MarshalIndent(proofs, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*results, append(document, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The plain sync-off build is not even allowed to take money: the durability gate
// asks the broker what it does, not what it was told to do.
func TestGate_RefusesABrokerThatDoesNotSync(t *testing.T) {
	if !*prove {
		t.Skip("builds the product: go test ./loadtest/mutants -mutants -v")
	}
	dir := t.TempDir()
	overlay, err := programs.Overlay(tree(t), dir, []Edit{syncOff})
	if err != nil {
		t.Fatal(err)
	}
	binary, err := programs.BuildSpillway(t.Context(), tree(t), dir, "-overlay", overlay)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.New(rig.Programs{Spillway: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(false); err != nil {
			t.Error(err)
		}
	})
	if err := r.LaunchUp(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		response, err := http.Get(r.URL() + "/readyz")
		if err == nil {
			body, readErr := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Fatalf("a broker that does not sync before it acknowledges may take money: %s", body)
			}
			if readErr == nil && bytes.Contains(body, []byte("sync")) {
				t.Logf("readyz says %s", body)
				return
			}
			err = fmt.Errorf("%s: %s", response.Status, body)
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz never named the missing sync; last: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
