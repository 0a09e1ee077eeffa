//go:build linux

package mutants

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"spillway/loadtest/audit"
	"spillway/loadtest/chaos"
	"spillway/loadtest/powercut"
	"spillway/loadtest/rig"
)

// load is small: what a mutant breaks is seen in hundreds of donations.
var load = chaos.Load{RatePerSecond: 400, For: 8 * time.Second}

// brokerFrozenThenKilled takes what the broker has been sent and not yet stored:
// the front-end may not have promised any of it.
var brokerFrozenThenKilled = Schedule{
	Scenario: chaos.Scenario{
		Name: "broker-frozen-then-killed",
		Load: load,
		Script: func(t *chaos.Trial) []chaos.Step {
			return []chaos.Step{t.StartRoles(1), t.Begin("run"),
				t.Pause(rig.RoleBroker), t.Hold(time.Second), t.Kill(rig.RoleBroker), t.Restart(rig.RoleBroker)}
		},
	},
	Breaks: []string{"I1"},
}

// ledgerAwayOverTheClosing has a campaign end while the ledger is down: what was
// received in time is recorded after the end.
var ledgerAwayOverTheClosing = Schedule{
	Scenario: chaos.Scenario{
		Name: "ledger-away-over-the-closing",
		Load: load,
		Script: func(t *chaos.Trial) []chaos.Step {
			return []chaos.Step{t.StartRoles(1), t.BeginAfter("run", 1), t.Kill(rig.Ledger(1)), t.Hold(load.For), t.Restart(rig.Ledger(1))}
		},
	},
	Breaks: []string{"I1"},
	Named:  true,
}

// sameRunAgain sends every key a second time, to a ledger that was killed meanwhile.
var sameRunAgain = Schedule{
	Scenario: chaos.Scenario{
		Name: "same-run-again",
		Load: chaos.Load{RatePerSecond: load.RatePerSecond, For: load.For / 2},
		Script: func(t *chaos.Trial) []chaos.Step {
			return []chaos.Step{t.StartRoles(1), t.Begin("run"), t.Kill(rig.Ledger(1)), t.Restart(rig.Ledger(1)), t.Settle, t.Repeat}
		},
	},
	Breaks: []string{"I5"},
}

// ledgerStoppedInOrder gives the same slot to a process that has never seen it.
var ledgerStoppedInOrder = Schedule{
	Scenario: chaos.Scenario{
		Name: "ledger-stopped-in-order",
		Load: load,
		Script: func(t *chaos.Trial) []chaos.Step {
			return []chaos.Step{t.StartRoles(1), t.Begin("run"), t.Stop(rig.Ledger(1)), t.Restart(rig.Ledger(1))}
		},
	},
	Breaks: []string{"I5"},
}

// holderKilledWhileDatabaseIsAway lets both ledgers fetch what neither can record,
// and then takes one away with what it holds.
func holderKilledWhileDatabaseIsAway(breaks string) Schedule {
	return Schedule{
		Scenario: chaos.Scenario{
			Name: "holder-killed-while-database-is-away",
			Load: load,
			Script: func(t *chaos.Trial) []chaos.Step {
				return []chaos.Step{t.StartRoles(2), t.Begin("run"), t.StopPostgres, t.Hold(2 * time.Second),
					t.Kill(rig.Ledger(1)), t.Restart(rig.RolePostgres)}
			},
		},
		Breaks: []string{breaks},
	}
}

// brokerRestored puts an older copy of the broker's store back: its stream then
// gives numbers to new donations that others had before.
var brokerRestored = Schedule{
	Scenario: chaos.Scenario{
		Name: "broker-restored",
		Load: load,
		Script: func(t *chaos.Trial) []chaos.Step {
			return []chaos.Step{t.StartRoles(1),
				t.Kill(rig.RoleBroker), t.CopyBroker, t.Restart(rig.RoleBroker), t.Ready(rig.RoleIngest),
				t.Begin("before"), t.Settle,
				t.Kill(rig.RoleIngest), t.Kill(rig.RoleBroker), t.RestoreBroker, t.Restart(rig.RoleBroker), t.Restart(rig.RoleIngest),
				t.Begin("after")}
		},
		Unverified: "the books rightly hold donations that the restored stream has forgotten",
	},
	Breaks: []string{"I1"},
}

// The two freezes of frozen_test.go, each longer than AckWait, the second longer
// than the lease: what a front-end was shown is held against what was stored.
// ledger/consumer's TestSimulation draws such freezes at random; it catches either
// mutant in some runs, and these in every one.
var (
	frozenAfterCommit       = frozen("^TestFrozen_ClaimsNothingItHolds$")
	frozenBeforeTransaction = frozen("^TestFrozen_RecordsNothingUnderALostLease$")
)

func frozen(test string) GoTest {
	return GoTest{Package: "./loadtest/mutants", Test: test, Says: regexp.MustCompile(`as_of was false: .*`)}
}

// plugPulled is a power cut under load.
var plugPulled = PowerCut{}

// PowerCut pulls the plug of a machine that runs everything.
type PowerCut struct{}

func (PowerCut) String() string { return "power cut" }

// Run implements Check.
func (PowerCut) Run(ctx context.Context, e Env, overlay string) error {
	if err := powercut.Missing(); err != nil {
		return errors.Join(ErrCannotHere, err)
	}
	programs, err := e.programs(ctx, overlay)
	if err != nil {
		return err
	}
	verdict, err := powercut.Cut(ctx, programs, e.Logf)
	if err != nil {
		return err
	}
	if verdict.Holds() {
		return nil
	}
	return finding(verdict, verdict.Tail, []string{"I1"}, false)
}

// ErrCannotHere says that this machine cannot make the check; its cause says why.
var ErrCannotHere = errors.New("this check cannot be made here")

// finding is what a failed proof means to a check that looks for certain
// invariants: a Finding when one of them is broken, and names a donation where that is
// asked for, else ErrOther.
func finding(v *chaos.Verdict, why string, wanted []string, named bool) error {
	if v == nil || v.Report.Audit == nil {
		return fmt.Errorf("%w: %s", ErrOther, why)
	}
	broken := v.Broken()
	nameless := ""
	for _, c := range v.Report.Audit.Checks {
		if c.Broken == 0 || !slices.Contains(wanted, c.Invariant) {
			continue
		}
		what := fmt.Sprintf("%s: %d of %d broken", c.Claim, c.Broken, c.Checked)
		i := slices.IndexFunc(c.Violations, func(v audit.Violation) bool { return v.ID != "" })
		if i >= 0 {
			first := c.Violations[i]
			return &Finding{What: fmt.Sprintf("%s, such as %s: %s", what, first.ID, first.Detail), Codes: broken, Named: true}
		}
		nameless = what
		if len(c.Violations) > 0 {
			nameless += fmt.Sprintf(", such as %s: %s", c.Violations[0].Ref, c.Violations[0].Detail)
		}
		if !named {
			return &Finding{What: nameless, Codes: broken}
		}
	}
	if nameless != "" {
		return fmt.Errorf("%w: found, and no donation is named: %s", ErrOther, nameless)
	}
	return fmt.Errorf("%w: %v broken, not one of %v: %s", ErrOther, broken, wanted, why)
}
