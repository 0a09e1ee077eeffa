package charge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// patience bounds a wait for something that takes milliseconds on an idle machine.
const patience = 30 * time.Second

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// id makes a donation's ID of a number.
func id(n int) (d [16]byte) {
	d[0], d[1], d[15] = byte(n>>8), byte(n), 1
	return d
}

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
			Params: b.params[d], FirstCalledAt: a.FirstCalledAt, LookFirst: a.LookFirst, Campaigns: []string{"harbour"},
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

func (b *books) Stuck(_ context.Context, now time.Time) (count int64, since time.Time, err error) {
	leave, err := b.enter("Stuck")
	if err != nil {
		return 0, since, err
	}
	defer leave()
	for _, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		if a.State >= payments.Calling && a.State <= payments.Processing && now.Sub(a.FirstCalledAt) > 2*time.Minute {
			count++
			if since.IsZero() || a.FirstCalledAt.Before(since) {
				since = a.FirstCalledAt
			}
		}
	}
	return count, since, nil
}

func (b *books) Apply(_ context.Context, _ ledger.Lease, facts []payments.Fact) ([]campaigns.SlotRow, []payments.Outcome, error) {
	leave, err := b.enter("Apply")
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	outcomes := make([]payments.Outcome, len(facts))
	changed, entries, marks, done := map[[16]byte]payments.Payment{}, []journal.Entry{}, map[string]bool{}, map[[16]byte]bool{}
	for i, f := range facts {
		if b.refuseAll != nil {
			if err := b.refuseAll(f); errors.Is(err, errUnnamed) {
				return nil, nil, err
			} else if err != nil {
				return nil, nil, &ledger.PoisonError{Err: err}
			}
		}
		if b.refuse != nil {
			if err := b.refuse(f); err != nil {
				return nil, nil, &ledger.PoisonError{Err: &payments.FactError{Index: i, Donation: f.Donation, Err: err}}
			}
		}
		o := payments.Outcome{Donation: f.Donation}
		p, ok := changed[f.Donation]
		if !ok {
			p, ok = b.payments[f.Donation]
		}
		if !ok {
			if p, ok = b.recorded[f.Donation]; ok { // made out of its turn
				delete(b.recorded, f.Donation)
				b.payments[f.Donation] = p
			}
		}
		switch {
		case !ok:
			o.Verdict = payments.NotYet
		case f.EventID != "" && b.marks[f.EventID]:
			o.Verdict = payments.Duplicate
		default:
			next, effects := payments.Next(p, f)
			changed[f.Donation] = next
			entries = append(entries, effects.Entries...)
			o.Verdict, o.Changed, o.Alarm = effects.Verdict, effects.Changed, effects.Alarm
			o.Status, _ = payments.Status(next)
			if f.EventID != "" {
				marks[f.EventID] = true
			}
			if f.Card != nil {
				done[f.Card.Request] = true
			}
			if f.Cancel != nil {
				done[f.Cancel.Request] = true
			}
		}
		outcomes[i] = o
	}
	for d, p := range changed {
		b.payments[d] = p
		a := p.Attempts[len(p.Attempts)-1]
		if a.State == payments.Due || !a.NotBefore.IsZero() {
			b.claims[d] = a.NotBefore
		}
	}
	for _, e := range entries {
		if _, there := b.entries[e.Ref]; there {
			b.twice = append(b.twice, e.Ref)
		}
		b.entries[e.Ref] = e
	}
	for event := range marks {
		b.marks[event] = true
		delete(b.parkedAt, event)
	}
	b.requests = slices.DeleteFunc(b.requests, func(f payments.Fact) bool {
		return f.Card != nil && done[f.Card.Request] || f.Cancel != nil && done[f.Cancel.Request]
	})
	b.applied = append(b.applied, slices.Clone(facts))
	b.version++
	return []campaigns.SlotRow{{Campaign: "harbour", Currency: "USD", Version: b.version}}, outcomes, nil
}

func (b *books) Post(_ context.Context, _ ledger.Lease, entries []journal.Entry) ([]campaigns.SlotRow, error) {
	leave, err := b.enter("Post")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, e := range entries {
		if err := journal.Balanced(&e); err != nil {
			return nil, &ledger.PoisonError{Err: err}
		}
		if _, there := b.entries[e.Ref]; !there {
			b.entries[e.Ref] = e
		}
	}
	return nil, nil
}

