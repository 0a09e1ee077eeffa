package httpapi

import (
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	tag := []byte(`W/"abc"`)
	for header, want := range map[string]bool{
		``: false, `*`: true, `W/"abc"`: true, `"abc"`: true, `"x", W/"abc"`: true, `"x" , "abc"`: true, `W/"x",W/"abc"`: true,
		`"x"`: false, `abc`: false, `"abc`: false, `W/`: false, `W/abc`: false, `"abcd"`: false, `"", "abc"`: true,
		`"a,b", "abc"`: true, `"x" junk, "abc"`: false, `,,"abc"`: true, `**`: false,
	} {
		if got := matches([]byte(header), tag); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func FuzzMatches(f *testing.F) {
	f.Add(`W/"abc"`)
	f.Add(`"x", W/"abc", *`)
	f.Fuzz(func(t *testing.T, header string) {
		if matches([]byte(header), []byte(`W/"abc"`)) && header != "*" && !strings.Contains(header, `"abc"`) {
			t.Errorf("%q matches", header)
		}
	})
}
