package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// source is one parsed Go file of the tree, whatever its build tags.
type source struct {
	pkg     string // folder relative to the root, slashes: "ledger/money"
	name    string // file name
	test    bool   // ends in _test.go
	imports []imported
	file    *ast.File
	fset    *token.FileSet
}

type imported struct {
	path string
	line int
}

// root is the top of the module: the nearest folder above with the go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

// walk calls visit for every file of this module, slashes in its name, in order.
// It leaves out what the go tool leaves out: folders that begin with a dot or an
// underscore, testdata, and nested modules. The .ci folder is ours and is kept.
func walk(t *testing.T, root string, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		base := d.Name()
		if !d.IsDir() {
			if d.Type().IsRegular() {
				visit(filepath.ToSlash(rel))
			}
			return nil
		}
		if (base[0] == '.' && rel != ".ci") || base[0] == '_' || base == "testdata" {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// load parses every Go file of the module.
func load(t *testing.T, root string) []source {
	t.Helper()
	var all []source
	walk(t, root, func(name string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parse(t, name, string(text)))
	})
	sort.Slice(all, func(i, j int) bool {
		return path.Join(all[i].pkg, all[i].name) < path.Join(all[j].pkg, all[j].name)
	})
	return all
}

// parse reads one file; the tests that doctor a house give it text of their own.
func parse(t *testing.T, name, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := source{
		pkg:  path.Dir(name),
		name: path.Base(name),
		test: strings.HasSuffix(name, "_test.go"),
		file: file,
		fset: fset,
	}
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", name, spec.Path.Value, err)
		}
		s.imports = append(s.imports, imported{p, fset.Position(spec.Pos()).Line})
	}
	return s
}
