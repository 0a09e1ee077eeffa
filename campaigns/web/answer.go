package web

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

var (
	headerETag         = []byte("Etag") // as fasthttp spells it in canonical form
	headerCacheControl = []byte(fasthttp.HeaderCacheControl)
	headerVary         = []byte(fasthttp.HeaderVary)
	headerEncoding     = []byte(fasthttp.HeaderContentEncoding)
	typeHTML           = []byte("text/html; charset=utf-8")
	acceptEncoding     = []byte(fasthttp.HeaderAcceptEncoding)
	gzipName           = []byte("gzip")
	// askAgain lets a cache keep a page and has it ask whether the tag still holds.
	askAgain = []byte("no-cache")
	// forever is for what is named by its content.
	forever = []byte("public, max-age=31536000, immutable")
)

// send answers with a rendered page, or with 304 when the browser has it already.
func (w *Web) send(ctx *fasthttp.RequestCtx, s *sheet, hs []header) {
	h := &ctx.Response.Header
	for i := range hs {
		h.SetCanonical(hs[i].name, hs[i].value)
	}
	h.SetCanonical(headerCacheControl, askAgain)
	h.SetCanonical(headerETag, s.etag)
	h.SetCanonical(headerVary, acceptEncoding)
	if tagMatches(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), s.etag) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.SetContentTypeBytes(typeHTML)
	if takesGzip(ctx) {
		h.SetCanonical(headerEncoding, gzipName)
		ctx.Response.SetBodyRaw(s.compressed())
		return
	}
	ctx.Response.SetBodyRaw(s.body)
}

// takesGzip tells whether the browser decompresses gzip (RFC 9110, section 12.5.3).
func takesGzip(ctx *fasthttp.RequestCtx) bool {
	for rest := ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding); len(rest) > 0; {
		var one []byte
		one, rest, _ = bytes.Cut(rest, []byte{','})
		name, weight, _ := bytes.Cut(one, []byte{';'})
		if !bytes.EqualFold(bytes.TrimSpace(name), gzipName) {
			continue
		}
		_, q, weighed := bytes.Cut(weight, []byte{'='})
		return !weighed || len(bytes.Trim(q, "0. \t")) > 0
	}
	return false
}

// tagMatches tells whether an If-None-Match header names the tag, compared weakly
// (RFC 9110, section 13.1.2). Tags are ours, so no other spelling has to be read.
func tagMatches(header, tag []byte) bool {
	return len(header) > 0 && (len(header) == 1 && header[0] == '*' || bytes.Contains(header, bytes.TrimPrefix(tag, []byte("W/"))))
}
