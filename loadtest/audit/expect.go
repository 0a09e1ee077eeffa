package audit

import (
	"fmt"
	"math"
	"time"

	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// key is what the record says of one idempotency key.
type key struct {
	ref   gift.Ref // variant 0
	first variant
	more  []variant // probes send several
	rows  int32     // in the ledger
	fell  time.Time // when it may have stopped being pledged; zero for never
}

// variant is one content (with one confirmation token) that was sent under a key.
type variant struct {
	used     bool
	number   uint8
	lines    []record.Line // shared by equal single lines
	attempts int32
	answered int32 // attempts that had an HTTP answer, whatever it said
	definite int32 // answers that say for certain what the request did
	accepted int32
	// firstSent and last bound everything that happened to it; acceptedAt is the
	// only 202's own word, zero when there were several.
	firstSent, last       time.Time
	accepted1, acceptedAt time.Time // first 202 read; its accepted_at
	recorded              bool      // found in the ledger or as a conflict
	won                   bool      // it is the content that the ledger holds
}

// unknown tells whether one of the variant's attempts may have stored it without
// our having been told.
func (v *variant) unknown() bool { return v.attempts > v.definite }

// silent tells whether an attempt was never answered, so that nothing says when it
// arrived.
func (v *variant) silent() bool { return v.attempts > v.answered }

// maybe tells whether the variant may be in the ledger at all.
func (v *variant) maybe() bool { return v.accepted > 0 || v.unknown() }

// each visits the variants that were sent.
func (k *key) each(visit func(*variant)) {
	if k.first.used {
		visit(&k.first)
	}
	for i := range k.more {
		visit(&k.more[i])
	}
}

func (k *key) variant(number uint8) *variant {
	if !k.first.used || k.first.number == number {
		return &k.first
	}
	for i := range k.more {
		if k.more[i].number == number {
			return &k.more[i]
		}
	}
	k.more = append(k.more, variant{number: number})
	return &k.more[len(k.more)-1]
}

func (k *key) any(is func(*variant) bool) bool {
	found := false
	k.each(func(v *variant) { found = found || is(v) })
	return found
}

func (k *key) accepted() bool { return k.any(func(v *variant) bool { return v.accepted > 0 }) }
func (k *key) maybe() bool    { return k.any((*variant).maybe) }

// expectation is what the record says of all keys of one part.
type expectation struct {
	index map[ingest.ID]int32
	keys  []key
}

func (e *expectation) find(id ingest.ID) *key {
	i, ok := e.index[id]
	if !ok {
		return nil
	}
	return &e.keys[i]
}

// expect reads the record for the keys of one part, and judges opening hours,
// which needs attempts and answers in their order.
func (a *auditor) expect(part, parts int) (*expectation, error) {
	room := a.attempts/int64(parts) + 1 // about: retries take less, and chance more
	e := &expectation{index: make(map[ingest.ID]int32, room), keys: make([]key, 0, room)}
	hours := opening{auditor: a, sent: map[gift.Ref]time.Time{}}
	_, _, err := record.ScanRun(a.cfg.Record, a.cfg.Others, record.Visitor{
		Attempt: func(at *record.Attempt) error {
			id := a.run.ID(at.Ref)
			if partOf(id, parts) != part {
				return nil
			}
			return e.attempt(id, at, &hours)
		},
		Answer: func(an *record.Answer) error {
			id := a.run.ID(an.Ref)
			if partOf(id, parts) != part {
				return nil
			}
			return e.answer(id, an, &hours)
		},
	})
	return e, err
}

func (e *expectation) attempt(id ingest.ID, at *record.Attempt, hours *opening) error {
	i, known := e.index[id]
	if !known {
		if len(e.keys) == math.MaxInt32 {
			return fmt.Errorf("more than %d keys in one part: %w", math.MaxInt32, ErrRecord)
		}
		i = int32(len(e.keys))
		e.index[id] = i
		e.keys = append(e.keys, key{ref: at.Ref.Key()})
	}
	k := &e.keys[i]
	if k.ref != at.Ref.Key() {
		return fmt.Errorf("%v and %v share a key: %w", k.ref, at.Ref, ErrRecord)
	}
	v := k.variant(at.Ref.Variant)
	if !v.used {
		*v = variant{used: true, number: at.Ref.Variant, lines: append([]record.Line(nil), at.Lines...), firstSent: at.Sent}
	} else if !equalLines(v.lines, at.Lines) {
		return fmt.Errorf("%v was sent with two contents: %w", at.Ref, ErrRecord)
	}
	v.attempts++
	v.last = at.Sent
	hours.attempted(at)
	return nil
}

func equalLines(a, b []record.Line) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (e *expectation) answer(id ingest.ID, an *record.Answer, hours *opening) error {
	k := e.find(id)
	if k == nil || !k.any(func(v *variant) bool { return v.number == an.Ref.Variant }) {
		return fmt.Errorf("%v was answered and never sent: %w", an.Ref, ErrRecord)
	}
	v := k.variant(an.Ref.Variant)
	hours.answered(k, an)
	if an.At.After(v.last) {
		v.last = an.At
	}
	if an.Code != 0 {
		v.answered++
	}
	if an.Outcome.Definite() {
		v.definite++
	}
	if v.definite > v.attempts || v.answered > v.attempts {
		return fmt.Errorf("%v has more answers than attempts: %w", an.Ref, ErrRecord)
	}
	if an.Outcome == record.Accepted {
		v.accepted++
		v.acceptedAt = an.AcceptedAt
		if v.accepted == 1 {
			v.accepted1 = an.At
		} else {
			v.acceptedAt = time.Time{}
		}
	}
	return nil
}

// gift rebuilds what was sent; ok is false for a request that holds no donation.
func (a *auditor) gift(k *key, v *variant) (g gift.Gift, ok bool) {
	if len(v.lines) == 0 {
		return gift.Gift{}, false
	}
	ref := k.ref
	ref.Variant = v.number
	lines := make([]ingest.Line, len(v.lines))
	for i, l := range v.lines {
		lines[i] = ingest.Line{Campaign: a.campaigns[l.Campaign].Slug, AmountMinor: l.AmountMinor}
	}
	return a.run.Make(ref, a.campaigns[v.lines[0].Campaign].Currency, lines), true
}
