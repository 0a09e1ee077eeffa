package render

import (
	"strconv"

	"spillway/campaigns"
)

// Names gives a campaign's name for its slug, "" when it is not known.
type Names func(slug string) string

// AppendWall appends a wall's document. Without gifts (the feed is switched off) the
// list is empty. names, which may be nil, tells whom gifts on the day's wall are for.
func AppendWall(dst []byte, w *campaigns.Wall, gifts bool, names Names) []byte {
	dst = append(dst, `{"campaign":`...)
	dst = appendText(dst, w.Campaign)
	dst = append(dst, `,"donors":`...)
	dst = strconv.AppendInt(dst, w.Donors, 10)
	dst = append(dst, `,"donors_as_of":`...)
	dst = appendMoment(dst, w.AsOf)
	dst = append(dst, `,"gifts":[`...)
	if gifts {
		for i := range w.Gifts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendGift(dst, &w.Gifts[i], w.Campaign == campaigns.DayWall, names)
		}
	}
	return append(dst, `]}`...)
}

func appendGift(dst []byte, g *campaigns.Gift, named bool, names Names) []byte {
	dst = append(dst, `{"ref":`...)
	dst = appendText(dst, g.Ref)
	if named {
		dst = appendOptionalText(dst, "campaign", g.Campaign)
		if names != nil {
			dst = appendOptionalText(dst, "campaign_name", names(g.Campaign))
		}
	}
	dst = appendOptionalText(dst, "name", g.Name)
	dst = appendAmount(dst, "amount_minor", g.AmountMinor)
	dst = append(dst, `,"currency":`...)
	dst = appendText(dst, string(g.Currency))
	dst = appendOptionalText(dst, "message", g.Message)
	dst = appendOptionalText(dst, "dedication", g.Dedication)
	dst = appendTime(dst, "at", g.At)
	return append(dst, '}')
}

// AppendWallEvent appends the server-sent event of a wall, which has no ID.
func AppendWallEvent(dst []byte, w *campaigns.Wall, gifts bool, names Names) []byte {
	dst = append(dst, "event: wall\ndata: "...)
	dst = AppendWall(dst, w, gifts, names)
	return append(dst, "\n\n"...)
}

// AppendSwitches appends which of what donors see is on.
func AppendSwitches(dst []byte, s campaigns.Switches) []byte {
	dst = append(dst, `{"leaderboards":`...)
	dst = strconv.AppendBool(dst, !s.LeaderboardsOff)
	dst = append(dst, `,"feed":`...)
	dst = strconv.AppendBool(dst, !s.FeedOff)
	dst = append(dst, `,"live":`...)
	dst = strconv.AppendBool(dst, !s.LiveOff)
	return append(dst, '}')
}

// AppendSwitchesEvent appends the server-sent event of the switches.
func AppendSwitchesEvent(dst []byte, s campaigns.Switches) []byte {
	dst = append(dst, "event: switches\ndata: "...)
	dst = AppendSwitches(dst, s)
	return append(dst, "\n\n"...)
}

// AppendRetryEvent appends the server-sent event after which a stream ends because
// streams are switched off: totals are to be asked for instead.
func AppendRetryEvent(dst []byte) []byte {
	return append(dst, "event: retry\ndata: {\"reason\":\"switched_off\"}\n\n"...)
}
