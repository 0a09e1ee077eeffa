package ingest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// confirmationTokenPrefix begins every confirmation token of the processor.
const confirmationTokenPrefix = "ctoken_"

// linesScanMax is the number of lines up to which duplicates are found by
// comparing each with those before it; beyond it a map is cheaper.
const linesScanMax = 16

// Validate brings the donation into its canonical form and appends every bad
// field to faults: the texts are trimmed, and Payment.ExpiresAt is read from
// Payment.ExpiresAtText and clamped to [received, received+TokenLife]; none
// given is the latest.
//
// book chooses the least amount: the processor's minimum, or RehearsalMinorMin.
// The canonical form is reached whether or not anything is appended, so a
// refused donation has a Fingerprint too. Errors are by field only; a donation
// without any is acceptable as far as it can be judged without its campaigns.
func (d *Donation) Validate(book ledger.Book, received time.Time, faults []FieldError) []FieldError {
	c := checker{faults}
	c.currency(&d.Currency)
	c.lines(d.Lines)
	c.amounts(d, book)
	p := &d.Personal
	c.text(&p.Name, "/donor/name", NameCharsMax, singleLine)
	c.email(&p.Email)
	c.text(&p.Message, "/message", MessageCharsMax, multiLine)
	c.dedication(p)
	c.payment(&d.Payment, received)
	return c.faults
}

// Validate judges a payment that comes by itself, as Donation.Validate does.
func (p *Payment) Validate(received time.Time, faults []FieldError) []FieldError {
	c := checker{faults}
	c.payment(p, received)
	return c.faults
}

// checker collects faults; its methods do not allocate while there are none.
type checker struct{ faults []FieldError }

func (c *checker) add(pointer, code, detail string) {
	c.faults = append(c.faults, FieldError{Pointer: pointer, Code: code, Detail: detail})
}

func (c *checker) currency(code *money.Currency) {
	switch {
	case *code == "":
		c.add("/currency", CodeRequired, "a currency is required")
	case !code.Valid():
		c.add("/currency", CodeUnknownValue, "not an ISO 4217 code, in capitals, of a currency that donations are taken in")
	}
}

func (c *checker) lines(lines []Line) {
	switch {
	case len(lines) == 0:
		c.add("/lines", CodeRequired, "at least one line is required")
		return
	case len(lines) > LinesMax:
		c.add("/lines", CodeTooMany, fmt.Sprintf("%d lines at most", LinesMax))
		return // none of them is looked at: the list has to change anyway
	}
	var seen map[string]bool
	if len(lines) > linesScanMax {
		seen = make(map[string]bool, len(lines))
	}
	for i := range lines {
		line := &lines[i]
		switch {
		case line.Campaign == "":
			c.add(LinePointer(i, "campaign"), CodeRequired, "a campaign is required")
		case len(line.Campaign) > SlugBytesMax:
			c.add(LinePointer(i, "campaign"), CodeTooLong, fmt.Sprintf("a campaign's slug has %d bytes at most", SlugBytesMax))
		case !campaigns.ValidSlug(line.Campaign):
			c.add(LinePointer(i, "campaign"), CodeBadFormat, "a campaign's slug has lower-case letters, digits, '-' and '_' only")
		case seen == nil && givenBefore(lines[:i], line.Campaign) || seen[line.Campaign]:
			c.add(LinePointer(i, "campaign"), CodeDuplicateCampaign, "the campaign is in an earlier line; give one line the sum")
		}
		if seen != nil {
			seen[line.Campaign] = true
		}
		switch {
		case line.AmountMinor < 1:
			c.add(LinePointer(i, "amount_minor"), CodeTooSmall, "1 minor unit at least")
		case line.AmountMinor > AmountMinorMax:
			c.add(LinePointer(i, "amount_minor"), CodeTooLarge, fmt.Sprintf("%d minor units at most", AmountMinorMax))
		}
	}
}

func givenBefore(lines []Line, campaign string) bool {
	for i := range lines {
		if lines[i].Campaign == campaign {
			return true
		}
	}
	return false
}

// amounts judges the fee and the sum. The sum is judged only when its parts are
// sound, so that one wrong line is one fault.
func (c *checker) amounts(d *Donation, book ledger.Book) {
	sound := len(d.Lines) > 0 && len(d.Lines) <= LinesMax
	switch {
	case d.FeeCoverMinor < 0:
		c.add("/fee_cover_minor", CodeTooSmall, "0 minor units at least")
		sound = false
	case d.FeeCoverMinor > AmountMinorMax:
		c.add("/fee_cover_minor", CodeTooLarge, fmt.Sprintf("%d minor units at most", AmountMinorMax))
		sound = false
	}
	for i := range d.Lines {
		sound = sound && d.Lines[i].AmountMinor >= 1 && d.Lines[i].AmountMinor <= AmountMinorMax
	}
	if !sound {
		return
	}
	least := d.Currency.MinimumMinor() // 0 for an unknown currency, which is a fault already
	if book == ledger.Rehearsal {
		least = RehearsalMinorMin
	}
	sum, ok := d.AmountMinor()
	switch {
	case !ok || sum > AmountMinorMax:
		c.add("/lines", CodeTooLarge, fmt.Sprintf("lines and covered fee together: %d minor units at most", AmountMinorMax))
	case sum < least:
		c.add("/lines", CodeTooSmall, fmt.Sprintf("lines and covered fee together: %d minor units at least in this currency", least))
	}
}

