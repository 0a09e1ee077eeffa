package plan

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"spillway/campaigns"
)

// latin writes letters that are not a letter with a mark in plain ones.
var latin = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ı': "i", '&': "-and-",
}

// Slug makes a slug of a name: "Café für Alle" becomes "cafe-fur-alle". It is "" for a
// name without a letter or digit that can stand in one.
func Slug(name string) string {
	var b strings.Builder
	hyphen := false
	put := func(s string) {
		for _, c := range s {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				if hyphen && b.Len() > 0 {
					b.WriteByte('-')
				}
				hyphen = false
				b.WriteRune(c)
			} else {
				hyphen = true
			}
		}
	}
	for _, c := range norm.NFKD.String(name) {
		c = unicode.ToLower(c)
		switch plain, known := latin[c]; {
		case known:
			put(plain)
		case unicode.Is(unicode.Mn, c), c == '\'', c == '’': // marks of letters, apostrophes
		default:
			put(string(c))
		}
	}
	slug := b.String()
	if len(slug) > campaigns.SlugBytesMax {
		slug = slug[:campaigns.SlugBytesMax]
		if at := strings.LastIndexByte(slug, '-'); at > campaigns.SlugBytesMax/2 { // whole words
			slug = slug[:at]
		}
		slug = strings.TrimRight(slug, "-")
	}
	return slug
}
