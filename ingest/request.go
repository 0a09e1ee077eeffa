package ingest

import (
	"crypto/sha256"
	"encoding/binary"
)

// RequestID identifies a donor's further wish about a donation: another card, or a
// cancellation. The ledger carries out each one once.
type RequestID [16]byte

// Prefixes that separate these uses of SHA-256 from each other and from a
// donation's own ID. Changing one would let a repeated request count twice.
const (
	attemptPrefix      = "spillway/attempt/v1\x00"
	cancellationPrefix = "spillway/cancellation/v1\x00"
	cancelLastPrefix   = "spillway/cancel-last/v1\x00"
)

// DeriveAttemptID returns the ID of the wish to pay the donation with another
// card: of the donation and the request's own idempotency key (quotes already
// stripped). The donation is part of it, so that nobody's key can stand in the
// way of another donor's.
func DeriveAttemptID(donation ID, key []byte) RequestID {
	return deriveRequestID(attemptPrefix, donation, key)
}

// DeriveCancellationID returns the ID of a cancellation that came with an
// idempotency key of its own.
func DeriveCancellationID(donation ID, key []byte) RequestID {
	return deriveRequestID(cancellationPrefix, donation, key)
}

// DeriveCancelLastID returns the ID of a cancellation without a key: there is one
// for each of the donation's attempts, so that asking again changes nothing, and a
// later attempt can be canceled too.
func DeriveCancelLastID(donation ID, attemptNo int) RequestID {
	return deriveRequestID(cancelLastPrefix, donation, binary.BigEndian.AppendUint64(nil, uint64(attemptNo)))
}

// deriveRequestID hashes a fixed prefix, a fixed number of bytes and the rest, so
// no two inputs read alike, and writes version 8 and RFC 9562's variant over it.
func deriveRequestID(prefix string, donation ID, rest []byte) (id RequestID) {
	h := sha256.New()
	_, _ = h.Write([]byte(prefix)) // a hash never fails
	_, _ = h.Write(donation[:])
	_, _ = h.Write(rest)
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String returns the lower-case UUID form.
func (id RequestID) String() string { return ID(id).String() }
