package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// ID identifies a donation. It is derived from the idempotency key, so every
// front-end derives the same one without a look-up and without a secret.
type ID [16]byte

// idPrefix separates this use of SHA-256 from any other. Changing it would give a
// known key a second ID, hence a second charge: never change it.
const idPrefix = "spillway/donation/v1\x00"

// IdempotencyKey bounds, in bytes of visible ASCII without the quotes (design: public contract).
const (
	KeyBytesMin = 16
	KeyBytesMax = 255
)

// ErrBadID says that a text is not a donation ID.
var ErrBadID = errors.New("not a donation id")

// DeriveID returns the donation's ID: the first 128 bits of SHA-256 over a fixed
// prefix and the idempotency key (quotes already stripped), with version 8 and
// the RFC 9562 variant written over them. It does not allocate.
func DeriveID(key []byte) ID {
	var in [len(idPrefix) + KeyBytesMax]byte
	n := copy(in[:], idPrefix)
	var sum [sha256.Size]byte
	if len(key) <= KeyBytesMax {
		n += copy(in[n:], key)
		sum = sha256.Sum256(in[:n])
	} else { // only callers that skip ParseKey come here
		sum = sha256.Sum256(append(in[:n:n], key...))
	}
	var id ID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// idTextBytes is the length of a UUID's text form.
const idTextBytes = 36

// AppendText appends the lower-case UUID form.
func (id ID) AppendText(b []byte) []byte {
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		const digits = "0123456789abcdef"
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// String returns the lower-case UUID form.
func (id ID) String() string { return string(id.AppendText(make([]byte, 0, idTextBytes))) }

// ParseID reads the UUID form that AppendText writes, in either case; it refuses
// a UUID that DeriveID cannot have made. Errors: ErrBadID.
func ParseID(text []byte) (id ID, err error) {
	if len(text) != idTextBytes || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, ErrBadID
	}
	var digits [32]byte
	n := 0
	for _, span := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		n += copy(digits[n:], text[span[0]:span[1]])
	}
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return ID{}, ErrBadID
	}
	if id[6]>>4 != 8 || id[8]>>6 != 2 {
		return ID{}, ErrBadID
	}
	return id, nil
}
