package route

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"spillway/deploy/haproxy"
	"spillway/deploy/haproxy/haproxytest"
)

// What is refused changes nothing, neither on disk nor in the proxy.
func TestSwitch_RefusesAllOrNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.move(t, Old, "a", "b")
	r.move(t, Spillway, "b")
	before := r.read(t, "campaigns.map") + r.read(t, "links.map")
	if strings.Count(before, "\n#") < 3 {
		t.Errorf("comments did not stay:\n%s", before)
	}
	for name, c := range map[string]struct {
		moves []Move
		to    Side
		says  string
		is    error
	}{
		"nobody":                 {nil, Spillway, "no campaign", nil},
		"nowhere":                {movesOf("a"), "elsewhere", "want spillway or old", nil},
		"no slug":                {movesOf("a", "A b"), Spillway, "no slug", nil},
		"twice":                  {movesOf("a", "a"), Spillway, "named twice", nil},
		"unknown":                {movesOf("a", "zebra"), Spillway, "import it", ErrUnknown},
		"closed":                 {movesOf("a", "closed"), Spillway, "closed", ErrNotOpen},
		"no page":                {[]Move{{Slug: "b"}, {Slug: "d"}}, Old, "nobody would find it there", nil},
		"another's page":         {[]Move{{"d", []string{"/give/a"}}}, Spillway, "leads to a", nil},
		"a page elsewhere":       {[]Move{{"d", []string{"//evil.example"}}}, Spillway, "is no path", nil},
		"a page with a blank":    {[]Move{{"d", []string{"/give d"}}}, Spillway, "browsers", nil},
		"too many":               {make([]Move, CampaignsMax+1), Spillway, "at most", nil},
		"a dry run all the same": {movesOf("zebra"), Spillway, "import it", ErrUnknown},
	} {
		_, err := r.Switch(t.Context(), c.moves, c.to, strings.HasPrefix(name, "a dry run"))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
	}
	// What would be done is told, and not done.
	if done, err := r.Switch(t.Context(), movesOf("a", "b"), Spillway, true); err != nil || fmt.Sprint(done.Moved) != "[{a spillway /give/a}]" || fmt.Sprint(done.Already) != "[b]" {
		t.Errorf("dry run: %+v, %v", done, err)
	}
	if after := r.read(t, "campaigns.map") + r.read(t, "links.map"); after != before {
		t.Errorf("the files are other than before:\n%s", after)
	}
	if faults, err := r.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%q, %v", faults, err)
	}
	r.AnyPhase = true
	if done := r.move(t, Spillway, "closed"); len(done.Moved) != 1 {
		t.Errorf("%+v", done)
	}
	if done, err := r.Switch(t.Context(), []Move{{Slug: "e"}}, Spillway, false); err != nil || fmt.Sprint(done.Unlinked) != "[e]" {
		t.Errorf("without an older page: %+v, %v", done, err)
	}
}

// A switch that died between file and proxy, or in the middle of telling the proxy, is
// completed by the same command; and moves nobody else's campaigns.
func TestSwitch_CompletesWhatDied(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.move(t, Old, "a", "b")
	written := strings.Replace(r.read(t, "campaigns.map"), "a old:", "a spillway:", 1)
	r.write(t, "campaigns.map", written)
	maps, err := r.proxy.Socket.Maps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Half a map is prepared, for ever.
	m := maps["campaigns.map"]
	if answer, err := r.proxy.Socket.Ask(t.Context(), "prepare map "+m.ID); err != nil || !strings.HasPrefix(answer, "New version created") {
		t.Fatalf("%q, %v", answer, err)
	}
	if got := r.see(t, "/give/a"); got != "old page /give/a" {
		t.Errorf("before: %q", got)
	}
	if faults, err := r.Check(t.Context()); err != nil || len(faults) != 1 || !strings.Contains(faults[0], "a has spillway:/give/a in the file and old:/give/a in the proxy") {
		t.Errorf("%q, %v", faults, err)
	}
	// Another campaign's switch does not move it by the way.
	if _, err := r.Switch(t.Context(), movesOf("b"), Spillway, false); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "route apply") {
		t.Error(err)
	}
	if done := r.move(t, Spillway, "a"); len(done.Moved) != 0 || len(done.Already) != 1 {
		t.Errorf("%+v", done)
	}
	if got := r.see(t, "/give/a"); got != "spillway page /c/a" {
		t.Errorf("after: %q", got)
	}
	// A proxy that was told by hand is mended by the files.
	if answer, err := r.proxy.Socket.Ask(t.Context(), "set map "+m.ID+" b spillway:/give/b"); err != nil || strings.TrimSpace(answer) != "" {
		t.Fatalf("%q, %v", answer, err)
	}
	if mended, err := r.Apply(t.Context()); err != nil || mended[r.proxy.Socket.Address] != 1 {
		t.Errorf("%v, %v", mended, err)
	}
	if got := r.see(t, "/give/b"); got != "old page /give/b" {
		t.Errorf("mended: %q", got)
	}
	unlock, err := r.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Switch(t.Context(), movesOf("a"), Old, false); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	unlock()
}

// Two proxies, of which one cannot be asked: nothing is changed.
func TestSwitch_EveryProxyOrNone(t *testing.T) {
	t.Parallel()
	r, other := newRig(t, ""), newRig(t, "")
	r.move(t, Old, "a")
	before := r.read(t, "campaigns.map")
	for name, c := range map[string]struct{ address, says string }{
		"gone":       {filepath.Join(t.TempDir(), "nobody"), "stats socket"},
		"other maps": {other.proxy.Socket.Address, "--maps"},
	} {
		both := &Router{Dir: r.Dir, Proxies: []haproxy.Socket{r.proxy.Socket, {Address: c.address}}}
		if _, err := both.Switch(t.Context(), movesOf("a"), Spillway, false); !errors.Is(err, haproxy.ErrProxy) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if faults, err := both.Check(t.Context()); err != nil || len(faults) != 1 || !strings.Contains(faults[0], c.says) {
			t.Errorf("%s: %q, %v", name, faults, err)
		}
	}
	if r.read(t, "campaigns.map") != before {
		t.Error("the file was changed")
	}
}

