// Package reconcile holds the journal against what the processor says has moved, both
// ways and to the minor unit, and writes statements for people who keep accounts. It
// changes nothing.
//
// The one invariant: every minor unit of either side is in exactly one object, and an
// object either comes to the same on both sides or is named as a difference.
package reconcile

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// The defaults of Config; its comments say why.
const (
	defaultGrace = 5 * time.Minute
	defaultSlack = time.Hour
	// objectsMax bounds what is held in memory, about 500 bytes each: a day of two
	// million gifts with their fees. A longer time is compared in parts.
	objectsMax = 4 << 20
)

// ErrTooMany says that more has moved than is compared at once: ask for less time.
var ErrTooMany = errors.New("too much to compare at once")

// Config says what is compared.
type Config struct {
	// Since and Until bound what is reported: what first moved in [Since, Until).
	Since, Until time.Time
	// Now is the time of asking, from which ages count.
	Now time.Time
	// Zone is the event's, in which days begin. UTC when nil.
	Zone *time.Location
	// Grace is how young a difference may be and still be on its way: an event that
	// was sent and not booked yet. 5 minutes; the processor repeats a lost event later.
	Grace time.Duration
	// Slack is how far the two clocks may be apart: both sides are to be given from
	// Slack before Since to Slack after Until. 1 hour.
	Slack time.Duration
}

func (c Config) withDefaults() Config {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Slack == 0 {
		c.Slack = defaultSlack
	}
	return c
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	if !c.Since.Before(c.Until) {
		errs = append(errs, errors.New("reconcile: Since must be before Until"))
	}
	if c.Now.IsZero() {
		errs = append(errs, errors.New("reconcile: Now is needed"))
	}
	if c.Grace < 0 || c.Slack < 0 {
		errs = append(errs, errors.New("reconcile: Grace and Slack cannot be negative"))
	}
	return errors.Join(errs...)
}

// Comparison collects both sides, in any order, and reports. Not for concurrent use.
type Comparison struct {
	config  Config
	objects map[object]*pair
	seen    map[string]time.Time // balance transactions and their times: pages of a list may overlap
}

// pair is an object on both sides.
type pair struct {
	journal, processor side
	donation           [16]byte
	// tells is the balance transaction of a fee or of what names no gift: what the
	// journal may have to learn.
	tells *payments.Movement
}

// side is what an object came to on one side, by currency: nearly always one.
type side struct {
	first time.Time
	sums  []sum
	names []string // refs or balance transactions, in the order given
}

type sum struct {
	currency money.Currency
	minor    int64
	moves    []dated // for the days
}

type dated struct {
	at    time.Time
	minor int64
}

// New makes an empty comparison. Errors: those of Config.Validate.
func New(config Config) (*Comparison, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Comparison{config: config.withDefaults(), objects: map[object]*pair{}, seen: map[string]time.Time{}}, nil
}

// Entry adds an entry of the journal; one that moves nothing at the processor does
// not count. Each is to be given once. Errors: ErrTooMany, money.ErrOverflow.
func (c *Comparison) Entry(e *journal.Entry) error {
	of := objectOf(e)
	for i := range e.Postings {
		p := &e.Postings[i]
		if p.Account != journal.Processor {
			continue
		}
		at, err := c.object(of)
		if err != nil {
			return err
		}
		if e.Donation != [16]byte{} {
			at.donation = e.Donation
		}
		if err := at.journal.add(e.OccurredAt, p.Currency, p.AmountMinor, e.Ref); err != nil {
			return fmt.Errorf("entry %s: %w", e.Ref, err)
		}
	}
	return nil
}

// Movement adds a balance transaction of the processor; one that was added already
// does not count again. Errors: ErrTooMany, money.ErrOverflow.
func (c *Comparison) Movement(m *payments.Movement) error {
	if _, again := c.seen[m.ID]; again {
		return nil
	}
	c.seen[m.ID] = m.CreatedAt
	moves, n := movesOf(m)
	for _, move := range moves[:n] {
		at, err := c.object(move.object)
		if err != nil {
			return err
		}
		if err := at.processor.add(m.CreatedAt, m.Currency, move.minor, m.ID); err != nil {
			return fmt.Errorf("balance transaction %s: %w", m.ID, err)
		}
		if move.class == Fee || move.class == Other {
			kept := *m
			at.tells = &kept
		}
	}
	return nil
}

