package live

import (
	"spillway/campaigns"
	"spillway/campaigns/render"
)

// wallEvent is a wall encoded, shared by all who are sent it.
type wallEvent struct {
	wall  *campaigns.Wall
	gifts bool // shown: the feed is on
	bytes []byte
}

// encodeWall encodes the board's wall of a campaign, or gives have back when it says
// the same already; nil when the board knows none.
func (h *Hub) encodeWall(campaign string, have *wallEvent) *wallEvent {
	w, gifts := h.board.Wall(campaign), !h.said.Load().FeedOff
	if w == nil {
		return have
	}
	if have != nil && have.wall == w && have.gifts == gifts {
		return have
	}
	h.metrics.walls.Inc()
	return &wallEvent{wall: w, gifts: gifts, bytes: render.AppendWallEvent(nil, w, gifts, h.board.Name)}
}

// showWall encodes the campaign's wall when it is another one, and has those who
// see it woken. Who watches the campaign alone sees no wall.
func (tp *topic) showWall(h *Hub) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.many == 0 {
		return
	}
	have := tp.wall.Load()
	next := h.encodeWall(tp.slug, have)
	if next == have {
		return
	}
	tp.wall.Store(next)
	tp.stir(h)
}

// Renewed takes news of the board: the walls that changed, and perhaps the day.
func (h *Hub) Renewed(walls []*campaigns.Wall) {
	for _, w := range walls {
		if w.Campaign == campaigns.DayWall {
			h.day.showWall(h)
			continue
		}
		s := h.shard(w.Campaign)
		s.mu.RLock()
		tp := s.topics[w.Campaign]
		s.mu.RUnlock()
		if tp != nil {
			tp.showWall(h)
		}
	}
	h.day.send(h, h.cfg.Now())
}
