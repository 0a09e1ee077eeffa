package config

import (
	"errors"
	"fmt"
	"strings"
)

// Pages is what donors' pages say that no other flag does.
type Pages struct {
	PublicURL      string `name:"public-url" env:"SPILLWAY_PUBLIC_URL" placeholder:"URL" help:"Address that donors reach the pages by, such as https://give.example.org, for links to share, QR codes and previews. https has browsers insist on it. 'up' takes the one it listens on."`
	FeeBasisPoints int64  `default:"290" help:"What the processor keeps of a charge, in hundredths of a percent, for donors who cover it (${default}); 0, and 0 fixed, offers no covering."`
	FeeFixedMinor  int64  `default:"30" help:"What it keeps besides, in minor units of the currency (${default})."`
}

// Cards says by which field a front-end of its own takes cards.
type Cards struct {
	StripePublishableKey string `env:"SPILLWAY_STRIPE_PUBLISHABLE_KEY" placeholder:"PK" help:"Stripe's publishable key (pk_...): pages take cards with Stripe's own field."`
	DemoCards            bool   `help:"Pages show the demonstration's card field, for payments that are charged with --simulator."`
}

// Check reports what is wrong with the two together.
func (c Cards) Check() error {
	switch {
	case c.StripePublishableKey != "" && !strings.HasPrefix(c.StripePublishableKey, "pk_"):
		return fmt.Errorf("%w: a publishable key begins with pk_", ErrModes)
	case c.StripePublishableKey != "" && c.DemoCards:
		return errors.New("--demo-cards and a publishable key: one field takes cards")
	}
	return nil
}
