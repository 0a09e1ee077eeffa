package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"spillway/ingest/envelope"
	"spillway/ingest/trace"
)

// drawTrace is the place of a span in a trace, or none.
func drawTrace(t *rapid.T) trace.Context {
	if !rapid.Bool().Draw(t, "is traced") {
		return trace.Context{}
	}
	c := trace.Context{Sampled: rapid.Bool().Draw(t, "sampled")}
	copy(c.Trace[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(notZero).Draw(t, "trace"))
	copy(c.Span[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Filter(notZero).Draw(t, "span"))
	return c
}

// The golden file of traced records is beside that of version 1, which stays as it is:
// a build that does not trace writes what it always wrote.
func TestGolden_Traced(t *testing.T) {
	traced, wish := sample(), sampleAttempt()
	traced.Trace = trace.Context{Trace: trace.ID(traced.ID), Span: trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, Sampled: true}
	wish.Trace = traced.Trace
	data := envelope.AppendRequest(envelope.AppendDonation(envelope.AppendHeader(nil, header), traced), wish)
	const path = "testdata/version1_traced.hex"
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(data); got != strings.TrimSpace(string(text)) {
		t.Errorf("traced records are written differently:\n got %s\nwant %s", got, text)
	}
}

// What is no trace context is none: no donation is set aside for it.
func TestDecode_ABadTraceCountsAsNone(t *testing.T) {
	zero := make([]byte, trace.ContextBytes)
	bytesField := func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 16, protowire.BytesType), b)
	}
	good := trace.Context{Trace: trace.ID{1}, Span: trace.SpanID{2}, Sampled: true}
	for name, test := range map[string]struct {
		field []byte
		want  trace.Context
	}{
		"empty":     {bytesField(nil), trace.Context{}},
		"zero":      {bytesField(zero), trace.Context{}},
		"short":     {bytesField(bytes.Repeat([]byte{1}, trace.ContextBytes-1)), trace.Context{}},
		"long":      {bytesField(bytes.Repeat([]byte{1}, trace.ContextBytes+1)), trace.Context{}},
		"a number":  {protowire.AppendVarint(protowire.AppendTag(nil, 16, protowire.VarintType), 7), trace.Context{}},
		"good":      {bytesField(good.AppendBinary(nil)), good},
		"two times": {append(bytesField(zero), bytesField(good.AppendBinary(nil))...), good},
	} {
		_, got, err := decode(t, withField(sample(), test.field))
		if err != nil || errors.Join(got.errs...) != nil || len(got.donations) != 1 {
			t.Fatalf("%s: %v %v", name, err, got.errs)
		}
		if d := got.donations[0]; d.Trace != test.want || d.ID != sample().ID || d.AmountMinor != sample().AmountMinor {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// withField is an envelope of one donation with a field behind its own.
func withField(d *envelope.Donation, field []byte) []byte {
	plain := envelope.AppendDonation(nil, d)
	record, _ := protowire.ConsumeBytes(plain[1:])
	body, _ := protowire.ConsumeBytes(record[1:])
	body = append(bytes.Clone(body), field...)
	record = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
	return protowire.AppendBytes(protowire.AppendTag(envelope.AppendHeader(nil, header), 4, protowire.BytesType), record)
}

// A record that is not traced costs no byte and no allocation.
func TestAppend_UntracedCostsNothing(t *testing.T) {
	d := sample()
	plain := envelope.AppendDonation(nil, d)
	d.Trace = trace.Context{Trace: trace.ID{1}, Span: trace.SpanID{2}, Sampled: true}
	if traced := envelope.AppendDonation(nil, d); len(traced) != len(plain)+2+1+trace.ContextBytes {
		t.Errorf("%d bytes traced, %d without", len(traced), len(plain))
	}
	buffer := make([]byte, 0, 4096)
	for _, c := range []trace.Context{{}, d.Trace} {
		d.Trace = c
		if n := testing.AllocsPerRun(100, func() { buffer = envelope.AppendDonation(buffer[:0], d) }); n != 0 {
			t.Errorf("trace %v: %v allocations", c, n)
		}
	}
}
