package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// world is a small run that went well: its record, and the ledger and totals
// that belong to it. Tests doctor one thing and expect one check to notice.
type world struct {
	t       *testing.T
	run     *gift.Run
	writer  *record.Writer
	path    string
	start   time.Time
	now     time.Time // the generator's clock while the record is written
	skew    time.Duration
	slugs   []string
	ledger  *fakeLedger
	keys    fakeKeys
	sealing bool
	logs    []string
}

// campaigns of the world, by index.
const (
	river = iota
	school
	probe
	opens
	closes
	nowhere
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, start: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), ledger: newFakeLedger(), keys: fakeKeys{}, sealing: true}
	w.path = filepath.Join(t.TempDir(), "record")
	w.log("quiet", "level=INFO msg=ready")
	hash := [32]byte{7}
	var err error
	if w.run, err = gift.NewRun("world", "day.csv", hash); err != nil {
		t.Fatal(err)
	}
	w.writer, err = record.Open(w.path, record.Header{Run: "world", Source: "day.csv", Hash: hex.EncodeToString(hash[:]), Copies: 1, Probes: true}, record.Visitor{})
	w.must(err)
	cs := []record.Campaign{
		river:   {Name: "river", Rows: 6, SumMinor: 6 * 100},
		school:  {Name: "school", Rows: 2, SumMinor: 2 * 100},
		probe:   {},
		opens:   {StartsAt: w.start.Add(10 * time.Second)},
		closes:  {EndsAt: w.start.Add(10 * time.Second)},
		nowhere: {Absent: true},
	}
	for i, name := range []string{"river", "school", "probe", "opens", "closes", "nowhere"} {
		cs[i].Slug, cs[i].Currency = w.run.Slug(name), "USD"
		if cs[i].StartsAt.IsZero() {
			cs[i].StartsAt = w.start.Add(-2 * time.Hour)
		}
		w.slugs = append(w.slugs, cs[i].Slug)
	}
	_, err = w.writer.Campaigns(cs)
	w.must(err)
	w.session()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) session() {
	w.must(w.writer.Session(record.Session{StartedAt: w.start}))
	w.now = w.start
}

// at moves the generator's clock to a time after the start.
func (w *world) at(d time.Duration) *world { w.now = w.start.Add(d); return w }

func oneLine(campaign int32, minor int64) []record.Line {
	return []record.Line{{Campaign: campaign, AmountMinor: minor}}
}

func row(n int64) gift.Ref { return gift.Ref{Kind: gift.Row, Number: n} }

// send writes an attempt.
func (w *world) send(ref gift.Ref, lines []record.Line) {
	w.writer.Attempt(&record.Attempt{Ref: ref, Try: 1, Sent: w.now, Lines: lines})
}

// trip is how long a request takes: received half way.
const trip = 10 * time.Millisecond

// answer writes an answer to the attempt just sent and moves the clock.
func (w *world) answer(ref gift.Ref, code int) {
	a := record.Answer{Ref: ref, Try: 1, Code: code, At: w.now.Add(trip), Outcome: record.Refused}
	switch {
	case code == 202:
		a.Outcome, a.AcceptedAt = record.Accepted, w.received()
	case code == 0 || code >= 500:
		a.Outcome = record.Unknown
	case code == 429:
		a.Outcome = record.Deferred
	}
	w.writer.Answer(&a)
	w.now = w.now.Add(trip)
}

// received is when the front-end's clock sees the request that is being sent.
func (w *world) received() time.Time { return w.now.Add(trip/2 + w.skew).Truncate(time.Microsecond) }

// store puts what is being sent into the ledger, as a right one would.
func (w *world) store(ref gift.Ref, lines []record.Line) *Donation {
	ls := make([]ingest.Line, len(lines))
	for i, l := range lines {
		ls[i] = ingest.Line{Campaign: w.slugs[l.Campaign], AmountMinor: l.AmountMinor}
	}
	g := w.run.Make(ref, "USD", ls)
	d := &Donation{ID: g.ID, Fingerprint: g.Donation.Fingerprint(), ReceivedAt: w.received(), TokenExpiresAt: w.received().Add(ingest.TokenLife),
		AmountMinor: g.AmountMinor(), FeeCoverMinor: g.Donation.FeeCoverMinor, Currency: "USD", Anonymous: g.Donation.Anonymous,
		HideAmount: g.Donation.HideAmount, ConfirmationToken: g.Donation.Payment.ConfirmationToken, Lines: ls}
	for _, l := range ls {
		d.LinesMinor += l.AmountMinor
	}
	if !g.Donation.Personal.IsZero() {
		d.Sealed, d.SealKey = []byte(d.ID.String()), 1
		w.keys[d.ID] = g.Donation.Personal
	}
	if slices.ContainsFunc(w.ledger.donations, func(o *Donation) bool { return o.ID == d.ID }) {
		w.t.Fatalf("%v stored twice by the test itself", ref)
	}
	w.ledger.donations = append(w.ledger.donations, d)
	for _, l := range lines {
		s := w.ledger.slot(w.slugs[l.Campaign])
		s.Donations++
		s.PledgedMinor += l.AmountMinor
		s.Version++
	}
	return d
}

