package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/postgres"
)

func TestRecord_RedeliveredBatchAddsNothing(t *testing.T) {
	db, _ := open(t)
	book, lease := leased(t, db)
	var batch []*envelope.Donation
	for i := range 100 {
		batch = append(batch, gift(fmt.Sprint("key number ", i), "river-school", "harbour"))
	}
	batch = sortByID(batch)
	rows, counts, err := book.Record(t.Context(), lease, batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ledger.Counts{New: 100}); counts != want {
		t.Errorf("first delivery: got %+v, want %+v", counts, want)
	}
	want := campaigns.SlotRow{Campaign: "harbour", Currency: "USD", PledgedMinor: 100_000, Donations: 100, Version: 1}
	if len(rows) != 2 || rows[0] != want {
		t.Errorf("first delivery changed %+v", rows)
	}
	rows, counts, err = book.Record(t.Context(), lease, batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ledger.Counts{Repeats: 100}); counts != want || len(rows) != 0 {
		t.Errorf("redelivery: got %+v and rows %+v, want %+v and none", counts, rows, want)
	}
}

func TestRecord_PartlyKnownBatchRaisesSlotsByTheNewOnly(t *testing.T) {
	db, _ := open(t)
	book, lease := leased(t, db)
	all := gifts("donor", 50, "harbour")
	if _, _, err := book.Record(t.Context(), lease, all[:20], nil); err != nil {
		t.Fatal(err)
	}
	rows, counts, err := book.Record(t.Context(), lease, all[10:], nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ledger.Counts{New: 30, Repeats: 10}); counts != want {
		t.Errorf("got %+v, want %+v", counts, want)
	}
	if len(rows) != 1 || rows[0].PledgedMinor != 50_000 || rows[0].Donations != 50 || rows[0].Version != 2 {
		t.Errorf("changed %+v", rows)
	}
}

func TestRecord_OtherContentUnderAKeyIsNotedAndNeverCounted(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	recorded := gift("the key of a donor", "harbour")
	if _, _, err := book.Record(t.Context(), lease, []*envelope.Donation{recorded}, nil); err != nil {
		t.Fatal(err)
	}
	other := gift("the key of a donor", "river-school")
	other.ID = recorded.ID
	fresh := gift("another key", "harbour")
	freshOther := gift("another key", "river-school")
	batch, repeats := sortByID([]*envelope.Donation{other, fresh}), []*envelope.Donation{freshOther, recorded}
	for delivery := range 2 { // the second notes nothing twice
		rows, counts, err := book.Record(t.Context(), lease, batch, repeats)
		if err != nil {
			t.Fatal(err)
		}
		want := ledger.Counts{New: 1, Repeats: 1, Conflicts: 2}
		if delivery == 1 {
			want = ledger.Counts{Repeats: 2, Conflicts: 2}
		}
		if counts != want {
			t.Errorf("delivery %d: got %+v, want %+v", delivery, counts, want)
		}
		for _, r := range rows {
			if r.Campaign != "harbour" {
				t.Errorf("delivery %d: a conflict's campaign was counted: %+v", delivery, r)
			}
		}
	}
	if n := count(t, url, "SELECT count(*) FROM conflicts"); n != 2 {
		t.Errorf("%d conflicts noted", n)
	}
	var kept []byte
	if err := connect(t, url).QueryRow(t.Context(), "SELECT record FROM conflicts WHERE fingerprint = $1", freshOther.Fingerprint).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	var back *envelope.Donation
	data := append(envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{1}, Node: "test"}), kept...)
	if _, err := envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
		if err == nil {
			back = r.Donation
		}
	}); err != nil || back == nil || back.Lines[0].Campaign != "river-school" {
		t.Errorf("the loser cannot be read back: %+v, %v", back, err)
	}
}

