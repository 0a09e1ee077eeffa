package audit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"spillway/ingest"
	"spillway/loadtest/gift"
)

// Bounds of reading logs.
const (
	// logPieceBytes bounds what is held of one line: a longer one is read in pieces that
	// share logOverlapBytes, more than anything that is looked for.
	logPieceBytes   = 1 << 20
	logOverlapBytes = 1 << 10
	// leaksKept bounds the different texts that are told apart and looked for among the
	// donors; more are counted.
	leaksKept = 10_000
	// SecretBytesMin is how long a secret has to be to be looked for: a shorter one is
	// found in other words.
	SecretBytesMin = 8
)

// leaks are what logs hold and must not. The texts themselves are kept in memory only:
// what is told of them is what they are, where, and whose.
type leaks struct {
	check   *Check
	secrets []string
	byText  map[string]*leak
	order   []*leak // as they were found
	byPrint map[ingest.Fingerprint]*leak
}

// leak is one text, wherever it was found.
type leak struct {
	what, where string // an e-mail address; the first line
	times       int64
	told        bool
}

// pattern is something that no log may hold.
type pattern struct {
	what string
	find *regexp.Regexp
	not  *regexp.Regexp // of those found, what is allowed; nil for nothing
	// mailbox says that in a URL it is a user and a host.
	mailbox bool
}

var (
	traces   = gift.FindTraces()
	patterns = []pattern{
		{what: "an e-mail address", mailbox: true, find: regexp.MustCompile(`[A-Za-z0-9._%+-]+(?:@|%40)(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}`), not: regexp.MustCompile(`@v[0-9]+\.`)},
		{what: "a donor's name", find: regexp.MustCompile(traces.Name)},
		{what: "a donor's message", find: regexp.MustCompile(traces.Message)},
		// Those of the test cards are no secret: `up` tells people of them.
		{what: "a confirmation token", find: regexp.MustCompile(`\bctoken_[A-Za-z0-9_]+`), not: regexp.MustCompile(`^ctoken_card_`)},
		{what: "a client secret", find: regexp.MustCompile(`\bpi_[A-Za-z0-9]+_secret_[A-Za-z0-9]+`)},
		{what: "a secret key", find: regexp.MustCompile(`\b(?:(?:sk|rk)_(?:live|test)_|whsec_|swk_)[A-Za-z0-9+/=_-]{8,}`)},
		{what: "a password in a URL", find: regexp.MustCompile(`[a-z]://[^/\s:@"']*:[^@/\s"']+@`), not: regexp.MustCompile(`:(?:x+|\*+|REDACTED|redacted)@$`)},
	}
	// holderToken is a word of as many characters as one has; whether it is one, its
	// first byte and its length say.
	holderToken = regexp.MustCompile(`[A-Za-z0-9_-]{44,}`)
)

// readLogs searches the logs. It is done before the donations are read, which tell whose
// what was found is.
func (a *auditor) readLogs() error {
	l := &leaks{check: a.result.private, byText: map[string]*leak{}, byPrint: map[ingest.Fingerprint]*leak{}}
	for _, s := range a.cfg.Secrets {
		if len(s) >= SecretBytesMin {
			l.secrets = append(l.secrets, s)
		}
	}
	a.leaks = l
	if a.cfg.Logs == nil {
		l.check.Note = "no log was named, so none was read"
		return nil
	}
	for _, path := range a.cfg.Logs {
		a.cfg.Progress("searching " + filepath.Base(path))
		if err := l.read(path); err != nil {
			return fmt.Errorf("log: %w", err)
		}
	}
	return nil
}

func (l *leaks) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, logPieceBytes)
	var before []byte // the end of the line's last piece
	for line := int64(1); ; {
		piece, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		l.search(fmt.Sprintf("%s, line %d", filepath.Base(path), line), append(before, piece...))
		if errors.Is(err, bufio.ErrBufferFull) {
			before = bytes.Clone(piece[len(piece)-logOverlapBytes:])
			continue
		}
		before = nil
		if len(piece) > 0 {
			l.check.Checked++
			line++
		}
		if err != nil { // the end
			return nil
		}
	}
}

// search notes everything in a line that must not be there.
func (l *leaks) search(where string, line []byte) {
	for i := range patterns {
		p := &patterns[i]
		for _, at := range p.find.FindAllIndex(line, -1) {
			text := line[at[0]:at[1]]
			if p.not != nil && p.not.Match(text) {
				continue
			}
			if p.mailbox && insideURL(line[:at[0]]) {
				continue
			}
			l.found(p.what, where, text)
		}
	}
	for _, s := range l.secrets {
		if bytes.Contains(line, []byte(s)) {
			l.found("a secret of the installation", where, []byte(s))
		}
	}
	for _, word := range holderToken.FindAll(line, -1) {
		var token [33]byte
		if len(word) != base64.RawURLEncoding.EncodedLen(len(token)) {
			continue
		}
		if _, err := base64.RawURLEncoding.Decode(token[:], word); err != nil || token[0] != 'a' && token[0] != 'u' {
			continue
		}
		found := l.found("a holder token", where, word)
		if found != nil {
			l.byPrint[ingest.Fingerprint(token[1:17])] = found
		}
	}
	cards(line, func(text []byte) { l.found("a card number", where, text) })
}

