package httpapi

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"spillway/ingest"
)

const (
	// faultsMax bounds the list of bad fields in one answer: enough for a person
	// or a program to repair a request, and no way to make us write much.
	faultsMax = 100
	// pointerBytesMax bounds a pointer, which may hold a name from the request.
	pointerBytesMax = 128
)

// syntax reports that the JSON breaks, and where. Nothing can be read after it.
func (p *parser) syntax(err error) {
	if p.failed {
		return
	}
	p.failed = true
	var syntactic *jsontext.SyntacticError
	switch {
	case err == io.EOF:
		p.add("", ingest.CodeSyntax, "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.add("", ingest.CodeSyntax, "the JSON ends too early")
	case errors.As(err, &syntactic):
		p.add(clip(string(syntactic.JSONPointer)), ingest.CodeSyntax,
			"not JSON in UTF-8 near byte "+strconv.FormatInt(syntactic.ByteOffset, 10))
	default:
		p.add("", ingest.CodeSyntax, "not JSON in UTF-8")
	}
}

func (p *parser) fault(at place, code, detail string) {
	p.add(p.base(at.object)+"/"+at.object.members[at.member].name, code, detail)
}

func (p *parser) add(pointer, code, detail string) {
	if len(p.faults) < faultsMax {
		p.faults = append(p.faults, ingest.FieldError{Pointer: pointer, Code: code, Detail: detail})
	}
}

func (p *parser) base(o *object) string {
	if o == &lineObject {
		return p.linePointer()
	}
	return o.base
}

// linePointer is the pointer of the line that is being read.
func (p *parser) linePointer() string { return "/lines/" + strconv.Itoa(len(p.d.Lines)) }

func (p *parser) decoderPointer() string { return clip(string(p.dec.StackPointer())) }

// escapePointer writes a member's name as one token of a JSON pointer (RFC 6901).
func escapePointer(name []byte) string {
	s := clip(string(name))
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

// clip bounds a text that came from the request, at the border of a character.
func clip(s string) string {
	if len(s) <= pointerBytesMax {
		return s
	}
	return strings.ToValidUTF8(s[:pointerBytesMax], "") + "..."
}
