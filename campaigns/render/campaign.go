package render

import (
	"strconv"
	"time"

	"spillway/campaigns"
)

// AppendCampaign appends the campaign's document as it stands in lists, with its
// phase as judged by the caller. An amount or a time without a bound is left out.
func AppendCampaign(dst []byte, c *campaigns.Campaign, phase campaigns.Phase) []byte {
	return append(appendListed(dst, c, phase), '}')
}

// AppendWholeCampaign appends the campaign's document with what its own page shows:
// the story, and the facts of who receives.
func AppendWholeCampaign(dst []byte, c *campaigns.Campaign, phase campaigns.Phase) []byte {
	dst = appendListed(dst, c, phase)
	dst = appendOptionalText(dst, "organisation_legal", c.LegalName)
	dst = appendOptionalText(dst, "tax_number", c.TaxNumber)
	dst = appendOptionalText(dst, "story", c.Story)
	return append(dst, '}')
}

func appendListed(dst []byte, c *campaigns.Campaign, phase campaigns.Phase) []byte {
	dst = append(dst, `{"slug":`...)
	dst = appendText(dst, c.Slug)
	dst = append(dst, `,"name":`...)
	dst = appendText(dst, c.Name)
	dst = appendOptionalText(dst, "event", c.Event)
	dst = appendOptionalText(dst, "organisation", c.Organisation)
	dst = appendOptionalText(dst, "parent", c.Parent)
	dst = append(dst, `,"phase":"`...)
	dst = append(dst, phase.String()...)
	dst = append(dst, `","currency":`...)
	dst = appendText(dst, string(c.Currency))
	dst = appendAmount(dst, "goal_minor", c.GoalMinor)
	dst = appendAmount(dst, "min_minor", c.MinMinor)
	dst = appendAmount(dst, "max_minor", c.MaxMinor)
	dst = appendTime(dst, "starts_at", c.StartsAt)
	dst = appendTime(dst, "ends_at", c.EndsAt)
	dst = appendOptionalText(dst, "image", c.Image)
	if c.Rehearsal {
		dst = append(dst, `,"rehearsal":true`...)
	}
	return dst
}

func appendOptionalText(dst []byte, member, text string) []byte {
	if text == "" {
		return dst
	}
	return appendText(appendMember(dst, member), text)
}

func appendAmount(dst []byte, member string, minor int64) []byte {
	if minor == 0 {
		return dst
	}
	return strconv.AppendInt(appendMember(dst, member), minor, 10)
}

func appendTime(dst []byte, member string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = append(appendMember(dst, member), '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// appendMember appends `,"member":`; member needs no escaping.
func appendMember(dst []byte, member string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, member...)
	return append(dst, `":`...)
}
