package live

import (
	"spillway/campaigns"
	"spillway/campaigns/render"
)

// told is the switches as viewers know them.
type told struct {
	campaigns.Switches
	bytes []byte // their event
}

// same tells whether viewers would see no difference.
func (t *told) same(s campaigns.Switches) bool {
	return t.LeaderboardsOff == s.LeaderboardsOff && t.FeedOff == s.FeedOff && t.LiveOff == s.LiveOff
}

// lookAtSwitches notes a change of the switches and wakes everybody for it: gifts
// vanish from walls, or come back, and streams end.
func (h *Hub) lookAtSwitches() {
	var now campaigns.Switches
	if h.switches != nil {
		now = h.switches.Switches()
	}
	before := h.said.Load()
	if before != nil && before.same(now) {
		return
	}
	h.said.Store(&told{Switches: now, bytes: render.AppendSwitchesEvent(nil, now)})
	if before == nil {
		return // nobody watches yet
	}
	if before.FeedOff != now.FeedOff {
		h.eachTopic(func(tp *topic) { tp.showWall(h) })
		h.day.showWall(h)
	}
	h.rouseAll()
}

// eachTopic calls do for every campaign that somebody watches.
func (h *Hub) eachTopic(do func(*topic)) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		for _, tp := range s.topics {
			do(tp)
		}
		s.mu.RUnlock()
	}
}
