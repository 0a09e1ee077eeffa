package house

import (
	"fmt"
	"go/ast"
	"strconv"
	"testing"
)

func TestInnerRingsHaveNoSideEffects(t *testing.T) {
	report(t, spillway.checkEffects(load(t, root(t))))
}

// effect is something of the standard library that only some rings may use.
type effect struct {
	pkg   string   // import path
	names []string // functions of it; none for the whole package
	ring  ring     // the lowest ring that may
	mend  string
}

// effects are the walls inside the standard library.
var effects = []effect{
	{"time", []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}, services,
		"take the moment as an argument"},
	{"os", nil, services, "take an io.Reader, bytes or a value"},
	{"os/exec", nil, wiring, "processes are started by the wiring"},
	{"os/signal", nil, wiring, "take a context"},
	{"net", nil, services, "net/netip holds addresses without sockets"},
	{"net/http", nil, services, "documents and formats know no server"},
	{"database/sql", nil, adapters, "declare a small interface"},
	{"log", nil, wiring, "use the *slog.Logger that was passed in"},
	{"os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Exit"}, wiring,
		"flags and environment are read by cmd into a Config"},
	{"fmt", []string{"Print", "Printf", "Println"}, wiring, "write to the io.Writer or the *slog.Logger that was passed in"},
	{"time", []string{"Tick"}, wiring + 1, "time.NewTicker can be stopped"},
}

// checkEffects returns one sentence for every clock read, goroutine or I/O in a
// ring that has none. Tests are free.
func (r rules) checkEffects(files []source) (faults []string) {
	for _, f := range files {
		at, ok := r.place(f.pkg)
		if !ok || f.test || testSupport(f.pkg) || r.standard[f.pkg] {
			continue
		}
		fault := func(n ast.Node, what, mend string) {
			faults = append(faults, fmt.Sprintf("%s/%s:%d: %s %s: %s",
				f.pkg, f.name, f.fset.Position(n.Pos()).Line, at, what, mend))
		}
		local := map[string]string{} // name in this file -> import path
		for _, spec := range f.file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			name := p[lastSlash(p)+1:]
			if spec.Name != nil {
				name = spec.Name.Name
			}
			local[name] = p
			for _, e := range effects {
				if e.pkg == p && len(e.names) == 0 && at < e.ring {
					fault(spec, "imports "+p, e.mend)
				}
			}
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if at <= contracts {
					fault(n, "starts a goroutine", "leave concurrency to the caller")
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					return true
				}
				for _, e := range effects {
					if local[x.Name] == e.pkg && at < e.ring && contains(e.names, n.Sel.Name) {
						fault(n, "calls "+e.pkg+"."+n.Sel.Name, e.mend)
					}
				}
			}
			return true
		})
	}
	return faults
}

func lastSlash(p string) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return -1
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
