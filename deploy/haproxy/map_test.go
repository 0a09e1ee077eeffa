package haproxy

import (
	"errors"
	"testing"
)

func TestParseMaps(t *testing.T) {
	t.Parallel()
	const head = "# id (file) description\n"
	all, err := parseMaps(head + "3 (/etc/haproxy/route/paths.map) pattern loaded from file '/etc/haproxy/route/paths.map' used by map\n-1 () acl 'path' file 'h.cfg' line 3\n43 (/x/links.map) pattern\n\n")
	if err != nil || len(all) != 2 || all["links.map"] != (Map{"#43", "/x/links.map"}) {
		t.Errorf("%v, %v", all, err)
	}
	for _, text := range []string{"", "Permission denied\n", head + "3 (/a/m) x\n4 (/b/m) x\n"} {
		if all, err := parseMaps(text); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
}

func TestParseEntries(t *testing.T) {
	t.Parallel()
	got, err := parseEntries("0x55f6 a b c\n0x55f7 /x?y=1 z\n\n")
	if err != nil || len(got) != 2 || got[0] != (Entry{"a", "b c"}) || got[1] != (Entry{"/x?y=1", "z"}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"Unknown map identifier. Please use #<id> or <file>.\n", "0x1 key\n"} {
		if got, err := parseEntries(text); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
