package campaigns

import (
	"errors"
	"fmt"
)

// NameCharsMax is the longest name of a campaign, an event or an organisation, in
// characters.
const NameCharsMax = 200

// ErrInvalid says that a campaign's own fields break a rule; its text says which.
var ErrInvalid = errors.New("campaign is not valid")

// Validate returns every rule that the campaign's fields break, joined, each
// wrapping ErrInvalid and naming the slug; nil when none.
func (c *Campaign) Validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %q: %s", ErrInvalid, c.Slug, fmt.Sprintf(format, args...)))
	}
	if !ValidSlug(c.Slug) {
		fault("the slug must be 1 to %d of a-z, 0-9, '-' and '_', and begin and end with a letter or digit", SlugBytesMax)
	}
	if c.Event != "" && !ValidSlug(c.Event) {
		fault("the event %q is not a slug", c.Event)
	}
	if c.Parent != "" && (!ValidSlug(c.Parent) || c.Parent == c.Slug) {
		fault("the parent %q is not another campaign's slug", c.Parent)
	}
	if c.Name == "" {
		fault("it has no name")
	}
	for _, text := range []struct {
		what, value string
		charsMax    int
	}{
		{"name", c.Name, NameCharsMax}, {"organisation", c.Organisation, NameCharsMax}, {"legal name", c.LegalName, NameCharsMax},
		{"tax number", c.TaxNumber, NameCharsMax}, {"story", c.Story, StoryCharsMax},
	} {
		if !validText(text.value, text.charsMax) {
			fault("the %s must be at most %d characters of UTF-8 without NUL", text.what, text.charsMax)
		}
	}
	if c.Image != "" && !ValidMediaKey(c.Image) {
		fault("the image is named by %d hex digits", MediaKeyBytes)
	}
	if !c.Currency.Valid() {
		fault("%q is not a currency that gifts can be made in", string(c.Currency))
	}
	if c.GoalMinor < 0 || c.MinMinor < 0 || c.MaxMinor < 0 {
		fault("an amount is negative")
	}
	if c.MaxMinor != 0 && c.MinMinor > c.MaxMinor {
		fault("min_minor %d is above max_minor %d", c.MinMinor, c.MaxMinor)
	}
	if !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		fault("it ends at %v, not after it starts", c.EndsAt.UTC())
	}
	return errors.Join(errs...)
}
