package render

import (
	"strconv"
	"time"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// DaySum is what was given in one currency on the whole day.
type DaySum struct {
	Currency                  money.Currency
	RaisedMinor, PledgedMinor int64
	Donations                 int64 // lines
}

// DayFacts are the numbers of the giving day's document.
type DayFacts struct {
	Event                  *campaigns.Event // nil for none
	Sums                   []DaySum
	Open, Upcoming, Closed int // campaigns
	Donors                 int64
	DonorsAsOf             time.Time // zero while nobody counted
}

// Day is the giving day's document with everything that does not change with time
// rendered already. It is immutable and shared by all readers.
//
// Its age is its own: the day is summed up after the totals that it is made of, so
// the age of those may speak of more than the day has.
type Day struct {
	age  *Age
	head []byte // the document up to the age
	etag []byte
}

// NewDay renders facts, which are complete up to age.
func NewDay(facts DayFacts, age *Age) *Day {
	b := append(make([]byte, 0, 512), `{"event":`...)
	if e := facts.Event; e != nil {
		b = append(b, `{"slug":`...)
		b = appendText(b, e.Slug)
		b = append(b, `,"name":`...)
		b = appendText(b, e.Name)
		b = appendOptionalText(b, "time_zone", e.TimeZone)
		b = appendTime(b, "starts_at", e.StartsAt)
		b = appendTime(b, "ends_at", e.EndsAt)
		b = append(b, '}')
		b = appendOptionalText(b, "banner", e.Banner)
	} else {
		b = append(b, `null`...)
	}
	b = append(b, `,"campaigns":{"open":`...)
	b = strconv.AppendInt(b, int64(facts.Open), 10)
	b = append(b, `,"upcoming":`...)
	b = strconv.AppendInt(b, int64(facts.Upcoming), 10)
	b = append(b, `,"closed":`...)
	b = strconv.AppendInt(b, int64(facts.Closed), 10)
	b = append(b, `},"totals":[`...)
	for i, s := range facts.Sums {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"currency":"`...)
		b = append(b, s.Currency...)
		b = append(b, `","raised_minor":`...)
		b = strconv.AppendInt(b, s.RaisedMinor, 10)
		b = append(b, `,"pledged_minor":`...)
		b = strconv.AppendInt(b, s.PledgedMinor, 10)
		b = append(b, `,"donations":`...)
		b = strconv.AppendInt(b, s.Donations, 10)
		b = append(b, '}')
	}
	b = append(b, `],"donors":`...)
	b = strconv.AppendInt(b, facts.Donors, 10)
	tag := ETag(b) // counting again what did not change is no change
	b = append(b, `,"donors_as_of":`...)
	b = appendMoment(b, facts.DonorsAsOf)
	b = append(b, ',')
	return &Day{age: age, head: b, etag: tag}
}

// Aged is the same day, complete up to age.
func (d *Day) Aged(age *Age) *Day { return &Day{age: age, head: d.head, etag: d.etag} }

// Age is what the day is complete up to.
func (d *Day) Age() *Age { return d.age }

// ETag is the entity tag with its quotes; the caller does not change it.
func (d *Day) ETag() []byte { return d.etag }

// AppendJSON appends the whole document.
func (d *Day) AppendJSON(dst []byte, now time.Time) []byte {
	dst = append(dst, d.head...)
	dst = d.age.AppendMembers(dst, now)
	return append(dst, '}')
}

// AppendEvent appends the server-sent event of the day, which has no ID.
func (d *Day) AppendEvent(dst []byte, now time.Time) []byte {
	dst = append(dst, "event: day\ndata: "...)
	dst = d.AppendJSON(dst, now)
	return append(dst, "\n\n"...)
}

// appendMoment appends a time as a JSON string in whole microseconds, cut off, or
// null for the zero time.
func appendMoment(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, `null`...)
	}
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, asOfLayout)
	return append(dst, '"')
}
