// Package bundle is how several of the processor's events travel in one message of
// the broker, so that one sync stores all of them.
//
// The one invariant: what Split returns is what was added, byte for byte and in that
// order; a message that holds one event alone is that event's body, as every version
// wrote it.
package bundle

import (
	"encoding/binary"
	"errors"
)

// magic begins a bundle: no JSON does. A change of the format gets another.
const magic = 0x01

// ErrMalformed says that a bundle's bytes are not one's.
var ErrMalformed = errors.New("not a bundle of events")

// Bundle is what travels together. The zero value is empty and ready.
type Bundle struct {
	framed []byte // magic, then each body behind its length as a varint
	first  int    // where the first body begins
	count  int
}

// Add takes a copy of an event's body, which is not empty.
func (b *Bundle) Add(body []byte) {
	if b.count == 0 {
		b.framed = append(b.framed, magic)
	}
	b.framed = binary.AppendUvarint(b.framed, uint64(len(body)))
	if b.count == 0 {
		b.first = len(b.framed)
	}
	b.framed = append(b.framed, body...)
	b.count++
}

// Len is the number of events.
func (b *Bundle) Len() int { return b.count }

// Bytes is what the message holds, shared with b.
func (b *Bundle) Bytes() []byte {
	if b.count == 1 && b.framed[b.first] != magic { // no event begins so, and who sends one gets it back
		return b.framed[b.first:]
	}
	return b.framed
}

// Split returns the bodies in a message, shared with data. Errors: ErrMalformed.
func Split(data []byte) ([][]byte, error) {
	if len(data) == 0 || data[0] != magic {
		return [][]byte{data}, nil
	}
	var bodies [][]byte
	for rest := data[1:]; len(rest) > 0; {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length == 0 || length > uint64(len(rest)-n) {
			return nil, ErrMalformed
		}
		end := n + int(length)
		bodies, rest = append(bodies, rest[n:end:end]), rest[end:]
	}
	if len(bodies) == 0 {
		return nil, ErrMalformed
	}
	return bodies, nil
}
