package charge_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger/payments/charge"
	"spillway/loadtest/stripesim"
)

// TestIntegration_EverythingGoesWrongAndTheBooksAgree charges at the simulator over
// HTTP while it declines, asks for authentication, times out after success, resets,
// refuses in storms, and tells late, twice, out of order, or never.
func TestIntegration_EverythingGoesWrongAndTheBooksAgree(t *testing.T) {
	r := newRealRig(t, stripesim.Config{
		HangMax: 3 * time.Second,
		Latency: stripesim.Latency{Median: 20 * time.Millisecond, P99: 200 * time.Millisecond},
		Faults: stripesim.Faults{
			DeclineRate: 0.05, AuthenticateRate: 0.05, TimeoutRate: 0.02, ResetRate: 0.02, ErrorAfterRate: 0.01, RateLimitRate: 0.05,
			Donors:   stripesim.Donors{After: stripesim.Span(200 * time.Millisecond), SucceedRate: 0.7, FailRate: 0.3},
			Webhooks: stripesim.WebhookFaults{LossRate: 0.2, DuplicateRate: 0.2, ReorderRate: 0.2, ReorderBy: stripesim.Span(300 * time.Millisecond)},
		},
	}, 100)
	r.give(200, "ctoken_card_visa")
	r.give(10, "ctoken_card_chargeDeclined")
	r.give(10, "ctoken_card_authenticationRequired")
	stop := r.start(tillConfig)
	r.settled()
	stop()
	if n := r.count("succeeded"); n < 150 {
		t.Errorf("only %d succeeded", n)
	}
	if n := r.ask("SELECT count(*) FROM slot_leases WHERE NOT closed AND holder <> 'recorder'"); n > 0 {
		t.Errorf("%d slots are left open", n)
	}
}

// TestIntegration_KilledAtEveryPoint kills a whole payments process, as kill -9 does,
// at each point, while others of its calls are under way; the next one carries on.
func TestIntegration_KilledAtEveryPoint(t *testing.T) {
	r := newRealRig(t, stripesim.Config{HangMax: 3 * time.Second, Latency: stripesim.Latency{Median: 5 * time.Millisecond, P99: 50 * time.Millisecond}}, 200)
	for _, point := range charge.Points {
		for range 2 {
			r.give(5, "ctoken_card_visa")
			r.give(2, "ctoken_card_timeout")
			r.give(2, "ctoken_card_errorAfterCharge")
			r.give(1, "ctoken_card_chargeDeclined")
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^$")
			command.Env = append(os.Environ(), childPoint+"="+string(point), childDatabase+"="+r.at.database, childNATS+"="+r.at.nats, childStripe+"="+r.at.processor)
			command.Stderr = t.Output()
			said, err := command.Output()
			status, _ := command.ProcessState.Sys().(syscall.WaitStatus)
			if err == nil || !status.Signaled() || status.Signal() != syscall.SIGKILL || !strings.Contains(string(said), strings.ToUpper(string(point))) {
				t.Fatalf("%s: the child ended with %v and said %q", point, err, said)
			}
		}
	}
	stop := r.start(tillConfig)
	r.settled()
	stop()
	if n := r.count("succeeded"); n != int64(len(r.given))*9/10 {
		t.Errorf("%d of %d succeeded, not nine in ten", n, len(r.given))
	}
}

// TestIntegration_DatabaseGoneAndBackWithoutAPerson takes Postgres away under load: what
// the processor answered meanwhile is booked when it is back.
func TestIntegration_DatabaseGoneAndBackWithoutAPerson(t *testing.T) {
	cluster := pgtest.Private(t)
	r := newRealRigOn(t, cluster.Database(t), stripesim.Config{Latency: stripesim.Latency{Median: 300 * time.Millisecond, P99: 600 * time.Millisecond}}, 100)
	r.give(200, "ctoken_card_visa")
	r.start(tillConfig)
	eventually(t, "calls are under way", func() bool { return r.sim.Stats().Charges > 20 })
	cluster.Stop()
	charged := r.sim.Stats().Charges
	eventually(t, "calls are answered with nowhere to write it down", func() bool { return r.sim.Stats().Charges > charged })
	if more := r.sim.Stats().Charges - charged; more > int64(tillCalls) {
		t.Errorf("%d more charges without a database to note them in", more)
	}
	cluster.Restart(t)
	r.give(20, "ctoken_card_chargeDeclined")
	r.settled()
	if s := r.sim.Stats(); s.Replays > s.Charges/2 {
		t.Errorf("%d calls were repeated for %d charges: their answers were not kept", s.Replays, s.Charges)
	}
}

// TestIntegration_TwoProcessesShareTheQueue charges with two, ends one in order and
// starts another.
func TestIntegration_TwoProcessesShareTheQueue(t *testing.T) {
	r := newRealRig(t, stripesim.Config{
		Latency: stripesim.Latency{Median: 50 * time.Millisecond, P99: 200 * time.Millisecond}, Limits: stripesim.Limits{PerEndpoint: 100, PerAccount: 400},
	}, 100)
	r.give(300, "ctoken_card_visa")
	first := r.start(tillConfig)
	r.start(tillConfig)
	eventually(t, "both charge", func() bool {
		return r.ask("SELECT count(DISTINCT slot) FROM entries") == 2
	})
	first()
	r.start(tillConfig)
	r.settled()
	if n := r.sim.Stats().RateLimited; n > 15 { // five per cent
		t.Errorf("the processor refused %d of 300 calls: the pace is not one", n)
	}
	if n := r.sim.Stats().Replays; n > 0 {
		t.Errorf("%d calls were made twice though nobody died", n)
	}
}

// TestIntegration_ADonorFailsBeforeTheCallIsAnswered loses the answer that asks for the
// donor, who fails meanwhile; the event of that goes by. The repeat is answered from
// memory, as if the donor were still to act, and the donor is told the truth.
func TestIntegration_ADonorFailsBeforeTheCallIsAnswered(t *testing.T) {
	r := newRealRig(t, stripesim.Config{Faults: stripesim.Faults{
		ResetRate: 1, Donors: stripesim.Donors{After: stripesim.Span(50 * time.Millisecond), FailRate: 1},
	}}, 100)
	config := tillConfig
	config.SweepEvery = time.Hour // which would find it in the end
	r.start(config)
	r.give(3, "ctoken_card_authenticationRequired")
	eventually(t, "the donors have failed, and the events are known", func() bool {
		return r.ask("SELECT count(*) FROM processor_events WHERE type = 'intent'") >= 6 // that they have to act, that they failed
	})
	if err := r.sim.SetFaults(stripesim.Faults{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are told", func() bool { return r.count("failed") == 3 })
}
