package envelope

import (
	"google.golang.org/protobuf/encoding/protowire"

	"spillway/ingest/trace"
)

// Field numbers of envelope.proto.
const (
	envelopeVersion protowire.Number = 1
	envelopeID      protowire.Number = 2
	envelopeNode    protowire.Number = 3
	envelopeRecords protowire.Number = 4

	recordDonation     protowire.Number = 1
	recordAttempt      protowire.Number = 2
	recordCancellation protowire.Number = 3

	donationID             protowire.Number = 1
	donationFingerprint    protowire.Number = 2
	donationReceivedAt     protowire.Number = 3
	donationSource         protowire.Number = 4
	donationRehearsal      protowire.Number = 5
	donationCurrency       protowire.Number = 6
	donationAmount         protowire.Number = 7
	donationFeeCover       protowire.Number = 8
	donationLines          protowire.Number = 9
	donationAnonymous      protowire.Number = 10
	donationHideAmount     protowire.Number = 11
	donationToken          protowire.Number = 12
	donationTokenExpiresAt protowire.Number = 13
	donationSealed         protowire.Number = 14
	donationSealKey        protowire.Number = 15
	donationTrace          protowire.Number = 16

	// Of both kinds of request; a cancellation has no token.
	requestID             protowire.Number = 1
	requestDonation       protowire.Number = 2
	requestReceivedAt     protowire.Number = 3
	requestSource         protowire.Number = 4
	requestRehearsal      protowire.Number = 5
	requestToken          protowire.Number = 6
	requestTokenExpiresAt protowire.Number = 7
	requestTrace          protowire.Number = 8

	lineCampaign protowire.Number = 1
	lineAmount   protowire.Number = 2
)

// tagBytes is the encoded length of every tag above but donationTrace: numbers up to
// 15 take one byte.
const tagBytes = 1

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendVarint(b, num, 1)
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// appendTrace appends the context of a record that is traced.
func appendTrace(b []byte, num protowire.Number, c trace.Context) []byte {
	if c.IsZero() {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(trace.ContextBytes))
	return c.AppendBinary(b)
}

// readTrace reads it. A donation is not set aside for its trace: what is none counts
// as absent, and of several the last one counts.
func readTrace(c *trace.Context, typ protowire.Type, b []byte) {
	if typ != protowire.BytesType {
		return
	}
	v, _ := protowire.ConsumeBytes(b)
	if read, ok := trace.ParseBinary(v); ok {
		*c = read
	}
}

func sizeTrace(num protowire.Number, c trace.Context) int {
	if c.IsZero() {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeBytes(trace.ContextBytes)
}

func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return tagBytes + protowire.SizeVarint(v)
}

func sizeBool(v bool) int {
	if !v {
		return 0
	}
	return tagBytes + 1
}

// sizeBytes is the size of a field of n bytes that is left out when empty.
func sizeBytes(n int) int {
	if n == 0 {
		return 0
	}
	return tagBytes + protowire.SizeBytes(n)
}
