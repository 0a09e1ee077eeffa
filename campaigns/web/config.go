package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config says how pages look to the outside. The zero value works: pages
// to read, with no card field and no address that could be passed on.
type Config struct {
	// PublicURL is the address that donors reach this installation by, such as
	// https://give.example.org; "" when it is not known, and then pages have no links
	// to share, no QR codes and no previews. https has browsers insist on it from then on.
	PublicURL string
	// StripeKey is Stripe's publishable key, which opens Stripe's card field. DemoCards
	// opens the simulator's. Without either pages say that no cards are taken yet.
	StripeKey string
	DemoCards bool
	// FeeBasisPoints and FeeFixedMinor are what the processor keeps of a charge: this
	// many hundredths of a percent, and minor units. Both 0: covering is not offered.
	FeeBasisPoints, FeeFixedMinor int64
	// PageBytesMax bounds the rendered pages that are kept, default 64 MiB: 2,000
	// campaigns' pages with their compressed copies.
	PageBytesMax int
	// PictureBytesMax bounds the pictures that are kept, default 64 MiB.
	PictureBytesMax int
	// Now is the clock, default time.Now.
	Now func() time.Time
}

const bytesMaxDefault = 64 << 20

func (c Config) withDefaults() (Config, error) {
	if c.PageBytesMax == 0 {
		c.PageBytesMax = bytesMaxDefault
	}
	if c.PictureBytesMax == 0 {
		c.PictureBytesMax = bytesMaxDefault
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return c, c.Validate()
}

// Validate reports everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			errs = append(errs, fmt.Errorf("public URL %q: want scheme and host alone, such as https://give.example.org", c.PublicURL))
		}
	}
	if c.StripeKey != "" && !strings.HasPrefix(c.StripeKey, "pk_") {
		errs = append(errs, errors.New("a publishable key begins with pk_"))
	}
	if c.FeeBasisPoints < 0 || c.FeeBasisPoints > 2000 || c.FeeFixedMinor < 0 || c.FeeFixedMinor > 10_000 {
		errs = append(errs, fmt.Errorf("fee of %d basis points and %d minor units: want 0 to 2000 and 0 to 10000", c.FeeBasisPoints, c.FeeFixedMinor))
	}
	if c.PageBytesMax < 0 || c.PictureBytesMax < 0 {
		errs = append(errs, errors.New("a bound of bytes is negative"))
	}
	return errors.Join(errs...)
}
