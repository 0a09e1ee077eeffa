package capacity

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// What is asked of the processor, and when.
const (
	// StripePace is what Stripe allows by default per endpoint, and StripeAccount all
	// endpoints of a live account together, in calls per second (docs.stripe.com/rate-limits).
	StripePace    = 25.0
	StripeAccount = 100.0
	// raiseNotice is how long before the day a large raise must be asked for: Stripe says
	// about six weeks.
	raiseNotice = 6 * 7 * 24 * time.Hour
	// raiseRoom is asked for above the need, and raiseStep is what is rounded up to.
	raiseRoom = 1.25
	raiseStep = 25
	// DefaultHeadroom is how many times the expected peak must be held: the busiest second
	// of another year is a sample of one, and good campaigns double from year to year.
	DefaultHeadroom = 2.0
)

// Expectation is the event that is expected.
type Expectation struct {
	Day *Day
	// Minute holds the stack against the mean of the busiest minute, not the busiest second.
	Minute bool
	// Headroom is how many times the peak must be held; 0 for DefaultHeadroom.
	Headroom float64
	// Pace is what the processor allows now, in calls per second; 0 for StripePace.
	Pace float64
	// WaitMost is how long a donation may wait for its charge; 0 for TokenLifeShort.
	WaitMost time.Duration
	// At is the day's date, in UTC; zero when it is not known.
	At time.Time
	// Now is today.
	Now time.Time
}

// Plan holds the stack against the event that is expected. Durations are in nanoseconds.
type Plan struct {
	Event string `json:"event"`
	// Donations are those of the whole event; BusiestSecond and BusiestMinute are in
	// donations per second, and begin so long after the opening.
	Donations       float64       `json:"donations"`
	BusiestSecond   float64       `json:"busiest_second"`
	BusiestSecondAt time.Duration `json:"busiest_second_at_ns"`
	BusiestMinute   float64       `json:"busiest_minute"`
	BusiestMinuteAt time.Duration `json:"busiest_minute_at_ns"`
	// Need is the peak that the stack has to hold, and Holds the sure rate that it does.
	Need  float64 `json:"need"`
	Holds float64 `json:"holds"`
	// Headroom is Holds over Need, Wanted what was asked for, and Met whether it is that.
	Headroom float64 `json:"headroom"`
	Wanted   float64 `json:"headroom_wanted"`
	Met      bool    `json:"met"`
	// Queues are the charges at several paces, the one of now among them.
	Queues []Queue `json:"queues"`
	Pace   float64 `json:"pace"` // of now
	// WaitMost is what a donation may wait, and PaceNeeded the lowest pace at which none
	// waits longer. Ask is what to ask for, 0 when the pace of now is enough.
	WaitMost   time.Duration `json:"wait_most_ns"`
	PaceNeeded float64       `json:"pace_needed"`
	Ask        float64       `json:"ask,omitempty"`
	// AskBy is the last day for it, "" when the day is not known; Late when it is over.
	AskBy string `json:"ask_by,omitempty"`
	Late  bool   `json:"late,omitempty"`
	// Request is the text to send to the processor, "" when there is nothing to ask for.
	Request string `json:"request,omitempty"`
}

// Against makes the plan for what the search found.
func (e Expectation) Against(r *Result) *Plan {
	if e.Headroom == 0 {
		e.Headroom = DefaultHeadroom
	}
	if e.Pace == 0 {
		e.Pace = StripePace
	}
	if e.WaitMost == 0 {
		e.WaitMost = TokenLifeShort
	}
	p := &Plan{Event: e.Day.Name, Donations: e.Day.All(), Holds: r.Sure, Wanted: e.Headroom, Pace: e.Pace, WaitMost: e.WaitMost}
	p.BusiestSecond, p.BusiestSecondAt = e.Day.Peak(1)
	p.BusiestMinute, p.BusiestMinuteAt = e.Day.Peak(min(60, len(e.Day.Seconds)))
	p.Need = p.BusiestSecond
	if e.Minute {
		p.Need = p.BusiestMinute
	}
	p.Headroom = p.Holds / p.Need
	p.Met = p.Headroom >= p.Wanted

	p.PaceNeeded = e.Day.PaceFor(e.WaitMost)
	if p.PaceNeeded > e.Pace {
		p.Ask = math.Ceil(p.PaceNeeded*raiseRoom/raiseStep) * raiseStep
	}
	paces := []float64{StripePace, StripeAccount, e.Pace}
	if p.Ask > 0 {
		paces = append(paces, p.Ask)
	}
	slices.Sort(paces)
	for _, pace := range slices.Compact(paces) {
		p.Queues = append(p.Queues, e.Day.QueueAt(pace))
	}
	if p.Ask > 0 {
		if !e.At.IsZero() {
			by := e.At.Add(-raiseNotice)
			p.AskBy, p.Late = by.Format(time.DateOnly), e.Now.After(by.AddDate(0, 0, 1))
		}
		p.Request = e.request(p)
	}
	return p
}

// request is the text to send; only the account's name is left to fill in.
func (e Expectation) request(p *Plan) string {
	day, from := "the day of our event", "one day before it until two days after it"
	if !e.At.IsZero() {
		day = e.At.Format("Monday, 2 January 2006")
		from = e.At.AddDate(0, 0, -1).Format("2 January 2006") + " until " + e.At.AddDate(0, 0, 2).Format("2 January 2006")
	}
	now := e.Day.QueueAt(e.Pace)
	asked := e.Day.QueueAt(p.Ask)
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: Rate limit increase for live mode, %s requests/s on POST /v1/payment_intents\n\n", rate(p.Ask))
	fmt.Fprintf(&b, "Hello,\n\non %s we run a giving day with account acct_... (live mode). We expect %s donations in all, up to %s in the busiest second and %s in the busiest minute.\n\n",
		day, count(p.Donations), count(p.BusiestSecond), count(p.BusiestMinute*60))
	fmt.Fprintf(&b, "Donations are taken into a queue of our own and charged at a steady pace, whatever donors do. Each is one PaymentIntent, created and confirmed in one call to POST /v1/payment_intents under an idempotency key; %.1f %% are tried again with another card. We never call faster than our limit, slow down at once on 429, and hear of outcomes by webhooks, not by polling.\n\n", 100*retryShare)
	fmt.Fprintf(&b, "At our limit of %s requests/s the longest wait for a charge would be %s, and confirmation tokens might expire before it. At %s requests/s it is %s.\n\n",
		rate(e.Pace), short(now.LongestWait), rate(p.Ask), short(asked.LongestWait))
	fmt.Fprintf(&b, "We ask for\n  - %s requests/s on POST /v1/payment_intents, and\n  - %s requests/s for the account as a whole, with room for refunds and look-ups,\nfrom %s. The load lasts about %s, beginning about %s after the opening.\n\n",
		rate(p.Ask), rate(max(StripeAccount, p.Ask+raiseStep)), from, short(max(time.Minute, asked.EmptyAt-p.BusiestMinuteAt)), short(p.BusiestMinuteAt))
	b.WriteString("Please tell us what you can grant and by when, so that we can set our pace to it and rehearse it.\n\nThank you\n")
	return b.String()
}
