package campaigns

import (
	"errors"
	"fmt"
)

// Organisation is who receives, by the name that donors read.
type Organisation struct {
	Name string
	// LegalName and TaxNumber are printed on receipts; "" when not known.
	LegalName, TaxNumber string
}

// Validate returns every rule that the organisation's fields break, joined, each
// wrapping ErrInvalid; nil when none.
func (o *Organisation) Validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: organisation %q: %s", ErrInvalid, o.Name, fmt.Sprintf(format, args...)))
	}
	if o.Name == "" {
		fault("it has no name")
	}
	for _, text := range []struct{ what, value string }{
		{"name", o.Name}, {"legal name", o.LegalName}, {"tax number", o.TaxNumber},
	} {
		if !validText(text.value, NameCharsMax) {
			fault("the %s must be at most %d characters of UTF-8 without NUL", text.what, NameCharsMax)
		}
	}
	return errors.Join(errs...)
}
