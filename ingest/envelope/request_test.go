package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ingest/envelope"
)

// sampleAttempt has every field set.
func sampleAttempt() *envelope.Request {
	received := time.Date(2026, 11, 22, 19, 5, 0, 654321000, time.UTC)
	donation := ingest.DeriveID([]byte("0123456789abcdef"))
	return &envelope.Request{
		Kind: envelope.Attempt, ID: ingest.DeriveAttemptID(donation, []byte("another-card-0001")), Donation: donation,
		ReceivedAt: received, Source: 1<<63 + 6, Rehearsal: true,
		ConfirmationToken: "ctoken_card_visa", TokenExpiresAt: received.Add(time.Hour),
	}
}

// sampleCancellation has only what is required.
func sampleCancellation() *envelope.Request {
	donation := ingest.DeriveID([]byte("0123456789abcdef"))
	return &envelope.Request{
		Kind: envelope.Cancellation, ID: ingest.DeriveCancelLastID(donation, 2), Donation: donation,
		ReceivedAt: time.Date(2026, 11, 22, 19, 6, 0, 0, time.UTC),
	}
}

func drawRequest(t *rapid.T) *envelope.Request {
	r := &envelope.Request{
		Kind:       rapid.SampledFrom([]envelope.Kind{envelope.Attempt, envelope.Cancellation}).Draw(t, "kind"),
		ReceivedAt: time.UnixMicro(rapid.Int64Range(1, 253402300799_999999).Draw(t, "received")).UTC(),
		Source:     rapid.Uint64().Draw(t, "source"), Rehearsal: rapid.Bool().Draw(t, "rehearsal"),
	}
	copy(r.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	copy(r.Donation[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "donation"))
	r.Trace = drawTrace(t)
	if r.Kind == envelope.Attempt {
		r.ConfirmationToken = rapid.StringMatching(`ctoken_[a-z]{0,40}`).Draw(t, "token")
		r.TokenExpiresAt = time.UnixMicro(rapid.Int64Range(1, 253402300799_999999).Draw(t, "expires")).UTC()
	}
	return r
}

// drawRecord is a donation or a request.
func drawRecord(t *rapid.T) envelope.Record {
	if rapid.Bool().Draw(t, "is a donation") {
		return envelope.Record{Donation: drawDonation(t)}
	}
	return envelope.Record{Request: drawRequest(t)}
}

// Donations and requests come out of one envelope as they went in, in their order.
func TestRoundTrip_OfEveryKind(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(drawRecord), 0, 8).Draw(rt, "records")
		data := envelope.AppendHeader(nil, header)
		for _, r := range records {
			data = envelope.AppendRecord(data, r)
		}
		_, got, err := decode(t, data)
		if err != nil || errors.Join(got.errs...) != nil {
			rt.Fatal(err, got.errs)
		}
		clear(data) // the result must not share its memory
		if diff := cmp.Diff(records, got.records, cmp.Transformer("", func(b []byte) string { return string(b) })); diff != "" && len(records)+len(got.records) > 0 {
			rt.Fatalf("records (-sent +decoded):\n%s", diff)
		}
	})
}

// TestGolden_Requests holds this build to what streams already hold.
func TestGolden_Requests(t *testing.T) {
	const path = "testdata/version1_requests.hex"
	data := envelope.AppendHeader(nil, header)
	data = envelope.AppendRequest(data, sampleAttempt())
	data = envelope.AppendDonation(data, sample())
	data = envelope.AppendRequest(data, sampleCancellation())
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
		t.Errorf("requests are written differently:\n got %x\nwant %x", data, golden)
	}
	_, got, err := decode(t, golden)
	if err != nil {
		t.Fatal(err)
	}
	want := []envelope.Record{{Request: sampleAttempt()}, {Donation: sample()}, {Request: sampleCancellation()}}
	if diff := cmp.Diff(want, got.records); diff != "" {
		t.Errorf("requests are read differently (-want +got):\n%s", diff)
	}
}

