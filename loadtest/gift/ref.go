// Package gift makes the donations that a rehearsal sends: the idempotency key
// of each, its content, and its JSON. It does no I/O and reads no clock.
//
// The one invariant: everything is derived from the run, the reference and the
// lines, so that a repeated or resumed run, and the audit afterwards, arrive at the
// very same key, ID, fingerprint and fields without having kept any of them.
package gift

import (
	"errors"
	"fmt"
	"strconv"

	"spillway/ingest"
)

// Kind says what a gift is sent for.
type Kind uint8

// The kinds. Their numbers are written into records: never reuse one.
const (
	// Row is a row of the replayed file or of the synthetic profile.
	Row Kind = 1
	// Repeat is one key and content sent several times.
	Repeat Kind = 2
	// Basket is a donation with several lines, repeated with its lines reordered
	// and another confirmation token: still the same donation.
	Basket Kind = 3
	// Conflict is a key sent again with another amount after the first answer.
	Conflict Kind = 4
	// Race is a key sent with two amounts at the same moment.
	Race Kind = 5
	// Opening is a gift to the campaign that opens in the middle of the run.
	Opening Kind = 6
	// Closing is a gift to the campaign that closes in the middle of the run.
	Closing Kind = 7
	// Refused is a request that the contract refuses.
	Refused Kind = 8
)

var kindNames = [...]string{Row: "row", Repeat: "repeat", Basket: "basket", Conflict: "conflict", Race: "race",
	Opening: "opening", Closing: "closing", Refused: "refused"}

// String names the kind as it stands in the key.
func (k Kind) String() string {
	if !k.Valid() {
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
	return kindNames[k]
}

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool { return k >= Row && k <= Refused }

// Ref names one request of a run. Requests whose refs differ in Variant only
// share a key.
type Ref struct {
	Kind Kind
	// Number counts from 1: the row in the file after the header, or the probe.
	Number int64
	// Copy counts from 0: with several copies each row is sent under as many keys.
	Copy uint16
	// Variant counts from 0; it mints another confirmation token. Whether the
	// content differs too is a matter of the lines.
	Variant uint8
}

// Key is the ref without its variant: what shares an idempotency key.
func (r Ref) Key() Ref { r.Variant = 0; return r }

// String writes the ref for people: "row 17", "row 17 copy 2", "conflict 3 variant 1".
func (r Ref) String() string {
	s := r.Kind.String() + " " + strconv.FormatInt(r.Number, 10)
	if r.Copy > 0 {
		s += " copy " + strconv.Itoa(int(r.Copy))
	}
	if r.Variant > 0 {
		s += " variant " + strconv.Itoa(int(r.Variant))
	}
	return s
}

// Bounds of names, in bytes, so that a key of any run fits ingest.KeyBytesMax.
const (
	RunBytesMax    = 64
	sourceBytesMax = 64
	hashChars      = 12 // 48 bits of the source's content: tells two files of one name apart
)

// ErrRunName says that a run's name is not one.
var ErrRunName = errors.New("a run's name is 1 to 64 of A-Z a-z 0-9 . _ -")

// Run derives keys and gifts. It is immutable and safe for any number of goroutines.
type Run struct {
	name   string
	prefix string // of every key
	slugs  string // of every campaign's slug, ends with '-'
}

// NewRun returns the run with this name over a source (a file's base name, or a
// profile's) and the hash of the source's content. Errors: ErrRunName.
func NewRun(name, source string, hash [32]byte) (*Run, error) {
	if len(name) == 0 || len(name) > RunBytesMax {
		return nil, fmt.Errorf("%q: %w", name, ErrRunName)
	}
	for i := range len(name) {
		if !plain(name[i]) {
			return nil, fmt.Errorf("%q: %w", name, ErrRunName)
		}
	}
	base := make([]byte, 0, sourceBytesMax)
	for i := 0; i < len(source) && len(base) < sourceBytesMax; i++ {
		c := source[i]
		if !plain(c) {
			c = '_'
		}
		base = append(base, c)
	}
	return &Run{
		name:   name,
		prefix: fmt.Sprintf("rehearsal/%s/%s/%.*x/", name, base, hashChars, hash[:hashChars/2]),
		slugs:  slugPrefix(name, hash),
	}, nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// Name is the run's name.
func (r *Run) Name() string { return r.name }

// AppendKey appends the idempotency key: visible ASCII without quotes, at least
// ingest.KeyBytesMin and at most ingest.KeyBytesMax bytes. The variant is no part of it.
func (r *Run) AppendKey(dst []byte, ref Ref) []byte {
	dst = append(dst, r.prefix...)
	dst = append(dst, ref.Kind.String()...)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, ref.Number, 10)
	dst = append(dst, '/')
	return strconv.AppendUint(dst, uint64(ref.Copy), 10)
}

// ID is the donation's ID that every front-end derives from the ref's key.
func (r *Run) ID(ref Ref) ingest.ID {
	var key [ingest.KeyBytesMax]byte
	return ingest.DeriveID(r.AppendKey(key[:0], ref))
}
