package programs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestOverlay_BuildsTheEditedTextAndLeavesTheTreeAlone(t *testing.T) {
	tree := t.TempDir()
	files := map[string]string{
		"go.mod":   "module small\n\ngo 1.26\n",
		"main.go":  "package main\n\nimport _ \"embed\"\n\n//go:embed say.sql\nvar say string\n\nfunc main() { print(say, word, last) }\n",
		"word.go":  "package main\n\nconst word = \"sync\"\n\nconst last = \"always\"\n",
		"say.sql":  "select ",
		"other.go": "package main\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := Overlay(tree, t.TempDir(), []Edit{
		{File: "word.go", Old: `"sync"`, New: `"async"`},
		{File: "word.go", Old: `"always"`, New: `"never"`},
		{File: "say.sql", Old: `select`, New: `drop`},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, tree, "-overlay", overlay); got != "drop asyncnever" {
		t.Errorf("the edited program says %q", got)
	}
	if got := run(t, tree); got != "select syncalways" {
		t.Errorf("the program of the tree says %q", got)
	}
}

func run(t *testing.T, tree string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", append(append([]string{"build", "-o", program}, flags...), ".")...)
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestOverlay_AnchorNotThereExactlyOnce(t *testing.T) {
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Edit{
		"missing": {File: "a.go", Old: "three"},
		"twice":   {File: "a.go", Old: "two"},
		"no file": {File: "b.go", Old: "one"},
	} {
		if _, err := Overlay(tree, t.TempDir(), []Edit{e}); !errors.Is(err, ErrAnchor) {
			t.Errorf("%s: got %v, want ErrAnchor", name, err)
		}
	}
}
