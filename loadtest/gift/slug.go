package gift

import (
	"crypto/sha256"
	"encoding/hex"

	"spillway/campaigns"
)

// Bounds of a slug's parts, in bytes; together they leave 40 for the campaign.
const (
	slugRunBytesMax  = 16 // of the run's name, for people
	slugHashBytesMax = 6  // hex; with the name it keeps two runs' campaigns apart
)

// slugPrefix is what every slug of the run begins with: the run's name, cleaned
// and cut, and a hash of name and source, so that "Day" and "day" stay apart.
func slugPrefix(name string, source [32]byte) string {
	clean := cleanSlug(name)
	if len(clean) > slugRunBytesMax {
		clean = clean[:slugRunBytesMax]
	}
	sum := sha256.Sum256(append([]byte(name+"\x00"), source[:]...))
	return string(clean) + "-" + hex.EncodeToString(sum[:])[:slugHashBytesMax] + "-"
}

// SlugPrefix is what the slugs of all the run's campaigns begin with, and no
// other run's do.
func (r *Run) SlugPrefix() string { return r.slugs }

// Slug is the slug of the run's campaign with this name in the source; it is a
// valid slug, and different names have different slugs.
func (r *Run) Slug(name string) string {
	clean := cleanSlug(name)
	room := campaigns.SlugBytesMax - len(r.slugs)
	if string(clean) == name && len(clean) <= room && campaigns.ValidSlug(name) {
		return r.slugs + name
	}
	// Cleaning or cutting lost something: a hash of the whole name tells it apart.
	const suffix = 8
	sum := sha256.Sum256([]byte(name))
	if len(clean) > room-suffix-1 {
		clean = clean[:room-suffix-1]
	}
	return r.slugs + string(clean) + "-" + hex.EncodeToString(sum[:])[:suffix]
}

// cleanSlug lowers the letters and replaces what a slug may not hold; the result
// begins with a letter or digit and is never empty.
func cleanSlug(name string) []byte {
	out := make([]byte, 0, len(name)+1)
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			c = '-'
		}
		if len(out) == 0 && (c == '-' || c == '_') {
			out = append(out, 'x')
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		out = append(out, 'x')
	}
	return out
}
