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

// isAmbiguous tells whether another HTTP parser might see another request in the
// same bytes: a chunked body that also has a length, or trailers, which some
// merge into the header. Nobody who gives needs either.
func isAmbiguous(h *fasthttp.RequestHeader) bool {
	if h.ContentLength() >= 0 {
		return false
	}
	if len(h.PeekTrailerKeys()) > 0 {
		return true
	}
	raw := h.RawHeaders()
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte{'\n'})
		name, _, _ := bytes.Cut(line, []byte{':'})
		if equalFold(name, "content-length") {
			return true
		}
	}
	return false
}
