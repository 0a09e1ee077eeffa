package board

import (
	"strings"
	"unicode"

	"spillway/campaigns"
)

// Sort is an order of campaigns.
type Sort string

// The orders of a search's results. Ties are in order of slugs.
const (
	SortRaised Sort = "raised" // most first, see Day.Campaigns
	SortDonors Sort = "donors" // most first
	SortName   Sort = "name"
	SortEnding Sort = "ending" // open ones that end soonest first, then those to come, then closed ones
)

// Bounds of a search.
const (
	PageSizeDefault = 24
	PageSizeMax     = 200
	// TextBytesMax is how much of a search's text counts: more is no name.
	TextBytesMax = 200
	// wordsMax is how many words of it count.
	wordsMax = 8
)

// Filter says which campaigns are looked for. The zero value lists all.
type Filter struct {
	// Text's words each begin a word of the campaign's name, organisation or slug,
	// whatever the case and the accents.
	Text string
	// Phase is "open", "upcoming" or "closed", "" for all.
	Phase string
	// Organisation is one by its whole name, "" for all.
	Organisation string
	Sort         Sort // "" is SortRaised
	Page         int  // from 1, which 0 is too
	Size         int  // campaigns on a page, 1..PageSizeMax; 0 is PageSizeDefault
}

// Valid tells whether phase, order, page and size are ones that there are.
func (f Filter) Valid() bool {
	switch f.Phase {
	case "", campaigns.Open.String(), campaigns.Upcoming.String(), campaigns.Closed.String():
	default:
		return false
	}
	switch f.Sort {
	case "", SortRaised, SortDonors, SortName, SortEnding:
	default:
		return false
	}
	return f.Page >= 0 && f.Size >= 0 && f.Size <= PageSizeMax
}

// Search lists a page of the campaigns that the filter lets through, and how many
// those are on all pages; nothing for a filter that is not valid. It looks at every
// campaign: 2 to 4 ms of a core for 20,000 (BenchmarkSearch).
func (d *Day) Search(f Filter) (page []*Entry, total int) {
	if !f.Valid() {
		return nil, 0
	}
	if f.Size == 0 {
		f.Size = PageSizeDefault
	}
	words := searchWords(f.Text)
	if len(words) == 0 && strings.TrimSpace(f.Text) != "" {
		return nil, 0 // punctuation only: no name has it
	}
	order := d.orders[orderOf(f.Sort)]
	begin := max(0, f.Page-1) * f.Size
	if len(words) == 0 && f.Phase == "" && f.Organisation == "" {
		for i := begin; i < min(begin+f.Size, len(order)); i++ {
			page = append(page, d.entries[order[i]])
		}
		return page, len(order)
	}
	for _, id := range order {
		e := d.entries[id]
		if !e.matches(f, words) {
			continue
		}
		if total >= begin && len(page) < f.Size {
			page = append(page, e)
		}
		total++
	}
	return page, total
}

func (e *Entry) matches(f Filter, words []string) bool {
	if f.Phase != "" && e.Phase.String() != f.Phase || f.Organisation != "" && e.Organisation != f.Organisation {
		return false
	}
	for _, w := range words {
		if !strings.Contains(e.text, w) {
			return false
		}
	}
	return true
}

// searchWords folds a search's text into words, each after the space that begins a
// word in Entry.text.
func searchWords(text string) []string {
	if len(text) > TextBytesMax {
		text = text[:TextBytesMax]
	}
	words := strings.Fields(fold(text))
	if len(words) > wordsMax {
		words = words[:wordsMax]
	}
	for i := range words {
		words[i] = " " + words[i]
	}
	return words
}

// searchText is what words are looked for in.
func searchText(c *campaigns.Campaign) string {
	var b strings.Builder
	for _, part := range []string{c.Name, c.Organisation, c.Slug} {
		for _, w := range strings.Fields(fold(part)) {
			b.WriteByte(' ')
			b.WriteString(w)
		}
	}
	return b.String()
}

// fold makes texts comparable: lower case, Latin letters without their accents,
// everything that is no letter, digit or mark a space. Apostrophes vanish, so that
// "st clares" finds St Clare's.
func fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch r = unicode.ToLower(r); {
		case r == '\'' || r == '’' || r >= 0x300 && r <= 0x36f: // combining accents
		case r >= 0x80:
			if plain, ok := plainLetters[r]; ok {
				b.WriteString(plain)
			} else if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
				b.WriteRune(r)
			} else {
				b.WriteByte(' ')
			}
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteByte(byte(r))
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// plainLetters leads from Latin letters with an accent to what people type who do
// not have them on their keyboard.
var plainLetters = func() map[rune]string {
	plain := map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'þ': "th"}
	for letter, accented := range map[string]string{
		"a": "àáâãäåāăą", "c": "çćĉċč", "d": "ďđð", "e": "èéêëēĕėęě", "g": "ĝğġģ", "h": "ĥħ", "i": "ìíîïĩīĭįı", "j": "ĵ", "k": "ķ",
		"l": "ĺļľŀł", "n": "ñńņňŋ", "o": "òóôõöøōŏő", "r": "ŕŗř", "s": "śŝşšș", "t": "ţťŧț", "u": "ùúûüũūŭůűų", "w": "ŵ", "y": "ýÿŷ", "z": "źżž",
	} {
		for _, r := range accented {
			plain[r] = letter
		}
	}
	return plain
}()
