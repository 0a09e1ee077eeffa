package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// gift is a donation as a front-end sends it; key makes its ID.
func gift(key string) envelope.Donation {
	return envelope.Donation{
		ID:                ingest.DeriveID([]byte(key)),
		Fingerprint:       ingest.Fingerprint{1},
		ReceivedAt:        noon,
		Source:            7,
		Currency:          "USD",
		AmountMinor:       600,
		FeeCoverMinor:     100,
		Lines:             []ingest.Line{{Campaign: "river", AmountMinor: 300}, {Campaign: "school", AmountMinor: 200}},
		ConfirmationToken: "ctoken_" + key,
		TokenExpiresAt:    noon.Add(time.Hour),
	}
}

func with(d envelope.Donation, change func(*envelope.Donation)) envelope.Donation {
	d.Lines = slices.Clone(d.Lines)
	change(&d)
	return d
}

func message(donations ...envelope.Donation) []byte {
	data := envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{1}, Node: "test"})
	for i := range donations {
		data = envelope.AppendDonation(data, &donations[i])
	}
	return data
}

// record is the bytes of a donation's record, as the quarantine keeps them.
func record(t *testing.T, d envelope.Donation) (raw []byte) {
	t.Helper()
	_, err := envelope.Decode(message(d), func(_ int, _ envelope.Record, r []byte, _ error) { raw = r })
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// world is a database and a broker that say what a test wants. All is in the live book.
type world struct {
	messages    [][]byte // from sequence first
	first       uint64
	firstAt     time.Time
	floor       uint64
	stateErr    error
	readErr     error
	rows        []envelope.Donation
	conflicts   []envelope.Donation
	requests    []envelope.Request
	quarantined [][]byte
	snapshots   []*campaigns.Snapshot
	slots       []campaigns.SlotRow
	failed      map[ingest.ID]bool
	links       []journal.Link
	entries     []journal.Entry
	heads       map[int32]campaigns.ChainHead
	checkErr    error
	unsafe      string
	durableErr  error
}

func (w *world) last() uint64 { return w.first + uint64(len(w.messages)) - 1 }

func (w *world) Shards() int { return 1 }

func (w *world) State(_ context.Context, book ledger.Book, _ int) (StreamState, error) {
	if book != ledger.Live {
		return StreamState{First: 1}, nil
	}
	return StreamState{First: w.first, Last: w.last(), FirstAt: w.firstAt, AckFloor: w.floor, Pending: w.last() - w.floor}, w.stateErr
}

func (w *world) Read(_ context.Context, book ledger.Book, _ int, first, last uint64, visit func(uint64, []byte) error) error {
	if book != ledger.Live {
		return nil
	}
	for s := first; s <= last; s++ {
		if w.messages[s-w.first] == nil {
			if s == first {
				return ErrNoMessage
			}
			continue
		}
		if err := visit(s, w.messages[s-w.first]); err != nil {
			return err
		}
	}
	return w.readErr
}

func (w *world) Durable(context.Context) (string, error) { return w.unsafe, w.durableErr }

func (w *world) Snapshots(context.Context) ([]*campaigns.Snapshot, error) { return w.snapshots, nil }

func (w *world) Check(context.Context, ledger.Book, string, int, func(string, string)) (int64, int64, error) {
	return 0, 0, w.checkErr
}

func (w *world) Donations(_ context.Context, book ledger.Book, ids []ingest.ID, visit func(int64, *envelope.Donation)) error {
	for i := range w.rows {
		if book == ledger.Live && slices.Contains(ids, w.rows[i].ID) {
			visit(int64(i), &w.rows[i])
		}
	}
	return nil
}

func (w *world) Conflicts(_ context.Context, _ ledger.Book, ids []ingest.ID, visit func(ingest.ID, ingest.Fingerprint)) error {
	for i := range w.conflicts {
		if slices.Contains(ids, w.conflicts[i].ID) {
			visit(w.conflicts[i].ID, w.conflicts[i].Fingerprint)
		}
	}
	return nil
}

func (w *world) Requests(_ context.Context, book ledger.Book, ids []ingest.RequestID, visit func(ingest.RequestID, ingest.ID, string)) error {
	for _, r := range w.requests {
		if book == ledger.Live && slices.Contains(ids, r.ID) {
			visit(r.ID, r.Donation, r.Kind.String())
		}
	}
	return nil
}

func (w *world) Quarantined(_ context.Context, _ ledger.Book, hashes [][32]byte, visit func([32]byte)) error {
	for _, payload := range w.quarantined {
		if h := sha256.Sum256(payload); slices.Contains(hashes, h) {
			visit(h)
		}
	}
	return nil
}

func (w *world) Rows(_ context.Context, book ledger.Book, visit func(int64, ingest.ID, time.Time)) error {
	for i := range w.rows {
		if book == ledger.Live {
			visit(int64(i), w.rows[i].ID, w.rows[i].ReceivedAt)
		}
	}
	return nil
}

func (w *world) Lines(_ context.Context, book ledger.Book, visit func(string, money.Currency, int64, bool)) error {
	for i := range w.rows {
		for _, l := range w.rows[i].Lines {
			if book == ledger.Live {
				visit(l.Campaign, w.rows[i].Currency, l.AmountMinor, !w.failed[w.rows[i].ID])
			}
		}
	}
	return nil
}

func (w *world) Entries(_ context.Context, book ledger.Book, visit func(journal.Link, *journal.Entry)) error {
	for i := range w.entries {
		if book == ledger.Live {
			visit(w.links[i], &w.entries[i])
		}
	}
	return nil
}

func (w *world) ChainHeads(_ context.Context, book ledger.Book, visit func(int32, campaigns.ChainHead)) error {
	for slot, head := range w.heads {
		if book == ledger.Live {
			visit(slot, head)
		}
	}
	return nil
}

func (w *world) Slots(_ context.Context, book ledger.Book, visit func(int32, *campaigns.SlotRow)) error {
	for i := range w.slots {
		if book == ledger.Live {
			visit(1, &w.slots[i])
		}
	}
	return nil
}

func (w *world) TakenAt() time.Time { return noon }
func (w *world) Close()             {}

func (w *world) run(t *testing.T, cfg Config) *Report {
	t.Helper()
	report, err := Run(t.Context(), cfg, Deps{
		Open:    func(context.Context) (Database, error) { return w, nil },
		Streams: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// result finds one check of the live book.
func result(t *testing.T, r *Report, check string) Result {
	t.Helper()
	for _, res := range r.Results {
		if res.Check == check && strings.HasPrefix(res.Scope, "live") {
			return res
		}
	}
	t.Fatalf("no result %q", check)
	return Result{}
}

func wantResult(t *testing.T, res Result, want Verdict, ids ...string) {
	t.Helper()
	var got []string
	for _, f := range res.Findings {
		got = append(got, f.ID)
	}
	if res.Verdict != want || !slices.Equal(got, ids) || res.Offenders != int64(len(ids)) {
		t.Errorf("%s: %s, %d offenders %v (%s); want %s, %q", res.Check, res.Verdict, res.Offenders, res.Findings, res.Reason, want, ids)
	}
}

func TestStream_ComparedWithTheBook(t *testing.T) {
	one, two := gift("key-number-one-00"), gift("key-number-two-00")
	other := with(two, func(d *envelope.Donation) { d.Fingerprint[0]++; d.Lines[0].AmountMinor++; d.AmountMinor++ })
	again := with(one, func(d *envelope.Donation) {
		d.ReceivedAt = noon.Add(time.Second)
		d.ConfirmationToken = "ctoken_again"
	})
	for _, c := range []struct {
		name  string
		world world
		// offenders of "recorded" and, deep, of "sent"
		recorded, sent []string
	}{
		{"what was sent is recorded", world{messages: [][]byte{message(one, two)}, floor: 1, rows: []envelope.Donation{one, two}}, nil, nil},
		{"a lost donation", world{messages: [][]byte{message(one, two)}, floor: 1, rows: []envelope.Donation{one}},
			[]string{two.ID.String()}, nil},
		{"one that is not acknowledged yet", world{messages: [][]byte{message(one), message(two)}, floor: 1, rows: []envelope.Donation{one}}, nil, nil},
		{"one that is recorded and not acknowledged yet", world{messages: [][]byte{message(one), message(two)}, floor: 1, rows: []envelope.Donation{one, two}}, nil, nil},
		{"one in quarantine", world{messages: [][]byte{message(one, two)}, floor: 1, rows: []envelope.Donation{one}, quarantined: [][]byte{record(t, two)}}, nil, nil},
		{"another one in quarantine", world{messages: [][]byte{message(one, two)}, floor: 1, rows: []envelope.Donation{one}, quarantined: [][]byte{record(t, one)}},
			[]string{two.ID.String()}, nil},
		{"a second attempt", world{messages: [][]byte{message(one), message(again)}, floor: 2, rows: []envelope.Donation{one}}, nil, nil},
		{"a second attempt, recorded first", world{messages: [][]byte{message(one), message(again)}, floor: 2, rows: []envelope.Donation{again}}, nil, nil},
		{"a conflict that is recorded", world{messages: [][]byte{message(two, other)}, floor: 1, rows: []envelope.Donation{two}, conflicts: []envelope.Donation{other}}, nil, nil},
		{"a conflict in silence", world{messages: [][]byte{message(two, other)}, floor: 1, rows: []envelope.Donation{two}},
			[]string{two.ID.String()}, nil},
		{"a row that nobody sent", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{one, two}},
			nil, []string{two.ID.String()}},
		{"another amount", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.Lines[1].AmountMinor-- })}},
			[]string{one.ID.String()}, []string{one.ID.String()}},
		{"another campaign", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.Lines[1].Campaign = "pool" })}},
			[]string{one.ID.String()}, []string{one.ID.String()}},
		{"a line less", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.Lines = d.Lines[:1] })}},
			[]string{one.ID.String()}, []string{one.ID.String()}},
		{"another currency", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.Currency = "EUR" })}},
			[]string{one.ID.String()}, []string{one.ID.String()}},
		{"a name shown that was to be hidden", world{messages: [][]byte{message(with(one, func(d *envelope.Donation) { d.Anonymous = true }))}, floor: 1, rows: []envelope.Donation{one}},
			[]string{one.ID.String()}, []string{one.ID.String()}},
		{"a time that nobody sent", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.ReceivedAt = noon.Add(time.Hour) })}},
			nil, []string{one.ID.String()}},
		{"a card token that nobody sent", world{messages: [][]byte{message(one)}, floor: 1, rows: []envelope.Donation{with(one, func(d *envelope.Donation) { d.ConfirmationToken = "ctoken_stolen" })}},
			nil, []string{one.ID.String()}},
		{"a rehearsal among the live ones", world{messages: [][]byte{message(with(one, func(d *envelope.Donation) { d.Rehearsal = true }))}, floor: 1},
			[]string{one.ID.String()}, nil},
		{"bytes that are no envelope", world{messages: [][]byte{message(one), []byte("garbage")}, floor: 2, rows: []envelope.Donation{one}},
			[]string{"live/0:2"}, nil},
		{"bytes that are no envelope, in quarantine", world{messages: [][]byte{[]byte("garbage")}, floor: 1, quarantined: [][]byte{[]byte("garbage")}}, nil, nil},
		{"a message gone from the middle", world{messages: [][]byte{message(one), nil, message(two)}, floor: 3, rows: []envelope.Donation{one, two}},
			[]string{"live/0:2"}, nil},
		{"rows older than a trimmed stream", world{messages: [][]byte{message(one)}, first: 9, firstAt: noon, floor: 9,
			rows: []envelope.Donation{one, with(two, func(d *envelope.Donation) { d.ReceivedAt = noon.Add(-time.Hour) })}}, nil, nil},
		{"a row newer than the trim that nobody sent", world{messages: [][]byte{message(one)}, first: 9, firstAt: noon.Add(-time.Hour), floor: 9,
			rows: []envelope.Donation{one, two}}, nil, []string{two.ID.String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.world
			w.first = max(1, w.first)
			verdict := func(offenders []string) Verdict {
				if len(offenders) > 0 {
					return Broken
				}
				return Holds
			}
			sample := w.run(t, Config{})
			wantResult(t, result(t, sample, "recorded"), verdict(c.recorded), c.recorded...)
			deep := w.run(t, Config{Deep: true})
			wantResult(t, result(t, deep, "recorded"), verdict(c.recorded), c.recorded...)
			wantResult(t, result(t, deep, "sent"), verdict(c.sent), c.sent...)
			if want := len(c.recorded)+len(c.sent) > 0; (deep.Status() == StatusBroken) != want {
				t.Errorf("status %d, broken: %v", deep.Status(), want)
			}
		})
	}
}

