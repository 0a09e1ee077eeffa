package charge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// books is a database in memory: the real machine decides, and everything that one
// call does is done or not. It outlives the processes that use it.
type books struct {
	mu       sync.Mutex
	recorded map[[16]byte]payments.Payment // due, not expanded yet
	payments map[[16]byte]payments.Payment
	entries  map[string]journal.Entry
	twice    []string // refs that were booked a second time
	claims   map[[16]byte]time.Time
	params   map[[16]byte][]byte
	marks    map[string]bool // events dealt with
	parkedAt map[string]payments.ParkedEvent
	requests []payments.Fact
	canceled map[[16]byte]time.Time // when a cancellation was claimed
	refunds  []payments.RefundDue
	refused  map[[16]byte]string
	rejected []ledger.Rejected
	commands map[[16]byte]payments.CommandResult
	slowed   []string
	queue    payments.QueueState
	pace     int // calls that may be claimed at once
	version  int64

	// fail, when set, is asked before every call, by the method's name.
	fail func(method string) error
	// refuse, when set, says that a fact can never be booked.
	refuse func(f payments.Fact) error
	// refuseAll refuses a whole transaction and names nobody.
	refuseAll func(f payments.Fact) error
	calls     map[string]int // by method
	// applied counts the facts of committed transactions.
	applied [][]payments.Fact
}

func newBooks() *books {
	return &books{
		recorded: map[[16]byte]payments.Payment{}, payments: map[[16]byte]payments.Payment{}, entries: map[string]journal.Entry{},
		claims: map[[16]byte]time.Time{}, params: map[[16]byte][]byte{}, marks: map[string]bool{}, parkedAt: map[string]payments.ParkedEvent{},
		canceled: map[[16]byte]time.Time{}, refused: map[[16]byte]string{}, commands: map[[16]byte]payments.CommandResult{}, pace: 100, calls: map[string]int{},
	}
}

// record is what the ledger does with a donation.
func (b *books) record(n int, token string) [16]byte {
	now := time.Now()
	p := payments.Payment{
		Donation: id(n), Currency: "USD", AmountMinor: 1000, Lines: []payments.Line{{Campaign: "harbour", AmountMinor: 1000}}, ReceivedAt: now,
		Attempts: []payments.Attempt{{No: 1, State: payments.Due, Token: token, TokenExpiresAt: now.Add(time.Hour), ChangedAt: now}},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded[p.Donation] = p
	return p.Donation
}

// status is what a donor would be told.
func (b *books) status(donation [16]byte) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.payments[donation]
	if !ok {
		return "unmade"
	}
	status, _ := payments.Status(p)
	return status
}

func (b *books) last(donation [16]byte) payments.Attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.payments[donation]
	return p.Attempts[len(p.Attempts)-1]
}

func (b *books) charge(donation [16]byte) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.payments[donation].Charge
}

// captures counts the journal's captures, and those that were booked twice.
func (b *books) captures() (n int, twice []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.Kind == journal.Capture {
			n++
		}
	}
	return n, b.twice
}

func (b *books) wait(t *testing.T, donation [16]byte, status string) {
	t.Helper()
	eventually(t, fmt.Sprintf("donation %x is %s", donation[:2], status), func() bool { return b.status(donation) == status })
}

func (b *books) asked(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[method]
}

// outcomes counts the booked facts that were outcomes of calls without an intent.
func (b *books) outcomes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, facts := range b.applied {
		for _, f := range facts {
			if f.Outcome != nil {
				n++
			}
		}
	}
	return n
}

// hurry makes a donation's repeat due now.
func (b *books) hurry(donation [16]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.payments[donation].Attempts[0].NotBefore = time.Time{}
	b.claims[donation] = time.Time{}
}

func (b *books) parkedEvents() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range b.parkedAt {
		all = append(all, e)
	}
	return all
}

// errUnnamed is a failure that nobody knows.
var errUnnamed = errors.New("a failure without a name")