// insideURL tells whether what follows the text goes on in a URL that it began.
func insideURL(text []byte) bool {
	begins := bytes.LastIndexAny(text, " \t\"'`=<(,;") + 1
	return bytes.Contains(text[begins:], []byte("://"))
}

// found notes a text, nil when there are too many to tell apart.
func (l *leaks) found(what, where string, text []byte) *leak {
	key := strings.ToLower(plain(string(text)))
	if known := l.byText[key]; known != nil {
		known.times++
		return known
	}
	if len(l.byText) == leaksKept {
		l.check.fail(nil, nil, "%s in %s", what, where)
		return nil
	}
	one := &leak{what: what, where: where, times: 1}
	l.byText[key] = one
	l.order = append(l.order, one)
	return one
}

// plain undoes what a form makes of spaces and signs.
func plain(text string) string {
	return strings.NewReplacer("%40", "@", "%20", " ", "+", " ").Replace(text)
}

// whose looks for what a donor said among what was found, and names the donation.
func (l *leaks) whose(id ingest.ID, ref gift.Ref, g *gift.Gift) {
	d := &g.Donation
	for _, text := range []string{d.Personal.Email, d.Personal.Name, d.Payment.ConfirmationToken} {
		if text != "" {
			l.tell(l.byText[strings.ToLower(text)], id, ref)
		}
	}
	if len(l.byPrint) > 0 {
		l.tell(l.byPrint[d.Fingerprint()], id, ref)
	}
}

// tell names what was found, once; nil for nothing.
func (l *leaks) tell(one *leak, id, ref fmt.Stringer) {
	if one == nil || one.told {
		return
	}
	one.told = true
	l.check.fail(id, ref, "%s in %s, found %d times", one.what, one.where, one.times)
}

// close tells what no donation of the run explains.
func (l *leaks) close() {
	for _, one := range l.order {
		l.tell(one, nil, nil)
	}
}

// Layouts of card numbers: how many digits, or groups of digits between spaces or
// dashes. Numbers of 17 and more digits in one piece are left to chance too often:
// one random number in ten passes the Luhn check.
const cardDigitsMin, cardDigitsMost = 13, 16

var cardGroups = [][]int{{4, 4, 4, 4}, {4, 4, 4, 4, 3}, {4, 6, 5}, {4, 6, 4}, {4, 4, 4, 1}}

// cards finds numbers that a card may have: layout, first digits of the networks, and
// the Luhn check (ISO/IEC 7812-1). IDs and times are none: they go on with other
// characters, or begin with another digit.
func cards(line []byte, found func([]byte)) {
	digit := func(i int) bool { return i >= 0 && i < len(line) && line[i] >= '0' && line[i] <= '9' }
	word := func(i int) bool {
		return i >= 0 && i < len(line) && (digit(i) || line[i]|0x20 >= 'a' && line[i]|0x20 <= 'z' || line[i] == '-' || line[i] == '_')
	}
	// What a dot parts goes on: a version, a decimal, but not the end of a sentence.
	goesOn := func(i int) bool { return word(i) || i < len(line) && line[i] == '.' && word(i+1) }
	began := func(i int) bool { return word(i) || i > 0 && line[i] == '.' && word(i-1) }
	for i := 0; i < len(line); {
		if !digit(i) || began(i-1) {
			i++
			continue
		}
		// Groups of digits with one separator of one kind between them.
		groups, ends := []int{}, []int{}
		at, separator := i, byte(0)
		for digit(at) {
			from := at
			for digit(at) {
				at++
			}
			groups, ends = append(groups, at-from), append(ends, at)
			if at < len(line) && (line[at] == ' ' || line[at] == '-') && (separator == 0 || line[at] == separator) && digit(at+1) {
				separator = line[at]
				at++
			}
		}
		next := ends[0]
		for n := range groups {
			whole := n == 0 && groups[0] >= cardDigitsMin && groups[0] <= cardDigitsMost
			if (whole || slices.ContainsFunc(cardGroups, func(g []int) bool { return slices.Equal(g, groups[:n+1]) })) && !goesOn(ends[n]) && isCard(line[i:ends[n]]) {
				found(line[i:ends[n]])
				next = ends[n]
			}
		}
		i = next
	}
}

// isCard tells whether digits, separators apart, may be a card's number.
func isCard(text []byte) bool {
	var digits []byte
	for _, c := range text {
		if c >= '0' && c <= '9' {
			digits = append(digits, c-'0')
		}
	}
	if digits[0] < 3 || digits[0] > 6 {
		return false
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