// give sends, stores and acknowledges.
func (w *world) give(ref gift.Ref, lines []record.Line) *Donation {
	w.send(ref, lines)
	d := w.store(ref, lines)
	w.answer(ref, 202)
	return d
}

// see writes what a watcher reads of a campaign: the totals as they are now.
func (w *world) see(connection int64, campaign int32, asOf time.Time) *record.Observation {
	o := w.look(connection, campaign, asOf)
	w.writer.Observation(o)
	return o
}

// look is see without writing it.
func (w *world) look(connection int64, campaign int32, asOf time.Time) *record.Observation {
	s := *w.ledger.slot(w.slugs[campaign])
	o := &record.Observation{Connection: connection, Campaign: campaign, At: w.now, AsOf: asOf, Epoch: 1, Version: s.Version,
		Donations: s.Donations, PledgedMinor: s.PledgedMinor}
	return o
}

// goodRun writes one of everything. Every row of the source is acknowledged.
func (w *world) goodRun() {
	for n := int64(1); n <= 5; n++ {
		w.give(row(n), oneLine(river, 100))
		w.see(1, river, w.now.Add(w.skew))
	}
	// Unknown first, stored all the same, then acknowledged again.
	w.send(row(6), oneLine(river, 100))
	w.store(row(6), oneLine(river, 100))
	w.answer(row(6), 503)
	w.send(row(6), oneLine(river, 100))
	w.answer(row(6), 202)
	w.give(row(7), oneLine(school, 100))
	w.give(row(8), oneLine(school, 100))
	w.see(2, school, w.now.Add(w.skew))
	w.see(2, school, w.now.Add(w.skew))

	// The same donation with a new token and its lines turned round.
	basket := gift.Ref{Kind: gift.Basket, Number: 1}
	lines := []record.Line{{Campaign: probe, AmountMinor: 5}, {Campaign: river + 1, AmountMinor: 7}}
	lines[1].Campaign = opens // any other
	lines = lines[:1]
	w.give(basket, lines)
	basket.Variant = 1
	w.send(basket, lines)
	w.answer(basket, 202)

	// Other content: refused at once, and acknowledged with a conflict.
	for n, code := range map[int64]int{1: 422, 2: 202} {
		ref := gift.Ref{Kind: gift.Conflict, Number: n}
		w.give(ref, oneLine(probe, 50))
		ref.Variant = 1
		w.send(ref, oneLine(probe, 51))
		w.answer(ref, code)
		if code == 202 {
			w.ledger.conflicts = append(w.ledger.conflicts, w.conflict(ref, oneLine(probe, 51)))
		}
	}

	for n, code := range []int{404, 422, 400, 409, 429} {
		ref := gift.Ref{Kind: gift.Refused, Number: int64(n + 1)}
		ls := oneLine(nowhere, 5)
		if code == 400 {
			ls = nil
		}
		w.send(ref, ls)
		w.answer(ref, code)
	}

	// One unknown that never was stored, one that was.
	w.send(gift.Ref{Kind: gift.Repeat, Number: 1}, oneLine(probe, 9))
	w.send(gift.Ref{Kind: gift.Repeat, Number: 2}, oneLine(probe, 9))
	w.store(gift.Ref{Kind: gift.Repeat, Number: 2}, oneLine(probe, 9))

	edge := func(kind gift.Kind, n int64, at time.Duration, campaign int32, open bool) {
		ref := gift.Ref{Kind: kind, Number: n}
		w.at(at)
		if open {
			w.give(ref, oneLine(campaign, 3))
			return
		}
		w.send(ref, oneLine(campaign, 3))
		w.answer(ref, 409)
	}
	edge(gift.Opening, 1, 9*time.Second, opens, false)
	edge(gift.Opening, 2, 11*time.Second, opens, true)
	edge(gift.Closing, 1, 9*time.Second, closes, true)
	edge(gift.Closing, 2, 11*time.Second, closes, false)
	w.must(w.writer.Finding(record.Finding{Invariant: "I8", Holds: true, Ref: "repeat 1", Detail: "answers agree"}))
	w.at(12 * time.Second)
}

func (w *world) conflict(ref gift.Ref, lines []record.Line) Conflict {
	g := w.run.Make(ref, "USD", []ingest.Line{{Campaign: w.slugs[lines[0].Campaign], AmountMinor: lines[0].AmountMinor}})
	return Conflict{ID: g.ID, Fingerprint: g.Donation.Fingerprint()}
}

