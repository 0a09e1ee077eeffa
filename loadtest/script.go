package loadtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"spillway/ledger/money"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// Bounds of the probes.
const (
	// roundEvery is how often a round of every probe begins; roundsMax bounds the
	// rounds, a long run has them further apart.
	roundEvery = time.Second
	roundsMax  = 60
	// repeatsAtOnce is how many requests with one key and content leave together.
	repeatsAtOnce = 4
	// edgeAround is how long before and after an edge gifts are sent to the
	// campaign, and edgeProbes how many.
	edgeAround = 750 * time.Millisecond
	edgeProbes = 150
	// statePatience is how long a conflict may take to show in a donation's state.
	statePatience = 30 * time.Second
	statePause    = 250 * time.Millisecond
)

// scripts sends the probes of a session.
type scripts struct {
	*engine
	plan    *plan
	history *history
	states  *states
}

// run starts every round at its time and returns when all have come to an end.
// Rounds are the same in every session of a run, so that a repeated run adds nothing.
// whole is the length of the whole schedule, which says how many rounds there are;
// left is what this session has before it.
func (s *scripts) run(ctx context.Context, stop <-chan struct{}, whole, left time.Duration) {
	var under sync.WaitGroup
	defer under.Wait()
	if s.plan.edges {
		under.Go(func() { s.edge(ctx, gift.Opening, probeOpens, s.plan.campaigns[s.plan.probe(probeOpens)].StartsAt) })
		under.Go(func() { s.edge(ctx, gift.Closing, probeCloses, s.plan.campaigns[s.plan.probe(probeCloses)].EndsAt) })
	}
	rounds := max(1, min(roundsMax, int(whole/roundEvery)))
	for n := range rounds {
		at := s.start.Add(left * time.Duration(n) / time.Duration(rounds))
		if wait(ctx, stop, time.Until(at)) != nil {
			return
		}
		number := int64(n + 1)
		for _, script := range []func(context.Context, int64){s.repeat, s.basket, s.conflict, s.race, s.refused} {
			under.Go(func() { script(ctx, number) })
		}
	}
}

// errStopped says that a wait ended because the run is to end.
var errStopped = errors.New("stopped")

func wait(ctx context.Context, stop <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
		return errStopped
	case <-t.C:
		return nil
	}
}

func (s *scripts) lines(amounts ...int64) []record.Line {
	lines := make([]record.Line, len(amounts))
	for i, minor := range amounts {
		lines[i] = record.Line{Campaign: s.plan.probe(probeOne + i), AmountMinor: minor}
	}
	return lines
}

// together sends probes at the same moment; ok is false unless every one was accepted.
func (s *scripts) together(ctx context.Context, refs []gift.Ref, lines [][]record.Line) (all []result, ok bool) {
	now, ok := time.Now(), true
	var answers []<-chan result
	for i := range refs {
		answers = append(answers, s.post(refs[i], now, probe{lines: lines[i]}))
	}
	for _, a := range answers {
		select {
		case r := <-a:
			all = append(all, r)
			ok = ok && r.outcome == record.Accepted
		case <-ctx.Done():
			return all, false
		}
	}
	return all, ok
}

// same compares the answers to one key and content: what the contract promises is
// the same id, token, amount and address.
func (s *scripts) same(ref gift.Ref, what string, all []result) {
	f := record.Finding{Invariant: "I8", Holds: true, Ref: ref.String(), ID: all[0].ID, Detail: what}
	for _, r := range all[1:] {
		a, b := r.accepted, all[0].accepted
		a.AcceptedAt, b.AcceptedAt = time.Time{}, time.Time{}
		// A token key that rotates in the run signs another token for the same holder.
		if a != b {
			f.Holds, f.Detail = false, what+": answers differ in id, token, amount or status_url"
		}
	}
	s.find(f)
}