func TestRecord_KeepsEveryField(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	conn := connect(t, url)
	rapid.Check(t, func(t *rapid.T) {
		d := drawDonation(t)
		if _, _, err := book.Record(context.Background(), lease, []*envelope.Donation{d}, nil); err != nil {
			t.Fatal(err)
		}
		got := envelope.Donation{ID: d.ID}
		var fingerprint [16]byte
		var seq, source, key, linesMinor int64
		var currency string
		err := conn.QueryRow(context.Background(), `SELECT seq, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor, source, seal_key,
			anonymous, hide_amount, fingerprint, currency, confirmation_token, sealed FROM donations WHERE id = $1`, d.ID).Scan(
			&seq, &got.ReceivedAt, &got.TokenExpiresAt, &got.AmountMinor, &linesMinor, &got.FeeCoverMinor, &source, &key,
			&got.Anonymous, &got.HideAmount, &fingerprint, &currency, &got.ConfirmationToken, &got.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		if !got.ReceivedAt.Equal(d.ReceivedAt) || !got.TokenExpiresAt.Equal(d.TokenExpiresAt) || got.AmountMinor != d.AmountMinor ||
			linesMinor+got.FeeCoverMinor != d.AmountMinor || got.FeeCoverMinor != d.FeeCoverMinor || uint64(source) != d.Source || uint32(key) != d.SealKey ||
			got.Anonymous != d.Anonymous || got.HideAmount != d.HideAmount || fingerprint != d.Fingerprint || currency != string(d.Currency) ||
			got.ConfirmationToken != d.ConfirmationToken || string(got.Sealed) != string(d.Sealed) {
			t.Fatalf("got %+v (source %d, key %d, currency %s), want %+v", got, source, key, currency, d)
		}
		states, err := db.States(context.Background(), [][16]byte{d.ID})
		if err != nil {
			t.Fatal(err)
		}
		s := states[d.ID]
		if !s.Found || s.Book != ledger.Live || s.AmountMinor != d.AmountMinor || s.Currency != currency || s.Status != ledger.StatusAccepted || len(s.Lines) != len(d.Lines) {
			t.Fatalf("state %+v of %+v", s, d)
		}
		for i, l := range d.Lines {
			if s.Lines[i] != (ledger.StateLine{Campaign: l.Campaign, AmountMinor: l.AmountMinor}) {
				t.Fatalf("line %d is %+v, want %+v", i, s.Lines[i], l)
			}
		}
	})
}

func drawDonation(t *rapid.T) *envelope.Donation {
	moment := func(name string) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(t, name)).UTC()
	}
	d := &envelope.Donation{
		ID:         ingest.DeriveID(rapid.SliceOfN(rapid.Byte(), 16, 32).Draw(t, "key")),
		ReceivedAt: moment("received"), TokenExpiresAt: moment("expires"),
		Source: rapid.Uint64().Draw(t, "source"), Currency: "USD",
		FeeCoverMinor: rapid.Int64Range(0, 1_000_000).Draw(t, "fee"),
		Anonymous:     rapid.Bool().Draw(t, "anonymous"), HideAmount: rapid.Bool().Draw(t, "hide"),
		ConfirmationToken: "ctoken_" + strings.Repeat("x", rapid.IntRange(0, 248).Draw(t, "token")),
		Sealed:            rapid.SliceOfN(rapid.Byte(), 0, 4096).Draw(t, "sealed"),
	}
	copy(d.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "fingerprint"))
	if len(d.Sealed) > 0 {
		d.SealKey = rapid.Uint32Range(1, 1<<32-1).Draw(t, "sealkey")
	}
	d.AmountMinor = d.FeeCoverMinor
	for i := range rapid.IntRange(1, ingest.LinesMax).Draw(t, "lines") {
		l := ingest.Line{Campaign: fmt.Sprint("campaign-", i, strings.Repeat("y", i%50)), AmountMinor: rapid.Int64Range(1, 99_999_999).Draw(t, "amount")}
		d.Lines = append(d.Lines, l)
		d.AmountMinor += l.AmountMinor
	}
	return d
}