func (c *Comparison) object(of object) (*pair, error) {
	p, ok := c.objects[of]
	if !ok {
		if len(c.objects) >= objectsMax {
			return nil, ErrTooMany
		}
		p = &pair{}
		c.objects[of] = p
	}
	return p, nil
}

func (s *side) add(at time.Time, currency money.Currency, minor int64, name string) error {
	if s.first.IsZero() || at.Before(s.first) {
		s.first = at
	}
	s.names = append(s.names, name)
	i := 0
	for i < len(s.sums) && s.sums[i].currency != currency {
		i++
	}
	if i == len(s.sums) {
		s.sums = append(s.sums, sum{currency: currency})
	}
	total, err := money.Add(s.sums[i].minor, minor)
	if err != nil {
		return err
	}
	s.sums[i].minor = total
	s.sums[i].moves = append(s.sums[i].moves, dated{at, minor})
	return nil
}

// forget drops what last moved before a time, save differences that are reported.
func (c *Comparison) forget(before time.Time) {
	for id, at := range c.seen {
		if at.Before(before) {
			delete(c.seen, id)
		}
	}
	for of, p := range c.objects {
		if p.last().Before(before) && (p.agrees() || p.first().Before(c.config.Since)) {
			delete(c.objects, of)
		}
	}
}

// first is when the object first moved, on either side; last when it last did.
func (p *pair) first() time.Time { return earlier(p.journal.first, p.processor.first) }

func (p *pair) last() time.Time {
	var last time.Time
	for _, s := range []*side{&p.journal, &p.processor} {
		for i := range s.sums {
			for _, m := range s.sums[i].moves {
				if m.at.After(last) {
					last = m.at
				}
			}
		}
	}
	return last
}

func (p *pair) agrees() bool {
	for _, currency := range p.currencies() {
		if p.journal.minor(currency) != p.processor.minor(currency) {
			return false
		}
	}
	return true
}

func (s *side) minor(currency money.Currency) int64 {
	for i := range s.sums {
		if s.sums[i].currency == currency {
			return s.sums[i].minor
		}
	}
	return 0
}

// Report says what the comparison came to.
func (c *Comparison) Report() *Report {
	r := &Report{Since: c.config.Since, Until: c.config.Until, Zone: c.config.Zone, days: map[dayKey]*Day{}}
	for of, p := range c.objects {
		first := p.first()
		if first.Before(c.config.Since) || !first.Before(c.config.Until) {
			continue
		}
		r.Objects++
		same := true
		for _, currency := range p.currencies() {
			mine, theirs := p.journal.minor(currency), p.processor.minor(currency)
			if mine == theirs {
				continue
			}
			same = false
			d := Difference{
				Class: of.class, ID: of.id, Currency: currency, JournalMinor: mine, ProcessorMinor: theirs,
				Donation: p.donation, Refs: p.journal.names, Transactions: p.processor.names, Since: first, Age: c.config.Now.Sub(first),
			}
			if d.Age < c.config.Grace {
				r.Young = append(r.Young, d)
			} else {
				r.Differences = append(r.Differences, d)
			}
		}
		r.addDays(of.class, p, same)
	}
	byAge := func(ds []Difference) {
		sort.Slice(ds, func(i, k int) bool {
			a, b := &ds[i], &ds[k]
			switch {
			case !a.Since.Equal(b.Since):
				return a.Since.Before(b.Since)
			case a.Class != b.Class:
				return a.Class < b.Class
			case a.ID != b.ID:
				return a.ID < b.ID
			}
			return a.Currency < b.Currency
		})
	}
	byAge(r.Differences)
	byAge(r.Young)
	r.sortDays()
	return r
}

// currencies are those of either side.
func (p *pair) currencies() []money.Currency {
	all := make([]money.Currency, 0, 2)
	for _, s := range []*side{&p.journal, &p.processor} {
	next:
		for i := range s.sums {
			for _, known := range all {
				if known == s.sums[i].currency {
					continue next
				}
			}
			all = append(all, s.sums[i].currency)
		}
	}
	return all
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
