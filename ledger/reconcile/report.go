package reconcile

import (
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"spillway/ledger/money"
)

// Report is what a comparison came to.
type Report struct {
	Since, Until time.Time
	Zone         *time.Location
	// Objects counts the charges, fees, refunds, disputes, payouts and others compared.
	Objects int
	// Differences are to be explained, the oldest first; Young are younger than the
	// grace and may still be on their way.
	Differences, Young []Difference
	// Days are the sums by day, currency and class, in that order.
	Days []Day

	days map[dayKey]*Day
}

// OK tells whether both sides agree to the minor unit.
func (r *Report) OK() bool { return len(r.Differences) == 0 }

// OffMinor is the sum of all differences in a currency, each without its sign: zero
// only when there is none. What a metric alarms on.
func (r *Report) OffMinor() map[money.Currency]int64 {
	off := map[money.Currency]int64{}
	for i := range r.Differences {
		d := r.Differences[i].JournalMinor - r.Differences[i].ProcessorMinor
		if d < 0 {
			d = -d
		}
		off[r.Differences[i].Currency] += d
	}
	return off
}

// Difference is one object that does not come to the same in one currency.
type Difference struct {
	Class    Class
	ID       string // the processor's: of the charge, refund, dispute, payout or balance transaction
	Currency money.Currency
	// JournalMinor and ProcessorMinor are what was added to our balance at the
	// processor, negative for what was taken.
	JournalMinor, ProcessorMinor int64
	Donation                     [16]byte // zero when the journal does not know the object
	Refs                         []string // of the journal's entries, none when it has none
	Transactions                 []string // balance transactions, none when there are none
	Since                        time.Time
	Age                          time.Duration
}

// Kind says in a word which side is wrong, as far as can be told.
func (d *Difference) Kind() string {
	switch {
	case len(d.Refs) == 0:
		return "missing_in_journal"
	case len(d.Transactions) == 0:
		return "missing_at_processor"
	}
	return "amount_differs"
}

// Day is the sum of a class on a day, in minor units. What both sides agree on is
// on the processor's day; the rest on each one's own.
type Day struct {
	Day                          string // 2026-11-22, in the event's time zone
	Currency                     money.Currency
	Class                        Class
	JournalMinor, ProcessorMinor int64
	// Objects moved on that day; one that moved twice counts twice.
	Objects int
}

type dayKey struct {
	day      string
	currency money.Currency
	class    Class
}

func (r *Report) addDays(class Class, p *pair, same bool) {
	add := func(at time.Time, currency money.Currency, mine, theirs int64) {
		key := dayKey{at.In(r.Zone).Format(time.DateOnly), currency, class}
		d, ok := r.days[key]
		if !ok {
			d = &Day{Day: key.day, Currency: currency, Class: class}
			r.days[key] = d
		}
		d.JournalMinor += mine
		d.ProcessorMinor += theirs
		d.Objects++
	}
	for i := range p.processor.sums {
		for _, m := range p.processor.sums[i].moves {
			if same {
				add(m.at, p.processor.sums[i].currency, m.minor, m.minor)
			} else {
				add(m.at, p.processor.sums[i].currency, 0, m.minor)
			}
		}
	}
	if same {
		return
	}
	for i := range p.journal.sums {
		for _, m := range p.journal.sums[i].moves {
			add(m.at, p.journal.sums[i].currency, m.minor, 0)
		}
	}
}

func (r *Report) sortDays() {
	for _, d := range r.days {
		r.Days = append(r.Days, *d)
	}
	r.days = nil
	sort.Slice(r.Days, func(i, k int) bool {
		a, b := &r.Days[i], &r.Days[k]
		switch {
		case a.Day != b.Day:
			return a.Day < b.Day
		case a.Currency != b.Currency:
			return a.Currency < b.Currency
		}
		return a.Class < b.Class
	})
}

// printedMax bounds the differences that are printed; the count is always there.
const printedMax = 1000

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	p := &printer{w: w}
	p.line("compared %d objects that moved from %s to %s", r.Objects, r.at(r.Since), r.at(r.Until))
	if len(r.Days) > 0 {
		p.line("%-10s  %-3s  %-11s %18s %18s %14s", "day", "", "", "journal", "processor", "difference")
	}
	for _, d := range r.Days {
		p.line("%-10s  %-3s  %-11s %18s %18s %14s", d.Day, d.Currency, d.Class,
			decimal(d.JournalMinor, d.Currency), decimal(d.ProcessorMinor, d.Currency), decimal(d.JournalMinor-d.ProcessorMinor, d.Currency))
	}
	p.differences("differences", r, r.Differences)
	p.differences("differences that may still be on their way", r, r.Young)
	if r.OK() {
		p.line("journal and processor agree")
	}
	return p.err
}

func (r *Report) at(t time.Time) string { return t.In(r.Zone).Format(time.RFC3339) }

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, strings.TrimRight(format, " ")+"\n", args...)
	}
}

func (p *printer) differences(title string, r *Report, ds []Difference) {
	if len(ds) == 0 {
		return
	}
	p.line("%d %s:", len(ds), title)
	for i := range ds {
		if i == printedMax {
			p.line("  and %d more", len(ds)-printedMax)
			break
		}
		d := &ds[i]
		about := ""
		if d.Donation != [16]byte{} {
			about = ", donation " + uuid(d.Donation)
		}
		p.line("  %s %s: %s, journal %s, processor %s %s, since %s, %s ago%s%s", d.Class, d.ID, d.Kind(),
			decimal(d.JournalMinor, d.Currency), decimal(d.ProcessorMinor, d.Currency), d.Currency, r.at(d.Since), d.Age.Round(time.Second), about,
			known(d))
	}
}

func known(d *Difference) string {
	names := append(append([]string(nil), d.Refs...), d.Transactions...)
	return " [" + strings.Join(names, " ") + "]"
}

// decimal writes minor units as people do: -12.30, or 500 where there are no decimals.
func decimal(minor int64, currency money.Currency) string {
	_, number, _ := strings.Cut(money.Amount{Minor: minor, Currency: currency}.String(), " ")
	return number
}

func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
