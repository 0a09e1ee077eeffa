package httpapi

import (
	"bytes"
	"io"
	"math"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"spillway/ingest"
	"spillway/ledger/money"
)

// depthMax bounds nesting inside a value that is refused anyway; the contract's
// own depth is three.
const depthMax = 8

// parser reads a donation's body strictly: one JSON object of the contract's
// members and types, each at most once, and nothing behind it. It goes on after
// a fault, so that all of them are reported, as far as the syntax allows.
//
// A parser is reused from request to request; it is not safe for concurrent use.
type parser struct {
	dec    *jsontext.Decoder
	buf    bytes.Buffer // over the body: the decoder reads it in place
	d      *ingest.Donation
	line   ingest.Line
	faults []ingest.FieldError
	arena  []byte // texts that had escapes, unescaped
	failed bool   // the syntax is broken: nothing more can be read
}

// decoderOptions leaves repeated names to the parser, which knows the contract's
// names and can report every repetition instead of the first.
var decoderOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

func newParser() *parser {
	return &parser{dec: jsontext.NewDecoder(bytes.NewReader(nil), decoderOptions...)}
}

// parse fills d from the body and returns what is malformed, nil when nothing
// is. Values are not judged: that is ingest.Donation.Validate's part. d keeps its
// Lines' memory, and its texts share the body's and the parser's memory: both
// hold until the next parse.
func (p *parser) parse(body []byte, d *ingest.Donation) []ingest.FieldError {
	return p.parseAs(&documentObject, body, d)
}

// parseAttempt is parse for the body of another attempt, which has a payment and
// nothing else.
func (p *parser) parseAttempt(body []byte, d *ingest.Donation) []ingest.FieldError {
	return p.parseAs(&attemptObject, body, d)
}

func (p *parser) parseAs(o *object, body []byte, d *ingest.Donation) []ingest.FieldError {
	*d = ingest.Donation{Lines: d.Lines[:0]}
	p.d, p.faults, p.arena, p.failed = d, p.faults[:0], p.arena[:0], false
	p.buf = *bytes.NewBuffer(body)
	p.dec.Reset(&p.buf, decoderOptions...)
	p.document(o)
	p.d = nil
	return p.faults
}

func (p *parser) document(o *object) {
	if kind := p.peekValue(); kind != jsontext.KindBeginObject {
		if !p.failed {
			p.add("", ingest.CodeWrongType, "the body must be a JSON object")
		}
		return
	}
	p.object(o)
	if p.failed {
		return
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		p.add("", ingest.CodeSyntax, "something follows the JSON object")
	}
}

// object names the members that an object may have.
type object struct {
	base    string // pointer of the object; a line's is made when needed
	members []member
}

type member struct {
	name string
	read func(p *parser, at place)
}

// place is a member of an object, for pointers.
type place struct {
	object *object
	member int
}

// The contract's objects.
var (
	documentObject   object
	attemptObject    object
	lineObject       object
	donorObject      = object{base: "/donor"}
	dedicationObject = object{base: "/dedication"}
	paymentObject    = object{base: "/payment"}
)

