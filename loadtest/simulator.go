package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"spillway/ledger/money"
	"spillway/loadtest/audit"
	"spillway/loadtest/stripesim"
)

// Bounds of talking to the simulated processor.
const (
	// controlTimeout bounds one of its controls; booksTimeout reading all of its books.
	controlTimeout = 10 * time.Second
	booksTimeout   = 5 * time.Minute
)

// Simulator speaks with the controls of the stand-in that charges the run.
type Simulator struct {
	// URL is where it is now: one that was killed may come back elsewhere.
	URL func() (string, error)
}

var _ audit.Processor = (*Simulator)(nil)

// call makes one call and hands the body of a success to read, nil for nobody.
func (s *Simulator) call(ctx context.Context, bound time.Duration, method, path string, body any, read func(io.Reader) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	url, err := s.URL()
	if err != nil {
		return err
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, url+path, content)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("simulated processor: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("simulated processor: %s %s: status %d: %w", method, path, answer.StatusCode, ErrTarget)
	}
	if read == nil {
		read = func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	}
	return read(answer.Body)
}

func decode(into any) func(io.Reader) error {
	return func(r io.Reader) error { return json.NewDecoder(r).Decode(into) }
}

// faults are what goes wrong there now.
func (s *Simulator) faults(ctx context.Context) (f stripesim.Faults, err error) {
	return f, s.call(ctx, controlTimeout, http.MethodGet, "/sim/faults", nil, decode(&f))
}

// setFaults changes the faults that the members of f name.
func (s *Simulator) setFaults(ctx context.Context, f any) error {
	return s.call(ctx, controlTimeout, http.MethodPost, "/sim/faults", f, nil)
}

func (s *Simulator) stats(ctx context.Context) (st stripesim.Stats, err error) {
	return st, s.call(ctx, controlTimeout, http.MethodGet, "/sim/stats", nil, decode(&st))
}

// authenticate is a donor at the bank's page; outcome is succeed, fail or abandon.
func (s *Simulator) authenticate(ctx context.Context, intent, outcome string) error {
	return s.call(ctx, controlTimeout, http.MethodPost, "/sim/intents/"+intent+"/authenticate?outcome="+outcome, nil, nil)
}

// Charges reads its books.
func (s *Simulator) Charges(ctx context.Context) ([]audit.Charge, error) {
	var books *stripesim.Books
	err := s.call(ctx, booksTimeout, http.MethodGet, "/sim/books", nil, func(r io.Reader) (err error) {
		books, err = stripesim.ReadBooks(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	fees := make(map[string]int64, len(books.Charges))
	for _, t := range books.Transactions {
		if t.Type == transactionOfCharge {
			fees[t.Source] += t.Fee
		}
	}
	charges := make([]audit.Charge, 0, len(books.Charges))
	for _, c := range books.Charges {
		currency := money.Currency(upper(c.Currency))
		minor := func(units int64) int64 { return units / unitsOf(currency) }
		charges = append(charges, audit.Charge{ID: c.ID, Intent: c.Intent, Donation: c.Donation, Currency: currency,
			AmountMinor: minor(c.Amount), RefundedMinor: minor(c.Refunded), FeeMinor: minor(fees[c.ID]), Succeeded: c.Status == chargeSucceeded})
	}
	return charges, nil
}

// Words of the simulator's books.
const (
	transactionOfCharge = "charge"
	chargeSucceeded     = "succeeded"
)

// unitsOf is how many of the processor's units make a minor unit: two currencies
// without decimals are written with two there (docs.stripe.com/currencies).
func unitsOf(c money.Currency) int64 {
	if c == "ISK" || c == "UGX" {
		return 100
	}
	return 1
}

// upper is ASCII's.
func upper(code string) string { return string(bytes.ToUpper([]byte(code))) }
