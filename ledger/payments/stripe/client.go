// Package stripe speaks with Stripe: it makes the calls that charge, cancel and
// refund, reads its lists, and reads its events into our words.
//
// The one invariant: an answer claims no more than is known. Retry is said only
// when the processor surely did nothing, Definite only when it said no itself, and
// everything else is Unknown and repeated under the same idempotency key.
//
// Goroutines: none of its own; those of net/http's idle connections end with Close.
package stripe

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	stripe "github.com/stripe/stripe-go/v76"
)

// apiVersion is the version of Stripe's API that every call asks for: the one that
// this major version of its library was made for. Answers change with it, so it
// is part of what is tested and never follows the account's own setting.
const apiVersion = "2023-10-16"

const (
	// timeoutDefault bounds one call. Stripe's own slowest calls, those that ask a
	// bank, take up to some ten seconds; the library's 80 s would hold a place at
	// the processor that somebody else could use.
	timeoutDefault = 15 * time.Second
	// connsMaxDefault bounds connections, idle or not. 100 calls a second that take a
	// second each keep a hundred open; net/http's own two idle ones would mean a new
	// TLS handshake for nearly each call.
	connsMaxDefault = 256
)

// Config says which account is charged, and where.
type Config struct {
	// Key is the account's secret key, sk_... or a restricted rk_... . Required; it
	// never appears in a log, an error or String.
	Key string
	// BaseURL is where the API is, such as http://127.0.0.1:12111 for a stand-in. ""
	// means Stripe itself.
	BaseURL string
	// Account is a connected account that is charged on behalf of, "" for the key's own.
	Account string
	// Timeout bounds one call from dialling to the answer's last byte. 0 means 15 s.
	Timeout time.Duration
	// ConnsMax bounds the connections. 0 means 256.
	ConnsMax int
	// Now is the clock of what is dated by us. Nil means time.Now.
	Now func() time.Time
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	if c.Key == "" || strings.TrimSpace(c.Key) != c.Key {
		errs = append(errs, errors.New("stripe: no secret key, or one with blanks around it"))
	}
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" {
			errs = append(errs, errors.New("stripe: the base URL is not http://host:port or https://host"))
		}
	}
	if c.Timeout < 0 || c.ConnsMax < 0 {
		errs = append(errs, errors.New("stripe: a negative bound"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = stripe.APIURL
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	if c.ConnsMax == 0 {
		c.ConnsMax = connsMaxDefault
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// rawBackend is the part of the library's backend that sends a body exactly as it
// was stored; its CallRaw would take it apart and write it anew.
type rawBackend interface {
	NewRequest(method, path, key, contentType string, params *stripe.Params) (*http.Request, error)
	Do(req *http.Request, body *bytes.Buffer, v stripe.LastResponseSetter) error
}

var _ rawBackend = (*stripe.BackendImplementation)(nil)

// Client calls Stripe. Its methods are for any number of goroutines.
type Client struct {
	cfg       Config
	backend   rawBackend
	transport *http.Transport
	log       *slog.Logger
	metrics   *metrics
	alarms    alarms
}

// New prepares a client; nothing is called yet. reg may be nil. Errors: an invalid Config.
func New(cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	transport := newTransport(cfg)
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(cfg.BaseURL),
		HTTPClient: &http.Client{
			Transport: recorder{transport},
			Timeout:   cfg.Timeout,
			// A call that moves money goes where it was sent, or nowhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// Repeats are paced and stored by whoever calls us.
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		// Its messages quote answers, and answers hold donors' client secrets.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	raw, ok := backend.(rawBackend)
	if !ok {
		return nil, fmt.Errorf("stripe: the library's backend is a %T", backend)
	}
	return &Client{cfg: cfg, backend: raw, transport: transport, log: log, metrics: newMetrics(reg)}, nil
}

// Close lets go of idle connections. Calls under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