// Two proxies that start from the same files. One hangs up when it is to commit: the other
// follows all the same, it is said, and the same command completes it.
func TestSwitch_OneProxyDoesNotFollow(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	address := strings.TrimPrefix(r.spillway.server.URL, "http://")
	second := haproxytest.Start(t, haproxytest.Options{Blue: address, Green: address, OldSystem: strings.TrimPrefix(r.old.server.URL, "http://"), Maps: r.Dir})
	hangsUp := &atomic.Bool{}
	r.Proxies = append(r.Proxies, haproxy.Socket{Address: relay(t, second.Socket, hangsUp)})
	r.move(t, Old, "a")
	see := func() string {
		response, err := browser(t).Get("http://" + second.Front + "/give/a")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	hangsUp.Store(true)
	if done, err := r.Switch(t.Context(), movesOf("a"), Spillway, false); !errors.Is(err, ErrUnfinished) || !errors.Is(err, haproxy.ErrProxy) || len(done.Moved) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if got := r.see(t, "/give/a") + ", " + see(); got != "spillway page /c/a, old page /give/a" {
		t.Error(got)
	}
	hangsUp.Store(false)
	if faults, err := r.Check(t.Context()); err != nil || len(faults) != 1 || !strings.Contains(faults[0], "a has spillway:/give/a in the file") {
		t.Errorf("%q, %v", faults, err)
	}
	if done := r.move(t, Spillway, "a"); len(done.Already) != 1 {
		t.Errorf("%+v", done)
	}
	if got := see(); got != "spillway page /c/a" {
		t.Error(got)
	}
}

// relay is a socket that passes commands on, but for commits while it hangs up.
func relay(t *testing.T, to haproxy.Socket, hangsUp *atomic.Bool) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "relay") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var relayed sync.WaitGroup
	relayed.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed below
			}
			relayed.Go(func() {
				defer conn.Close()
				commands := bufio.NewReader(conn)
				command, err := commands.ReadString('\n')
				for strings.Contains(command, "<<") && err == nil && !strings.HasSuffix(command, "\n\n") {
					var line string
					line, err = commands.ReadString('\n')
					command += line
				}
				if err != nil || hangsUp.Load() && strings.HasPrefix(command, "commit") {
					_, _ = io.WriteString(conn, "hung up\n") // to somebody who may be gone
					return
				}
				if answer, err := to.Ask(context.Background(), strings.TrimSuffix(command, "\n")); err == nil {
					_, _ = io.WriteString(conn, answer) // as above
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); relayed.Wait(); _ = os.RemoveAll(dir) })
	return path
}

// A large organisation: more than the proxy takes in one command.
func TestSwitch_Thousands(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.Spillway = nil
	var moves []Move
	for i := range 3000 {
		moves = append(moves, Move{fmt.Sprintf("campaign-%04d", i), []string{fmt.Sprintf("/donate.php?campaign=%d", i)}})
	}
	if _, err := r.Switch(t.Context(), moves, Spillway, false); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 7, 2999} {
		if got, want := r.see(t, moves[i].Pages[0]), "spillway page /c/"+moves[i].Slug; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if all, err := r.List(); err != nil || len(all) != 3000 || all[7].Page != "/donate.php?campaign=7" {
		t.Errorf("%d, %v", len(all), err)
	}
	if done, err := r.Switch(t.Context(), moves[:2000], Old, false); err != nil || len(done.Moved) != 2000 {
		t.Errorf("%d, %v", len(done.Moved), err)
	}
	if got := r.see(t, "/c/campaign-0007"); got != "old page /donate.php?campaign=7" {
		t.Errorf("back: %q", got)
	}
}

func TestFrontEnd_Shows(t *testing.T) {
	t.Parallel()
	answers := http.NewServeMux()
	answer := func(path, body string, status int) {
		answers.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, body) })
	}
	answer("/v1/campaigns/open", `{"slug":"open","phase":"open"}`, 200)
	answer("/c/open", "", 200)
	answer("/v1/campaigns/soon", `{"slug":"soon","phase":"upcoming"}`, 200)
	answer("/c/soon", "", 200)
	answer("/v1/campaigns/pageless", `{"slug":"pageless","phase":"open"}`, 200)
	answer("/c/pageless", "", 500)
	answer("/v1/campaigns/proxied", `{"slug":"proxied","phase":"open"}`, 200)
	answer("/c/proxied", "", 302)
	answer("/v1/campaigns/strange", `<html>`, 200)
	answer("/v1/campaigns/warming", ``, 503)
	server := httptest.NewServer(answers)
	defer server.Close()
	f := FrontEnd{URL: server.URL + "/"}
	for slug, c := range map[string]struct {
		is   error
		says string
	}{
		"open": {}, "soon": {ErrNotOpen, "upcoming"}, "nobody": {ErrUnknown, "import it"},
		"pageless": {nil, "500"}, "proxied": {nil, "not the proxy"}, "strange": {nil, "is it a front-end"}, "warming": {nil, "503"},
	} {
		err := f.Shows(t.Context(), slug)
		if (slug == "open") != (err == nil) || c.is != nil && !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", slug, err)
		}
	}
	if err := (FrontEnd{URL: "nowhere"}).Shows(t.Context(), "open"); err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Error(err)
	}
}
