package frame

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"spillway/campaigns/access"
)

// Mux finds a request's route. It is built once and then only read.
type Mux struct {
	root   node
	routes []Route
}

// node is one segment of paths.
type node struct {
	fixed map[string]*node
	param *node
	name  string            // of param's segment
	by    map[string]*Route // method
}

// methods that a route may have.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// Add adds routes. public allows routes that need access.Public: the console's own.
//
// Errors: every route that is wrong, joined: without Needs, Handle or a path below
// PageRoot; there already; a parameter whose name differs from another route's.
func (m *Mux) Add(public bool, routes ...Route) error {
	var errs []error
	for _, route := range routes {
		if err := m.add(public, route); err != nil {
			errs = append(errs, fmt.Errorf("route %s %s: %w", route.Method, route.Path, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Mux) add(public bool, route Route) error {
	switch {
	case !route.Needs.Valid():
		return errors.New("it does not say what it needs")
	case route.Needs == access.Public && !public:
		return errors.New("a section's route cannot be public")
	case route.Handle == nil:
		return errors.New("it has no handler")
	case !slices.Contains(methods, route.Method):
		return errors.New("its method is none of " + strings.Join(methods, ", "))
	case !strings.HasPrefix(route.Path, "/") || strings.HasSuffix(route.Path, "/") && route.Path != "/":
		return errors.New("its path must begin with / and not end with one")
	case !public && route.Path != PageRoot && !strings.HasPrefix(route.Path, PageRoot+"/"):
		return errors.New("its path is not below " + PageRoot)
	}
	at := &m.root
	for _, segment := range segments(route.Path) {
		next, err := at.down(segment)
		if err != nil {
			return err
		}
		at = next
	}
	if at.by[route.Method] != nil {
		return errors.New("it is there already")
	}
	if at.by == nil {
		at.by = map[string]*Route{}
	}
	kept := route
	at.by[route.Method] = &kept
	m.routes = append(m.routes, route)
	return nil
}

func (n *node) down(segment string) (*node, error) {
	if name, ok := strings.CutPrefix(segment, "{"); ok {
		name, ok = strings.CutSuffix(name, "}")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not {name}", segment)
		}
		if n.param == nil {
			n.param, n.name = &node{}, name
		}
		if n.name != name {
			return nil, fmt.Errorf("{%s} is called {%s} by another route", name, n.name)
		}
		return n.param, nil
	}
	if n.fixed == nil {
		n.fixed = map[string]*node{}
	}
	if n.fixed[segment] == nil {
		n.fixed[segment] = &node{}
	}
	return n.fixed[segment], nil
}

func segments(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

// Routes are all routes, in the order in which they were added.
func (m *Mux) Routes() []Route { return m.routes }

// Find finds the route of a path, decoded, and what its {names} stand for. Fixed
// segments go before {names}. A route of GET is found for HEAD. Without a route,
// allow lists the methods that the path has; none means that there is no such path.
func (m *Mux) Find(method, path string) (route *Route, params []Param, allow []string) {
	if method == "HEAD" {
		method = "GET"
	}
	if path == "" || path[0] != '/' {
		return nil, nil, nil
	}
	at, params := m.root.find(segments(path), nil)
	if at == nil {
		return nil, nil, nil
	}
	if route = at.by[method]; route != nil {
		return route, params, nil
	}
	for _, known := range methods {
		if at.by[known] != nil {
			allow = append(allow, known)
			if known == "GET" {
				allow = append(allow, "HEAD")
			}
		}
	}
	return nil, nil, allow
}

func (n *node) find(rest []string, params []Param) (*node, []Param) {
	if len(rest) == 0 {
		if n.by == nil {
			return nil, nil
		}
		return n, params
	}
	if next := n.fixed[rest[0]]; next != nil {
		if found, p := next.find(rest[1:], params); found != nil {
			return found, p
		}
	}
	if n.param != nil && rest[0] != "" {
		return n.param.find(rest[1:], append(params[:len(params):len(params)], Param{n.name, rest[0]}))
	}
	return nil, nil
}
