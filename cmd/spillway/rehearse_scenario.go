package main

import (
	"os"

	"github.com/alecthomas/kong"

	"spillway/loadtest/scenario"
	"spillway/loadtest/visit"
)

// AfterApply remembers which flags were given, in the command line or the
// environment: those win over the scenario's file.
func (c *rehearseRunCommand) AfterApply(parsed *kong.Context) error {
	c.given = givenFlags(parsed)
	return nil
}

// givenFlags are the flags that were given, by name.
func givenFlags(parsed *kong.Context) map[string]bool {
	given := map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	for _, f := range parsed.Flags() {
		for _, name := range f.Envs {
			if _, ok := os.LookupEnv(name); ok {
				given[f.Name] = true
			}
		}
	}
	return given
}

// setUp reads the scenario, if there is one, into the flags that were not given. A
// rehearsal that is asked for nothing at all is the default one, on an installation of
// its own.
func (c *rehearseRunCommand) setUp() error {
	if c.Scenario == "" && c.Replay == "" && c.Rate == 0 && c.Gifts == 0 && c.For == 0 && c.Target == "" && c.Data == "" && c.DatabaseURL == "" && !c.Resume {
		c.Scenario = scenario.Default
	}
	if c.Scenario == "" {
		return nil
	}
	s, err := scenario.Load(c.Scenario)
	if err != nil {
		return err
	}
	if c.Break == "" { // a plan in the command line replaces the file's
		c.plan = s.Faults
	}
	c.take(s)
	return nil
}

// take fills the flags that were not given with what the scenario says.
func (c *rehearseRunCommand) take(s *scenario.Scenario) {
	c.scenario = s.Name
	// Whoever says what comes replaces the file's arrivals as a whole.
	if a := &s.Arrivals; !c.given["replay"] && !c.given["rate"] && !c.given["gifts"] {
		fill(c.given, "replay", &c.Replay, a.Replay)
		fill(c.given, "speed", &c.Speed, a.Speed)
		fill(c.given, "copies", &c.Copies, a.Copies)
		fill(c.given, "donors", &c.Donors, a.Donors)
		fill(c.given, "gifts", &c.Gifts, int64(a.Gifts))
		fill(c.given, "shape", &c.Shape, a.Shape)
		fill(c.given, "rate", &c.Rate, a.Rate)
		fill(c.given, "for", &c.For, a.For)
	} else if c.given["rate"] || c.given["gifts"] {
		fill(c.given, "for", &c.For, a.For)
		if c.given["rate"] { // more of the same
			fill(c.given, "shape", &c.Shape, a.Shape)
		}
	}
	fill(c.given, "seed", &c.Seed, uint64(s.Seed)) //nolint:gosec // its bounds are checked
	fill(c.given, "campaigns", &c.Campaigns, s.Campaigns.Count)
	fill(c.given, "hot", &c.Hot, percent(s.Campaigns.Hot))
	fill(c.given, "baskets", &c.Baskets, percent(s.Donors.Baskets))
	fill(c.given, "patience", &c.Patience, s.Donors.Patience)
	fill(c.given, "look", &c.Look, percent(s.Donors.Look))
	fill(c.given, "readers", &c.Readers, s.Readers.PerGift)
	v := &s.Visits
	c.visits = visit.Habits{Day: float64(v.Day), Think: v.Think, Stay: v.Stay, Stream: float64(v.Stream), Poll: float64(v.Poll),
		PollEvery: v.PollEvery, Connections: v.Connections, Streams: v.Streams}
	m := &s.Charging
	fill(c.given, "charging", &c.Charging, m.Wait)
	fill(c.given, "pace", &c.Pace, m.Pace)
	fill(c.given, "charge-patience", &c.ChargePatience, m.Patience)
	if c.Charging == chargingOff {
		return // by the flag: then nothing can go wrong there either
	}
	fill(c.given, "declines", &c.Declines, percent(m.Declines))
	fill(c.given, "three-ds", &c.ThreeDS, percent(m.ThreeDS))
	fill(c.given, "timeouts", &c.Timeouts, percent(m.Timeouts))
	fill(c.given, "storms", &c.Storms, storms{m.Storms.For, m.Storms.Every})
	fill(c.given, "webhooks", &c.Webhooks, webhookFaults{percent(m.Webhooks.Lost), percent(m.Webhooks.Twice), percent(m.Webhooks.Late)})
}

// Visits without a scenario are of this kind: as on a giving day's evening, when most
// look once.
const (
	plainStream = 0.3
	plainPoll   = 0.1
)

// visitors are those of pages.
func (c *rehearseRunCommand) visitors() *visit.Habits {
	h := c.visits
	if c.scenario == "" {
		h.Stream, h.Poll = plainStream, plainPoll
	}
	h.Look, h.PerGift = float64(c.Look), c.Readers
	return &h
}

// fill sets a flag's value to the scenario's, unless the flag was given or the
// scenario does not say.
func fill[T comparable](given map[string]bool, flag string, to *T, value T) {
	var nothing T
	if value != nothing && !given[flag] {
		*to = value
	}
}
