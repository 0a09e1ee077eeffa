package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Webhooks is how a front-end knows the processor's events from anybody else's.
type Webhooks struct {
	StripeWebhookSecrets []Secret `env:"SPILLWAY_STRIPE_WEBHOOK_SECRETS" sep:"," placeholder:"WHSEC,..." help:"Signing secrets of Stripe's webhook endpoint (whsec_...), several while one is rolled. Better in the environment than on the command line."`
}

// Processor says who charges cards.
type Processor struct {
	StripeKey            Secret        `env:"SPILLWAY_STRIPE_KEY" placeholder:"KEY" help:"Stripe's secret key (sk_... or a restricted rk_...). Better in the environment than on the command line, where every user of the machine sees it."`
	StripePublishableKey string        `env:"SPILLWAY_STRIPE_PUBLISHABLE_KEY" placeholder:"PK" help:"The publishable key (pk_...) that donors' pages were built with: a start with keys of two modes is refused."`
	Simulator            string        `placeholder:"URL" help:"Charge at a stand-in for Stripe at this address ('spillway stripesim'), which moves no money; rehearsals are charged there too."`
	ActWithin            time.Duration `default:"30m" help:"How long a donor who is asked for 3-D Secure may take before the payment is canceled."`
	AskAfter             time.Duration `default:"2m" help:"How long a call may go without its answer, or a capture without its fee, before the processor is asked what became of it; events that did not come are looked for as well, every half of this."`
	Pace                 int           `default:"25" placeholder:"N" help:"Charges per second that the processor allows, by all processes together; for an account that has no pace yet. Stripe's default is ${default}. A running one is changed with 'spillway payments pace'."`
}

// askAfterLeast is longer than nearly all calls and events take.
const askAfterLeast = 5 * time.Second

// paceMost is far beyond any processor: a digit too many is a typo.
const paceMost = 100_000

// Errors of Validate, for tests and callers.
var (
	// ErrNoProcessor says that nobody was named who charges cards.
	ErrNoProcessor = errors.New("needs somebody who charges cards: SPILLWAY_STRIPE_KEY, or --simulator URL")
	// ErrNoWebhookSecret says that there is a key and no way to know Stripe's events.
	ErrNoWebhookSecret = errors.New("a Stripe key needs the signing secret of its webhook endpoint beside it: SPILLWAY_STRIPE_WEBHOOK_SECRETS")
	// ErrModes says that keys are of different modes or kinds.
	ErrModes = errors.New("Stripe's keys do not belong together")
)

// Live tells whether the key moves real money. Whatever is not known to be a test
// key counts as a live one.
func (p Processor) Live() bool {
	key := p.StripeKey.Reveal()
	return key != "" && !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "rk_test_")
}

// Named tells whether a processor was named at all.
func (p Processor) Named() bool { return p.StripeKey != "" || p.Simulator != "" }

// Check reports everything that is wrong with what was given; nothing need be.
func (p Processor) Check() error {
	var errs []error
	key := p.StripeKey.Reveal()
	if key != "" && !strings.HasPrefix(key, "sk_") && !strings.HasPrefix(key, "rk_") {
		errs = append(errs, fmt.Errorf("%w: a secret key begins with sk_ or rk_", ErrModes))
	}
	if pk := p.StripePublishableKey; pk != "" {
		switch {
		case !strings.HasPrefix(pk, "pk_"):
			errs = append(errs, fmt.Errorf("%w: a publishable key begins with pk_", ErrModes))
		case key == "":
			errs = append(errs, fmt.Errorf("%w: a publishable key without a secret one", ErrModes))
		case strings.HasPrefix(pk, "pk_test_") == p.Live():
			errs = append(errs, fmt.Errorf("%w: one is for test mode, the other is not", ErrModes))
		}
	}
	if p.Simulator != "" {
		if u, err := url.Parse(p.Simulator); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, errors.New("--simulator: not http://host:port"))
		}
		if p.Live() {
			errs = append(errs, fmt.Errorf("%w: a live key is for Stripe alone, not for a simulator", ErrModes))
		}
	}
	if p.ActWithin < 0 {
		errs = append(errs, errors.New("--act-within: not a time"))
	}
	if p.AskAfter != 0 && p.AskAfter < askAfterLeast { // zero: whoever asks for lists alone makes no calls
		errs = append(errs, fmt.Errorf("--ask-after: at least %v, or every call is asked about", askAfterLeast))
	}
	if p.Pace < 1 || p.Pace > paceMost {
		errs = append(errs, fmt.Errorf("--pace: from 1 to %d charges a second", paceMost))
	}
	return errors.Join(errs...)
}

// Reveal returns the secrets themselves.
func (w Webhooks) Reveal() []string {
	secrets := make([]string, len(w.StripeWebhookSecrets))
	for i, s := range w.StripeWebhookSecrets {
		secrets[i] = s.Reveal()
	}
	return secrets
}

// Payments is the configuration of a payments process.
type Payments struct {
	OpsListen string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address for operators: /metrics, /debug/pprof, /healthz, /readyz. Port 0 takes a free one and logs it. Keep it private."`
	Broker
	Topology
	Database
	Processor
	Webhooks
	Tracing
}

// Pace is the configuration of the commands that look at the pace and change it.
type Pace struct {
	Database
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of the 'spillway up' whose database it is (${default}), unless --database-url is given."`
}