func TestRecord_DataAtFaultIsPoisonAndNothingIsWritten(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	for name, spoil := range map[string]func(*envelope.Donation){
		"amount is not lines and fee": func(d *envelope.Donation) { d.AmountMinor++ },
		"lines that overflow":         func(d *envelope.Donation) { d.Lines[0].AmountMinor, d.Lines[1].AmountMinor = 1<<62, 1<<62 },
		"lines that wrap to their sum": func(d *envelope.Donation) {
			d.Lines = append(d.Lines, d.Lines[0], d.Lines[0], d.Lines[0])
			for i := range 4 {
				d.Lines[i].AmountMinor = 1 << 62
			}
			d.AmountMinor = d.Lines[4].AmountMinor + d.FeeCoverMinor
		},
		"a line of nothing":       func(d *envelope.Donation) { d.Lines[0].AmountMinor, d.AmountMinor = 0, 1030 },
		"a negative line":         func(d *envelope.Donation) { d.Lines[0].AmountMinor, d.AmountMinor = -5, 1025 },
		"no line":                 func(d *envelope.Donation) { d.Lines, d.AmountMinor = nil, 30 },
		"a negative fee":          func(d *envelope.Donation) { d.FeeCoverMinor, d.AmountMinor = -1, 1999 },
		"a currency too long":     func(d *envelope.Donation) { d.Currency = "USDX" },
		"no token":                func(d *envelope.Donation) { d.ConfirmationToken = "" },
		"a token too long":        func(d *envelope.Donation) { d.ConfirmationToken = strings.Repeat("x", 256) },
		"a NUL in a text":         func(d *envelope.Donation) { d.ConfirmationToken = "ctoken\x00" },
		"bytes that are no UTF-8": func(d *envelope.Donation) { d.ConfirmationToken = "ctoken\xff" },
		"no campaign":             func(d *envelope.Donation) { d.Lines[0].Campaign = "" },
		"a campaign too long":     func(d *envelope.Donation) { d.Lines[0].Campaign = strings.Repeat("c", 65) },
		"sealed without a key":    func(d *envelope.Donation) { d.SealKey = 0 },
		"a key without sealed":    func(d *envelope.Donation) { d.Sealed = nil },
		"sealed too long":         func(d *envelope.Donation) { d.Sealed = make([]byte, 4097) },
		"a time out of range":     func(d *envelope.Donation) { d.ReceivedAt = time.Date(-9000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := gift("poison "+name, "harbour", "river-school")
			spoil(bad)
			good := gift("good company of "+name, "harbour")
			_, _, err := book.Record(t.Context(), lease, sortByID([]*envelope.Donation{good, bad}), nil)
			var poison *ledger.PoisonError
			if !errors.As(err, &poison) {
				t.Fatalf("got %v, want a PoisonError", err)
			}
			if strings.Contains(err.Error(), "ctoken") {
				t.Errorf("the error quotes a value: %v", err)
			}
			if n := count(t, url, "SELECT count(*) FROM donations WHERE id IN ($1, $2)", good.ID, bad.ID); n != 0 {
				t.Errorf("%d rows were written", n)
			}
			if _, counts, err := book.Record(t.Context(), lease, []*envelope.Donation{good}, nil); err != nil || counts.New != 1 {
				t.Errorf("alone, the good one: %+v, %v", counts, err)
			}
		})
	}
}

func TestRecord_WritersOfTheSameDonationsCountThemOnce(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	all := gifts("contested", 2000, "harbour")
	var wg sync.WaitGroup
	var mu sync.Mutex
	recorded := 0
	for w := range 4 {
		lease, err := book.Acquire(t.Context(), fmt.Sprint("writer ", w), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for start := 0; start < len(all); start += 250 { // overlapping batches
				batch := all[start:min(len(all), start+400+w)]
				_, counts, err := book.Record(context.Background(), lease, batch, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				recorded += counts.New
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if recorded != len(all) {
		t.Errorf("%d counted as new, %d given", recorded, len(all))
	}
	if n := count(t, url, "SELECT count(*) FROM donations"); n != int64(len(all)) {
		t.Errorf("%d donations", n)
	}
	if n := count(t, url, "SELECT count(*) FROM lines"); n != int64(len(all)) {
		t.Errorf("%d lines", n)
	}
	if n := count(t, url, "SELECT sum(donations) FROM slots"); n != int64(len(all)) {
		t.Errorf("slots count %d", n)
	}
}

func TestRecord_TwoWritersOnOneSlotAddUp(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if _, _, err := book.Record(context.Background(), lease, gifts(fmt.Sprint("writer ", w, " batch ", i), 10, "harbour"), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, url, "SELECT pledged_minor FROM slots"); n != 4*20*10*1000 {
		t.Errorf("the slot holds %d", n)
	}
	if n := count(t, url, "SELECT version FROM slots"); n != 4*20 {
		t.Errorf("the slot changed %d times", n)
	}
}

func TestRecord_WithoutADatabaseIsUnavailable(t *testing.T) {
	db, err := postgres.Open(postgres.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, _, err = db.Book(ledger.Live).Record(t.Context(), ledger.Lease{Slot: 1, Term: 1}, gifts("x", 1, "harbour"), nil)
	if !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestRecord_BeforeMigrationIsUnavailable(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	if _, err := connect(t, url).Exec(t.Context(), "ALTER TABLE lines RENAME TO lines_elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := book.Record(t.Context(), lease, gifts("x", 1, "harbour"), nil); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable: a missing table is not the donor's fault", err)
	}
}