// What cannot be checked must never look like what holds.
func TestRun_WhatCouldNotRunIsUnchecked(t *testing.T) {
	one := gift("key-number-one-00")
	whole := world{messages: [][]byte{message(one)}, first: 1, floor: 1, rows: []envelope.Donation{one}}
	gone := errors.New("gone")

	w := whole
	w.readErr = gone
	report := w.run(t, Config{Deep: true})
	wantResult(t, result(t, report, "recorded"), Unchecked)
	wantResult(t, result(t, report, "sent"), Unchecked)
	if report.Status() != StatusUnchecked {
		t.Errorf("stream cannot be read: status %d", report.Status())
	}

	w = whole
	w.stateErr = gone
	report = w.run(t, Config{Deep: true})
	for _, check := range []string{"durable", "waiting", "recorded", "sent"} {
		wantResult(t, result(t, report, check), Unchecked)
	}

	w = whole
	w.checkErr = gone
	if report = w.run(t, Config{}); report.Status() != StatusUnchecked {
		t.Errorf("queries fail: status %d", report.Status())
	}

	report, err := Run(t.Context(), Config{}, Deps{
		Open:      func(context.Context) (Database, error) { return &whole, nil },
		NoStreams: "no broker was named",
	})
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, result(t, report, "recorded"), Unchecked)
	wantResult(t, result(t, report, "published"), Unchecked)
	if report.Status() != StatusUnchecked {
		t.Errorf("no broker: status %d", report.Status())
	}

	report, err = Run(t.Context(), Config{}, Deps{
		Open:    func(context.Context) (Database, error) { return &whole, nil },
		Streams: noStreams{&whole},
	})
	if err != nil || report.Status() != StatusUnchecked {
		t.Errorf("a broker without streams: %v, %v", report, err)
	}

	_, err = Run(t.Context(), Config{}, Deps{Open: func(context.Context) (Database, error) { return nil, gone }})
	if !errors.Is(err, gone) {
		t.Errorf("database cannot be opened: %v", err)
	}
}

