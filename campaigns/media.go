package campaigns

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Media is a picture. It is named by its bytes, so that it never changes and may be
// kept by anybody for ever.
type Media struct {
	Key         string // see MediaKey
	ContentType string // one of those that ValidMediaType knows
	Data        []byte // 1 to MediaBytesMax
}

const (
	// MediaKeyBytes is the length of a picture's key.
	MediaKeyBytes = 32
	// MediaBytesMax bounds a picture: a photograph as wide as a screen, and half of
	// what one message of a stock broker may hold.
	MediaBytesMax = 512 << 10
)

// MediaKey names a picture by its bytes: the first 16 bytes of their SHA-256, in
// lower-case hex.
func MediaKey(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:MediaKeyBytes/2])
}

// ValidMediaKey tells whether s may name a picture: MediaKeyBytes lower-case hex digits.
func ValidMediaKey(s string) bool {
	if len(s) != MediaKeyBytes {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ValidMediaType tells whether a picture may be of this type. What may hold a script
// is not among them, since pictures are served from our own origin.
func ValidMediaType(contentType string) bool {
	switch contentType {
	case "image/jpeg", "image/png", "image/webp", "image/avif", "image/gif":
		return true
	}
	return false
}

// Validate returns ErrInvalid, wrapped, when the picture breaks a rule.
func (m *Media) Validate() error {
	switch {
	case !ValidMediaType(m.ContentType):
		return fmt.Errorf("%w: a picture is JPEG, PNG, WebP, AVIF or GIF, not %q", ErrInvalid, m.ContentType)
	case len(m.Data) == 0 || len(m.Data) > MediaBytesMax:
		return fmt.Errorf("%w: a picture has 1 to %d bytes, not %d", ErrInvalid, MediaBytesMax, len(m.Data))
	case m.Key != MediaKey(m.Data):
		return fmt.Errorf("%w: %q is not the key of the picture's bytes", ErrInvalid, m.Key)
	}
	return nil
}
