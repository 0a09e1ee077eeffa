package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestImportsPointDownAndLibrariesStayHome(t *testing.T) {
	report(t, spillway.checkImports(load(t, root(t))))
}

func TestEveryPlacedPackageExists(t *testing.T) {
	report(t, spillway.checkTable(load(t, root(t))))
}

func TestGoCodeLivesInTheAgreedFolders(t *testing.T) {
	report(t, spillway.checkFolders(load(t, root(t))))
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// checkImports returns one sentence for every import that breaks a rule, each
// with the place and with what to do about it.
func (r rules) checkImports(files []source) (faults []string) {
	unplaced := map[string]bool{}
	for _, f := range files {
		if testSupport(f.pkg) {
			continue
		}
		from, ok := r.place(f.pkg)
		if !ok {
			if !unplaced[f.pkg] {
				faults = append(faults, fmt.Sprintf("%s has no ring: add it to the table in cmd/spillway/internal/house/rings_test.go", f.pkg))
			}
			unplaced[f.pkg] = true
			continue
		}
		if f.test {
			continue // tests may look at anything; the compiler refuses cycles
		}
		for _, imp := range f.imports {
			if why := r.forbids(f.pkg, from, imp.path); why != "" {
				faults = append(faults, fmt.Sprintf("%s/%s:%d: %s", f.pkg, f.name, imp.line, why))
			}
		}
	}
	return faults
}

// forbids says why pkg may not import imported, or "".
func (r rules) forbids(pkg string, from ring, imported string) string {
	if _, ok := longestPrefix(r.testOnly, imported); ok || testSupport(strings.TrimPrefix(imported, r.module+"/")) && strings.HasPrefix(imported, r.module+"/") {
		return fmt.Sprintf("imports %q, which is for tests only: move the code to a _test.go file or to a package whose name ends in test", imported)
	}
	if own, ok := strings.CutPrefix(imported, r.module+"/"); ok {
		return r.forbidsOwn(pkg, from, own)
	}
	if !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return "" // the standard library; what ring 1 may use of it is checkEffects' matter
	}
	if lib, ok := longestPrefix(keys(r.tools), imported); ok {
		if from >= r.tools[lib] {
			return ""
		}
		return fmt.Sprintf("%s imports %q, open to %s and above: pass a value or an interface in", from, imported, r.tools[lib])
	}
	lib, ok := longestPrefix(keys(r.homes), imported)
	if !ok {
		return fmt.Sprintf("imports %q, a library without a home: use one that has, or give it a home in rings_test.go with the reason in the folder's DESIGN.md", imported)
	}
	for _, home := range r.homes[lib] {
		if covers(home, pkg) {
			return ""
		}
	}
	return fmt.Sprintf("imports %q away from its home (%s): declare a small interface here and let cmd wire it", imported, strings.Join(r.homes[lib], ", "))
}

func (r rules) forbidsOwn(pkg string, from ring, own string) string {
	to, ok := r.place(own)
	switch {
	case !ok:
		return fmt.Sprintf("imports %s, which has no ring: add it to the table in rings_test.go", own)
	case r.exceptions[pkg+" "+own]:
		return ""
	case from == wiring:
		return ""
	case from == vocabulary && to == vocabulary:
		if slices.Index(r.vocabulary, own) < slices.Index(r.vocabulary, pkg) {
			return ""
		}
		return fmt.Sprintf("imports %s, a later word of the vocabulary: words are built from earlier ones (%s)", own, strings.Join(r.vocabulary, ", "))
	case from == to:
		return fmt.Sprintf("imports its sibling %s (%s): declare a small interface here and let cmd wire it", own, to)
	case from < to:
		return fmt.Sprintf("%s imports %s (%s): imports point down; declare a small interface here and let cmd wire it", from, own, to)
	case from == adapters && to == services:
		return fmt.Sprintf("an adapter imports the service %s: services declare what they need, adapters fit it without knowing them; cmd wires both", own)
	}
	return ""
}

// checkTable returns one sentence for every line of the table that places a
// package which is not there, so that the table stays a map of the house.
func (r rules) checkTable(files []source) (faults []string) {
	have := map[string]bool{}
	for _, f := range files {
		have[f.pkg] = true
	}
	for _, p := range append(keys(r.rings), r.vocabulary...) {
		if !strings.HasSuffix(p, "/...") && !have[p] {
			faults = append(faults, fmt.Sprintf("%s is placed in rings_test.go and has no Go file: take the line out", p))
		}
	}
	for pair := range r.exceptions {
		from, to, _ := strings.Cut(pair, " ")
		used := slices.ContainsFunc(files, func(f source) bool {
			return f.pkg == from && slices.ContainsFunc(f.imports, func(i imported) bool { return i.path == r.module+"/"+to })
		})
		if !used {
			faults = append(faults, fmt.Sprintf("the exception %q in rings_test.go is not used: take the line out", pair))
		}
	}
	return faults
}

// checkFolders returns one sentence for every folder with Go code outside the
// agreed top-level folders.
func (r rules) checkFolders(files []source) (faults []string) {
	seen := map[string]bool{}
	for _, f := range files {
		top := strings.SplitN(f.pkg, "/", 2)[0]
		if !seen[top] && !slices.Contains(r.topLevel, top) {
			faults = append(faults, fmt.Sprintf("Go code in %q: the house has %s", top, strings.Join(r.topLevel, ", ")))
		}
		seen[top] = true
	}
	return faults
}

// testSupport tells whether a package serves tests only: its name ends in "test".
// It has no ring; tests and other such packages alone may import it.
func testSupport(pkg string) bool {
	return strings.HasSuffix(path.Base(pkg), "test") && pkg != "loadtest"
}

// place finds a package's ring: by its name, else by the longest "..." pattern.
func (r rules) place(pkg string) (ring, bool) {
	if slices.Contains(r.vocabulary, pkg) {
		return vocabulary, true
	}
	if at, ok := r.rings[pkg]; ok {
		return at, true
	}
	best, at := "", ring(0)
	for pattern, p := range r.rings {
		if strings.HasSuffix(pattern, "/...") && len(pattern) > len(best) && covers(pattern, pkg) {
			best, at = pattern, p
		}
	}
	return at, best != ""
}

// covers tells whether a pattern of a table holds for a package.
func covers(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	if name, ok := strings.CutPrefix(pattern, "*/"); ok {
		return path.Base(pkg) == name
	}
	return pkg == pattern
}

// longestPrefix finds the longest of prefixes that is imported or a folder above it.
func longestPrefix(prefixes []string, imported string) (string, bool) {
	best := ""
	for _, p := range prefixes {
		if len(p) > len(best) && (imported == p || strings.HasPrefix(imported, p+"/")) {
			best = p
		}
	}
	return best, best != ""
}

func keys[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
