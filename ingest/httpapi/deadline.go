package httpapi

import "time"

// earlyPart is the part of the shortest time of a connection's phases by which one may end
// early, so that most requests set no timer.
const earlyPart = 16

// deadline is a time to be done by, which fasthttp sets anew for each phase of each
// request: twice for reading, once for writing, 3 % of what a donation costs (measured
// 2026-11). It is set when something waits for it, and not when what is set is the same but
// for a moment. Whoever serves the connection has it alone.
type deadline struct {
	wanted, set time.Time
	early       time.Duration // how much sooner than wanted it may be
}

// want takes note of t.
func (d *deadline) want(t time.Time) { d.wanted = t }

// arm sets what is wanted, where what is set does not do. It never leaves a later time than
// the wanted one.
func (d *deadline) arm(set func(time.Time) error) error {
	switch {
	case d.wanted.IsZero() && d.set.IsZero():
		return nil
	case !d.wanted.IsZero() && !d.set.IsZero():
		if sooner := d.wanted.Sub(d.set); sooner >= 0 && sooner <= d.early {
			return nil
		}
	}
	d.set = d.wanted
	return set(d.wanted)
}