func (b *books) Command(_ context.Context, _ ledger.Lease, c *payments.Command) ([]campaigns.SlotRow, payments.CommandResult, error) {
	leave, err := b.enter("Command")
	if err != nil {
		return nil, payments.CommandResult{}, err
	}
	defer leave()
	if r, there := b.commands[c.ID]; there {
		return nil, r, nil
	}
	p, ok := b.payments[c.Refund.Donation]
	if !ok {
		return nil, payments.CommandResult{Word: payments.CommandNotYet}, nil
	}
	b.refunds = append(b.refunds, payments.RefundDue{
		Refund: c.ID, Donation: p.Donation, Intent: p.Intent, Charge: p.Charge, AmountMinor: c.Refund.AmountMinor, Currency: p.Currency, Lines: c.Refund.Lines,
	})
	b.commands[c.ID] = payments.CommandResult{Word: payments.CommandDone}
	return nil, b.commands[c.ID], nil
}

func (b *books) FindDonation(_ context.Context, names []string) (map[string][16]byte, error) {
	leave, err := b.enter("FindDonation")
	if err != nil {
		return nil, err
	}
	defer leave()
	found := map[string][16]byte{}
	for _, p := range b.payments {
		if p.Charge != "" && slices.Contains(names, p.Charge) {
			found[p.Charge] = p.Donation
		}
	}
	return found, nil
}

func (b *books) Park(_ context.Context, e payments.ParkedEvent) error {
	leave, err := b.enter("Park")
	if err != nil {
		return err
	}
	defer leave()
	if !b.marks[e.EventID] {
		b.parkedAt[e.EventID] = e
	}
	return nil
}

func (b *books) Parked(context.Context, int) (all []payments.ParkedEvent, err error) {
	leave, err := b.enter("Parked")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, e := range b.parkedAt {
		all = append(all, e)
	}
	return all, nil
}

func (b *books) Requests(context.Context, int) ([]payments.Fact, error) {
	leave, err := b.enter("Requests")
	if err != nil {
		return nil, err
	}
	defer leave()
	return slices.Clone(b.requests), nil
}

func (b *books) ToCancel(context.Context, int) (due []payments.Cancellation, err error) {
	leave, err := b.enter("ToCancel")
	if err != nil {
		return nil, err
	}
	defer leave()
	for d, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		if p.Cancel != payments.NoCancel && p.Intent != "" && a.State == payments.RequiresAction && time.Now().After(b.canceled[d]) {
			b.canceled[d] = time.Now().Add(time.Minute)
			due = append(due, payments.Cancellation{Donation: d, AttemptNo: a.No, Intent: p.Intent, Reason: p.Cancel})
		}
	}
	return due, nil
}

func (b *books) OpenRefunds(context.Context, int) ([]payments.RefundDue, error) {
	leave, err := b.enter("OpenRefunds")
	if err != nil {
		return nil, err
	}
	defer leave()
	due := b.refunds
	b.refunds = nil
	return due, nil
}

func (b *books) RefundRefused(_ context.Context, refund [16]byte, detail string) error {
	leave, err := b.enter("RefundRefused")
	if err != nil {
		return err
	}
	defer leave()
	b.refused[refund] = detail
	return nil
}

func (b *books) Quarantine(_ context.Context, rejected []ledger.Rejected) error {
	leave, err := b.enter("Quarantine")
	if err != nil {
		return err
	}
	defer leave()
	b.rejected = append(b.rejected, rejected...)
	return nil
}

// slot lends a lease; the books are one transaction at a time anyway.
type slot struct{}

func (slot) Move(ctx context.Context, apply func(context.Context, ledger.Lease) ([]campaigns.SlotRow, error)) error {
	_, err := apply(ctx, ledger.Lease{Book: ledger.Live, Slot: 1, Term: 1, Epoch: 1})
	return err
}

// processor is one in memory that remembers what was charged by whom, and the
// first answer to each attempt.
type processor struct {
	mu      sync.Mutex
	charges map[[16]byte]int // that took money, by donation
	answers map[string]payments.Answer
	intents map[string]payments.IntentStatus
	calls   int
	// answer, when set, is asked first; false leaves it to the card.
	answer func(c *payments.Charge) (payments.Answer, bool)
	looks  int
	blind  int // so many looks find nothing out
	events []payments.Event
	listed []payments.Fact
	parse  map[string]payments.Event // by body
}

