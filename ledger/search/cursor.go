package search

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Cursor is a place in a list, for Query.After. It is opaque, and safe in a URL.
type Cursor string

// cursorBytes are the time in microseconds and the number.
const cursorBytes = 16

// NewCursor is the place behind the donation that was given at the time and has this
// number in the ledger.
func NewCursor(at time.Time, seq int64) Cursor {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorBytes), uint64(at.UnixMicro())) // the bits as they are
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// Key is the inverse of NewCursor; the zero time for "". Errors: ErrQuery.
func (c Cursor) Key() (at time.Time, seq int64, err error) {
	if c == "" {
		return time.Time{}, 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(b) != cursorBytes || base64.RawURLEncoding.EncodeToString(b) != string(c) {
		return time.Time{}, 0, fmt.Errorf("%w: the cursor was not given by us", ErrQuery)
	}
	micros, seq := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	// Beyond what the database's clock can say.
	if micros < 0 || micros > time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro() || seq < 0 {
		return time.Time{}, 0, fmt.Errorf("%w: the cursor was not given by us", ErrQuery)
	}
	return time.UnixMicro(micros).UTC(), seq, nil
}
