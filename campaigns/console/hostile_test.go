package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"spillway/campaigns/access"
	"spillway/deploy/onebox/pgtest"
)

// A body that unpacks to a thousand times its size is refused packed: its bound is
// that of what was sent.
func TestBodies_AreNotUnpacked(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	r.user("ann@example.org", access.Owner)
	var plain bytes.Buffer
	form := multipart.NewWriter(&plain)
	for name, value := range map[string]string{"email": "ann@example.org", "filler": strings.Repeat("a", 8<<20)} {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/admin/login": 415, "/admin/v1/users": 415} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.address+path, bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", form.FormDataContentType())
		req.Header.Set("Content-Encoding", "gzip")
		got, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || got.StatusCode != want || bytes.Contains(body, []byte("ann@example.org")) {
			t.Errorf("%s: %d bytes for %d: %d, %v, want %d", path, packed.Len(), plain.Len(), got.StatusCode, err, want)
		}
	}
}

// What stands in a form's address is not what was typed into it.
func TestForms_AreNotFilledInByTheirAddress(t *testing.T) {
	t.Parallel()
	r := serve(t, pgtest.URL(t))
	got := r.do(ask{method: "POST", path: "/admin/login?email=mallory%40example.org", form: url.Values{"email": {"ann@example.org"}, "password": {"x"}}})
	if strings.Contains(got.body, "mallory") || !strings.Contains(got.body, "ann@example.org") {
		t.Errorf("the address goes before what was typed: %s", got.body)
	}
}
