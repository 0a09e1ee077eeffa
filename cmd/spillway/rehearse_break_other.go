//go:build !linux

package main

import (
	"context"
	"errors"
	"time"

	"spillway/loadtest/faults"
	"spillway/loadtest/trace"
)

var errBreakNotHere = errors.New("--break and --roles need Linux: processes are found and paused by its /proc")

// rigged is a private installation that may be broken: none here.
type rigged struct {
	play func(context.Context, func(time.Time, string)) *faults.Record
}

func (c *rehearseRunCommand) startRig(*process, *screen, *place, trace.Source) (*rigged, error) {
	return nil, errBreakNotHere
}

func (u *rigged) end(bool) error { return nil }
