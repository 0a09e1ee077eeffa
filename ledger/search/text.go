package search

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"spillway/ingest"
	"spillway/ledger/money"
)

const (
	// WordsMax bounds the words that are kept of one donor: names have a handful, and
	// a hundred characters hold at most fifty.
	WordsMax = 32
	// wordBytesMax is where a word is cut, and what is looked for likewise: an index takes
	// 2.7 KB, and one letter may fold into eighteen.
	wordBytesMax = 200
	// termsMax bounds the words of a query: each is one more look into the index.
	termsMax = 8
)

// letters that decompose into nothing simpler and that people type without.
var letters = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "đ", "d", "ð", "d", "ł", "l", "þ", "th", "ı", "i")

// Fold makes texts comparable: small letters without accents. "Zoë Müller" and
// "zoe muller" are the same.
func Fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range norm.NFKD.String(text) {
		if unicode.Is(unicode.Mn, r) || r == utf8.RuneError || r == 0 {
			continue
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return letters.Replace(b.String())
}

// FoldEmail makes e-mail addresses comparable. Nothing but the case is ignored: dots
// and tags mean different people at some providers.
func FoldEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Words are what a donor is found by: the words of the name, and the e-mail address.
// A part of a hyphenated name is a word, and so is the whole written
// as one.
func Words(p *ingest.Personal) []string {
	words := make([]string, 0, 8)
	add := func(word string) {
		word = cut(word)
		if word != "" && len(words) < WordsMax && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if email := FoldEmail(p.Email); utf8.ValidString(email) && !strings.ContainsRune(email, 0) {
		add(email)
	}
	for _, token := range strings.Fields(Fold(p.Name)) {
		parts := splitWord(token)
		for _, part := range parts {
			add(part)
		}
		if len(parts) > 1 {
			add(strings.Join(parts, ""))
		}
	}
	return words
}

// cut is at most wordBytesMax bytes of a word, which end with a whole character.
func cut(word string) string {
	if len(word) <= wordBytesMax {
		return word
	}
	end := wordBytesMax
	for end > 0 && !utf8.RuneStart(word[end]) {
		end--
	}
	return word[:end]
}

func splitWord(token string) []string {
	return strings.FieldsFunc(token, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// Terms is what a text may mean: one of the members is set, or none for a text that
// names nothing.
type Terms struct {
	ID *ingest.ID
	// Processor is an ID that the processor gave: of a payment, charge, refund or dispute.
	Processor string
	// Amounts are exact, one for each way of writing minor units.
	Amounts []Amounts
	// Words begin words of the donor's name or address, all of them.
	Words []string
}

// Amounts is an amount in minor units of any of the currencies.
type Amounts struct {
	Minor      int64
	Currencies []string
}

// processorPrefixes begin the processor's IDs (docs.stripe.com/api, read 2026-11).
var processorPrefixes = []string{"pi_", "ch_", "py_", "re_", "pyr_", "dp_", "du_"}

// ParseText reads what a person typed.
func ParseText(text string) (t Terms) {
	text = strings.TrimSpace(text)
	if text == "" {
		return t
	}
	if id, ok := parseID(text); ok {
		t.ID = &id
		return t
	}
	for _, prefix := range processorPrefixes {
		if strings.HasPrefix(text, prefix) && len(text) > len(prefix) && !strings.ContainsAny(text, " @") {
			t.Processor = text
			return t
		}
	}
	if t.Amounts = parseAmounts(text); t.Amounts != nil {
		return t
	}
	for token := range strings.FieldsSeq(text) {
		if strings.Contains(token, "@") {
			t.add(FoldEmail(token))
			continue
		}
		for _, part := range splitWord(Fold(token)) {
			t.add(part)
		}
	}
	return t
}

func (t *Terms) add(word string) {
	word = cut(word)
	if word != "" && utf8.ValidString(word) && !strings.ContainsRune(word, 0) && len(t.Words) < termsMax && !slices.Contains(t.Words, word) {
		t.Words = append(t.Words, word)
	}
}

// Empty tells whether the text named nothing.
func (t *Terms) Empty() bool {
	return t.ID == nil && t.Processor == "" && t.Amounts == nil && len(t.Words) == 0
}

// parseID reads a donation's ID, with or without its dashes, in either case.
func parseID(text string) (id ingest.ID, ok bool) {
	if len(text) == 36 {
		id, err := ingest.ParseID([]byte(text))
		return id, err == nil
	}
	if len(text) != 32 {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return ingest.ID{}, false
	}
	id, err := ingest.ParseID([]byte(id.String()))
	return id, err == nil
}

// parseAmounts reads an amount in every currency in which it is one: "50" is 5000
// cents and 50 yen. A sign of thousands is left out: "1,000.00".
func parseAmounts(text string) []Amounts {
	plain := strings.ReplaceAll(text, ",", "")
	if plain == "" || plain[0] < '0' || plain[0] > '9' {
		return nil
	}
	var all []Amounts
	for _, c := range money.Currencies() {
		minor, err := money.Parse(plain, c)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(all, func(a Amounts) bool { return a.Minor == minor })
		if i < 0 {
			i = len(all)
			all = append(all, Amounts{Minor: minor})
		}
		all[i].Currencies = append(all[i].Currencies, string(c))
	}
	return all
}
