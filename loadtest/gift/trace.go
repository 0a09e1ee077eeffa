package gift

import (
	"regexp"
	"strings"
	"unicode"
)

// Traces are regular expressions (RE2) of what nothing but a rehearsal's gift says, for
// whoever searches logs for it. Each is found whole where it was written as it is, as
// JSON or as a form.
type Traces struct {
	// Name is a donor's, Message the longest plain stretch of what a donor wrote, Token
	// a card's confirmation token.
	Name, Message, Token string
}

// messageBytesMin is how long a stretch of a message has to be to be nobody else's words.
const messageBytesMin = 7

// FindTraces returns the traces of every gift that Make makes.
func FindTraces() Traces {
	space := `(?: |\+|%20)`
	var plain []string
	for _, m := range messages {
		if stretch := plainStretch(m); len(stretch) >= messageBytesMin {
			plain = append(plain, strings.ReplaceAll(regexp.QuoteMeta(stretch), " ", space))
		}
	}
	return Traces{
		Name:    oneOf(firstNames[:]) + space + oneOf(lastNames[:]) + space + `[a-p]{4}`,
		Message: `(?:` + strings.Join(plain, "|") + `)`,
		Token:   `ctoken_rehearsal_[a-p]{16}`,
	}
}

func oneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = regexp.QuoteMeta(w)
	}
	return `(?:` + strings.Join(quoted, "|") + `)`
}

// plainStretch is the longest part of a text that every way of writing it leaves as it is,
// spaces apart.
func plainStretch(text string) (longest string) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r != ' ' && r != '.' && !unicode.IsLetter(r) }) {
		if part = strings.Trim(part, " "); len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}