func newProcessor() *processor {
	return &processor{charges: map[[16]byte]int{}, answers: map[string]payments.Answer{}, intents: map[string]payments.IntentStatus{}, parse: map[string]payments.Event{}}
}

func (s *processor) charged(donation [16]byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.charges[donation]
}

func (s *processor) status(donation [16]byte) payments.IntentStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intents[fmt.Sprintf("pi_%x", donation[:2])]
}

func (s *processor) Params(c *payments.Charge) []byte {
	if c.Token == "odd" {
		return nil
	}
	return fmt.Appendf(nil, "amount=%d&token=%s", c.AmountMinor, c.Token)
}

func (s *processor) Charge(ctx context.Context, c *payments.Charge) payments.Answer {
	s.mu.Lock()
	answer := s.answer
	s.calls++
	s.mu.Unlock()
	if answer != nil {
		if a, ok := answer(c); ok {
			return a
		}
	}
	if ctx.Err() != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: "stopped"}
	}
	a := s.carryOut(c)
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	return a
}

// carryOut does what a call asks, once for each idempotency key.
func (s *processor) carryOut(c *payments.Charge) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprintf("%x/%d/%s", c.Donation, c.AttemptNo, c.Params)
	if a, again := s.answers[key]; again {
		return a
	}
	intent := c.Intent
	if intent == "" {
		intent = fmt.Sprintf("pi_%x", c.Donation[:2])
	}
	seen := &payments.IntentSeen{ID: intent, Status: payments.IntentSucceeded, AmountMinor: c.AmountMinor, Currency: c.Currency, Charge: fmt.Sprintf("ch_%x_%d", c.Donation[:2], c.AttemptNo)}
	switch c.Token {
	case "decline":
		seen.Status, seen.Decline, seen.Charge, seen.AmountMinor = payments.IntentRequiresPaymentMethod, payments.DeclineFunds, "", 0
	case "3ds":
		seen.Status, seen.ClientSecret, seen.Charge, seen.AmountMinor = payments.IntentRequiresAction, "secret", "", 0
	default:
		s.charges[c.Donation]++
	}
	s.intents[intent] = seen.Status
	s.answers[key] = payments.Answer{Intent: seen}
	return s.answers[key]
}

func (s *processor) Look(_ context.Context, c *payments.Charge) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.looks <= s.blind {
		return payments.Answer{Kind: payments.Unknown, Detail: "timeout"}
	}
	for key, a := range s.answers {
		if key == fmt.Sprintf("%x/%d/%s", c.Donation, c.AttemptNo, c.Params) {
			return a
		}
	}
	return payments.Answer{Kind: payments.Retry, Detail: charge.LookedNothing}
}

func (s *processor) CancelIntent(_ context.Context, intent string, _ [16]byte) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intents[intent] != payments.IntentSucceeded {
		s.intents[intent] = payments.IntentCanceled
	}
	return payments.Answer{Intent: &payments.IntentSeen{ID: intent, Status: s.intents[intent], Currency: "USD"}}
}

func (s *processor) Refund(_ context.Context, r *payments.RefundDue) payments.Answer {
	if r.AmountMinor > 1000 {
		return payments.Answer{Kind: payments.Definite, Detail: "charge_already_refunded"}
	}
	return payments.Answer{Refund: &payments.RefundSeen{
		ID: fmt.Sprintf("re_%x", r.Refund[:2]), Charge: r.Charge, AmountMinor: r.AmountMinor, Currency: r.Currency, Status: payments.RefundSucceeded,
	}}
}

func (s *processor) LookRefund(context.Context, *payments.RefundDue) payments.Answer {
	return payments.Answer{Kind: payments.Retry, Detail: charge.LookedNothing}
}

func (s *processor) ParseEvent(body []byte) (payments.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.parse[string(body)]
	if !ok {
		return payments.Event{}, fmt.Errorf("not an event")
	}
	e.Facts = slices.Clone(e.Facts)
	return e, nil
}

func (s *processor) Intents(context.Context, time.Time, time.Time, string) (payments.Page[payments.Fact], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return payments.Page[payments.Fact]{Rows: slices.Clone(s.listed)}, nil
}

