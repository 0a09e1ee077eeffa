package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spillway/loadtest"
	auditdb "spillway/loadtest/audit/postgres"
)

// The words of --charging.
const (
	chargingOn  = "on"
	chargingOff = "off"
)

// privateActWithin is how long a private installation waits for donors who are asked
// for 3-D Secure: the rehearsal's act within seconds, or never.
const privateActWithin = 20 * time.Second

// privateAskAfter is how soon a private installation asks the simulator for what it has
// not told, such as the fees of those donors: a rehearsal of a minute does not wait three
// more for them, and the simulator's reads are nobody else's.
const privateAskAfter = 20 * time.Second

// privateTill are the arguments of a private installation's payments.
func privateTill() []string {
	return []string{"--act-within", privateActWithin.String(), "--ask-after", privateAskAfter.String()}
}

// privateArgs are those of the private installation.
func (c *rehearseRunCommand) privateArgs() []string {
	if c.Charging == chargingOff {
		return []string{"--no-payments"}
	}
	return append(privateTill(), "--pace", strconv.Itoa(c.Pace))
}

// rehearsedTill is how the rehearsal looks at the charging.
type rehearsedTill struct {
	asked          *loadtest.Charging // nil when it is not waited for
	counts, donors *auditdb.Till
	simulator      *loadtest.Simulator
}

var errNoSimulator = errors.New("--charging on needs a simulated processor, and the installation has none: rehearsals are charged nowhere else")

// till says what to charge and where. A rehearsal is charged by the simulator alone:
// payments see to that, whatever is asked here.
func (c *rehearseRunCommand) till(at *place) (*rehearsedTill, error) {
	t := &rehearsedTill{}
	if c.Charging == chargingOff || c.Charging != chargingOn && !at.alone {
		if c.Declines != 0 || c.ThreeDS != 0 || c.Timeouts != 0 || c.Storms != (storms{}) || c.Webhooks != (webhookFaults{}) {
			return nil, errors.New("faults of charging need --charging on")
		}
		return t, nil
	}
	where, err := at.find()
	if err != nil {
		return nil, err
	}
	if where.simulator == "" {
		return nil, errNoSimulator
	}
	url := func() (string, error) {
		now, err := at.find()
		return now.database, err
	}
	t.counts, t.donors = &auditdb.Till{URL: url}, &auditdb.Till{URL: url}
	t.simulator = &loadtest.Simulator{URL: func() (string, error) {
		now, err := at.find()
		return now.simulator, err
	}}
	t.asked = &loadtest.Charging{
		Patience: c.ChargePatience, Declines: float64(c.Declines), ThreeDS: float64(c.ThreeDS), Timeouts: float64(c.Timeouts),
		WebhooksLost: float64(c.Webhooks.lost), WebhooksTwice: float64(c.Webhooks.twice), WebhooksLate: float64(c.Webhooks.late),
		StormFor: c.Storms.length, StormEvery: c.Storms.every, Alone: at.alone,
	}
	return t, nil
}

func (t *rehearsedTill) close() {
	if t.asked != nil {
		t.counts.Close()
		t.donors.Close()
	}
}

// percent is a part of a whole, 0..1, written "5%" or "0.05".
type percent float64

// UnmarshalText reads it.
func (p *percent) UnmarshalText(text []byte) error {
	number, hundredths := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if hundredths {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is not from 0%% to 100%%", text)
	}
	*p = percent(v)
	return nil
}

// storms are so long, and so often: "3s/30s".
type storms struct{ length, every time.Duration }

// UnmarshalText reads them.
func (s *storms) UnmarshalText(text []byte) error {
	length, every, _ := strings.Cut(string(text), "/")
	var errs [2]error
	s.length, errs[0] = time.ParseDuration(length)
	s.every, errs[1] = time.ParseDuration(every)
	if errors.Join(errs[:]...) != nil || s.length <= 0 || s.every <= s.length {
		return fmt.Errorf("%q is not a length and a longer time from one to the next, such as 3s/30s", text)
	}
	return nil
}

// webhookFaults are what happens to webhooks: "lost=3%,twice=5%,late=10%".
type webhookFaults struct{ lost, twice, late percent }

// UnmarshalText reads them.
func (w *webhookFaults) UnmarshalText(text []byte) error {
	known := map[string]*percent{"lost": &w.lost, "twice": &w.twice, "late": &w.late}
	for part := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(part, "=")
		to := known[name]
		if to == nil {
			return fmt.Errorf("%q is none of lost, twice, late", name)
		}
		if err := to.UnmarshalText([]byte(value)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
