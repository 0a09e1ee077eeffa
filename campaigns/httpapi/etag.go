package httpapi

import "bytes"

var weakMark = []byte("W/")

// matches tells whether an If-None-Match header names the tag, compared weakly
// (RFC 9110, sections 13.1.2 and 8.8.3.2). A header that is not one matches nothing.
func matches(header, tag []byte) bool {
	if len(header) == 0 {
		return false
	}
	if bytes.Equal(header, tag) { // what nearly everybody sends
		return true
	}
	if len(header) == 1 && header[0] == '*' {
		return true
	}
	tag = bytes.TrimPrefix(tag, weakMark)
	for rest := header; len(rest) > 0; {
		rest = bytes.TrimLeft(rest, ", \t")
		rest = bytes.TrimPrefix(rest, weakMark)
		if len(rest) == 0 || rest[0] != '"' {
			return false
		}
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(rest[:end+2], tag) {
			return true
		}
		rest = rest[end+2:]
	}
	return false
}
