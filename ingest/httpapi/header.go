package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// isJSON tells whether the body is declared as application/json, in UTF-8 when a
// charset is named, and as it is: no Content-Encoding.
func isJSON(h *fasthttp.RequestHeader) bool {
	if len(h.ContentEncoding()) > 0 {
		return false
	}
	mediaType, parameters, _ := bytes.Cut(h.ContentType(), []byte{';'})
	if !equalFold(bytes.Trim(mediaType, " \t"), "application/json") {
		return false
	}
	for len(bytes.Trim(parameters, " \t")) > 0 {
		var parameter []byte
		parameter, parameters, _ = bytes.Cut(parameters, []byte{';'})
		name, value, found := bytes.Cut(bytes.Trim(parameter, " \t"), []byte{'='})
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if !found || !equalFold(name, "charset") || !equalFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// equalFold compares ASCII without case; lower is in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// onlyHeader returns the value of a header that was given exactly once, else nil.
func onlyHeader(h *fasthttp.RequestHeader, canonicalName string) []byte {
	values := h.PeekAll(canonicalName)
	if len(values) != 1 {
		return nil
	}
	return values[0]
}

// isAmbiguous tells whether another HTTP parser, in front of this one, might see
// another request in the same bytes, or another header: lines that end in a bare
// line feed or go on in the next line (RFC 9112, 2.2 and 5.2, leave both to the
// reader), a Transfer-Encoding beside a Content-Length or other than chunked, two
// Content-Types, trailers, which some merge into the header. Nobody who gives
// needs any of them.
func isAmbiguous(h *fasthttp.RequestHeader) bool {
	chunked := h.ContentLength() < 0
	if chunked && len(h.PeekTrailerKeys()) > 0 {
		return true
	}
	contentTypes := 0
	for raw := h.RawHeaders(); len(raw) > 0; {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' || raw[0] == ' ' || raw[0] == '\t' {
			return true
		}
		line := raw[:end]
		raw = raw[end+1:]
		switch line[0] | 0x20 {
		case 'c':
			switch name, _, _ := bytes.Cut(line, colon); {
			case equalFold(name, "content-type"):
				if contentTypes++; contentTypes > 1 {
					return true
				}
			case chunked && equalFold(name, "content-length"):
				return true
			}
		case 't':
			if name, _, _ := bytes.Cut(line, colon); !chunked && equalFold(name, "transfer-encoding") {
				return true
			}
		}
	}
	return false
}

var colon = []byte{':'}
