package campaigns

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is a giving day. Several may live in one installation.
type Event struct {
	Slug string // see ValidSlug
	Name string
	// TimeZone is the IANA name of the zone of the hours that people read, "UTC" when
	// nothing else is known.
	TimeZone string
	// StartsAt and EndsAt bound the day, [start, end); zero for no bound. Giving is
	// bounded by each campaign's own times.
	StartsAt, EndsAt time.Time
	// Banner is a line of text that the organiser shows on every page, "" for none.
	Banner string
	// Revision rises with every change, over all events of an installation.
	Revision int64
}

// Longest texts that organisers write, in characters.
const (
	BannerCharsMax = 300
	StoryCharsMax  = 10_000
)

// Validate returns every rule that the event's fields break, joined, each wrapping
// ErrInvalid; nil when none.
func (e *Event) Validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: event %q: %s", ErrInvalid, e.Slug, fmt.Sprintf(format, args...)))
	}
	if !ValidSlug(e.Slug) {
		fault("the slug must be 1 to %d of a-z, 0-9, '-' and '_', and begin and end with a letter or digit", SlugBytesMax)
	}
	if e.Name == "" {
		fault("it has no name")
	}
	if !validText(e.Name, NameCharsMax) {
		fault("the name must be at most %d characters of UTF-8 without NUL", NameCharsMax)
	}
	if !validText(e.Banner, BannerCharsMax) {
		fault("the banner must be at most %d characters of UTF-8 without NUL", BannerCharsMax)
	}
	if _, err := time.LoadLocation(e.TimeZone); err != nil || e.TimeZone == "" || e.TimeZone == "Local" {
		fault("%q is not the name of a time zone, such as Europe/Vienna", e.TimeZone)
	}
	if !e.EndsAt.IsZero() && !e.EndsAt.After(e.StartsAt) {
		fault("it ends at %v, not after it starts", e.EndsAt.UTC())
	}
	return errors.Join(errs...)
}

// validText tells whether s can be stored and shown, in at most so many characters.
func validText(s string, charsMax int) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0) && utf8.RuneCountInString(s) <= charsMax
}
