package stripesim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Books are the stand-in's own accounts, for audits.
type Books struct {
	Totals       []Total
	Intents      []IntentLine
	Charges      []ChargeLine
	Transactions []TransactionLine
}

// Total is what there is in one currency. Amounts are in its smallest unit.
type Total struct {
	Currency string `json:"currency"` // lower case, as Stripe writes it
	Intents  int64  `json:"intents"`
	Charged  int64  `json:"charged"` // by charges that succeeded
	Charges  int64  `json:"charges"` // that succeeded
	Failed   int64  `json:"failed"`  // charges that did not
	Refunded int64  `json:"refunded"`
	Disputed int64  `json:"disputed"` // taken by disputes that are open or lost
	Lost     int64  `json:"lost"`     // of that, lost
	Fees     int64  `json:"fees"`
	PaidOut  int64  `json:"paid_out"` // less payouts that came back
	Net      int64  `json:"net"`      // the balance: the sum of all transactions
	NotPaid  int64  `json:"not_paid"` // net of transactions that no payout took yet
	Doubled  int64  `json:"doubled"`  // charges beyond the first that succeeded of a donation
}

// IntentLine is one payment intent.
type IntentLine struct {
	ID       string `json:"id"`
	Donation string `json:"donation"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Status   string `json:"status"`
	Created  int64  `json:"created"`
	Charge   string `json:"charge"`
}

// ChargeLine is one charge, good or bad.
type ChargeLine struct {
	ID       string `json:"id"`
	Intent   string `json:"payment_intent"`
	Donation string `json:"donation"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Status   string `json:"status"`
	Refunded int64  `json:"refunded"`
	Dispute  string `json:"dispute"` // "", or the dispute's status
	Created  int64  `json:"created"`
}

// TransactionLine is one balance transaction.
type TransactionLine struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Category    string `json:"reporting_category"`
	Source      string `json:"source"`
	Amount      int64  `json:"amount"`
	Fee         int64  `json:"fee"`
	Net         int64  `json:"net"`
	Currency    string `json:"currency"`
	Created     int64  `json:"created"`
	AvailableOn int64  `json:"available_on"`
	Payout      string `json:"payout"`
}

// The objects of the lines of GET /sim/books.
const (
	totalObject       = "total"
	intentObject      = "intent"
	chargeObject      = "charge"
	transactionObject = "transaction"
	endObject         = "end" // without it, the stream was cut
)

// booksChunk is how many objects are read under one lock: calls go on meanwhile.
const booksChunk = 4096

// Books returns all of them; it takes memory for every line. WriteBooks does not.
func (s *Server) Books() (*Books, error) {
	b := &Books{}
	err := s.visitBooks(b.take)
	return b, err
}

// take adds a line.
func (b *Books) take(line any) error {
	switch l := line.(type) {
	case Total:
		b.Totals = append(b.Totals, l)
	case IntentLine:
		b.Intents = append(b.Intents, l)
	case ChargeLine:
		b.Charges = append(b.Charges, l)
	case TransactionLine:
		b.Transactions = append(b.Transactions, l)
	}
	return nil
}

// Charged returns the charges that succeeded of each donation.
func (b *Books) Charged() map[string][]ChargeLine {
	m := map[string][]ChargeLine{}
	for _, c := range b.Charges {
		if c.Status == chargeStatusWords[chargePaid] {
			m[c.Donation] = append(m[c.Donation], c)
		}
	}
	return m
}

// WriteBooks writes the books as JSON lines, each with "object": the intents,
// charges and transactions that were there at the beginning, as they are when each
// is written, then the totals of what was written.
func (s *Server) WriteBooks(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	err := s.visitBooks(func(line any) error {
		switch l := line.(type) {
		case Total:
			return enc.Encode(struct {
				Object string `json:"object"`
				Total
			}{totalObject, l})
		case IntentLine:
			return enc.Encode(struct {
				Object string `json:"object"`
				IntentLine
			}{intentObject, l})
		case ChargeLine:
			return enc.Encode(struct {
				Object string `json:"object"`
				ChargeLine
			}{chargeObject, l})
		case TransactionLine:
			return enc.Encode(struct {
				Object string `json:"object"`
				TransactionLine
			}{transactionObject, l})
		}
		return nil
	})
	if err == nil {
		err = enc.Encode(map[string]string{"object": endObject})
	}
	return errors.Join(err, out.Flush())
}

// ErrBooksCut says that a stream of books ended before its last line.
var ErrBooksCut = errors.New("the books are cut short")