func init() { // not in the declarations: the readers refer to them
	documentObject.members = []member{
		{"currency", func(p *parser, at place) { p.d.Currency = p.currency(at) }},
		{"lines", (*parser).lines},
		{"fee_cover_minor", func(p *parser, at place) { p.d.FeeCoverMinor = p.integer(at) }},
		{"donor", func(p *parser, at place) { p.nested(at, &donorObject) }},
		{"message", func(p *parser, at place) { p.d.Personal.Message = p.text(at) }},
		{"dedication", func(p *parser, at place) { p.nested(at, &dedicationObject) }},
		{"payment", func(p *parser, at place) { p.nested(at, &paymentObject) }},
	}
	attemptObject.members = []member{
		{"payment", func(p *parser, at place) { p.nested(at, &paymentObject) }},
	}
	lineObject.members = []member{
		{"campaign", func(p *parser, at place) { p.line.Campaign = p.text(at) }},
		{"amount_minor", func(p *parser, at place) { p.line.AmountMinor = p.integer(at) }},
	}
	donorObject.members = []member{
		{"name", func(p *parser, at place) { p.d.Personal.Name = p.text(at) }},
		{"email", func(p *parser, at place) { p.d.Personal.Email = p.text(at) }},
		{"anonymous", func(p *parser, at place) { p.d.Anonymous = p.boolean(at) }},
		{"hide_amount", func(p *parser, at place) { p.d.HideAmount = p.boolean(at) }},
	}
	dedicationObject.members = []member{
		{"kind", (*parser).dedicationKind},
		{"name", func(p *parser, at place) { p.d.Personal.DedicationName = p.text(at) }},
	}
	paymentObject.members = []member{
		{"confirmation_token", func(p *parser, at place) { p.d.Payment.ConfirmationToken = p.text(at) }},
		{"expires_at", func(p *parser, at place) { p.d.Payment.ExpiresAtText = p.text(at) }},
	}
}

// object reads an object whose beginning is next.
func (p *parser) object(o *object) {
	if _, err := p.dec.ReadToken(); err != nil {
		p.syntax(err)
		return
	}
	var seen uint16 // bit i: member i was given
	for {
		switch p.peek() {
		case jsontext.KindEndObject:
			if _, err := p.dec.ReadToken(); err != nil {
				p.syntax(err)
			}
			return
		case jsontext.KindString:
		default: // anything else than a name is a syntax error that reading reports
		}
		raw, err := p.dec.ReadValue()
		if err != nil {
			p.syntax(err)
			return
		}
		name := p.unquote(raw)
		i := o.find(name)
		switch {
		case i < 0:
			p.add(p.base(o)+"/"+escapePointer(name), ingest.CodeUnknownMember, "there is no such member")
			p.skip()
		case seen&(1<<i) != 0:
			p.fault(place{o, i}, ingest.CodeDuplicateMember, "given more than once")
			p.skip()
		default:
			seen |= 1 << i
			o.members[i].read(p, place{o, i})
		}
		if p.failed {
			return
		}
	}
}

func (o *object) find(name []byte) int {
	for i := range o.members {
		if o.members[i].name == string(name) {
			return i
		}
	}
	return -1
}

func (p *parser) nested(at place, o *object) {
	if p.expect(at, jsontext.KindBeginObject, "must be an object") {
		p.object(o)
	}
}

func (p *parser) lines(at place) {
	if !p.expect(at, jsontext.KindBeginArray, "must be an array") {
		return
	}
	if _, err := p.dec.ReadToken(); err != nil {
		p.syntax(err)
		return
	}
	for !p.failed {
		if p.peek() == jsontext.KindEndArray {
			if _, err := p.dec.ReadToken(); err != nil {
				p.syntax(err)
			}
			return
		}
		switch kind := p.peekValue(); {
		case p.failed:
		case len(p.d.Lines) > ingest.LinesMax:
			p.skip() // one more than allowed is kept, for Validate to refuse
		case kind != jsontext.KindBeginObject:
			p.add(p.linePointer(), ingest.CodeWrongType, "must be an object")
			p.skip()
			p.d.Lines = append(p.d.Lines, ingest.Line{})
		default:
			p.line = ingest.Line{}
			p.object(&lineObject)
			p.d.Lines = append(p.d.Lines, p.line)
		}
	}
}

func (p *parser) currency(at place) money.Currency {
	code := p.stringBytes(at)
	if c, ok := money.ParseCurrency(code); ok {
		return c
	}
	return money.Currency(alias(code)) // Validate refuses it
}

func (p *parser) dedicationKind(at place) {
	if word := p.stringBytes(at); word != nil {
		p.d.Personal.DedicationKind = ingest.ParseDedicationKind(word)
	}
}

// text reads a string; "" after a fault.
func (p *parser) text(at place) string { return alias(p.stringBytes(at)) }

