package openapi

import (
	"bytes"
	"html"
)

const (
	// PageType is Page's media type.
	PageType = "text/html; charset=utf-8"
	// PagePolicy is the Content-Security-Policy that Page is served under: it runs no
	// script and loads nothing, from us or anybody else.
	PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Page is Document for people: one HTML page, with a list of the paths that lead to
// their place in it. It is not to be changed.
var Page = page(Document)

const (
	pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Spillway's public contract</title>
<style>
body { font-family: system-ui, sans-serif; line-height: 1.5; margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
pre { overflow-x: auto }
:target { background: #ffec99; color: #000 }
@media (prefers-color-scheme: dark) { body { background: #16181d; color: #e3e5e8 } a { color: #8ab4f8 } }
</style>
</head>
<body>
<main>
<h1>Spillway's public contract</h1>
<p>OpenAPI 3.1; for programs: <a href="/openapi.yaml">/openapi.yaml</a>. Every answer of this server is held to it by tests.</p>
<nav aria-label="Paths"><ul>
`
	pageMiddle = "</ul></nav>\n<pre>"
	pageTail   = "</pre>\n</main>\n</body>\n</html>\n"
)

// page makes the page of a document whose paths stand at its second level, as ours do.
func page(document []byte) []byte {
	var list, text bytes.Buffer
	inPaths := false
	for line := range bytes.Lines(document) {
		if line[0] != ' ' {
			inPaths = string(line) == "paths:\n"
		}
		path, isPath := bytes.CutPrefix(line, []byte("  /"))
		if !inPaths || !isPath {
			text.WriteString(html.EscapeString(string(line)))
			continue
		}
		name := html.EscapeString("/" + string(bytes.TrimRight(path, ":\n")))
		list.WriteString(`<li><a href="#` + name + `"><code>` + name + "</code></a></li>\n")
		text.WriteString(`<strong id="` + name + `">  ` + name + "</strong>:\n")
	}
	return bytes.Join([][]byte{[]byte(pageHead), list.Bytes(), []byte(pageMiddle), text.Bytes(), []byte(pageTail)}, nil)
}
