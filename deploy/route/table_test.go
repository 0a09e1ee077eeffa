package route

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anything(string, string) error { return nil }

func TestParseTable(t *testing.T) {
	t.Parallel()
	const text = "# first\n\n  a   spillway:/x\t\n#b old\nc\told\r\n"
	table, err := parseTable("campaigns.map", []byte(text), func(k, v string) error { _, err := parseCampaign(k, v); return err })
	if err != nil {
		t.Fatal(err)
	}
	table.set("c", "spillway")
	table.set("d", "old:/d")
	if got, want := string(table.bytes()), "# first\n\na   spillway:/x\n#b old\nc\tspillway\nd old:/d\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for text, says := range map[string]string{
		"a old\nb old\na spillway\n": "campaigns.map:3: a is there twice",
		"A old\n":                    "campaigns.map:1: \"A\" is no slug",
		"a\n":                        "want spillway or old",
		"a old:x\n":                  "is no path",
		"a old://x\n":                "is no path",
		"a elsewhere\nb nowhere\n":   "campaigns.map:2",
	} {
		if _, err := parseTable("campaigns.map", []byte(text), func(k, v string) error { _, err := parseCampaign(k, v); return err }); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	for link, sound := range map[[2]string]bool{{"/a", "a"}: true, {"/a?x=1&y=%20", "a"}: true, {"a", "a"}: false, {"/a", "A"}: false, {"/a#b", "a"}: false, {"/\\b", "a"}: false} {
		if err := soundLink(link[0], link[1]); (err == nil) != sound {
			t.Errorf("%v: %v", link, err)
		}
	}
	for path, sound := range map[[2]string]bool{{"/a", "old"}: true, {"/$", "spillway"}: true, {"/a", ""}: false, {"", "old"}: false} {
		if err := soundPath(path[0], path[1]); (err == nil) != sound {
			t.Errorf("%v: %v", path, err)
		}
	}
}

func TestTable_WriteKeepsModeAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "links.map")
	if err := os.WriteFile(path, []byte("/a a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // as a proxy reads it
		t.Fatal(err)
	}
	table, err := parseTable("links.map", []byte("/a a\n"), soundLink)
	if err != nil {
		t.Fatal(err)
	}
	table.set("/b", "b")
	if err := table.write(dir); err != nil {
		t.Fatal(err)
	}
	is, err := os.Stat(path)
	if err != nil || is.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", is, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "/a a\n/b b\n" {
		t.Errorf("%q, %v", b, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

// What is set is read again, in its place, and everything else stays as it was.
func TestTable_SetIsReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.SampledFrom([]string{"", "# a b", "  # c", "a x", "b\ty z", "c   x:/p", "d x"})).Draw(t, "lines")
		table, err := parseTable("m", []byte(strings.Join(lines, "\n")), anything)
		if err != nil {
			return // a key that is there twice
		}
		before := table.entries()
		key, value := rapid.SampledFrom([]string{"a", "b", "e"}).Draw(t, "key"), rapid.SampledFrom([]string{"x", "y z", "q"}).Draw(t, "value")
		table.set(key, value)
		again, err := parseTable("m", table.bytes(), anything)
		if err != nil {
			t.Fatal(err)
		}
		if got, there := again.get(key); !there || got != value {
			t.Fatalf("%q, %v", got, there)
		}
		for _, e := range before {
			if got, _ := again.get(e.Key); e.Key != key && got != e.Value {
				t.Fatalf("%s was %q and is %q", e.Key, e.Value, got)
			}
		}
		if string(again.bytes()) != string(table.bytes()) {
			t.Fatal("written again it is other than before")
		}
	})
}

// FuzzParseTable: whatever is in a file, what is read is what is written again.
func FuzzParseTable(f *testing.F) {
	for _, text := range []string{"", "a spillway:/x\n", "# a\n\na\told\r\n", "\x00 \n", "a  b # c\nA\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, err := parseTable("m", []byte(text), anything)
		if err != nil {
			return
		}
		again, err := parseTable("m", table.bytes(), anything)
		if err != nil {
			t.Fatal(err)
		}
		was, is := table.entries(), again.entries()
		if len(was) != len(is) {
			t.Fatalf("%d entries, then %d", len(was), len(is))
		}
		for i := range was {
			if was[i] != is[i] {
				t.Fatalf("%q, then %q", was[i], is[i])
			}
		}
	})
}
