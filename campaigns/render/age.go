// Package render is the public face of campaigns and totals: the JSON documents
// and server-sent events that every front-end writes alike.
//
// The one invariant: the same content gives the same bytes and the same ETag on
// every front-end; only the ages (as_of, lag_ms, stale) differ between two answers
// about one version.
package render

import (
	"strconv"
	"time"

	"spillway/campaigns"
)

// asOfLayout writes as_of in whole microseconds, the resolution of the ledger's
// own times. Formatting cuts off what is finer, so as_of never promises too much.
const asOfLayout = "2006-01-02T15:04:05.000000Z"

// Age is the time up to which a book's published totals are complete, rendered
// once and shared by all readers. It is immutable.
type Age struct {
	campaigns.Age
	member []byte // `"as_of":"…"`, or `"as_of":null` when nothing was heard yet
	text   []byte // as_of alone, for a header; empty when nothing was heard yet
}

// Unheard is the age before anything was heard of a book.
var Unheard = NewAge(time.Time{})

// NewAge renders asOf; the zero time means that nothing was heard yet.
func NewAge(asOf time.Time) *Age {
	a := &Age{Age: campaigns.Age{AsOf: asOf}, member: []byte(`"as_of":null`)}
	if !asOf.IsZero() {
		a.text = asOf.UTC().AppendFormat(nil, asOfLayout)
		a.member = append(append([]byte(`"as_of":"`), a.text...), '"')
	}
	return a
}

// AppendAsOf appends as_of as it stands in a document, without quotes; nothing
// when nothing was heard yet.
func (a *Age) AppendAsOf(dst []byte) []byte { return append(dst, a.text...) }

// LagMillis is the age at now in whole milliseconds, rounded up.
func (a *Age) LagMillis(now time.Time) int64 {
	return int64((a.Lag(now) + time.Millisecond - 1) / time.Millisecond)
}

// Stale tells whether the age at now is beyond the stated bound.
func (a *Age) Stale(now time.Time) bool { return a.Lag(now) > campaigns.StaleBound }

// AppendMembers appends the members `"as_of":…,"lag_ms":…,"stale":…`.
func (a *Age) AppendMembers(dst []byte, now time.Time) []byte {
	dst = append(dst, a.member...)
	dst = append(dst, `,"lag_ms":`...)
	dst = strconv.AppendInt(dst, a.LagMillis(now), 10)
	if a.Stale(now) {
		return append(dst, `,"stale":true`...)
	}
	return append(dst, `,"stale":false`...)
}
