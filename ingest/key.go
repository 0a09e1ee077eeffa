package ingest

import "errors"

// ErrBadKey says that a text is not an idempotency key.
var ErrBadKey = errors.New("not an idempotency key")

// ParseKey reads the value of an Idempotency-Key header: KeyBytesMin to
// KeyBytesMax visible ASCII characters, with or without one pair of double
// quotes around them, which do not count. A quote at one end only is refused: it
// is a torn header, and would be another key than the whole one. The key shares
// memory with value. Errors: ErrBadKey.
func ParseKey(value []byte) (key []byte, err error) {
	key = value
	if n := len(key); n > 0 && (key[0] == '"' || key[n-1] == '"') {
		if n < 2 || key[0] != '"' || key[n-1] != '"' {
			return nil, ErrBadKey
		}
		key = key[1 : n-1]
	}
	if len(key) < KeyBytesMin || len(key) > KeyBytesMax {
		return nil, ErrBadKey
	}
	for _, c := range key {
		if c < 0x21 || c > 0x7e {
			return nil, ErrBadKey
		}
	}
	return key, nil
}
