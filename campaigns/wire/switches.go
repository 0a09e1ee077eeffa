package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
)

// AppendSwitches appends the switches; their time is cut to microseconds.
func AppendSwitches(dst []byte, s *campaigns.Switches) []byte {
	dst = appendVarint(dst, switchesLeaderboardsOff, flag(s.LeaderboardsOff))
	dst = appendVarint(dst, switchesFeedOff, flag(s.FeedOff))
	dst = appendVarint(dst, switchesLiveOff, flag(s.LiveOff))
	dst = appendVarint(dst, switchesExportsOff, flag(s.ExportsOff))
	dst = appendVarint(dst, switchesRevision, uint64(s.Revision))
	dst = appendVarint(dst, switchesChangedAt, micros(s.ChangedAt))
	return appendText(dst, switchesChangedBy, s.ChangedBy)
}

// DecodeSwitches reads switches; it shares no memory with data. Errors: ErrMalformed.
func DecodeSwitches(data []byte) (*campaigns.Switches, error) {
	s := &campaigns.Switches{}
	err := walk(data, func(num protowire.Number, v value) {
		switch num {
		case switchesLeaderboardsOff:
			s.LeaderboardsOff = v.atMost(1) == 1
		case switchesFeedOff:
			s.FeedOff = v.atMost(1) == 1
		case switchesLiveOff:
			s.LiveOff = v.atMost(1) == 1
		case switchesExportsOff:
			s.ExportsOff = v.atMost(1) == 1
		case switchesRevision:
			s.Revision = int64(v.atMost(math.MaxInt64))
		case switchesChangedAt:
			s.ChangedAt = v.micros()
		case switchesChangedBy:
			s.ChangedBy = v.text()
		}
	})
	if err != nil {
		return nil, err
	}
	if s.Revision == 0 {
		return nil, malformed("switches without revision")
	}
	return s, nil
}
