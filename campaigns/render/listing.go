package render

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/campaigns"
)

// Bounds of a page of the listing, in campaigns.
const (
	PageSizeDefault = 50
	PageSizeMax     = 200 // about 80 KiB of JSON
)

// Listing is the public list of campaigns at a moment: open ones first, then those
// to come, then closed ones, by slug within each; rehearsals left out. It is
// immutable: built when a campaign changes or a phase does, never per request.
type Listing struct {
	items []item
	json  []byte // of all items, one after the other
	etag  []byte
	until time.Time
}

type item struct {
	cursor Cursor
	end    int // of its document in Listing.json
}

// Cursor names a place in the listing, "open.river-school": after the campaign of
// this phase and slug, whether it is still there or not, so that a page begins at
// the right place while campaigns come, open and close. A slug has no dot.
type Cursor struct {
	phase campaigns.Phase
	slug  string
}

// rank orders phases for readers: what they can give to now comes first.
func rank(p campaigns.Phase) int {
	switch p {
	case campaigns.Open:
		return 0
	case campaigns.Upcoming:
		return 1
	}
	return 2
}

func (c Cursor) compare(d Cursor) int {
	if r := cmp.Compare(rank(c.phase), rank(d.phase)); r != 0 {
		return r
	}
	return strings.Compare(c.slug, d.slug)
}

// ParseCursor reads the `next` of a page; ok is false for anything else.
func ParseCursor(text string) (c Cursor, ok bool) {
	phase, slug, found := strings.Cut(text, ".")
	if !found || !campaigns.ValidSlug(slug) {
		return Cursor{}, false
	}
	for _, p := range []campaigns.Phase{campaigns.Upcoming, campaigns.Open, campaigns.Closed} {
		if p.String() == phase {
			return Cursor{phase: p, slug: slug}, true
		}
	}
	return Cursor{}, false
}

// itemBytes is about what one campaign takes.
const itemBytes = 256

// NewListing renders all, judged at now. It keeps no reference to all.
func NewListing(all []*campaigns.Campaign, now time.Time) *Listing {
	type listed struct {
		cursor Cursor
		*campaigns.Campaign
	}
	public := make([]listed, 0, len(all))
	l := &Listing{json: make([]byte, 0, len(all)*itemBytes)}
	for _, c := range all {
		if c.Rehearsal {
			continue
		}
		public = append(public, listed{Cursor{c.PhaseAt(now), c.Slug}, c})
		for _, t := range [...]time.Time{c.StartsAt, c.EndsAt} {
			if t.After(now) && (l.until.IsZero() || t.Before(l.until)) {
				l.until = t
			}
		}
	}
	slices.SortFunc(public, func(a, b listed) int { return a.cursor.compare(b.cursor) })
	l.items = make([]item, len(public))
	for i, c := range public {
		l.json = AppendCampaign(l.json, c.Campaign, c.cursor.phase)
		l.items[i] = item{c.cursor, len(l.json)}
	}
	l.etag = ETag(l.json)
	return l
}

// Until is when the next campaign opens or closes: from then on the listing is out
// of date. The zero time means never.
func (l *Listing) Until() time.Time { return l.until }

// Len is the number of campaigns listed.
func (l *Listing) Len() int { return len(l.items) }

// AppendPage appends a page of at most limit campaigns that follow after, the zero
// Cursor for the first page; `next` is left out of the last one. limit is
// 1..PageSizeMax.
func (l *Listing) AppendPage(dst []byte, after Cursor, limit int) []byte {
	from := 0
	if after != (Cursor{}) {
		i, found := slices.BinarySearchFunc(l.items, after, func(it item, c Cursor) int { return it.cursor.compare(c) })
		from = i
		if found {
			from++
		}
	}
	to := min(from+limit, len(l.items))
	begin := 0
	if from > 0 {
		begin = l.items[from-1].end
	}
	dst = append(dst, `{"campaigns":[`...)
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		dst = append(dst, l.json[begin:l.items[i].end]...)
		begin = l.items[i].end
	}
	dst = append(dst, ']')
	if to < len(l.items) {
		last := l.items[to-1].cursor
		dst = append(dst, `,"next":"`...)
		dst = append(dst, last.phase.String()...)
		dst = append(dst, '.')
		dst = append(dst, last.slug...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// AppendETag appends the entity tag of the page that AppendPage gives for the
// same arguments.
func (l *Listing) AppendETag(dst []byte, after Cursor, limit int) []byte {
	dst = append(dst, l.etag[:len(l.etag)-1]...)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, int64(limit), 10)
	if after != (Cursor{}) {
		dst = append(dst, '-')
		dst = append(dst, after.phase.String()...)
		dst = append(dst, '.')
		dst = append(dst, after.slug...)
	}
	return append(dst, '"')
}
