package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
)

// AppendEvent appends the giving day; times are cut to microseconds.
func AppendEvent(dst []byte, e *campaigns.Event) []byte {
	dst = appendText(dst, eventSlug, e.Slug)
	dst = appendText(dst, eventName, e.Name)
	dst = appendText(dst, eventTimeZone, e.TimeZone)
	dst = appendVarint(dst, eventStartsAt, micros(e.StartsAt))
	dst = appendVarint(dst, eventEndsAt, micros(e.EndsAt))
	dst = appendText(dst, eventBanner, e.Banner)
	return appendVarint(dst, eventRevision, uint64(e.Revision))
}

// DecodeEvent reads a giving day; it shares no memory with data. Errors: ErrMalformed.
func DecodeEvent(data []byte) (*campaigns.Event, error) {
	e := &campaigns.Event{}
	err := walk(data, func(num protowire.Number, v value) {
		switch num {
		case eventSlug:
			e.Slug = v.slug()
		case eventName:
			e.Name = v.text()
		case eventTimeZone:
			e.TimeZone = v.text()
		case eventStartsAt:
			e.StartsAt = v.micros()
		case eventEndsAt:
			e.EndsAt = v.micros()
		case eventBanner:
			e.Banner = v.text()
		case eventRevision:
			e.Revision = int64(v.atMost(math.MaxInt64))
		}
	})
	if err != nil {
		return nil, err
	}
	if e.Slug == "" {
		return nil, malformed("event without slug")
	}
	return e, nil
}
