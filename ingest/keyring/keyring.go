// Package keyring holds an installation's secrets of intake: it signs holder
// tokens, seals personal fields, hashes client addresses and knows the rehearsal
// credential.
//
// The one invariant: a secret never prints. String, every fmt verb and slog show
// a fixed word; the only way out is MarshalJSON, which writes the secrets file.
//
// A Keyring is immutable and safe for concurrent use; it starts no goroutine.
package keyring

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
)

const (
	// keyBytes is the length of every key: AES-256, and as many for HMAC-SHA-256.
	keyBytes = 32
	// keysMax bounds each list, so that verifying an old token stays cheap: a
	// token is tried against every key.
	keysMax = 16
	// credentialCharsMin keeps a hand-written rehearsal credential unguessable.
	credentialCharsMin = 32
	// credentialCharsMax keeps the credential well inside the header bound.
	credentialCharsMax = 255
)

// ErrSecrets says that a secrets file cannot be used; the wrapped text says why
// and never quotes a secret.
var ErrSecrets = errors.New("secrets cannot be used")

// Keyring is a set of secrets. In each list the key with the highest ID is the
// newest: it signs and seals, while all of them verify and open.
type Keyring struct {
	file       file
	tokens     []*tokenKey // newest first
	seals      []*sealKey  // newest first
	source     cipher.Block
	credential [sha256.Size]byte // of file.RehearsalCredential: equal lengths compare in constant time
	blocks     sync.Pool         // *block
}

// file is the secrets file.
type file struct {
	TokenKeys           []fileKey `json:"token_keys"`
	SealKeys            []fileKey `json:"seal_keys"`
	SourceKey           []byte    `json:"source_key"`
	RehearsalCredential string    `json:"rehearsal_credential"`
}

type fileKey struct {
	ID  uint32 `json:"id"`
	Key []byte `json:"key"`
}

// Parse reads a secrets file:
//
//	{"token_keys":[{"id":1,"key":"<base64 of 32 bytes>"}],"seal_keys":[...],
//	 "source_key":"<base64 of 32 bytes>","rehearsal_credential":"<32 to 255 visible ASCII>"}
//
// Key IDs are 1 or more and differ within a list; the highest is the newest. All
// that is wrong is reported at once. Errors: ErrSecrets.
func Parse(data []byte) (*Keyring, error) {
	var f file
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		// A decoder's error may quote what it read: only its place is told.
		return nil, fmt.Errorf("%w: not the expected JSON near byte %d", ErrSecrets, dec.InputOffset())
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrSecrets)
	}
	return open(f)
}

// Generate makes a new set of secrets with one key of each kind, taking them
// from random (crypto/rand.Reader outside tests).
func Generate(random io.Reader) (*Keyring, error) {
	var b [4 * keyBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("generate secrets: %w", err)
	}
	return open(file{
		TokenKeys:           []fileKey{{ID: 1, Key: b[:keyBytes]}},
		SealKeys:            []fileKey{{ID: 1, Key: b[keyBytes : 2*keyBytes]}},
		SourceKey:           b[2*keyBytes : 3*keyBytes],
		RehearsalCredential: base64.RawURLEncoding.EncodeToString(b[3*keyBytes:]),
	})
}

// open checks the file and prepares its keys.
func open(f file) (*Keyring, error) {
	var errs []error
	errs = append(errs, checkKeys("token_keys", f.TokenKeys)...)
	errs = append(errs, checkKeys("seal_keys", f.SealKeys)...)
	if len(f.SourceKey) != keyBytes {
		errs = append(errs, fmt.Errorf("source_key: %d bytes, want %d", len(f.SourceKey), keyBytes))
	}
	if n := len(f.RehearsalCredential); n < credentialCharsMin || n > credentialCharsMax || !visibleASCII(f.RehearsalCredential) {
		errs = append(errs, fmt.Errorf("rehearsal_credential: want %d to %d visible ASCII characters", credentialCharsMin, credentialCharsMax))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrSecrets, errors.Join(errs...))
	}

	newestFirst := func(a, b fileKey) int { return cmp.Compare(b.ID, a.ID) }
	slices.SortFunc(f.TokenKeys, newestFirst)
	slices.SortFunc(f.SealKeys, newestFirst)
	k := &Keyring{file: f, credential: sha256.Sum256([]byte(f.RehearsalCredential))}
	for _, key := range f.TokenKeys {
		k.tokens = append(k.tokens, newTokenKey(key.Key))
	}
	for _, key := range f.SealKeys {
		seal, err := newSealKey(key.ID, key.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: seal_keys: %w", ErrSecrets, err)
		}
		k.seals = append(k.seals, seal)
	}
	source, err := aes.NewCipher(f.SourceKey)
	if err != nil {
		return nil, fmt.Errorf("%w: source_key: %w", ErrSecrets, err)
	}
	k.source = source
	k.blocks.New = func() any { return new(block) }
	return k, nil
}

func checkKeys(name string, keys []fileKey) (errs []error) {
	if len(keys) == 0 || len(keys) > keysMax {
		errs = append(errs, fmt.Errorf("%s: %d keys, want 1 to %d", name, len(keys), keysMax))
	}
	seen := make(map[uint32]bool, len(keys))
	for i, key := range keys {
		if key.ID == 0 || seen[key.ID] {
			errs = append(errs, fmt.Errorf("%s[%d]: id %d is zero or given twice", name, i, key.ID))
		}
		seen[key.ID] = true
		if len(key.Key) != keyBytes {
			errs = append(errs, fmt.Errorf("%s[%d]: %d bytes, want %d", name, i, len(key.Key), keyBytes))
		}
	}
	return errs
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// MarshalJSON writes the secrets file that Parse reads. It holds every secret:
// keep it in a file that only its owner reads.
func (k *Keyring) MarshalJSON() ([]byte, error) { return json.Marshal(k.file) }

// RehearsalCredential is what the header Spillway-Rehearsal carries.
func (k *Keyring) RehearsalCredential() string { return k.file.RehearsalCredential }

// IsRehearsal tells, in constant time, whether presented is the rehearsal
// credential. It does not allocate and keeps no reference to presented.
func (k *Keyring) IsRehearsal(presented []byte) bool {
	sum := sha256.Sum256(presented)
	return subtle.ConstantTimeCompare(sum[:], k.credential[:]) == 1
}

// redacted stands wherever a keyring would print.
const redacted = "[keyring]"

// String never shows a secret.
func (k *Keyring) String() string { return redacted }

// Format never shows a secret, whatever the verb.
func (k *Keyring) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue never shows a secret.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(redacted) }

// mac is one HMAC state with its in- and outputs, pooled so that a token costs
// no allocation: what goes through hash.Hash would escape.
type mac struct {
	in  [signedBytes]byte
	sum [sha256.Size]byte
	h   interface {
		Write([]byte) (int, error)
		Sum([]byte) []byte
		Reset()
	}
}

func newMACs(key []byte) *sync.Pool {
	return &sync.Pool{New: func() any { return &mac{h: hmac.New(sha256.New, key)} }}
}
