package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger/money"
)

var update = flag.Bool("update", false, "write the golden file anew; only for a version that no stream holds yet")

// decoded is what Decode visited.
type decoded struct {
	records   []envelope.Record
	donations []*envelope.Donation
	raws      [][]byte
	errs      []error
}

func decode(t testing.TB, data []byte) (envelope.Header, decoded, error) {
	t.Helper()
	var got decoded
	h, err := envelope.Decode(data, func(index int, r envelope.Record, raw []byte, err error) {
		if index != len(got.errs) {
			t.Errorf("record %d visited as number %d", len(got.errs), index)
		}
		if set := (r.Donation != nil) != (r.Request != nil); set == (err != nil) || err != nil && r != (envelope.Record{}) {
			t.Errorf("record %d: %+v, error %v", index, r, err)
		}
		got.records = append(got.records, r)
		got.donations = append(got.donations, r.Donation)
		got.raws = append(got.raws, raw)
		got.errs = append(got.errs, err)
	})
	return h, got, err
}

var header = envelope.Header{ID: [16]byte{1, 2, 3, 15: 9}, Node: "front-1"}

// sample has every field set.
func sample() *envelope.Donation {
	received := time.Date(2026, 11, 22, 19, 0, 0, 123456000, time.UTC)
	return &envelope.Donation{
		ID: ingest.DeriveID([]byte("0123456789abcdef")), Fingerprint: ingest.Fingerprint{7, 15: 8},
		ReceivedAt: received, Source: 1<<63 + 5, Rehearsal: true, Currency: "USD",
		AmountMinor: 5150, FeeCoverMinor: 150,
		Lines:     []ingest.Line{{Campaign: "river-school", AmountMinor: 4000}, {Campaign: "food_bank", AmountMinor: 1000}},
		Anonymous: true, HideAmount: true, ConfirmationToken: "ctoken_card_visa",
		TokenExpiresAt: received.Add(time.Hour), Sealed: []byte("sealed"), SealKey: 3,
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := envelope.Header{Node: rapid.StringN(0, 20, 80).Filter(noNUL).Draw(t, "node")}
		copy(h.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(notZero).Draw(t, "envelope id"))
		donations := rapid.SliceOfN(rapid.Custom(drawDonation), 0, 8).Draw(t, "donations")
		data := envelope.AppendHeader(nil, h)
		for _, d := range donations {
			data = envelope.AppendDonation(data, d)
		}
		var got []*envelope.Donation
		gotHeader, err := envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
			if err != nil {
				t.Fatalf("record: %v", err)
			}
			got = append(got, r.Donation)
		})
		if err != nil {
			t.Fatal(err)
		}
		clear(data) // the result must not share its memory
		if diff := cmp.Diff(h, gotHeader); diff != "" {
			t.Fatalf("header (-sent +decoded):\n%s", diff)
		}
		if diff := cmp.Diff(donations, got, cmp.Transformer("", func(b []byte) string { return string(b) })); diff != "" && len(donations)+len(got) > 0 {
			t.Fatalf("donations (-sent +decoded):\n%s", diff)
		}
	})
}

func noNUL(s string) bool   { return !strings.Contains(s, "\x00") }
func notZero(b []byte) bool { return !bytes.Equal(b, make([]byte, len(b))) }