// lineBreaks tells whether a text may have several lines.
type lineBreaks bool

const (
	singleLine lineBreaks = false
	multiLine  lineBreaks = true
)

// text trims a free text and judges it: its length, its characters, and that it
// holds no card number. It tells whether the text is sound.
func (c *checker) text(s *string, pointer string, charsMax int, breaks lineBreaks) bool {
	*s = strings.TrimSpace(*s)
	switch {
	case len(*s) == 0:
		return true
	case len(*s) > charsMax && utf8.RuneCountInString(*s) > charsMax:
		c.add(pointer, CodeTooLong, fmt.Sprintf("%d characters at most", charsMax))
	case holdsControl(*s, breaks):
		c.add(pointer, CodeControlCharacter, "no control characters")
	case HoldsCardNumber(*s):
		c.add(pointer, CodeCardNumber, "this looks like a card number; card numbers are entered in the payment form only")
	default:
		return true
	}
	return false
}

// holdsControl tells whether s holds a character of Unicode's class Cc: C0, DEL
// or C1. Line feeds, carriage returns and tabs are what people type into a
// message box, so a text of several lines may have them.
func holdsControl(s string, breaks lineBreaks) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case b == '\n' || b == '\r' || b == '\t':
			if breaks == singleLine {
				return true
			}
		case b < 0x20 || b == 0x7f:
			return true
		case b == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0: // U+0080 to U+009F
			return true
		}
	}
	return false
}

// email judges an address as a receipt's destination: plausible, not proven.
func (c *checker) email(s *string) {
	if c.text(s, "/donor/email", EmailCharsMax, singleLine) && *s != "" && !plausibleEmail(*s) {
		c.add("/donor/email", CodeBadFormat, "not an e-mail address")
	}
}

// plausibleEmail tells whether s is local@domain: a local part of 1 to 64 bytes
// (RFC 5321, 4.5.3.1.1) without spaces and the characters that would need quotes,
// and a domain of two labels or more. Quoted local parts and address literals,
// which no donor has, are not taken.
func plausibleEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if strings.ContainsAny(local, " @\"(),:;<>[]\\") || !dotted(local) || !dotted(domain) {
		return false
	}
	if !strings.Contains(domain, ".") || len(domain) > 253 {
		return false
	}
	for i := range len(domain) {
		switch b := domain[i]; {
		case b == '-':
			if i == 0 || i == len(domain)-1 || domain[i-1] == '.' || domain[i+1] == '.' {
				return false
			}
		case b == '.', '0' <= b && b <= '9', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b >= utf8.RuneSelf:
		default:
			return false
		}
	}
	return true
}

// dotted tells whether s has no empty part between its dots.
func dotted(s string) bool {
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

func (c *checker) dedication(p *Personal) {
	c.text(&p.DedicationName, "/dedication/name", NameCharsMax, singleLine)
	switch {
	case p.DedicationKind == NoDedication && p.DedicationName != "":
		c.add("/dedication/kind", CodeRequired, "a dedication is in_honor or in_memory")
	case p.DedicationKind > InMemory:
		c.add("/dedication/kind", CodeUnknownValue, "a dedication is in_honor or in_memory")
	}
}

func (c *checker) payment(p *Payment, received time.Time) {
	token := p.ConfirmationToken
	switch {
	case token == "":
		c.add("/payment/confirmation_token", CodeRequired, "a confirmation token is required")
	case len(token) > TokenBytesMax:
		c.add("/payment/confirmation_token", CodeTooLong, fmt.Sprintf("%d bytes at most", TokenBytesMax))
	case !strings.HasPrefix(token, confirmationTokenPrefix), len(token) == len(confirmationTokenPrefix), !visibleASCII(token):
		c.add("/payment/confirmation_token", CodeBadFormat, "a confirmation token begins with "+confirmationTokenPrefix+" and has visible ASCII characters only")
	}
	latest := received.Add(TokenLife)
	p.ExpiresAt = latest
	if p.ExpiresAtText == "" {
		return
	}
	at, err := parseRFC3339(p.ExpiresAtText)
	if err != nil {
		c.add("/payment/expires_at", CodeBadFormat, "not an RFC 3339 time such as 2026-11-22T20:00:00Z")
		return
	}
	switch at = at.UTC().Truncate(time.Microsecond); {
	case at.Before(received):
		p.ExpiresAt = received
	case at.Before(latest):
		p.ExpiresAt = at
	}
}

// errNotRFC3339 is what parseRFC3339 says itself.
var errNotRFC3339 = errors.New("not an RFC 3339 time")

// parseRFC3339 reads a time. time.Parse also takes what RFC 3339 does not: an
// hour of one digit, a comma before the fraction, an offset of a day or more
// (go.dev/issue/54580).
func parseRFC3339(s string) (time.Time, error) {
	const shortest, longest = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.999999999+00:00")
	if len(s) < shortest || len(s) > longest || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return time.Time{}, errNotRFC3339
	}
	if s[len(s)-1] != 'Z' {
		offset := s[len(s)-len("+00:00"):]
		if offset[1:3] > "23" || offset[4:] > "59" {
			return time.Time{}, errNotRFC3339
		}
	}
	return time.Parse(time.RFC3339, s)
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// LinePointer is the JSON pointer of a member of a line, counted from 0.
func LinePointer(line int, member string) string {
	return "/lines/" + strconv.Itoa(line) + "/" + member
}
