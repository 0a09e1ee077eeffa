package openapi

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
)

// The page holds the whole document, leads to every path, and needs nothing but itself.
func TestPage_IsTheDocument(t *testing.T) {
	tag := regexp.MustCompile("<[^>]*>")
	begin, end := bytes.Index(Page, []byte("<pre>")), bytes.Index(Page, []byte("</pre>"))
	if begin < 0 || end < begin {
		t.Fatal("no document in it")
	}
	if text := html.UnescapeString(tag.ReplaceAllString(string(Page[begin:end]), "")); text != string(Document) {
		t.Error("its text is not the document's")
	}
	paths := regexp.MustCompile(`(?m)^  (/\S*):$`).FindAllStringSubmatch(string(Document), -1)
	if len(paths) < 10 {
		t.Fatalf("only %d paths", len(paths))
	}
	for _, path := range paths {
		if name := html.EscapeString(path[1]); strings.Count(string(Page), `href="#`+name+`"`) != 1 || strings.Count(string(Page), `id="`+name+`"`) != 1 {
			t.Errorf("%s is not found by a link", path[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"|<script|<link|<img|url\(|@import`).FindAllStringSubmatch(string(Page), -1) {
		if !strings.HasPrefix(m[1], "#") && m[1] != "/openapi.yaml" {
			t.Errorf("it loads %q", m[0])
		}
	}
}

func TestPage_EscapesWhatADocumentMaySay(t *testing.T) {
	got := string(page([]byte("info: <script>alert(1)</script>\npaths:\n  /v1/<b>\"x:\n    get: {}\ncomponents:\n  /not-a-path:\n")))
	for _, bad := range []string{"<script", "<b>", `"x`, "#/not-a-path"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s stands in the page: %s", bad, got)
		}
	}
}
