package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNoFileNamesOneMachine(t *testing.T) {
	dir := root(t)
	walk(t, dir, func(name string) {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(text) && name != "cmd/spillway/internal/house/broken_test.go" {
			report(t, machinePaths(name, string(text), dir))
		}
	})
}

// homeFolder finds a path below somebody's home folder. "$HOME", "~" and
// "/home/<user>" are how a document says it for everybody.
var homeFolder = regexp.MustCompile(`/(?:home|Users)/[A-Za-z0-9._-]+/`)

// publicHomes lie where home folders lie and are the same on every machine.
var publicHomes = strings.NewReplacer("/home/linuxbrew/", "/")

// machinePaths returns one sentence for every line that names a place which only
// one machine has: the folder that this checkout happens to lie in, or a home.
func machinePaths(name, text, checkout string) (faults []string) {
	// A short path ("/src") is a word that other things may rightly use too.
	names := strings.Count(filepath.ToSlash(checkout), "/") >= 2
	for i, line := range strings.Split(publicHomes.Replace(text), "\n") {
		if names && strings.Contains(line, checkout) || homeFolder.MatchString(line) {
			faults = append(faults, fmt.Sprintf("%s:%d: names a place of one machine: use a relative path, $HOME or a flag", name, i+1))
		}
	}
	return faults
}
