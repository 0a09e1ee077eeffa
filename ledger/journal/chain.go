package journal

import (
	"crypto/sha256"
	"encoding/binary"
)

// chainDomain sets these hashes apart from any other, and names the form's version.
const chainDomain = "spillway journal entry 1"

// Hash is the hash of an entry at its place in a slot's chain: SHA-256 over the
// domain, prev, slot, n and the entry's canonical form. prev is the hash of n-1 of
// the same slot, zero for n = 1. An entry that is read back from the database
// hashes to the same value: times count in microseconds, postings in their order.
func Hash(prev [32]byte, slot int32, n int64, e *Entry) [32]byte {
	// An entry of one line has some 250 bytes: no allocation for those.
	var room [512]byte
	b := append(room[:0], chainDomain...)
	b = append(b, prev[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(slot))
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	return sha256.Sum256(AppendCanonical(b, e))
}

// AppendCanonical appends the entry's canonical form to b: every field in a fixed
// order, texts with their length in bytes before them, so that no two entries share
// a form.
func AppendCanonical(b []byte, e *Entry) []byte {
	b = appendText(b, string(e.Kind))
	b = appendText(b, e.Ref)
	b = append(b, e.Donation[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.OccurredAt.UnixMicro()))
	b = appendText(b, e.Actor)
	b = appendText(b, e.Reason)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Postings)))
	for i := range e.Postings {
		p := &e.Postings[i]
		b = appendText(b, p.Account)
		b = appendText(b, string(p.Currency))
		b = binary.BigEndian.AppendUint64(b, uint64(p.AmountMinor))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
