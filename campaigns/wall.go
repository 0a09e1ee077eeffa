package campaigns

import (
	"time"

	"spillway/ledger/money"
)

// Wall is what a campaign's page shows beside its totals: how many people gave, and
// the newest gifts. It is searched for, not recorded: it follows the books and has
// an age of its own.
type Wall struct {
	Campaign string // slug, or DayWall
	// Donors counts distinct people: by e-mail address where one was given, else each
	// donation by itself.
	Donors int64
	Gifts  []Gift // newest first, at most WallGiftsMax
	// AsOf: every donation recorded before it is counted.
	AsOf time.Time
	// Version rises with every change of this wall, also over restarts of whoever
	// publishes it.
	Version int64
}

// DayWall stands in Wall.Campaign for the whole giving day. It is no slug.
const DayWall = "_day"

// WallGiftsMax is how many gifts a wall shows: a screen of a phone, and about 2 KiB.
const WallGiftsMax = 12

// Gift is one gift as everybody may see it: it was paid, and what its donor or an
// organiser hides is not in it.
type Gift struct {
	// Ref tells gifts apart on a page. It is derived from the donation's ID and does
	// not lead back to it.
	Ref         string
	Campaign    string // slug, of the line that is shown
	Name        string // "" for an anonymous donor
	AmountMinor int64  // of this campaign's line, 0 when hidden
	Currency    money.Currency
	Message     string
	Dedication  string // "In honor of Grace", "" for none
	At          time.Time
}