// TestDecode_OneBadRequestLeavesTheRest puts each kind of bad request between two
// good donations.
func TestDecode_OneBadRequestLeavesTheRest(t *testing.T) {
	field := func(num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
	}
	number := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	bodyOf := func(r *envelope.Request) []byte {
		whole := envelope.AppendRequest(nil, r)
		_, _, n := protowire.ConsumeTag(whole)
		record, _ := protowire.ConsumeBytes(whole[n:])
		_, _, n = protowire.ConsumeTag(record)
		body, _ := protowire.ConsumeBytes(record[n:])
		return bytes.Clone(body)
	}
	attempt, cancellation := bodyOf(sampleAttempt()), bodyOf(sampleCancellation())
	without := func(body []byte, num protowire.Number, extra ...[]byte) []byte {
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
	card := func(body []byte) []byte { return field(2, body) }
	stop := func(body []byte) []byte { return field(3, body) }
	for _, c := range []struct {
		name   string
		record []byte
		want   error
	}{
		{"attempt of another wire type", number(2, 5), envelope.ErrMalformed},
		{"two attempts", append(card(attempt), card(attempt)...), envelope.ErrMalformed},
		{"attempt and cancellation", append(card(attempt), stop(cancellation)...), envelope.ErrMalformed},
		{"attempt and a kind of the future", append(card(attempt), field(9, nil)...), envelope.ErrUnknownKind},
		{"attempt cut", card(attempt[:30]), envelope.ErrMalformed},
		{"attempt without id", card(without(attempt, 1)), envelope.ErrMalformed},
		{"attempt without donation", card(without(attempt, 2)), envelope.ErrMalformed},
		{"donation of 15 bytes", card(without(attempt, 2, field(2, make([]byte, 15)))), envelope.ErrMalformed},
		{"donation twice", card(without(attempt, 0, field(2, make([]byte, 16)))), envelope.ErrMalformed},
		{"attempt without a receive time", card(without(attempt, 3)), envelope.ErrMalformed},
		{"source of another wire type", card(without(attempt, 4, number(4, 1))), envelope.ErrMalformed},
		{"rehearsal neither true nor false", card(without(attempt, 5, number(5, 2))), envelope.ErrMalformed},
		{"attempt without token", card(without(attempt, 6)), envelope.ErrMalformed},
		{"attempt with an empty token", card(without(attempt, 6, field(6, nil))), envelope.ErrMalformed},
		{"token with a NUL", card(without(attempt, 6, field(6, []byte("a\x00b")))), envelope.ErrMalformed},
		{"token not UTF-8", card(without(attempt, 6, field(6, []byte("\xc0\x80")))), envelope.ErrMalformed},
		{"token too long", card(without(attempt, 6, field(6, bytes.Repeat([]byte("a"), 256)))), envelope.ErrMalformed},
		{"attempt without expiry", card(without(attempt, 7)), envelope.ErrMalformed},
		{"expiry before 1970", card(without(attempt, 7, number(7, 1<<63))), envelope.ErrMalformed},
		{"cancellation without id", stop(without(cancellation, 1)), envelope.ErrMalformed},
		{"cancellation without donation", stop(without(cancellation, 2)), envelope.ErrMalformed},
		{"cancellation without a receive time", stop(without(cancellation, 3)), envelope.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := envelope.AppendDonation(envelope.AppendHeader(nil, header), sample())
			data = append(data, field(4, c.record)...)
			data = envelope.AppendDonation(data, sample())
			_, got, err := decode(t, data)
			if err != nil || len(got.errs) != 3 {
				t.Fatalf("%d records, %v", len(got.errs), err)
			}
			if !errors.Is(got.errs[1], c.want) || !bytes.Equal(got.raws[1], c.record) {
				t.Errorf("set aside as %x, %v, want %v", got.raws[1], got.errs[1], c.want)
			}
			for _, i := range []int{0, 2} {
				if diff := cmp.Diff(sample(), got.donations[i]); diff != "" {
					t.Errorf("good record %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}

	// A field of the future is no reason to set anything aside, and a cancellation
	// has no token: what stands there is somebody else's.
	data := envelope.AppendHeader(nil, header)
	data = append(data, field(4, stop(append(bytes.Clone(cancellation), field(6, []byte("\xff"))...)))...)
	data = append(data, field(4, card(append(bytes.Clone(attempt), number(12, 1)...)))...)
	_, got, err := decode(t, data)
	if err != nil || errors.Join(got.errs...) != nil {
		t.Fatal(err, got.errs)
	}
	if diff := cmp.Diff([]envelope.Record{{Request: sampleCancellation()}, {Request: sampleAttempt()}}, got.records); diff != "" {
		t.Errorf("with fields of the future (-want +got):\n%s", diff)
	}
}
