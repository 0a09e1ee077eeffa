//go:build linux

package chaos

import (
	"testing"

	"spillway/loadtest/rig"
)

func TestFaults_FollowTheSeedAndReachEverything(t *testing.T) {
	same, again, other := newFaults(7), newFaults(7), newFaults(8)
	seen := map[string]bool{}
	differ := false
	for range 500 {
		f := same.next()
		if g := again.next(); f != g {
			t.Fatalf("the same seed gave %v and %v", f, g)
		}
		differ = differ || f != other.next()
		if f.freeze {
			seen["freeze "+f.role] = true
			if f.lasts < freezeLeast || f.lasts >= freezeMost {
				t.Errorf("%v is out of bounds", f)
			}
		} else {
			seen["kill "+f.role] = true
		}
	}
	if !differ {
		t.Error("two seeds give the same faults")
	}
	for _, want := range []string{
		"kill " + rig.RoleBroker, "kill " + rig.RolePostgres, "kill " + rig.RoleIngest, "kill " + rig.Ledger(1), "kill " + rig.Ledger(2),
		"freeze " + rig.RoleBroker, "freeze " + rig.RoleIngest, "freeze " + rig.Ledger(1), "freeze " + rig.Ledger(2),
	} {
		if !seen[want] {
			t.Errorf("never: %s", want)
		}
	}
	if seen["freeze "+rig.RolePostgres] {
		t.Error("froze Postgres' postmaster alone")
	}
}

func TestFaults_TheKillerReachesEveryRole(t *testing.T) {
	draw, seen := newFaults(7), map[string]bool{}
	for range 500 {
		f := draw.kill(moneyRoles)
		if f.freeze || !f.hard {
			t.Fatalf("%v is no kill -9", f)
		}
		seen[f.role] = true
	}
	if len(seen) != len(moneyRoles) {
		t.Errorf("only %v", seen)
	}
}