func (s *processor) Events(_ context.Context, since, until time.Time, _ string) (page payments.Page[payments.Event], err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if !e.CreatedAt.Before(since) && e.CreatedAt.Before(until) {
			e.Facts = slices.Clone(e.Facts)
			page.Rows = append(page.Rows, e)
		}
	}
	return page, nil
}

// queue is a stream of messages, each delivered once.
type queue struct {
	mu       sync.Mutex
	messages []charge.Message
	acked    map[string]int
	nacked   map[string][]time.Duration
	progress int
	sequence uint64
}

func newQueue() *queue { return &queue{acked: map[string]int{}, nacked: map[string][]time.Duration{}} }

func (q *queue) push(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.sequence++
		q.messages = append(q.messages, charge.Message{
			Data: []byte(body), Sequence: q.sequence, StoredAt: time.Now(), Deliveries: 1, Handle: &handle{q, body},
		})
	}
}

func (q *queue) acks(body string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked[body]
}

func (q *queue) Stream() string { return "QUEUE" }

func (q *queue) Fetch(ctx context.Context, most, _ int, wait time.Duration) ([]charge.Message, error) {
	for deadline := time.Now().Add(min(wait, 20*time.Millisecond)); ; {
		q.mu.Lock()
		n := min(most, len(q.messages))
		got := slices.Clone(q.messages[:n])
		q.messages = q.messages[n:]
		q.mu.Unlock()
		if n > 0 || time.Now().After(deadline) {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

type handle struct {
	q    *queue
	body string
}

func (h *handle) note(do func()) error {
	h.q.mu.Lock()
	defer h.q.mu.Unlock()
	do()
	return nil
}

func (h *handle) Ack() error { return h.note(func() { h.q.acked[h.body]++ }) }
func (h *handle) Nak(d time.Duration) error {
	return h.note(func() { h.q.nacked[h.body] = append(h.q.nacked[h.body], d) })
}
func (h *handle) InProgress() error { return h.note(func() { h.q.progress++ }) }

// told keeps the changes that donors were told of.
type told struct {
	mu  sync.Mutex
	all []payments.Outcome
}

func (c *told) PublishChanges(_ context.Context, changed []payments.Outcome) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, changed...)
	return nil
}

// world is everything around a service.
type world struct {
	t        *testing.T
	books    *books
	stripe   *processor
	webhooks *queue
	commands *queue
	told     *told
	registry *prometheus.Registry
	config   charge.Config
	slot     charge.Slot
	// rehearsal are the books of rehearsals, nil for none.
	rehearsal *books
	quiet     bool
	now       func() time.Time
	hook      func(charge.Point, [16]byte)
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, books: newBooks(), stripe: newProcessor(), webhooks: newQueue(), commands: newQueue(), told: &told{}, registry: prometheus.NewRegistry(), slot: slot{},
		config: charge.Config{
			Holder: "test", CallTimeout: 5 * time.Second, ClaimFor: 6 * time.Second, ClaimEvery: time.Millisecond, Poll: 2 * time.Millisecond,
			AckWait: 60 * time.Millisecond, SweepEvery: 10 * time.Millisecond, StopTimeout: patience,
		},
	}
}

// run starts a service; stop ends it and waits.
func (w *world) run() (stop func()) {
	w.t.Helper()
	log := slog.DiscardHandler
	if !w.quiet {
		log = slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	books := []charge.Book{{Book: ledger.Live, Store: w.books, Slot: w.slot, Commands: w.commands, Changes: w.told}}
	if w.rehearsal != nil {
		books = append(books, charge.Book{Book: ledger.Rehearsal, Store: w.rehearsal, Slot: w.slot})
	}
	s, err := charge.New(w.config, charge.Deps{
		Books:     books,
		Processor: w.stripe, Webhooks: w.webhooks, Registerer: w.registry, Now: w.now, Hook: w.hook,
		Log: slog.New(log),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(2 * patience):
			w.t.Error("the service does not stop")
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// another starts one more process on the same books.
func (w *world) another() (stop func()) {
	w.t.Helper()
	w.registry, w.config.Holder = prometheus.NewRegistry(), w.config.Holder+", another"
	return w.run()
}
