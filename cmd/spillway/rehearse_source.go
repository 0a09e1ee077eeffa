package main

import (
	"errors"
	"strconv"
	"time"

	"spillway/loadtest/trace"
)

// defaultSeed draws the synthetic days of who names no seed: always the same, so that two
// rehearsals can be held against each other.
const defaultSeed = 1

// source opens what is sent, and says how fast for people.
func (c *rehearseRunCommand) source() (source trace.Source, speed string, err error) {
	if source, speed, err = c.day(); err != nil || c.Hot == 0 && c.Baskets == 0 {
		return source, speed, err
	}
	source, err = trace.NewMix(source, trace.MixConfig{Hot: float64(c.Hot), Baskets: float64(c.Baskets)})
	return source, speed, err
}

// day opens the recorded or synthetic day.
func (c *rehearseRunCommand) day() (source trace.Source, speed string, err error) {
	synthetic := c.Rate != 0 || c.Gifts != 0
	switch {
	case c.Replay != "" && (synthetic || c.For != 0 || c.Shape != ""):
		return nil, "", errors.New("--replay goes without --rate, --gifts, --shape and --for")
	case c.Replay != "":
		return c.replay()
	case c.Rate != 0 && c.Gifts != 0:
		return nil, "", errors.New("--rate and --gifts do not go together: gifts per second, or those of a whole giving day")
	case !synthetic || c.For == 0:
		return nil, "", errors.New("say what to send: --scenario NAME, --replay FILE, --gifts N --for D, or --rate R --for D")
	case c.Speed != 1 || c.Copies != 1 || c.Donors != 1:
		return nil, "", errors.New("--speed, --copies and --donors belong to --replay")
	case c.Shape != "" && c.Gifts != 0:
		return nil, "", errors.New("--shape belongs to --rate: a giving day (--gifts) has its own")
	}
	seed := c.Seed
	if seed == 0 {
		seed = defaultSeed
	}
	switch {
	case c.Gifts != 0:
		source, err = trace.NewDay(trace.DayConfig{Gifts: c.Gifts, For: c.For, Campaigns: c.Campaigns, Seed: seed})
	case c.Shape != "":
		source, err = trace.NewShape(trace.ShapeConfig{Shape: trace.Shape(c.Shape), Rate: c.Rate, For: c.For, Campaigns: c.Campaigns, Seed: seed})
	default:
		source, err = trace.NewProfile(trace.ProfileConfig{Rate: c.Rate, For: c.For, Campaigns: c.Campaigns, Seed: seed})
	}
	return source, "", err
}

// replay opens a recorded event, with more donors or fewer where that is asked for.
func (c *rehearseRunCommand) replay() (source trace.Source, speed string, err error) {
	speed = strconv.FormatFloat(c.Speed, 'f', -1, 64)
	if c.Donors != 1 && c.Copies != 1 {
		return nil, "", errors.New("--donors and --copies do not go together: each donor at a moment of his own, or all in the same")
	}
	file, err := trace.Scan(c.Replay, trace.Options{Speed: c.Speed, Copies: c.Copies})
	if err != nil {
		return nil, "", err
	}
	if c.Donors == 1 {
		return file, speed, nil
	}
	// The spread is on the event's own clock.
	source, err = trace.NewDonors(file, c.Donors, time.Duration(float64(trace.DonorsSpread)/c.Speed))
	return source, speed, err
}

// copies is the most gifts that one row of the source becomes.
func copies(source trace.Source) int {
	if several, ok := source.(interface{ CopiesMost() int }); ok {
		return several.CopiesMost()
	}
	return 1
}
