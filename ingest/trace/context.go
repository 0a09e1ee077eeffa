// Package trace is the vocabulary of tracing: whose story a span tells, which
// stories are told at all, and what a span may say of them.
//
// A donation's trace ID is the donation's ID. So every process knows it without
// being told, a support case is pasted into the tracing system as it is, without
// its dashes, and whether a donation is traced is a function of its ID: charge and
// webhook join the trace of a request that was answered hours before, and nothing
// is stored for it but the 25 bytes in the envelopes of the sampled.
//
// The one invariant: a span says nothing personal. Its attributes have keys of a
// closed set, and values that are words and numbers of ours.
//
// It does no I/O, reads no clock and starts no goroutine.
package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// ID names a trace; SpanID names a span in it. Zero is none.
type (
	ID     [16]byte
	SpanID [8]byte
)

// String returns the ID as tracing systems write it: 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Context is a place in a trace, as W3C Trace Context has it: what a span is of, or
// what it is below, or what it is linked to.
type Context struct {
	Trace   ID
	Span    SpanID
	Sampled bool // spans below this place are recorded
}

// IsZero tells whether it is no place at all.
func (c Context) IsZero() bool { return c == Context{} }

// Donation is the root of a donation's trace: a span that the ledger records, once
// the donation is. Until then the trace has no root. Both IDs are parts of the
// donation's, whose version keeps either from being zero.
func Donation(donation [16]byte) Context {
	c := Context{Trace: donation}
	copy(c.Span[:], donation[:])
	return c
}

// Charge is the first call for an attempt of a donation. Repeats of it, of an
// outcome that was unknown, are spans of their own that are linked to it.
func Charge(donation [16]byte, attemptNo int) Context {
	const prefix = "spillway/trace/charge/v1\x00"
	var in [len(prefix) + 16 + 8]byte
	n := copy(in[:], prefix)
	n += copy(in[n:], donation[:])
	binary.BigEndian.PutUint64(in[n:], uint64(attemptNo))
	sum := sha256.Sum256(in[:])
	c := Context{Trace: donation}
	copy(c.Span[:], sum[:])
	c.Span[7] |= 1 // never zero
	return c
}

// Event is the taking of one of the processor's events, in a trace of its own: what
// it is about is read later, elsewhere.
func Event(id string) Context {
	sum := sha256.Sum256(append([]byte("spillway/trace/event/v1\x00"), id...))
	var c Context
	copy(c.Trace[:], sum[:])
	copy(c.Span[:], sum[len(c.Trace):])
	c.Span[7] |= 1
	return c
}

// ContextBytes is the length of a context's binary form: trace, span, flags.
const ContextBytes = len(ID{}) + len(SpanID{}) + 1

// flagSampled is the one flag of W3C Trace Context that is used here.
const flagSampled = 1

// AppendBinary appends the binary form, as envelopes hold it.
func (c Context) AppendBinary(b []byte) []byte {
	b = append(b, c.Trace[:]...)
	b = append(b, c.Span[:]...)
	if c.Sampled {
		return append(b, flagSampled)
	}
	return append(b, 0)
}

// ParseBinary reads what AppendBinary wrote. False for anything else.
func ParseBinary(b []byte) (c Context, ok bool) {
	if len(b) != ContextBytes {
		return Context{}, false
	}
	n := copy(c.Trace[:], b)
	n += copy(c.Span[:], b[n:])
	c.Sampled = b[n]&flagSampled != 0
	if c.Trace == (ID{}) || c.Span == (SpanID{}) {
		return Context{}, false
	}
	return c, true
}

// Places in the header traceparent: version, trace, span and flags, parted by
// dashes (www.w3.org/TR/trace-context, section 3.2).
const (
	traceAt          = 3
	spanAt           = traceAt + 32 + 1
	flagsAt          = spanAt + 16 + 1
	traceparentBytes = flagsAt + 2
)

// AppendTraceparent appends the header's value.
func (c Context) AppendTraceparent(b []byte) []byte {
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Span[:])
	if c.Sampled {
		return append(b, "-01"...)
	}
	return append(b, "-00"...)
}

// ParseTraceparent reads the header's value, of this version or a later one. False
// for anything else. It does not allocate.
func ParseTraceparent(b []byte) (c Context, ok bool) {
	if len(b) < traceparentBytes || b[traceAt-1] != '-' || b[spanAt-1] != '-' || b[flagsAt-1] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], b[:2]) || !lowerHex(c.Trace[:], b[traceAt:]) ||
		!lowerHex(c.Span[:], b[spanAt:]) || !lowerHex(flags[:], b[flagsAt:]) {
		return Context{}, false
	}
	longer := len(b) > traceparentBytes
	switch {
	case version[0] == 0xff, version[0] == 0 && longer, longer && b[traceparentBytes] != '-':
		return Context{}, false
	case c.Trace == (ID{}), c.Span == (SpanID{}):
		return Context{}, false
	}
	c.Sampled = flags[0]&flagSampled != 0
	return c, true
}

// lowerHex reads len(dst) bytes from twice as many digits at the beginning of b,
// which has them. Upper case is none: two readers could differ.
func lowerHex(dst, b []byte) bool {
	for i := range dst {
		high, low := digit(b[2*i]), digit(b[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}
