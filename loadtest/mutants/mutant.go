//go:build linux

package mutants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"spillway/loadtest/chaos"
	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

// Edit replaces one piece of a source file.
type Edit = programs.Edit

// Mutant is a build that breaks one rule, and the check that must notice.
type Mutant struct {
	Name   string
	Breaks string // the rule, in words
	Edits  []Edit
	Check  Check
}

// Check is run on the mutant, which it must fail, and on the unbroken tree, which
// must pass: the control.
type Check interface {
	// Run returns nil when the build passes, an error that is a Finding when the
	// check's subject is broken, and any other error when the check itself could
	// not be made. overlay is "" for the unbroken tree.
	Run(ctx context.Context, e Env, overlay string) error
	// String names the check. Equal names are one check, whose control is run once.
	String() string
}

// Env is where checks work.
type Env struct {
	Tree       string // top of the module
	NATSServer string // path of a stock broker
	Judge      string // path of the unbroken program, which rehearses what Day starts
	Dir        string // for what a check builds; of its own for every run
	Logf       func(format string, args ...any)
}

// Finding says what a check has found wrong with a build.
type Finding struct {
	What  string   // in the check's own words
	Codes []string // the invariants that do not hold, such as "I1"
	Named bool     // a donation is named by its ID
}

func (f *Finding) Error() string { return f.What }

// ErrOther says that a mutant was noticed, but not by what was to notice it.
var ErrOther = errors.New("caught for another reason")

// GoTest runs a named test, which must fail with a message that matches Says.
type GoTest struct {
	Package string // relative to the tree: "./ledger/consumer"
	Test    string // as -run takes it
	Args    []string
	Says    *regexp.Regexp
}

func (g GoTest) String() string { return fmt.Sprintf("go test %s -run %s", g.Package, g.Test) }

// Run implements Check.
func (g GoTest) Run(ctx context.Context, e Env, overlay string) error {
	args := []string{"test", "-count=1", "-v", "-run", g.Test}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	args = append(append(args, g.Package), g.Args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = e.Tree
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && !passedLine.Match(out):
		return fmt.Errorf("%s runs no test", g)
	case err == nil:
		return nil
	case g.Says.Match(out):
		return &Finding{What: string(g.Says.Find(out))}
	case failedLine.Match(out):
		return fmt.Errorf("%w: %s does not say %q:\n%s", ErrOther, g, g.Says, last(out))
	}
	return fmt.Errorf("%s: %w:\n%s", g, err, last(out))
}

var (
	passedLine = regexp.MustCompile(`(?m)^--- PASS: `)
	failedLine = regexp.MustCompile(`(?m)^--- FAIL: `)
)

// outputShown bounds what a message quotes of a tool's output, in bytes.
const outputShown = 4 << 10

func last(out []byte) []byte { return out[max(0, len(out)-outputShown):] }

// Schedule plays a scenario with the real binary and lets the rehearsal's audit
// judge, which must name one of the invariants of Breaks.
type Schedule struct {
	Scenario chaos.Scenario
	Breaks   []string // "I1", ...; any of them will do
	Named    bool     // a donation has to be named
}

func (s Schedule) String() string { return "schedule " + s.Scenario.Name }

// Run implements Check.
func (s Schedule) Run(ctx context.Context, e Env, overlay string) error {
	programs, err := e.programs(ctx, overlay)
	if err != nil {
		return err
	}
	outcome, err := s.Scenario.Play(ctx, chaos.Options{Programs: programs, Logf: e.Logf})
	if err != nil {
		return err
	}
	if outcome.Holds {
		return nil
	}
	return finding(outcome.Verdict, outcome.Why, s.Breaks, s.Named)
}

func (e Env) programs(ctx context.Context, overlay string) (rig.Programs, error) {
	var flags []string
	if overlay != "" {
		flags = []string{"-overlay", overlay}
	}
	binary, err := programs.BuildSpillway(ctx, e.Tree, e.Dir, flags...)
	return rig.Programs{Spillway: binary, NATSServer: e.NATSServer}, err
}

// Prove shows that the mutant is caught: it returns what the check found. Errors:
// programs.ErrAnchor; ErrSurvived; ErrOther; those of the check.
func (m Mutant) Prove(ctx context.Context, e Env) (*Finding, error) {
	dir, err := os.MkdirTemp(e.Dir, m.Name+"-")
	if err != nil {
		return nil, err
	}
	overlay, err := programs.Overlay(e.Tree, dir, m.Edits)
	if err != nil {
		return nil, err
	}
	e.Dir = dir
	err = m.Check.Run(ctx, e, overlay)
	var found *Finding
	if errors.As(err, &found) {
		return found, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: %s passes it", ErrSurvived, m.Check)
	}
	return nil, err
}

// ErrSurvived says that a broken build passed: the check is blind.
var ErrSurvived = errors.New("the broken build was not caught")
