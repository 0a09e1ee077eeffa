package stripe

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

const (
	// ToleranceDefault is how far a signature's time may be from ours, before or
	// after: what Stripe's own libraries allow for the past. It bounds how long a
	// recorded event can be played again, and how wrong our clock may be.
	ToleranceDefault = 5 * time.Minute
	// secretsMax bounds the secrets that are tried: two while one is rolled, and as
	// many again for a second endpoint.
	secretsMax = 8
	// signaturesMax bounds the signatures of one header: Stripe sends one for each
	// secret that is valid.
	signaturesMax = 16
	// signatureHeaderMax bounds the header, in bytes.
	signatureHeaderMax = 4096
)

// Errors of Verify.
var (
	// ErrSignature says that the header is none, or that no secret of ours made it.
	ErrSignature = errors.New("webhook signature is not valid")
	// ErrSignatureTime says that the signature is valid and too old, or from a future
	// beyond the tolerance: our clock is wrong, or it is played again.
	ErrSignatureTime = errors.New("webhook signature is not of now")
)

// Verifier checks that an event comes from the processor.
type Verifier struct {
	secrets   []string
	tolerance time.Duration
	now       func() time.Time
}

// NewVerifier takes the endpoint's signing secrets (whsec_...), more than one while
// they are rolled. tolerance 0 means ToleranceDefault, now nil time.Now. Errors: no
// secret, or one that is blank.
func NewVerifier(secrets []string, tolerance time.Duration, now func() time.Time) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("webhooks: no signing secret: anybody could tell us that a payment succeeded")
	}
	if len(secrets) > secretsMax {
		return nil, fmt.Errorf("webhooks: %d signing secrets; at most %d", len(secrets), secretsMax)
	}
	for _, s := range secrets {
		if s == "" || strings.TrimSpace(s) != s {
			return nil, errors.New("webhooks: a signing secret is empty or has blanks around it")
		}
	}
	if tolerance < 0 {
		return nil, errors.New("webhooks: a negative tolerance")
	}
	if tolerance == 0 {
		tolerance = ToleranceDefault
	}
	if now == nil {
		now = time.Now
	}
	return &Verifier{secrets: append([]string(nil), secrets...), tolerance: tolerance, now: now}, nil
}

// Verify checks the Stripe-Signature header against the body's raw bytes and
// returns the event's ID. It keeps no reference to body. Errors: ErrSignature,
// ErrSignatureTime, ErrEvent when the signed body has no ID.
func (v *Verifier) Verify(body []byte, header string) (eventID string, err error) {
	at, signatures, err := parseSignature(header)
	if err != nil {
		return "", err
	}
	if !v.signed(at, body, signatures) {
		return "", ErrSignature
	}
	// Judged after the signature, so that only Stripe's own clock is ever blamed.
	if age := v.now().Sub(at); age > v.tolerance || age < -v.tolerance {
		return "", fmt.Errorf("%w: %v old", ErrSignatureTime, age.Round(time.Second))
	}
	var w struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return "", fmt.Errorf("%w: not its JSON", ErrEvent)
	}
	if err := identified(w.ID); err != nil {
		return "", fmt.Errorf("%w: %w", ErrEvent, err)
	}
	return w.ID, nil
}

// signed tries every secret, without leaving early, so that the time it takes
// says nothing about which one it was.
func (v *Verifier) signed(at time.Time, body []byte, signatures [][]byte) bool {
	found := false
	for _, secret := range v.secrets {
		want := webhook.ComputeSignature(at, body, secret)
		for _, s := range signatures {
			if hmac.Equal(want, s) {
				found = true
			}
		}
	}
	return found
}

// parseSignature reads "t=1495999758,v1=5257...,v1=...,v0=...". The library's own
// reader takes the last of several times and a header without one. Errors: ErrSignature.
func parseSignature(header string) (at time.Time, signatures [][]byte, err error) {
	if len(header) > signatureHeaderMax {
		return at, nil, fmt.Errorf("%w: a header of %d bytes", ErrSignature, len(header))
	}
	timed := false
	for part := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return at, nil, fmt.Errorf("%w: a header of another form", ErrSignature)
		}
		switch name {
		case "t":
			s, err := strconv.ParseInt(value, 10, 64)
			if err != nil || s <= 0 || s > timeMax || timed {
				return at, nil, fmt.Errorf("%w: its time cannot be read", ErrSignature)
			}
			at, timed = seconds(s), true
		case "v1":
			if s, err := hex.DecodeString(value); err == nil && len(signatures) < signaturesMax {
				signatures = append(signatures, s)
			}
		}
	}
	if !timed || len(signatures) == 0 {
		return at, nil, fmt.Errorf("%w: no time or no signature in it", ErrSignature)
	}
	return at, signatures, nil
}
