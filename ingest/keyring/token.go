package keyring

import (
	"crypto/hmac"
	"encoding/base64"
	"sync"

	"spillway/ingest"
)

// The kinds of holder token.
const (
	// Accepted marks a token that came with a 202: its holder was told.
	Accepted byte = 'a'
	// Unknown marks a token that came with anything else: its holder was not
	// told that the donation is accepted.
	Unknown byte = 'u'
)

const (
	fingerprintBytes = len(ingest.Fingerprint{})
	tagBytes         = 16 // HMAC-SHA-256 cut to 128 bits
	tokenBytes       = 1 + fingerprintBytes + tagBytes
	signedBytes      = 1 + len(ingest.ID{}) + fingerprintBytes

	// TokenChars is the length of a token's text: 33 bytes fill base64url without padding.
	TokenChars = tokenBytes / 3 * 4
)

// tokenText is strict: one text per token, so that logs and comparisons see one.
var tokenText = base64.RawURLEncoding.Strict()

type tokenKey struct{ macs *sync.Pool }

func newTokenKey(key []byte) *tokenKey { return &tokenKey{macs: newMACs(key)} }

// sign appends the tag over kind, id and fingerprint.
func (t *tokenKey) sign(dst []byte, kind byte, id ingest.ID, fp ingest.Fingerprint) []byte {
	m := t.macs.Get().(*mac)
	m.in[0] = kind
	copy(m.in[1:], id[:])
	copy(m.in[1+len(id):], fp[:])
	m.h.Reset()
	_, _ = m.h.Write(m.in[:]) // a hash never fails
	m.h.Sum(m.sum[:0])
	dst = append(dst, m.sum[:tagBytes]...)
	t.macs.Put(m)
	return dst
}

// Token appends the holder token of a donation: TokenChars characters of
// base64url over kind (Accepted or Unknown), fingerprint and tag. The newest key
// signs. It allocates only to grow dst.
func (k *Keyring) Token(dst []byte, kind byte, id ingest.ID, fp ingest.Fingerprint) []byte {
	var b [tokenBytes]byte
	b[0] = kind
	copy(b[1:], fp[:])
	k.tokens[0].sign(b[:1+fingerprintBytes], kind, id, fp)
	return tokenText.AppendEncode(dst, b[:])
}

// VerifyToken reads a holder token of the donation id. ok is false for anything
// that Token did not write for this id under one of the keys; kind and fp mean
// nothing then. Time does not depend on where a wrong tag differs.
func (k *Keyring) VerifyToken(id ingest.ID, text []byte) (kind byte, fp ingest.Fingerprint, ok bool) {
	if len(text) != TokenChars {
		return 0, fp, false
	}
	var b [tokenBytes]byte
	if n, err := tokenText.Decode(b[:], text); err != nil || n != tokenBytes {
		return 0, fp, false
	}
	kind = b[0]
	if kind != Accepted && kind != Unknown {
		return 0, fp, false
	}
	copy(fp[:], b[1:])
	for _, key := range k.tokens {
		var want [tagBytes]byte
		key.sign(want[:0], kind, id, fp)
		if hmac.Equal(want[:], b[1+fingerprintBytes:]) {
			return kind, fp, true
		}
	}
	return 0, ingest.Fingerprint{}, false
}