// enter locks the books for one call.
func (b *books) enter(method string) (leave func(), err error) {
	b.mu.Lock()
	fail := b.fail
	b.calls[method]++
	b.mu.Unlock()
	if fail != nil {
		if err := fail(method); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	return b.mu.Unlock, nil
}

func (b *books) Expand(_ context.Context, most int) (made int, err error) {
	leave, err := b.enter("Expand")
	if err != nil {
		return 0, err
	}
	defer leave()
	for d, p := range b.recorded {
		if made == most {
			break
		}
		b.payments[d] = p
		delete(b.recorded, d)
		made++
	}
	return made, nil
}

func (b *books) Claim(ctx context.Context, r payments.ClaimRequest, params func(*payments.Charge) []byte) ([]payments.Charge, []payments.Fact, time.Duration, error) {
	leave, err := b.enter("Claim")
	if err != nil {
		return nil, nil, 0, err
	}
	defer leave()
	var claimed []payments.Charge
	now := time.Now()
	for d, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		if len(claimed) == min(r.Max, b.pace) || a.State != payments.Due && a.State != payments.Calling || now.Before(b.claims[d]) || now.Before(a.NotBefore) {
			continue
		}
		c := payments.Charge{
			Donation: d, AttemptNo: a.No, Currency: p.Currency, AmountMinor: p.AmountMinor, Intent: p.Intent, Token: a.Token,
			Params: b.params[d], FirstCalledAt: a.FirstCalledAt, LookFirst: a.LookFirst, Canceled: p.Cancel == payments.CancelByDonor, Campaigns: []string{"harbour"},
		}
		if c.FirstCalledAt.IsZero() {
			if c.Params = params(&c); len(c.Params) == 0 {
				return nil, nil, 0, errUnnamed // as the real one: nobody's claims are made
			}
			b.params[d] = c.Params
			a.FirstCalledAt = now
		}
		a.State = payments.Calling
		p.Attempts = slices.Clone(p.Attempts)
		p.Attempts[len(p.Attempts)-1] = a
		b.payments[d] = p
		b.claims[d] = now.Add(r.For)
		claimed = append(claimed, c)
	}
	if err := ctx.Err(); err != nil { // committed, and nobody waits for the answer
		return nil, nil, 0, err
	}
	return claimed, nil, 0, nil
}

func (b *books) TakePace(_ context.Context, _, _ string, n int) (int, time.Duration, error) {
	leave, err := b.enter("TakePace")
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	return n, 0, nil
}

func (b *books) Slow(_ context.Context, _, endpoint, reason string) error {
	leave, err := b.enter("Slow")
	if err != nil {
		return err
	}
	defer leave()
	b.slowed = append(b.slowed, endpoint+" "+reason)
	return nil
}

func (b *books) Queue(context.Context, string, string) (payments.QueueState, error) {
	leave, err := b.enter("Queue")
	if err != nil {
		return payments.QueueState{}, err
	}
	defer leave()
	q := b.queue
	q.Unexpanded = int64(len(b.recorded))
	return q, nil
}

func (b *books) Overdue(_ context.Context, now time.Time, _ int) (facts []payments.Fact, err error) {
	leave, err := b.enter("Overdue")
	if err != nil {
		return nil, err
	}
	defer leave()
	for d, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		over := payments.Overtime{AttemptNo: a.No}
		switch {
		case a.State == payments.Due && a.FirstCalledAt.IsZero() && now.After(a.TokenExpiresAt):
			over.Kind = payments.TokenExpired
		case a.State == payments.RequiresAction && now.After(a.ActionBy) && p.Cancel == payments.NoCancel:
			over.Kind = payments.ActionExpired
		default:
			continue
		}
		facts = append(facts, payments.Fact{Donation: d, Source: payments.FromClock, At: now, Overtime: &over})
	}
	return facts, nil
}

func (b *books) Stuck(_ context.Context, then time.Time) (count int64, since time.Time, err error) {
	leave, err := b.enter("Stuck")
	if err != nil {
		return 0, since, err
	}
	defer leave()
	for _, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		if a.State >= payments.Calling && a.State <= payments.Processing && !a.FirstCalledAt.After(then) {
			count++
			if since.IsZero() || a.FirstCalledAt.Before(since) {
				since = a.FirstCalledAt
			}
		}
	}
	return count, since, nil
}
