package frame_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

func handle(*frame.Request) error { return nil }

func route(method, path string) frame.Route {
	return frame.Route{Method: method, Path: path, Needs: access.ViewDashboard, Handle: handle}
}

func TestMux_FindsFixedBeforeNamed(t *testing.T) {
	var m frame.Mux
	if err := m.Add(false,
		route("GET", "/admin"), route("GET", "/admin/campaigns"), route("POST", "/admin/campaigns"), route("GET", "/admin/campaigns/new"),
		route("GET", "/admin/campaigns/{slug}"), route("POST", "/admin/campaigns/{slug}/close"), route("GET", "/admin/campaigns/{slug}/gifts/{gift}"),
		route("GET", "/admin/campaigns/new/help"),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, want string
		params             []frame.Param
		allow              string
	}{
		{"GET", "/admin", "/admin", nil, ""},
		{"HEAD", "/admin/campaigns", "/admin/campaigns", nil, ""},
		{"GET", "/admin/campaigns/new", "/admin/campaigns/new", nil, ""},
		{"GET", "/admin/campaigns/newer", "/admin/campaigns/{slug}", []frame.Param{{Name: "slug", Value: "newer"}}, ""},
		{"POST", "/admin/campaigns/new/close", "/admin/campaigns/{slug}/close", []frame.Param{{Name: "slug", Value: "new"}}, ""},
		{"GET", "/admin/campaigns/a/gifts/b", "/admin/campaigns/{slug}/gifts/{gift}", []frame.Param{{Name: "slug", Value: "a"}, {Name: "gift", Value: "b"}}, ""},
		{"DELETE", "/admin/campaigns", "", nil, "GET HEAD POST"},
		{"PUT", "/admin/campaigns/a", "", nil, "GET HEAD"},
		{"GET", "/admin/campaigns/", "", nil, ""},
		{"GET", "/admin/campaigns//gifts/b", "", nil, ""},
		{"GET", "/admin/other", "", nil, ""}, {"GET", "/", "", nil, ""}, {"GET", "", "", nil, ""}, {"GET", "admin", "", nil, ""},
	} {
		got, params, allow := m.Find(c.method, c.path)
		path := ""
		if got != nil {
			path = got.Path
		}
		if path != c.want || strings.Join(allow, " ") != c.allow || got != nil && !cmp.Equal(params, c.params) {
			t.Errorf("%s %s: %q %v, allowed %q", c.method, c.path, path, params, allow)
		}
	}
	if n := len(m.Routes()); n != 8 {
		t.Errorf("%d routes", n)
	}
	for name, bad := range map[string]frame.Route{
		"there already": route("GET", "/admin/campaigns"), "another name": route("GET", "/admin/campaigns/{id}"), "half a name": route("GET", "/admin/x/{id"),
		"a slash at the end": route("GET", "/admin/x/"), "no slash": route("GET", "admin"), "beside": route("GET", "/administrator"),
	} {
		if err := m.Add(false, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBoth_GivesAPageAndJSON(t *testing.T) {
	both := frame.Both(route("GET", "/campaigns"))
	if len(both) != 2 || both[0].Path != "/admin/campaigns" || both[1].Path != "/admin/v1/campaigns" || both[0].Needs != both[1].Needs {
		t.Errorf("%+v", both)
	}
	for path, want := range map[string]bool{"/admin/v1": true, "/admin/v1/x": true, "/admin/v10": false, "/admin/x": false, "/": false} {
		if frame.IsJSON(path) != want {
			t.Errorf("%s is JSON: %v", path, !want)
		}
	}
}

func FuzzFind(f *testing.F) {
	var m frame.Mux
	if err := m.Add(false, route("GET", "/admin/{a}/x/{b}"), route("GET", "/admin/y/{a}")); err != nil {
		f.Fatal(err)
	}
	f.Add("/admin/y/1")
	f.Add("/admin//x/2")
	f.Fuzz(func(t *testing.T, path string) {
		got, params, _ := m.Find("GET", path)
		if got == nil {
			return
		}
		back := got.Path
		for _, p := range params {
			if p.Value == "" || strings.Contains(p.Value, "/") {
				t.Errorf("%q: %s is %q", path, p.Name, p.Value)
			}
			back = strings.Replace(back, "{"+p.Name+"}", p.Value, 1)
		}
		if back != path && !strings.Contains(path, "{") {
			t.Errorf("%q is found as %q", path, back)
		}
	})
}
