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
	c.given = map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil {
			c.given[p.Flag.Name] = true
		}
	}
	for _, f := range parsed.Flags() {
		for _, name := range f.Envs {
			if _, ok := os.LookupEnv(name); ok {
				c.given[f.Name] = true
			}
		}
	}
	return nil
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
		fill(c, "replay", &c.Replay, a.Replay)
		fill(c, "speed", &c.Speed, a.Speed)
		fill(c, "copies", &c.Copies, a.Copies)
		fill(c, "donors", &c.Donors, a.Donors)
		fill(c, "gifts", &c.Gifts, int64(a.Gifts))
		fill(c, "shape", &c.Shape, a.Shape)
		fill(c, "rate", &c.Rate, a.Rate)
		fill(c, "for", &c.For, a.For)
	} else if c.given["rate"] || c.given["gifts"] {
		fill(c, "for", &c.For, a.For)
		if c.given["rate"] { // more of the same
			fill(c, "shape", &c.Shape, a.Shape)
		}
	}
	fill(c, "seed", &c.Seed, uint64(s.Seed)) //nolint:gosec // its bounds are checked
	fill(c, "campaigns", &c.Campaigns, s.Campaigns.Count)
	fill(c, "hot", &c.Hot, percent(s.Campaigns.Hot))
	fill(c, "baskets", &c.Baskets, percent(s.Donors.Baskets))
	fill(c, "patience", &c.Patience, s.Donors.Patience)
	fill(c, "look", &c.Look, percent(s.Donors.Look))
	fill(c, "readers", &c.Readers, s.Readers.PerGift)
	v := &s.Visits
	c.visits = visit.Habits{Day: float64(v.Day), Think: v.Think, Stay: v.Stay, Stream: float64(v.Stream), Poll: float64(v.Poll),
		PollEvery: v.PollEvery, Connections: v.Connections, Streams: v.Streams}
	m := &s.Charging
	fill(c, "charging", &c.Charging, m.Wait)
	fill(c, "pace", &c.Pace, m.Pace)
	fill(c, "charge-patience", &c.ChargePatience, m.Patience)
	if c.Charging == chargingOff {
		return // by the flag: then nothing can go wrong there either
	}
	fill(c, "declines", &c.Declines, percent(m.Declines))
	fill(c, "three-ds", &c.ThreeDS, percent(m.ThreeDS))
	fill(c, "timeouts", &c.Timeouts, percent(m.Timeouts))
	fill(c, "storms", &c.Storms, storms{m.Storms.For, m.Storms.Every})
	fill(c, "webhooks", &c.Webhooks, webhookFaults{percent(m.Webhooks.Lost), percent(m.Webhooks.Twice), percent(m.Webhooks.Late)})
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
func fill[T comparable](c *rehearseRunCommand, flag string, to *T, value T) {
	var nothing T
	if value != nothing && !c.given[flag] {
		*to = value
	}
}