func drawDonation(t *rapid.T) *envelope.Donation {
	received := time.UnixMicro(rapid.Int64Range(1, 253402300799_999999).Draw(t, "received")).UTC()
	d := &envelope.Donation{
		ReceivedAt: received, Source: rapid.Uint64().Draw(t, "source"), Rehearsal: rapid.Bool().Draw(t, "rehearsal"),
		Currency:      rapid.SampledFrom([]money.Currency{"USD", "EUR", "JPY"}).Draw(t, "currency"),
		FeeCoverMinor: rapid.Int64Range(0, 1<<40).Draw(t, "fee"),
		Anonymous:     rapid.Bool().Draw(t, "anonymous"), HideAmount: rapid.Bool().Draw(t, "hide"),
		ConfirmationToken: rapid.StringMatching(`ctoken_[a-z]{0,40}`).Draw(t, "token"),
		TokenExpiresAt:    time.UnixMicro(rapid.Int64Range(1, 253402300799_999999).Draw(t, "expires")).UTC(),
		Sealed:            rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "sealed"),
		SealKey:           rapid.Uint32().Draw(t, "key"),
	}
	if len(d.Sealed) == 0 {
		d.Sealed = nil
	}
	copy(d.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	copy(d.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "fingerprint"))
	d.Lines = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ingest.Line {
		return ingest.Line{
			Campaign:    rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?`).Draw(t, "campaign"),
			AmountMinor: rapid.Int64Range(1, 1<<50).Draw(t, "amount"),
		}
	}), 1, 20).Draw(t, "lines")
	d.Trace = drawTrace(t)
	d.AmountMinor = d.FeeCoverMinor
	for _, l := range d.Lines {
		d.AmountMinor += l.AmountMinor
	}
	return d
}

// TestGolden holds this build to what streams already hold.
func TestGolden(t *testing.T) {
	const path = "testdata/version1.hex"
	small := sample()
	small.Source, small.Rehearsal, small.FeeCoverMinor, small.Anonymous, small.HideAmount = 0, false, 0, false, false
	small.Sealed, small.SealKey, small.Lines = nil, 0, []ingest.Line{{Campaign: "a", AmountMinor: 5150}}
	data := envelope.AppendHeader(nil, header)
	data = envelope.AppendDonation(data, sample())
	data = envelope.AppendDonation(data, small)
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, golden) {
		t.Errorf("version 1 is written differently:\n got %x\nwant %x", data, golden)
	}
	h, got, err := decode(t, golden)
	if err != nil || h != header {
		t.Fatalf("header %+v, %v", h, err)
	}
	if diff := cmp.Diff([]*envelope.Donation{sample(), small}, got.donations); diff != "" {
		t.Errorf("version 1 is read differently (-want +got):\n%s", diff)
	}
}

// TestDecode_OneBadRecordLeavesTheRest puts each kind of bad record between two
// good ones.
func TestDecode_OneBadRecordLeavesTheRest(t *testing.T) {
	good := envelope.AppendDonation(nil, sample())
	body := func() []byte { // of the sample's Donation message
		_, _, n := protowire.ConsumeTag(good)
		record, _ := protowire.ConsumeBytes(good[n:])
		_, _, n = protowire.ConsumeTag(record)
		b, _ := protowire.ConsumeBytes(record[n:])
		return bytes.Clone(b)
	}()
	field := func(num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
	}
	number := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	// without returns the sample's body with field num left out, and extra behind it.
	without := func(num protowire.Number, extra ...[]byte) []byte {
		var out []byte
		for rest := body; len(rest) > 0; {
			n, typ, tag := protowire.ConsumeTag(rest)
			size := tag + protowire.ConsumeFieldValue(n, typ, rest[tag:])
			if n != num {
				out = append(out, rest[:size]...)
			}
			rest = rest[size:]
		}
		return append(out, bytes.Join(extra, nil)...)
	}
	donation := func(b []byte) []byte { return field(1, b) }
	line := func(campaign string, amount uint64) []byte {
		return field(9, append(field(1, []byte(campaign)), number(2, amount)...))
	}
	cases := []struct {
		name   string
		record []byte
		want   error
	}{
		{"empty record", nil, envelope.ErrMalformed},
		{"attempt that is none", field(2, []byte("x")), envelope.ErrMalformed},
		{"cancellation without anything", field(3, nil), envelope.ErrMalformed},
		{"kind of the future", field(77, []byte("x")), envelope.ErrUnknownKind},
		{"two donations", append(donation(body), donation(body)...), envelope.ErrMalformed},
		{"donation of another wire type", number(1, 5), envelope.ErrMalformed},
		{"record cut", donation(body)[:40], envelope.ErrMalformed},
		{"donation cut", donation(body[:40]), envelope.ErrMalformed},
		{"no id", donation(without(1)), envelope.ErrMalformed},
		{"id of 15 bytes", donation(without(1, field(1, make([]byte, 15)))), envelope.ErrMalformed},
		{"id of 17 bytes", donation(without(1, field(1, make([]byte, 17)))), envelope.ErrMalformed},
		{"id twice", donation(without(0, field(1, make([]byte, 16)))), envelope.ErrMalformed},
		{"no fingerprint", donation(without(2)), envelope.ErrMalformed},
		{"no receive time", donation(without(3)), envelope.ErrMalformed},
		{"receive time before 1970", donation(without(3, number(3, 1<<63))), envelope.ErrMalformed},
		{"source of another wire type", donation(without(4, number(4, 1))), envelope.ErrMalformed},
		{"rehearsal neither true nor false", donation(without(5, number(5, 2))), envelope.ErrMalformed},
		{"no currency", donation(without(6)), envelope.ErrMalformed},
		{"unknown currency", donation(without(6, field(6, []byte("XXX")))), envelope.ErrMalformed},
		{"currency in small letters", donation(without(6, field(6, []byte("usd")))), envelope.ErrMalformed},
		{"no amount", donation(without(7)), envelope.ErrMalformed},
		{"negative amount", donation(without(7, number(7, 1<<64-5))), envelope.ErrMalformed},
		{"amount not the sum", donation(without(7, number(7, 5151))), envelope.ErrMalformed},
		{"negative fee", donation(without(8, number(8, 1<<63))), envelope.ErrMalformed},
		{"no lines", donation(without(9)), envelope.ErrMalformed},
		{"line without campaign", donation(without(9, field(9, number(2, 5000)))), envelope.ErrMalformed},
		{"line without amount", donation(without(9, field(9, field(1, []byte("a"))), line("b", 5000))), envelope.ErrMalformed},
		{"negative line", donation(without(9, line("a", 1<<64-1), line("b", 5001))), envelope.ErrMalformed},
		{"lines overflow", donation(without(9, line("a", 1<<63-1), line("b", 1<<63-1))), envelope.ErrMalformed},
		{"campaign is no slug", donation(without(9, line("A B", 5000))), envelope.ErrMalformed},
		{"campaign not UTF-8", donation(without(9, line("a\xff", 5000))), envelope.ErrMalformed},
		{"201 lines", donation(without(9, bytes.Repeat(line("a", 1), 201))), envelope.ErrMalformed},
		{"no token", donation(without(12)), envelope.ErrMalformed},
		{"token not UTF-8", donation(without(12, field(12, []byte("\xc0\x80")))), envelope.ErrMalformed},
		{"token with a NUL", donation(without(12, field(12, []byte("a\x00b")))), envelope.ErrMalformed},
		{"token too long", donation(without(12, field(12, bytes.Repeat([]byte("a"), 256)))), envelope.ErrMalformed},
		{"no token expiry", donation(without(13)), envelope.ErrMalformed},
		{"seal key beyond 32 bits", donation(without(15, number(15, 1<<32))), envelope.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data := envelope.AppendHeader(nil, header)
			data = append(data, good...)
			data = append(data, field(4, c.record)...)
			data = append(data, good...)
			h, got, err := decode(t, data)
			if err != nil || h != header {
				t.Fatalf("envelope: %+v, %v", h, err)
			}
			if len(got.errs) != 3 {
				t.Fatalf("%d records visited", len(got.errs))
			}
			if !errors.Is(got.errs[1], c.want) {
				t.Errorf("bad record: %v, want %v", got.errs[1], c.want)
			}
			if !bytes.Equal(got.raws[1], c.record) {
				t.Errorf("bad record is set aside as %x, want %x", got.raws[1], c.record)
			}
			for _, i := range []int{0, 2} {
				if diff := cmp.Diff(sample(), got.donations[i]); diff != "" {
					t.Errorf("good record %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestDecode_Envelope(t *testing.T) {
	whole := envelope.AppendDonation(envelope.AppendHeader(nil, header), sample())
	version := func(v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), v)
	}
	cases := []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, envelope.ErrMalformed},
		{"text", []byte(`{"id":1}`), envelope.ErrMalformed},
		{"cut in the middle", whole[:len(whole)-1], envelope.ErrMalformed},
		{"no version", whole[2:], envelope.ErrMalformed},
		{"newer version", append(version(2), whole[2:]...), envelope.ErrVersion},
		{"two versions", append(version(1), whole...), envelope.ErrMalformed},
		{"no id", append(version(1), envelope.AppendDonation(nil, sample())...), envelope.ErrMalformed},
		{"records of another wire type", append(bytes.Clone(whole), 4<<3, 1), envelope.ErrMalformed},
		{"no records", envelope.AppendHeader(nil, header), nil},
		{"a field of the future", append(bytes.Clone(whole), 9<<3, 1), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, got, err := decode(t, c.data)
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err != nil && len(got.errs) > 0 {
				t.Errorf("%d records of a refused envelope were visited", len(got.errs))
			}
		})
	}
}

// TestDecode_KeptDonationsAreTheHoldersOwn appends to one donation's slices and
// looks at the others.
func TestDecode_KeptDonationsAreTheHoldersOwn(t *testing.T) {
	data := envelope.AppendHeader(nil, header)
	for range 3 {
		data = envelope.AppendDonation(data, sample())
	}
	_, got, err := decode(t, data)
	if err != nil {
		t.Fatal(err)
	}
	first := got.donations[0]
	_ = append(first.Lines, ingest.Line{Campaign: "other", AmountMinor: 1})
	_ = append(first.Sealed, "overwritten"...)
	for i, d := range got.donations {
		if diff := cmp.Diff(sample(), d); diff != "" {
			t.Errorf("donation %d changed (-want +got):\n%s", i, diff)
		}
	}
}

func TestAppendDonation_DoesNotAllocate(t *testing.T) {
	d := sample()
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = envelope.AppendDonation(buf[:0], d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	whole := envelope.AppendDonation(envelope.AppendHeader(nil, header), sample())
	f.Add(whole)
	f.Add(envelope.AppendDonation(whole, sample()))
	f.Add(envelope.AppendRequest(bytes.Clone(whole), sampleAttempt()))
	f.Add(envelope.AppendRequest(bytes.Clone(whole), sampleCancellation()))
	f.Add(append(bytes.Clone(whole), 4<<3|2, 2, 2<<3|2, 0)) // an attempt that says nothing
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		h, got, err := decode(t, data)
		if err != nil {
			return
		}
		// Whatever was read is read alike from our own form of it.
		again := envelope.AppendHeader(nil, h)
		var read []envelope.Record
		for i, r := range got.records {
			if got.errs[i] == nil {
				read = append(read, r)
				again = envelope.AppendRecord(again, r)
			}
		}
		h2, got2, err := decode(t, again)
		if err != nil || h2 != h {
			t.Fatalf("own form: %+v, %v", h2, err)
		}
		empty := cmp.Transformer("", func(b []byte) string { return string(b) })
		if diff := cmp.Diff(read, got2.records, empty); diff != "" {
			t.Fatalf("own form (-first +second):\n%s", diff)
		}
	})
}

func BenchmarkAppendDonation(b *testing.B) {
	d := sample()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = envelope.AppendDonation(buf[:0], d)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode128(b *testing.B) {
	data := envelope.AppendHeader(nil, header)
	for range 128 {
		data = envelope.AppendDonation(data, sample())
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Decode(data, func(_ int, _ envelope.Record, _ []byte, err error) {
			if err != nil {
				b.Fatal(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
}
