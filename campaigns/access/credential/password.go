// Package credential makes and checks what people and programs prove themselves
// with: passwords, tokens of sessions and links, API keys, codes of a second factor.
//
// The one invariant: what is stored opens nothing. Passwords are kept as argon2id in
// PHC strings, everything else, random enough, as SHA-256; the one secret that must
// be kept as it is, that of a second factor, is sealed by whoever stores it.
//
// No goroutines of its own.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Bounds of a password. The least is NIST SP 800-63B-4's for a password that stands
// alone; the most keeps hashing a long one cheap.
const (
	PasswordCharsMin = 15
	PasswordBytesMax = 256
)

// ErrPassword says that a password cannot be used; its text says why.
var ErrPassword = errors.New("this password cannot be used")

// ErrHash says that a stored hash cannot be read: the row was changed by hand.
var ErrHash = errors.New("stored password hash cannot be read")

// CheckPassword tells whether a new password is good enough for a user of this
// e-mail address. Errors: ErrPassword.
func CheckPassword(password, email string) error {
	name, _, _ := strings.Cut(strings.ToLower(email), "@")
	switch {
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: it is not UTF-8", ErrPassword)
	case utf8.RuneCountInString(password) < PasswordCharsMin:
		return fmt.Errorf("%w: it needs at least %d characters; a few words do", ErrPassword, PasswordCharsMin)
	case len(password) > PasswordBytesMax:
		return fmt.Errorf("%w: it may have at most %d bytes", ErrPassword, PasswordBytesMax)
	case differentRunes(password) < 5:
		return fmt.Errorf("%w: it repeats itself", ErrPassword)
	case strings.Trim(strings.ToLower(password), "0123456789 .-_!") == name, strings.EqualFold(password, email):
		return fmt.Errorf("%w: it is the e-mail address", ErrPassword)
	}
	return nil
}

func differentRunes(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// Params are argon2id's costs.
type Params struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultParams cost 32 MiB and three passes: above the least that OWASP's password
// storage cheat sheet names (19 MiB, two passes; looked up 2026-11), and small enough
// for a console that shares a machine with the broker.
var DefaultParams = Params{MemoryKiB: 32 << 10, Passes: 3, Lanes: 1}

// Most that a stored hash may ask for: a row changed by hand must not take the
// machine's memory.
const (
	memoryKiBMax = 1 << 20
	passesMax    = 64
	lanesMax     = 16
)

const (
	saltBytes = 16
	hashBytes = 32
)

// hashers is how many passwords are hashed at the same time: memory is bounded by
// hashers x MemoryKiB, whoever asks to log in.
const hashers = 2

// Hasher hashes passwords, a few at a time. It is safe for concurrent use.
type Hasher struct {
	params Params
	turns  chan struct{}
	// nobody is a hash that no password has; unknown users are compared with it, so
	// that they take as long as others.
	nobody string
}

// NewHasher hashes with these costs; the zero Params are DefaultParams.
func NewHasher(p Params) *Hasher {
	if p == (Params{}) {
		p = DefaultParams
	}
	h := &Hasher{params: p, turns: make(chan struct{}, hashers)}
	h.nobody = phc(p, random(saltBytes), random(hashBytes))
	return h
}

// Hash returns the PHC string of a password. Errors: ctx's, when it ended before it
// was our turn.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.turn(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.turns }()
	salt := random(saltBytes)
	return phc(h.params, salt, key(h.params, password, salt, hashBytes)), nil
}

// Verify tells whether a password has this hash. stored "" stands for nobody: the
// answer is no, after the same work. again tells that the hash should be made anew,
// with today's costs.
//
// Errors: ErrHash; ctx's, when it ended before it was our turn.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, again bool, err error) {
	known := stored != ""
	if !known {
		stored = h.nobody
	}
	p, salt, want, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	if len(password) > PasswordBytesMax {
		password, known = "", false
	}
	if err := h.turn(ctx); err != nil {
		return false, false, err
	}
	defer func() { <-h.turns }()
	same := subtle.ConstantTimeCompare(key(p, password, salt, uint32(len(want))), want) == 1
	return same && known, p != h.params, nil
}

func (h *Hasher) turn(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

func key(p Params, password string, salt []byte, length uint32) []byte {
	return argon2.IDKey([]byte(password), salt, p.Passes, p.MemoryKiB, p.Lanes, length)
}

// phc writes a hash as the PHC string format has it:
// $argon2id$v=19$m=32768,t=3,p=1$<salt>$<hash>, base64 without padding.
func phc(p Params, salt, hash []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Passes, p.Lanes, b64(salt), b64(hash))
}

func parsePHC(s string) (p Params, salt, hash []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return p, nil, nil, ErrHash
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return p, nil, nil, ErrHash
	}
	var n [3]uint64
	for i, bound := range []struct {
		name string
		max  uint64
	}{{"m=", memoryKiBMax}, {"t=", passesMax}, {"p=", lanesMax}} {
		text, found := strings.CutPrefix(costs[i], bound.name)
		n[i], err = strconv.ParseUint(text, 10, 32)
		if !found || err != nil || n[i] == 0 || n[i] > bound.max {
			return p, nil, nil, ErrHash
		}
	}
	strict := base64.RawStdEncoding.Strict()
	if salt, err = strict.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return p, nil, nil, ErrHash
	}
	if hash, err = strict.DecodeString(parts[5]); err != nil || len(hash) < 16 || len(hash) > 64 {
		return p, nil, nil, ErrHash
	}
	return Params{MemoryKiB: uint32(n[0]), Passes: uint32(n[1]), Lanes: uint8(n[2])}, salt, hash, nil
}

// random returns n random bytes. crypto/rand never fails: it ends the process instead.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