// stringBytes reads a string, unescaped; nil after a fault.
func (p *parser) stringBytes(at place) []byte {
	if !p.expect(at, jsontext.KindString, "must be a string") {
		return nil
	}
	raw, err := p.dec.ReadValue()
	if err != nil {
		p.syntax(err)
		return nil
	}
	s := p.unquote(raw)
	if bytes.IndexByte(s, 0) >= 0 {
		p.fault(at, ingest.CodeNUL, "must not hold U+0000")
		return nil
	}
	return s
}

func (p *parser) boolean(at place) bool {
	kind := p.peekValue()
	if kind != jsontext.KindTrue && kind != jsontext.KindFalse {
		p.expect(at, jsontext.KindTrue, "must be true or false")
		return false
	}
	if _, err := p.dec.ReadToken(); err != nil {
		p.syntax(err)
	}
	return kind == jsontext.KindTrue
}

// integer reads a whole number of 64 bits, written without fraction and exponent;
// 0 after a fault. "-0" is refused: it is no integer that anybody means.
func (p *parser) integer(at place) int64 {
	if !p.expect(at, jsontext.KindNumber, "must be a number") {
		return 0
	}
	raw, err := p.dec.ReadValue()
	if err != nil {
		p.syntax(err)
		return 0
	}
	n, ok := parseInteger(raw)
	if !ok {
		p.fault(at, ingest.CodeNotAnInteger, "must be a whole number of minor units, without fraction or exponent")
	}
	return n
}

// parseInteger reads a number of JSON's grammar that is an integer.
func parseInteger(raw []byte) (n int64, ok bool) {
	digits, negative := raw, false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if negative && len(digits) == 1 && digits[0] == '0' {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n // the least of 64 bits is refused, which no amount needs
	}
	return n, true
}

// expect tells whether a value of this kind is next; another one is a fault and
// skipped. JSON's null is another kind than any that the contract has.
func (p *parser) expect(at place, want jsontext.Kind, detail string) bool {
	switch kind := p.peekValue(); {
	case kind == want:
		return true
	case p.failed:
		return false
	default:
		p.fault(at, ingest.CodeWrongType, detail)
		p.skip()
		return false
	}
}

// peek returns the kind of the next token; KindInvalid, and a fault, where the
// syntax breaks.
func (p *parser) peek() jsontext.Kind {
	kind := p.dec.PeekKind()
	if kind == jsontext.KindInvalid && !p.failed {
		if _, err := p.dec.ReadToken(); err != nil {
			p.syntax(err)
		}
	}
	return kind
}

// peekValue is peek where a value has to come: the end of an object or an array
// there breaks the syntax.
func (p *parser) peekValue() jsontext.Kind {
	kind := p.peek()
	if kind != jsontext.KindEndObject && kind != jsontext.KindEndArray {
		return kind
	}
	_, err := p.dec.ReadToken()
	p.syntax(err)
	return jsontext.KindInvalid
}

// skip reads over the next value, token by token and with a bound on its depth:
// a value of thousands of brackets costs no more than its bytes.
func (p *parser) skip() {
	for depth := 0; !p.failed; {
		token, err := p.dec.ReadToken()
		if err != nil {
			p.syntax(err)
			return
		}
		switch token.Kind() {
		case jsontext.KindBeginObject, jsontext.KindBeginArray:
			if depth++; depth > depthMax {
				p.failed = true
				p.add(p.decoderPointer(), ingest.CodeSyntax, "nested too deeply")
				return
			}
		case jsontext.KindEndObject, jsontext.KindEndArray:
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// unquote returns the text of a JSON string, sharing the body's memory, or the
// arena's when there are escapes.
func (p *parser) unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	start := len(p.arena)
	// The decoder has checked the string: this cannot fail. When the arena moves,
	// texts before keep the old one alive.
	p.arena, _ = jsontext.AppendUnquote(p.arena, raw)
	return p.arena[start:len(p.arena):len(p.arena)]
}

// alias makes a string that shares b's memory. The body and the arena do not
// change until the next parse, and nobody keeps the donation's texts that long.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