// noStreams is a broker that nobody gave streams to, such as a wrong one.
type noStreams struct{ *world }

func (noStreams) Shards() int { return 0 }

func TestSynced_IsTheBrokersWord(t *testing.T) {
	synced := func(w world) Result {
		w.first = 1
		report := w.run(t, Config{})
		i := slices.IndexFunc(report.Results, func(r Result) bool { return r.Check == "synced" })
		return report.Results[i]
	}
	wantResult(t, synced(world{}), Holds)
	wantResult(t, synced(world{unsafe: "server n1 does not sync"}), Broken, "broker")
	wantResult(t, synced(world{durableErr: errors.New("nobody answers")}), Unchecked)
}

// An offender that was found before a stream broke off is no less broken for it.
func TestRun_FoundBeforeTheErrorIsBroken(t *testing.T) {
	w := world{messages: [][]byte{[]byte("garbage")}, first: 1, floor: 1, readErr: errors.New("gone")}
	report := w.run(t, Config{Deep: true})
	if res := result(t, report, "recorded"); res.Verdict == Holds {
		t.Errorf("%+v", res)
	}
	if report.Status() == StatusHolds {
		t.Error("status says that all holds")
	}
}

func TestWaiting_IsANoteUntilTheDayIsOver(t *testing.T) {
	w := world{messages: [][]byte{message(gift("key-number-one-00"))}, first: 1}
	res := result(t, w.run(t, Config{}), "waiting")
	wantResult(t, res, Noted, "live/0")
	res = result(t, w.run(t, Config{Drained: true}), "waiting")
	wantResult(t, res, Broken, "live/0")
}

