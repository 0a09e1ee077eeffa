package access_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/campaigns/access"
)

func TestPermissions_HaveNamesThatParse(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range access.Grantable() {
		got, ok := access.ParsePermission(p.String())
		if !ok || got != p || seen[p.String()] {
			t.Errorf("%v parses as %v, %v", p, got, ok)
		}
		seen[p.String()] = true
	}
	if len(seen) != 13 {
		t.Errorf("%d permissions, want 13", len(seen))
	}
	for _, name := range []string{"", "none", "own_account", "public", "Refund"} {
		if p, ok := access.ParsePermission(name); ok {
			t.Errorf("%q parses as %v", name, p)
		}
	}
	for _, p := range []access.Permission{0, 200} {
		if p.Valid() || access.SetOf(p) != 0 || access.Permissions(1<<32-1).Has(p) {
			t.Errorf("%d is a permission", p)
		}
	}
}

// Nobody may do anything, and no role or scope reaches beyond what it was given.
func TestCan_OnlyWhatWasGiven(t *testing.T) {
	var nobody access.Principal
	for _, p := range append(access.Grantable(), access.OwnAccount) {
		for _, slug := range []string{"", "a", access.Some} {
			if nobody.Can(p, slug) {
				t.Errorf("nobody may %v %q", p, slug)
			}
		}
	}
	if !nobody.Can(access.Public, "") {
		t.Error("nobody cannot reach the login page")
	}
	rapid.Check(t, func(t *rapid.T) {
		slugs := []string{"a", "b", "c"}
		p := access.Principal{User: "u"}
		switch rapid.IntRange(0, 2).Draw(t, "bound") {
		case 1:
			p.Campaigns = []string{}
		case 2:
			p.Campaigns = rapid.SliceOfDistinct(rapid.SampledFrom(slugs), rapid.ID[string]).Draw(t, "campaigns")
		}
		if p.Key = rapid.Bool().Draw(t, "key"); p.Key {
			p.Scopes = access.SetOf(rapid.SliceOf(rapid.SampledFrom(access.Grantable())).Draw(t, "scopes")...)
			p.Role = access.Owner // of no meaning
		} else {
			p.Role = rapid.SampledFrom(append(access.Roles(), "", "made-up")).Draw(t, "role")
			p.Scopes = access.SetOf(access.Grantable()...) // of no meaning
		}
		what := rapid.SampledFrom(access.Grantable()).Draw(t, "what")
		held := p.Key && p.Scopes.Has(what) || !p.Key && p.Role.Permissions().Has(what)
		for _, slug := range append(slugs, "", access.Some) {
			want := held
			switch {
			case p.Campaigns == nil:
			case slug == access.Some:
				want = held && len(p.Campaigns) > 0
			default:
				want = held && slices.Contains(p.Campaigns, slug)
			}
			if got := p.Can(what, slug); got != want {
				t.Fatalf("%+v: %v %q: %v", p, what, slug, got)
			}
		}
		if p.Can(access.OwnAccount, "") == p.Key {
			t.Fatalf("%+v: own account", p)
		}
		if p.Can(0, "") || p.Can(200, "") {
			t.Fatal("what is no permission is held")
		}
	})
}

func TestCanonicalEmail(t *testing.T) {
	for typed, want := range map[string]string{
		" Ann@Example.ORG ": "ann@example.org", "a+b@c.d": "a+b@c.d", "root@localhost": "root@localhost", "zoë@exämple.org": "zoë@exämple.org",
		"": "", "ann": "", "@example.org": "", "ann@": "", "ann@org": "", "ann@.org": "", "ann@org.": "", "a@b@c.d": "", "a b@c.d": "", "a\x00@c.d": "",
		"<a@c.d>": "", "a,b@c.d": "", strings.Repeat("a", 250) + "@c.de": "", "a@c.\xff": "",
	} {
		got, ok := access.CanonicalEmail(typed)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", typed, got, ok, want)
		}
	}
}

func TestValidAction(t *testing.T) {
	for action, want := range map[string]bool{"user.add": true, "user.totp_set": true, "a.b.c": true, "": false, "user": false, "user.": false, "User.add": false, "user add.x": false, strings.Repeat("a", 63) + ".b": false} {
		if got := access.ValidAction(action); got != want {
			t.Errorf("%q: %v", action, got)
		}
	}
}
