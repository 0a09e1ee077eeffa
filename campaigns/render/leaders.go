package render

import (
	"strconv"
	"time"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// Leaders is a leaderboard's document under construction.
type Leaders struct {
	head  []byte
	count int
}

// NewLeaders begins a leaderboard by "raised" or "donors". currency is that of all
// amounts, "" when campaigns of several are ranked.
func NewLeaders(by string, currency money.Currency) *Leaders {
	b := append(make([]byte, 0, 2048), `{"by":`...)
	b = appendText(b, by)
	b = appendOptionalText(b, "currency", string(currency))
	return &Leaders{head: append(b, `,"leaders":[`...)}
}

// Add adds the next campaign.
func (l *Leaders) Add(c *campaigns.Campaign, t campaigns.Total, donors int64) {
	b := l.head
	if l.count > 0 {
		b = append(b, ',')
	}
	l.count++
	b = append(b, `{"slug":`...)
	b = appendText(b, c.Slug)
	b = append(b, `,"name":`...)
	b = appendText(b, c.Name)
	b = appendOptionalText(b, "organisation", c.Organisation)
	b = append(b, `,"currency":`...)
	b = appendText(b, string(c.Currency))
	b = append(b, `,"raised_minor":`...)
	b = strconv.AppendInt(b, t.RaisedMinor, 10)
	b = append(b, `,"donors":`...)
	b = strconv.AppendInt(b, donors, 10)
	l.head = append(b, '}')
}

// ETag is the entity tag of the content so far.
func (l *Leaders) ETag() []byte { return ETag(l.head) }

// AppendJSON appends the whole document, complete up to age.
func (l *Leaders) AppendJSON(dst []byte, age *Age, now time.Time) []byte {
	dst = append(dst, l.head...)
	dst = append(dst, `],`...)
	dst = age.AppendMembers(dst, now)
	return append(dst, '}')
}
