package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Sum is what is stored of a token: its SHA-256. Tokens have 256 random bits, so
// nothing slower is needed.
type Sum [sha256.Size]byte

// tokenBytes is a token's randomness.
const tokenBytes = 32

// NewToken makes a token of a session or a one-time link: 43 characters of base64url.
func NewToken() (token string, sum Sum) {
	token = base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	return token, SumOf(token)
}

// SumOf is a token's sum; ok is not told: what never was a token has a sum that
// nothing is stored under.
func SumOf(token string) Sum { return sha256.Sum256([]byte(token)) }

// NewID makes an ID that is public: 2n hex digits.
func NewID(n int) string { return hex.EncodeToString(random(n)) }

// API keys are swk_<id>.<secret>: the prefix lets scanners of leaked secrets find them.
const (
	keyPrefix = "swk_"
	keyChars  = 16 // of the ID
)

const keyAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// NewKey makes an API key. text is told to its owner once; id and sum are stored.
func NewKey() (text, id string, sum Sum) {
	b := random(keyChars)
	for i := range b {
		b[i] = keyAlphabet[b[i]%32]
	}
	id = string(b)
	secret, sum := NewToken()
	return keyPrefix + id + "." + secret, id, sum
}

// ParseKey takes an API key apart. ok is false for what is none.
func ParseKey(text string) (id string, sum Sum, ok bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok {
		return "", sum, false
	}
	id, secret, ok := strings.Cut(rest, ".")
	if !ok || len(id) != keyChars || strings.Trim(id, keyAlphabet) != "" || len(secret) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return "", sum, false
	}
	return id, SumOf(secret), true
}

// Same compares two sums in constant time.
func (s Sum) Same(o Sum) bool { return subtle.ConstantTimeCompare(s[:], o[:]) == 1 }