func TestRebuild_ComparesLinesWithSlots(t *testing.T) {
	one := gift("key-number-one-00")
	w := world{first: 1, rows: []envelope.Donation{one}, slots: []campaigns.SlotRow{
		{Campaign: "river", Currency: "USD", PledgedMinor: 300, Donations: 1, Version: 1},
		{Campaign: "school", Currency: "USD", PledgedMinor: 150, Donations: 1, Version: 1},
		{Campaign: "school", Currency: "USD", PledgedMinor: 50, Donations: 0, Version: 1},
	}}
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Holds)
	w.slots[2].PledgedMinor++
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Broken, "school USD")
	w.slots = w.slots[1:]
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Broken, "river USD", "school USD")
	w.slots[0].RaisedMinor = 1
	w.rows = nil
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Broken, "school USD")
}

func TestPublished_IsNeverAheadOfTheDatabase(t *testing.T) {
	row := campaigns.SlotRow{Campaign: "river", Currency: "USD", PledgedMinor: 300, Donations: 1, Version: 5}
	published := func(change func(*campaigns.SlotRow)) *world {
		news := row
		change(&news)
		return &world{first: 1, slots: []campaigns.SlotRow{row}, snapshots: []*campaigns.Snapshot{
			{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 1}, Rows: []campaigns.SlotRow{news}},
		}}
	}
	wantResult(t, result(t, published(func(*campaigns.SlotRow) {}).run(t, Config{}), "published"), Holds)
	wantResult(t, result(t, published(func(r *campaigns.SlotRow) { r.Version, r.PledgedMinor = 4, 200 }).run(t, Config{}), "published"), Holds)
	const id = "slot 1 river USD"
	wantResult(t, result(t, published(func(r *campaigns.SlotRow) { r.Version++ }).run(t, Config{}), "published"), Broken, id)
	wantResult(t, result(t, published(func(r *campaigns.SlotRow) { r.PledgedMinor++ }).run(t, Config{}), "published"), Broken, id)
	wantResult(t, result(t, published(func(r *campaigns.SlotRow) { r.Campaign = "pool" }).run(t, Config{}), "published"), Broken, "slot 1 pool USD")
}

