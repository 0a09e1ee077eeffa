package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/deploy/haproxy/haproxytest"
)

// From a spreadsheet to a proxy that leads donors, by the command line, with its exit
// statuses.
func TestRoute_CommandLine(t *testing.T) {
	t.Parallel()
	system := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slug, is := strings.CutPrefix(r.URL.Path, "/v1/campaigns/"); is {
				fmt.Fprintf(w, `{"slug":%q,"phase":"open"}`, slug)
				return
			}
			fmt.Fprintf(w, "%s %s", name, r.URL.Path)
		}))
		t.Cleanup(s.Close)
		return s
	}
	old, spillway := system("old"), system("spillway")
	address := strings.TrimPrefix(spillway.URL, "http://")
	proxy := haproxytest.Start(t, haproxytest.Options{Blue: address, Green: address, OldSystem: strings.TrimPrefix(old.URL, "http://")})
	sheet := filepath.Join(t.TempDir(), "campaigns.csv")
	if err := os.WriteFile(sheet, []byte("Campaign;Older page\nriver;/give/river\nbridge;/give/bridge\nriver;/r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := []string{"--maps", proxy.Maps, "--socket", proxy.Socket.Address}
	do := func(status int, says string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		got := run(append([]string{"route"}, args...), nil, &stdout, &stderr)
		if said := stdout.String() + stderr.String(); got != status || !strings.Contains(said, says) {
			t.Errorf("%q: status %d, want %d and %q:\n%s", args, got, status, says, said)
		}
	}
	with := func(args ...string) []string { return append(args, here...) }
	haproxytest.Eventually(t, "the older system is up", func() bool {
		servers, err := proxy.Socket.Servers(t.Context())
		return err == nil && len(servers) > 0 && servers[len(servers)-1].Up
	})
	do(0, "agree", with("check")...)
	do(0, "2 moved", with("switch", "--from", sheet, "--to", "spillway", "--target", spillway.URL, "--dry-run")...)
	do(0, "river is now at spillway, older page /give/river", with("switch", "--from", sheet, "--to", "spillway", "--target", spillway.URL)...)
	do(0, "bridge  spillway  /give/bridge", "list", "--maps", proxy.Maps)
	do(0, "1 moved, 0 were there already", with("switch", "bridge", "--to", "old", "--target", spillway.URL)...)
	do(2, "nobody would find it", with("switch", "harbour", "--to", "old", "--target", spillway.URL)...)
	do(2, "of one campaign", with("switch", "river", "bridge", "--page", "/x", "--to", "old", "--target", spillway.URL)...)
	do(2, "no campaign is named", with("switch", "--to", "old", "--target", spillway.URL)...)
	do(0, "agree", with("check", "--target", spillway.URL)...)
	for path, want := range map[string]string{"/r": "spillway /c/river", "/c/river": "spillway /c/river", "/give/bridge": "old /give/bridge", "/c/bridge": "old /give/bridge"} {
		response, err := http.Get("http://" + proxy.Front + path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		_ = response.Body.Close() // read
		if err != nil || body.String() != want {
			t.Errorf("%s: %q, %v, want %q", path, body.String(), err, want)
		}
	}
	links := filepath.Join(proxy.Maps, "links.map")
	b, err := os.ReadFile(links)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(links, append(b, "/river river\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	do(1, "/river has river in the file and nothing in the proxy", with("check")...)
	do(2, "differ in more", with("switch", "bridge", "--to", "spillway", "--target", spillway.URL)...)
	do(0, "1 entries were otherwise", with("apply")...)
	do(0, "agree", with("check")...)
	if err := os.WriteFile(sheet, []byte("name\nriver\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(2, "Slug", with("switch", "--from", sheet, "--to", "spillway")...)
}
