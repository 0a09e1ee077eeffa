package route

import (
	"fmt"
	"strings"

	"spillway/campaigns"
)

// pageBytesMax is the longest address of an older page, in bytes: browsers and servers take
// such, and several fit in one command to the proxy.
const pageBytesMax = 2000

// Campaign is where a campaign is, and its page at the older system, "" when none is known.
type Campaign struct {
	Slug string
	Side Side
	Page string
}

// parseCampaign reads an entry of campaigns.map.
func parseCampaign(slug, value string) (Campaign, error) {
	side, page, paged := strings.Cut(value, ":")
	c := Campaign{slug, Side(side), page}
	switch {
	case !campaigns.ValidSlug(slug):
		return c, fmt.Errorf("%q is no slug", slug)
	case c.Side != Spillway && c.Side != Old:
		return c, fmt.Errorf("%s: %q: want spillway or old, and a colon before its older page", slug, value)
	case paged:
		return c, soundPage(page)
	}
	return c, nil
}

// value is the entry's value in campaigns.map.
func (c Campaign) value() string {
	if c.Page == "" {
		return string(c.Side)
	}
	return string(c.Side) + ":" + c.Page
}

// soundPage tells whether a path, with a query or not, can be a key of a map and a place
// that donors are led to: on this host, and without blanks.
func soundPage(page string) error {
	if !strings.HasPrefix(page, "/") || strings.HasPrefix(page, "//") || len(page) > pageBytesMax {
		return fmt.Errorf("%q is no path: it begins with one slash and has %d bytes at most, without https:// and the name", page, pageBytesMax)
	}
	for i := range len(page) {
		if c := page[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return fmt.Errorf("%q has a byte at %d that browsers do not send in a path: write it as they do, such as %%20", page, i)
		}
	}
	return nil
}