// repeat sends one key and content once, several times at once, and once more.
func (s *scripts) repeat(ctx context.Context, number int64) {
	ref := gift.Ref{Kind: gift.Repeat, Number: number}
	lines := s.lines(500 + number)
	first, ok := s.ask(ctx, ref, time.Now(), probe{lines: lines})
	if !ok || first.outcome != record.Accepted {
		return
	}
	// Refs of one variant are told apart by their tries; side by side they need
	// variants, which mint other tokens for the card and are the same content.
	var refs []gift.Ref
	var same [][]record.Line
	for v := range repeatsAtOnce {
		again := ref
		again.Variant = uint8(v + 1)
		refs, same = append(refs, again), append(same, lines)
	}
	all, ok := s.together(ctx, refs, same)
	if !ok {
		return
	}
	last, ok := s.ask(ctx, ref, time.Now(), probe{lines: lines}) // byte for byte the first
	if ok && last.outcome == record.Accepted {
		s.same(ref, "repeated", append(all, first, last))
	}
}

// basket sends a donation of three lines, and again with the lines turned round.
func (s *scripts) basket(ctx context.Context, number int64) {
	ref := gift.Ref{Kind: gift.Basket, Number: number}
	lines := s.lines(100+number, 200, 300)
	turned := []record.Line{lines[2], lines[0], lines[1]}
	first, ok := s.ask(ctx, ref, time.Now(), probe{lines: lines})
	if !ok || first.outcome != record.Accepted {
		return
	}
	ref.Variant = 1
	second, ok := s.ask(ctx, ref, time.Now(), probe{lines: turned})
	if ok && second.outcome == record.Accepted {
		s.same(ref.Key(), "the same lines in another order", []result{first, second})
	}
}

// conflict sends a key again with another amount after the first was accepted.
func (s *scripts) conflict(ctx context.Context, number int64) {
	ref := gift.Ref{Kind: gift.Conflict, Number: number}
	first, ok := s.ask(ctx, ref, time.Now(), probe{lines: s.lines(700)})
	if !ok || first.outcome != record.Accepted {
		return
	}
	ref.Variant = 1
	second, ok := s.ask(ctx, ref, time.Now(), probe{lines: s.lines(701)})
	if ok {
		s.settleConflict(ctx, ref.Key(), []result{first, second})
	}
}

// race sends a key with two amounts at the same moment.
func (s *scripts) race(ctx context.Context, number int64) {
	a := gift.Ref{Kind: gift.Race, Number: number}
	b := a
	b.Variant = 1
	all, _ := s.together(ctx, []gift.Ref{a, b}, [][]record.Line{s.lines(800), s.lines(801)})
	if len(all) == 2 {
		s.settleConflict(ctx, a, all)
	}
}

// keyReusedStatus is how a front-end that remembers the key refuses other content.
const keyReusedStatus = 422

// settleConflict judges two contents under one key: one was refused as such, or
// both were accepted and the state tells one of the bearers of a conflict.
func (s *scripts) settleConflict(ctx context.Context, ref gift.Ref, two []result) {
	f := record.Finding{Invariant: "I8", Holds: true, Ref: ref.String()}
	var both []accepted
	for _, r := range two {
		switch {
		case r.outcome == record.Accepted:
			both = append(both, r.accepted)
		case r.outcome == record.Refused && r.code == keyReusedStatus:
			f.Detail = "other content was refused at once"
		default:
			return // unknown, and the audit finds what became of it
		}
	}
	if len(both) == 0 {
		// Each was refused for the other's sake.
		f.Holds, f.Detail = false, "two contents under one key, and both were refused"
	}
	if len(both) == 2 {
		losers, known := s.losers(ctx, both)
		if !known {
			return
		}
		f.ID = both[0].ID
		f.Detail = "other content shows as a conflict to its bearer"
		if losers != 1 {
			f.Holds, f.Detail = false, fmt.Sprintf("two contents under one key were accepted, and %d of the bearers see a conflict", losers)
		}
	}
	s.find(f)
}

