package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
)

// Fingerprint identifies a donation's content without its payment: a reloaded
// page mints another confirmation token and is still the same donation.
type Fingerprint [16]byte

// fingerprintPrefix names the canonical form; a new form needs a new prefix, and
// then old and new front-ends would disagree about what is the same content.
const fingerprintPrefix = "spillway/fingerprint/v1\x00"

var fingerprintBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Fingerprint hashes the canonical content: currency, covered fee, flags,
// personal fields, and the lines in order of their slugs, every text with its
// length in front, so that no two contents share a form. The donation's Lines
// are not reordered.
func (d *Donation) Fingerprint() Fingerprint {
	bp := fingerprintBuffers.Get().(*[]byte)
	b := append((*bp)[:0], fingerprintPrefix...)
	b = appendText(b, string(d.Currency))
	b = binary.AppendVarint(b, d.FeeCoverMinor)
	var flags byte
	if d.Anonymous {
		flags |= 1
	}
	if d.HideAmount {
		flags |= 2
	}
	b = append(b, flags, byte(d.Personal.DedicationKind))
	b = appendText(b, d.Personal.DedicationName)
	b = appendText(b, d.Personal.Name)
	b = appendText(b, d.Personal.Email)
	b = appendText(b, d.Personal.Message)
	lines := d.Lines
	if !slices.IsSortedFunc(lines, bySlug) {
		lines = slices.Clone(lines)
		slices.SortFunc(lines, bySlug)
	}
	b = binary.AppendUvarint(b, uint64(len(lines)))
	for i := range lines {
		b = appendText(b, lines[i].Campaign)
		b = binary.AppendVarint(b, lines[i].AmountMinor)
	}
	sum := sha256.Sum256(b)
	*bp = b
	fingerprintBuffers.Put(bp)
	return Fingerprint(sum[:16])
}

func bySlug(a, b Line) int { return strings.Compare(a.Campaign, b.Campaign) }

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
