package charge_test

import (
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/loadtest/stripesim"
)

// TestIntegration_AnHourWithoutTheProcessor takes the processor away for an hour of
// business in which tokens expire: donors keep giving, what they are told is honest at
// every moment, nobody is declined, those whose token died are asked for a card, those
// whose token lives are charged at the pace when it is over, and another card helps
// the others.
func TestIntegration_AnHourWithoutTheProcessor(t *testing.T) {
	for _, outage := range []stripesim.Outage{stripesim.Unavailable, stripesim.Hanging, stripesim.Disconnected} {
		t.Run(string(outage), func(t *testing.T) {
			t.Parallel()
			anHourWithout(t, outage)
		})
	}
}

const (
	outagePace   = 100              // charges/s
	outageLife   = 30 * time.Minute // of a confirmation token
	outageEvery  = 10 * time.Minute
	outageGivers = 50 // each time
)

func anHourWithout(t *testing.T, outage stripesim.Outage) {
	r := newRealRig(t, stripesim.Config{HangMax: 2 * time.Second}, outagePace)
	r.start(tillConfig)
	r.giveUntil(20, "ctoken_card_visa", outageLife)
	eventually(t, "charges go on before", func() bool { return r.count("succeeded") == 20 })
	if err := r.sim.SetFaults(stripesim.Faults{Outage: outage}); err != nil {
		t.Fatal(err)
	}
	// Whoever gave in the first half has a token that is dead when the hour is over, and
	// the processor says so too when it is asked.
	var dying, living [][16]byte
	for minute := time.Duration(0); minute <= time.Hour; minute += outageEvery {
		if minute > 0 {
			r.skip(outageEvery)
		}
		before := len(r.given)
		if minute+outageLife <= time.Hour {
			r.giveUntil(outageGivers, "ctoken_card_tokenExpired", outageLife)
			dying = append(dying, r.given[before:]...)
		} else {
			r.giveUntil(3*outageGivers, "ctoken_card_visa", outageLife)
			living = append(living, r.given[before:]...)
		}
		eventually(t, "every attempt is made", func() bool { return r.ask("SELECT count(*) FROM payments") == int64(len(r.given)) })
		if minute == 0 {
			calls := r.sim.Stats().Calls
			eventually(t, "some are called in vain", func() bool { return r.sim.Stats().Calls >= calls+20 })
		}
		r.honest()
	}
	eventually(t, "those whose token died and who were never called are asked for a card", func() bool {
		return r.ask("SELECT count(*) FROM attempts WHERE state = 1 AND token_expires_at < $1 AND first_called_at IS NULL", time.Now().Add(r.offset())) == 0
	})
	r.honest()
	told := map[string]int{}
	for _, s := range r.states() {
		told[s.Status]++
	}
	if n := told[payments.StatusCharging]; n > tillCalls {
		t.Errorf("%d donations of %d have an outcome that nobody knows: they were called into the outage", n, len(r.given))
	}
	if n := told[payments.StatusSucceeded]; n != 20 {
		t.Errorf("%d succeeded without the processor", n-20)
	}

	waiting := r.due()
	if waiting < int64(len(living))-tillCalls {
		t.Fatalf("only %d of %d whose token lives wait in the queue", waiting, len(living))
	}
	began := time.Now()
	if err := r.sim.SetFaults(stripesim.Faults{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is worked off", func() bool { return r.due() == 0 })
	// A bucket saves up a quarter of a second and one call; the last calls are under way.
	least := time.Duration(float64(waiting-1)/outagePace*0.9*float64(time.Second)) - 250*time.Millisecond
	if took := time.Since(began); took < least {
		t.Errorf("%d charges took %v: faster than the pace of %d/s allows, %v", waiting, took, outagePace, least)
	}
	for range 2 { // what is unknown is repeated after minutes
		r.skip(3 * time.Minute)
	}
	r.settled()
	states := r.states()
	for _, d := range dying {
		if s := states[d]; s.Status != payments.StatusFailed || s.Reason != string(payments.CardNeeded) || s.Decline != "" {
			t.Errorf("donation %x, whose token died, is %s %s %s", d, s.Status, s.Reason, s.Decline)
		}
	}
	for _, d := range living {
		if s := states[d]; s.Status != payments.StatusSucceeded {
			t.Errorf("donation %x, whose token lived, is %s %s", d, s.Status, s.Reason)
		}
	}

	// Another card helps: one whose first was never called, or one that was.
	now := time.Now().Add(r.offset()).UTC().Truncate(time.Microsecond)
	for i, d := range [][16]byte{dying[0], dying[len(dying)-1]} {
		if err := r.db.Book(ledger.Live).Request(t.Context(), []*envelope.Request{{
			Kind: envelope.Attempt, ID: ingest.RequestID{byte(i + 1)}, Donation: d, ReceivedAt: now,
			ConfirmationToken: "ctoken_card_visa_again", TokenExpiresAt: now.Add(outageLife),
		}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another card is charged", func() bool { return r.states()[d].Status == payments.StatusSucceeded })
	}
	r.settled()
}

// due is how many attempts wait for their call.
func (r *rig) due() int64 { return r.ask("SELECT count(*) FROM attempts WHERE state = 1") }

// states are what donors are told.
func (r *rig) states() map[[16]byte]ledger.State {
	r.t.Helper()
	states, err := r.db.States(r.t.Context(), r.given)
	if err != nil {
		r.t.Fatal(err)
	}
	return states
}

// honest checks that nobody is told what nobody knows while the processor is away:
// waiting, called with an unknown outcome, or in need of a card because a token died.
func (r *rig) honest() {
	r.t.Helper()
	expired := map[[16]byte]bool{}
	for d, s := range r.states() {
		switch {
		case s.Status == payments.StatusAccepted, s.Status == payments.StatusCharging, s.Status == payments.StatusSucceeded:
		case s.Status == payments.StatusFailed && s.Reason == string(payments.CardNeeded) && s.Decline == "":
			expired[d] = true
		default:
			r.t.Errorf("donation %x is %s %s %s without the processor", d, s.Status, s.Reason, s.Decline)
		}
	}
	early := r.ask("SELECT count(*) FROM payments p JOIN attempts a USING (donation_id) WHERE p.status = 'failed' AND a.token_expires_at > $1", time.Now().Add(r.offset()))
	if early > 0 {
		r.t.Errorf("%d of %d donors are asked for a card although their token lives", early, len(expired))
	}
}