// losers asks for the state with each token until the ledger knows the donation,
// and counts the bearers that are told of a conflict.
func (s *scripts) losers(ctx context.Context, both []accepted) (n int, known bool) {
	for deadline := time.Now().Add(statePatience); time.Now().Before(deadline); {
		n = 0
		known = true
		for _, a := range both {
			st, err := s.states.ask(ctx, a.StatusURL, a.Token)
			known = known && err == nil && !st.Stale
			if st.Conflict {
				n++
			}
		}
		if known {
			return n, true
		}
		if sleep(ctx, statePause) != nil {
			return 0, false
		}
	}
	return 0, false
}

// refusal is a request that the contract refuses.
type refusal struct {
	campaign    int
	amountMinor int64
	currency    money.Currency
	body        string // with no donation in it; probeSlug in it is the campaign's
	contentType string
}

var refusals = []refusal{
	{campaign: probeNowhere, amountMinor: 500},
	{campaign: probeLater, amountMinor: 500},
	{campaign: probeOne, amountMinor: 500, currency: "EUR"},
	{campaign: probeOne, amountMinor: 0},
	{campaign: probeOne, amountMinor: 100_000_000},
	{body: `{"currency":"USD"`},
	{body: `{"currency":"USD","currency":"USD","lines":[],"payment":{"confirmation_token":"ctoken_x"}}`},
	{body: `{"currency":"USD","lines":[{"campaign":"x","amount_minor":5.5}],"payment":{"confirmation_token":"ctoken_x"}}`},
	{campaign: probeOne, amountMinor: 500, contentType: "text/plain"},
	// A card number where people write: it is refused, and no log may hold any of this.
	{campaign: probeOne, body: `{"currency":"USD","lines":[{"campaign":"` + probeSlug + `","amount_minor":500}],` +
		`"donor":{"name":"Ada Example aaaa","email":"donor-aaaaaaaaaaaaaaaa@example.org","anonymous":false,"hide_amount":false},` +
		`"message":"my card is 4242 4242 4242 4242","payment":{"confirmation_token":"ctoken_rehearsal_aaaaaaaaaaaaaaaa"}}`},
}

// probeSlug stands for a campaign's slug, which the run makes.
const probeSlug = "{slug}"

// refused sends what has to be refused, each under a key of its own.
func (s *scripts) refused(ctx context.Context, number int64) {
	for i, r := range refusals {
		ref := gift.Ref{Kind: gift.Refused, Number: number*int64(len(refusals)) + int64(i)}
		p := probe{currency: r.currency, contentType: r.contentType}
		if r.body != "" {
			p.body = []byte(strings.ReplaceAll(r.body, probeSlug, s.plan.campaigns[s.plan.probe(r.campaign)].Slug))
		} else {
			p.lines = []record.Line{{Campaign: s.plan.probe(r.campaign), AmountMinor: r.amountMinor}}
		}
		got, ok := s.ask(ctx, ref, time.Now(), p)
		if ok && got.outcome == record.Accepted {
			s.find(record.Finding{Invariant: "I3", Ref: ref.String(), ID: got.ID, Detail: "a request that the contract refuses was accepted"})
		}
	}
}

// edge sends gifts around the moment at which a campaign opens or closes. The audit
// judges them by their receive times.
func (s *scripts) edge(ctx context.Context, kind gift.Kind, campaign int, at time.Time) {
	var answers []<-chan result
	for n := range edgeProbes {
		ref := gift.Ref{Kind: kind, Number: int64(n + 1)}
		planned := at.Add(-edgeAround + 2*edgeAround*time.Duration(n)/edgeProbes)
		if s.history.edges[ref] || planned.Before(s.start) {
			continue
		}
		p := probe{lines: []record.Line{{Campaign: s.plan.probe(campaign), AmountMinor: 300 + int64(n)}}}
		answers = append(answers, s.post(ref, planned, p))
	}
	for _, a := range answers {
		select {
		case <-a:
		case <-ctx.Done():
			return
		}
	}
}