// audit ends the record and judges it.
func (w *world) audit() *Result {
	w.t.Helper()
	w.must(w.writer.End(record.End{At: w.now}))
	w.must(w.writer.Close())
	w.ledger.asOf = w.now.Add(w.skew)
	r, err := Run(context.Background(), w.config())
	w.must(err)
	return r
}

func (w *world) config() Config {
	return Config{Record: w.path, Totals: w.ledger, Keys: w.keys, Charged: true, Logs: w.logs, Secrets: []string{secret, "short"}, partitionKeys: 4, settlePause: time.Millisecond,
		Open: func(context.Context) (Ledger, func(), error) { return w.ledger, func() {}, nil }}
}

// wantBroken checks that exactly the named checks are broken: "I1", or "I6
// as_of" when the claim has to tell two of an invariant apart.
func wantBroken(t *testing.T, r *Result, want ...string) {
	t.Helper()
	for _, c := range r.Checks {
		expected := slices.ContainsFunc(want, func(s string) bool {
			invariant, claim, _ := strings.Cut(s, " ")
			return invariant == c.Invariant && strings.Contains(c.Claim, claim)
		})
		if expected != (c.Broken > 0) {
			t.Errorf("%s (%s): broken %d, expected %v: %+v", c.Invariant, c.Claim, c.Broken, expected, c.Violations)
		}
		if c.Broken > 0 && len(c.Violations) == 0 {
			t.Errorf("%s is broken and names nothing", c.Invariant)
		}
	}
	if r.Holds() != (len(want) == 0) {
		t.Errorf("holds: %v, want broken %v", r.Holds(), want)
	}
}

// fakeLedger is a ledger in memory, and its public totals.
type fakeLedger struct {
	donations []*Donation
	conflicts []Conflict
	slots     map[string]*campaigns.SlotRow
	asOf      time.Time
	// doctor, when set, changes a total as it is read.
	doctor func(slug string, t *Total)
	fail   error
	// entries and charges are both sides' books of the money.
	entries []*Entry
	charges []Charge
}

func (l *fakeLedger) Entries(_ context.Context, from, to ingest.ID, visit func(*Entry) error) error {
	for _, e := range l.entries {
		if !within(e.Donation, from, to) {
			continue
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *fakeLedger) Charges(context.Context) ([]Charge, error) { return l.charges, nil }

func newFakeLedger() *fakeLedger { return &fakeLedger{slots: map[string]*campaigns.SlotRow{}} }

func (l *fakeLedger) slot(slug string) *campaigns.SlotRow {
	if l.slots[slug] == nil {
		l.slots[slug] = &campaigns.SlotRow{Campaign: slug, Currency: "USD"}
	}
	return l.slots[slug]
}

func within(id, from, to ingest.ID) bool {
	return slices.Compare(id[:], from[:]) >= 0 && slices.Compare(id[:], to[:]) <= 0
}

func (l *fakeLedger) Donations(_ context.Context, prefix string, from, to ingest.ID, visit func(*Donation) error) error {
	for _, d := range l.donations {
		ours := slices.ContainsFunc(d.Lines, func(n ingest.Line) bool { return strings.HasPrefix(n.Campaign, prefix) })
		if !ours || !within(d.ID, from, to) {
			continue
		}
		if err := visit(d); err != nil {
			return err
		}
	}
	return l.fail
}

func (l *fakeLedger) Find(_ context.Context, ids []ingest.ID, visit func(*Donation) error) error {
	for _, d := range l.donations {
		if slices.Contains(ids, d.ID) {
			if err := visit(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *fakeLedger) Conflicts(_ context.Context, from, to ingest.ID, visit func(Conflict) error) error {
	for _, c := range l.conflicts {
		if within(c.ID, from, to) {
			if err := visit(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *fakeLedger) Slots(_ context.Context, prefix string, visit func(campaigns.SlotRow) error) error {
	for slug, s := range l.slots {
		if strings.HasPrefix(slug, prefix) {
			if err := visit(*s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *fakeLedger) Total(_ context.Context, slug string) (Total, error) {
	s := l.slot2(slug)
	t := Total{PledgedMinor: s.PledgedMinor, RaisedMinor: s.RaisedMinor, Donations: s.Donations, Currency: "USD", Epoch: 1, Version: s.Version, AsOf: l.asOf}
	if l.doctor != nil {
		l.doctor(slug, &t)
	}
	return t, nil
}

// slot2 reads without creating, for totals are read side by side.
func (l *fakeLedger) slot2(slug string) campaigns.SlotRow {
	if s := l.slots[slug]; s != nil {
		return *s
	}
	return campaigns.SlotRow{}
}

type fakeKeys map[ingest.ID]ingest.Personal

var errSealed = errors.New("does not open")

func (k fakeKeys) Open(id ingest.ID, sealed []byte, key uint32) (ingest.Personal, error) {
	if p, ok := k[id]; ok && string(sealed) == id.String() && key == 1 {
		return p, nil
	}
	return ingest.Personal{}, errSealed
}
