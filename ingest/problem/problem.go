// Package problem writes RFC 9457 problem documents and holds the one table from
// error to status.
//
// The one invariant: a document is built from fixed sentences and places in the
// request, so nothing that a donor wrote comes back in it except the names of
// members, escaped, and the path.
package problem

import (
	"strconv"
	"unicode/utf8"

	"spillway/ingest"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// typePrefix begins every problem's type URI; the code follows. A URN promises no
// page behind it, so that an installation needs no particular host name.
const typePrefix = "urn:spillway:problem:"

// Problem is one occurrence of a Kind.
type Problem struct {
	Kind Kind
	// Detail replaces the kind's own sentence when not empty.
	Detail string
	// Instance is the path of the thing that the problem is about.
	Instance string
	// Retry overrides the kind's Retryable to true.
	Retry bool
	// Fields lists every bad field of the request.
	Fields []ingest.FieldError
	// Donation is given for what was refused after parsing: the donation's ID,
	// where its status is and the token that opens it. Nil leaves all three out.
	Donation *Donation
}

// Donation is what a client needs to ask for a donation's state.
type Donation struct {
	ID        ingest.ID
	StatusURL []byte
	Token     []byte // of kind keyring.Unknown
}

// AppendJSON appends the document. It allocates only to grow dst.
func (p *Problem) AppendJSON(dst []byte) []byte {
	row := &table[p.Kind]
	dst = append(dst, `{"type":"`+typePrefix...)
	dst = append(dst, row.code...)
	dst = append(dst, `","title":`...)
	dst = AppendString(dst, row.title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(row.status), 10)
	dst = append(dst, `,"detail":`...)
	if p.Detail != "" {
		dst = AppendString(dst, p.Detail)
	} else {
		dst = AppendString(dst, row.detail)
	}
	if p.Instance != "" {
		dst = append(dst, `,"instance":`...)
		dst = AppendString(dst, p.Instance)
	}
	dst = append(dst, `,"code":"`...)
	dst = append(dst, row.code...)
	dst = append(dst, `","retryable":`...)
	dst = strconv.AppendBool(dst, row.retryable || p.Retry)
	if d := p.Donation; d != nil {
		dst = append(dst, `,"donation_id":"`...)
		dst = d.ID.AppendText(dst)
		dst = append(dst, `","status_url":"`...)
		dst = append(dst, d.StatusURL...)
		dst = append(dst, `","token":"`...)
		dst = append(dst, d.Token...)
		dst = append(dst, '"')
	}
	if len(p.Fields) > 0 {
		dst = append(dst, `,"fields":[`...)
		for i := range p.Fields {
			f := &p.Fields[i]
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"pointer":`...)
			dst = AppendString(dst, f.Pointer)
			dst = append(dst, `,"code":"`...)
			dst = append(dst, f.Code...)
			dst = append(dst, `","detail":`...)
			dst = AppendString(dst, f.Detail)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// AppendString appends s as a JSON string, escaping what RFC 8259 asks for and
// also '<', '>' and '&', so that the document is harmless inside a page. Bytes
// that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
