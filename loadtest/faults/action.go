package faults

import (
	"fmt"
	"strings"
)

// Action is what is done to something.
type Action string

// The actions.
const (
	Kill     Action = "kill"      // kill -9, started again afterwards
	Pause    Action = "pause"     // every thread stands still, then goes on
	Restart  Action = "restart"   // an orderly end, and a new start at once
	Cut      Action = "cut"       // its network passes nothing on, and no connection tells so
	Slow     Action = "slow"      // its network takes longer, or carries less
	HalfOpen Action = "half-open" // its far ends are gone without a word: near ends stay, and hear nothing
	Reset    Action = "reset"     // its connections are reset, and new ones while it lasts
	Outage   Action = "outage"    // the processor answers 503 to everything
	Storm    Action = "storm"     // the processor refuses half of all calls by 429
	Fill     Action = "fill"      // its disk is full
)

// trait is what a plan may say with an action.
type trait struct {
	lasts bool // it needs a length of time
	at    bool // it may be over at once
	by    bool // it takes "by" a time or "to" a rate
	lane  lane
}

// lane is what one fault excludes others of: two kills of one role at once are one.
type lane string

const (
	ofRole      lane = ""
	ofNetwork   lane = "network"
	ofProcessor lane = "processor"
)

var actions = map[Action]trait{
	Kill:     {at: true},
	Pause:    {lasts: true},
	Restart:  {},
	Cut:      {lasts: true, lane: ofNetwork},
	Slow:     {lasts: true, by: true, lane: ofNetwork},
	HalfOpen: {lasts: true, lane: ofNetwork},
	Reset:    {at: true, lane: ofNetwork},
	Outage:   {lasts: true, lane: ofProcessor},
	Storm:    {lasts: true, lane: ofProcessor},
	Fill:     {lasts: true},
}

// Network tells whether the fault is one of the network.
func (f Fault) Network() bool { return actions[f.Do].lane == ofNetwork }

// Actions lists all actions, as people are told them.
func Actions() []Action {
	return []Action{Kill, Pause, Restart, Cut, Slow, HalfOpen, Reset, Outage, Storm, Fill}
}

// Any is every role that an action may be done to, one drawn for each time; Each is all
// of them, one after the other in an order that is drawn.
const (
	Any  = "any"
	Each = "each"
)

// Cast is what there is to be broken: all of it was started by the rehearsal.
type Cast struct {
	// May lists for an action what it may be done to, such as "ledger-1", in a fixed order.
	May map[Action][]string
	// Not says why there is nothing for an action.
	Not map[Action]string
}

// candidates are what a plan's word stands for: itself, those that are numbered under
// it, or all. Errors: ErrPlan.
func (c *Cast) candidates(do Action, what string) ([]string, error) {
	all := c.May[do]
	if len(all) == 0 {
		why := c.Not[do]
		if why == "" {
			why = "nothing that this rehearsal starts can be broken so"
		}
		return nil, fmt.Errorf("%s %s: %s: %w", do, what, why, ErrPlan)
	}
	if what == Any || what == Each {
		return all, nil
	}
	var found []string
	for _, name := range all {
		if name == what || numbered(name, what) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s %s: this rehearsal did not start that; there are %s: %w", do, what, strings.Join(all, ", "), ErrPlan)
	}
	return found, nil
}

// numbered tells whether the name is that of one of several: "ledger-2" of "ledger".
func numbered(name, of string) bool {
	number, found := strings.CutPrefix(name, of+"-")
	return found && number != "" && strings.Trim(number, "0123456789") == ""
}