// ReadBooks reads what WriteBooks or GET /sim/books wrote.
func ReadBooks(r io.Reader) (*Books, error) {
	b := &Books{}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), 1<<20)
	ended := false
	for in.Scan() {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		var head struct {
			Object string `json:"object"`
		}
		err := json.Unmarshal(line, &head)
		if err == nil {
			switch head.Object {
			case totalObject:
				err = readLine(line, &b.Totals)
			case intentObject:
				err = readLine(line, &b.Intents)
			case chargeObject:
				err = readLine(line, &b.Charges)
			case transactionObject:
				err = readLine(line, &b.Transactions)
			case endObject:
				ended = true
			default:
				err = fmt.Errorf("unknown object %q", head.Object)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read books: %w", err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read books: %w", err)
	}
	if !ended {
		return nil, ErrBooksCut
	}
	return b, nil
}

func readLine[T any](line []byte, to *[]T) error {
	var v T
	if err := json.Unmarshal(line, &v); err != nil {
		return err
	}
	*to = append(*to, v)
	return nil
}

// visitBooks visits every line.
func (s *Server) visitBooks(visit func(any) error) error {
	if err := s.settle(); err != nil {
		return err
	}
	totals := map[string]*Total{}
	of := func(currency string) *Total {
		t := totals[currency]
		if t == nil {
			t = &Total{Currency: currency}
			totals[currency] = t
		}
		return t
	}
	s.mu.RLock()
	txns, charges, intents := s.txns.last, s.charges.last, s.intents.last
	s.mu.RUnlock()
	if err := visitPages(s, txns, visit, func(n uint32) any {
		t := s.txns.at(n)
		sum := of(t.currency)
		sum.Fees += t.fee
		sum.Net += t.net()
		switch t.kind {
		case txnPayout, txnPayoutFailure:
			sum.PaidOut -= t.amount
		}
		if t.payout == 0 {
			sum.NotPaid += t.net()
		}
		return TransactionLine{
			ID: s.ids.id(txnKind, t.n), Type: txnWords[t.kind].word, Category: txnWords[t.kind].category, Source: s.ids.id(t.sourceKind(), t.source),
			Amount: t.amount, Fee: t.fee, Net: t.net(), Currency: t.currency, Created: t.created, AvailableOn: t.availableOn, Payout: s.ids.id(payoutKind, t.payout),
		}
	}); err != nil {
		return err
	}
	charged := map[keyHash]bool{}
	if err := visitPages(s, charges, visit, func(n uint32) any {
		c := s.charges.at(n)
		sum := of(c.currency)
		donation := pairOf(c.metadata, s.cfg.DonationKey)
		l := ChargeLine{
			ID: s.ids.id(chargeKind, c.n), Intent: s.ids.id(intentKind, c.intent), Donation: donation, Amount: c.amount, Currency: c.currency,
			Status: chargeStatusWords[c.status], Refunded: c.refunded, Created: c.created,
		}
		if c.status == chargeFailed {
			sum.Failed++
			return l
		}
		sum.Charges++
		sum.Charged += c.amount
		sum.Refunded += c.refunded
		if d, ok := s.disputes.get(c.dispute); ok {
			l.Dispute = disputeWords[d.status]
			switch d.status {
			case disputeLost:
				sum.Lost += d.amount
				sum.Disputed += d.amount
			case disputeOpen, disputeUnder:
				sum.Disputed += d.amount
			}
		}
		if donation != "" {
			k := hashKey(donation)
			if charged[k] {
				sum.Doubled++
			}
			charged[k] = true
		}
		return l
	}); err != nil {
		return err
	}
	if err := visitPages(s, intents, visit, func(n uint32) any {
		p := s.intents.at(n)
		of(p.currency).Intents++
		return IntentLine{
			ID: s.ids.id(intentKind, p.n), Donation: pairOf(p.metadata, s.cfg.DonationKey), Amount: p.amount, Currency: p.currency,
			Status: p.status.String(), Created: p.created, Charge: s.ids.id(chargeKind, p.charge),
		}
	}); err != nil {
		return err
	}
	var sorted []Total
	for _, t := range totals {
		sorted = append(sorted, *t)
	}
	slices.SortFunc(sorted, func(a, b Total) int { return bytes.Compare([]byte(a.Currency), []byte(b.Currency)) })
	for _, t := range sorted {
		if err := visit(t); err != nil {
			return err
		}
	}
	return nil
}

// visitPages makes the lines of objects 1..end, some at a time under the lock, and
// visits them without it.
func visitPages(s *Server, end uint32, visit func(any) error, line func(n uint32) any) error {
	lines := make([]any, 0, min(int(end), booksChunk))
	for from := uint32(1); from <= end; from += booksChunk {
		lines = lines[:0]
		s.mu.RLock()
		for n := from; n <= end && n < from+booksChunk; n++ {
			lines = append(lines, line(n))
		}
		s.mu.RUnlock()
		for _, l := range lines {
			if err := visit(l); err != nil {
				return err
			}
		}
	}
	return nil
}
