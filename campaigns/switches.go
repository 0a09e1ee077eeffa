package campaigns

import "time"

// Switches is what organisers turn off by hand when everybody comes at once, so that
// giving keeps the machine. The zero value has everything on.
type Switches struct {
	LeaderboardsOff bool // day page and API show none
	FeedOff         bool // no gifts are shown
	LiveOff         bool // no streams; pages ask for totals now and then
	ExportsOff      bool // exports are refused
	// Revision rises with every change.
	Revision  int64
	ChangedAt time.Time
	ChangedBy string // an organiser's name in the audit log
}