func TestSample_TakesBothEndsAndEvenlyBetween(t *testing.T) {
	for _, c := range []struct{ first, last uint64 }{{1, 0}, {1, 1}, {5, 260}, {5, 261}, {1, 1_000_000}, {1 << 40, 1<<40 + 5000}} {
		got := sampleSequences(c.first, c.last)
		name := fmt.Sprintf("%d..%d", c.first, c.last)
		if c.last < c.first {
			if got != nil {
				t.Errorf("%s: %d", name, got)
			}
			continue
		}
		stored := c.last - c.first + 1
		if want := min(stored, 2*sampleEnds+sampleBetween); uint64(len(got)) != want {
			t.Errorf("%s: %d messages, want %d", name, len(got), want)
		}
		if !slices.IsSorted(got) || got[0] != c.first || got[len(got)-1] != c.last {
			t.Errorf("%s: %d", name, got)
		}
		for i := 1; i < len(got); i++ {
			if gap := got[i] - got[i-1]; gap == 0 || gap > stored/sampleBetween+1 {
				t.Errorf("%s: a gap of %d at %d", name, gap, got[i])
			}
		}
	}
}

func TestReport_ListsFewAndCountsAll(t *testing.T) {
	var all []envelope.Donation
	for i := range 50 {
		all = append(all, gift(fmt.Sprintf("key-number-%06d", i)))
	}
	w := world{messages: [][]byte{message(all...)}, first: 1, floor: 1}
	report := w.run(t, Config{FindingsMax: 3})
	res := result(t, report, "recorded")
	if res.Offenders != 50 || len(res.Findings) != 3 || res.Examined != 50 {
		t.Errorf("%d offenders, %d listed, %d examined", res.Offenders, len(res.Findings), res.Examined)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BROKEN (50)", all[0].ID.String(), "and 47 more", "1 of "} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
