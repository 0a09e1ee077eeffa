package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spillway/deploy/haproxy"
)

// namesMost is how many of many are named to people.
const namesMost = 10

// running is what a proxy goes by at a moment, beside the files.
type running struct {
	socket haproxy.Socket
	maps   map[string]haproxy.Map
	values map[string]map[string]string // file name, key, value
}

// look reads a proxy's maps. Errors: haproxy.ErrProxy.
func (r *Router) look(ctx context.Context, p haproxy.Socket) (*running, error) {
	is := &running{socket: p, values: map[string]map[string]string{}}
	var err error
	if is.maps, err = p.Maps(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Address, err)
	}
	for _, name := range []string{campaignsFile, linksFile, pathsFile} {
		m, there := is.maps[name]
		if !there {
			return nil, fmt.Errorf("%w: the one at %s has no %s: it is started with OLD_SYSTEM in its environment and strangler.cfg beside haproxy.cfg (deploy/haproxy)", haproxy.ErrProxy, p.Address, name)
		}
		// One on another machine has files of its own, of the same content.
		ours := filepath.Join(r.Dir, name)
		if a, err := os.Stat(m.File); err == nil && filepath.IsAbs(m.File) {
			if b, err := os.Stat(ours); err != nil || !os.SameFile(a, b) {
				return nil, fmt.Errorf("%w: the one at %s starts from %s, and this command would write %s: name that folder with --maps", haproxy.ErrProxy, p.Address, m.File, ours)
			}
		}
		entries, err := p.Entries(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Address, err)
		}
		values := make(map[string]string, len(entries))
		for _, e := range entries {
			values[e.Key] = e.Value
		}
		is.values[name] = values
	}
	return is, nil
}

// difference is an entry that a proxy has otherwise than the files, "" for not at all.
type difference struct{ file, key, wanted, is string }

// String says it for people.
func (d difference) String() string {
	name := func(value string) string {
		if value == "" {
			return "nothing"
		}
		return value
	}
	return fmt.Sprintf("%s: %s has %s in the file and %s in the proxy", d.file, d.key, name(d.wanted), name(d.is))
}

// differences are in order of file and key.
func (is *running) differences(f *files) (all []difference) {
	for name, t := range f.tables() {
		for _, e := range t.entries() {
			if got := is.values[name][e.Key]; got != e.Value {
				all = append(all, difference{name, e.Key, e.Value, got})
			}
		}
		for key, value := range is.values[name] {
			if _, there := t.get(key); !there {
				all = append(all, difference{name, key, "", value})
			}
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return strings.Compare(a.file+" "+a.key, b.file+" "+b.key) })
	return all
}

// follow makes a proxy go by the files, and reads back that it does. The campaigns come
// last, for links and paths lead nowhere new without them. Errors: haproxy.ErrProxy.
func (r *Router) follow(ctx context.Context, is *running, f *files) error {
	differing := map[string]bool{}
	for _, d := range is.differences(f) {
		differing[d.file] = true
	}
	tables := f.tables()
	for _, name := range []string{pathsFile, linksFile, campaignsFile} {
		if differing[name] {
			if err := is.socket.Replace(ctx, is.maps[name], tables[name].entries()); err != nil {
				return fmt.Errorf("%s: %w", is.socket.Address, err)
			}
		}
	}
	now, err := r.look(ctx, is.socket)
	if err != nil {
		return err
	}
	if left := now.differences(f); len(left) > 0 {
		return fmt.Errorf("%w: %s was told and does not follow: %s", haproxy.ErrProxy, is.socket.Address, few(left))
	}
	return nil
}

// followAll goes on to the other proxies when one fails. Errors: ErrUnfinished.
func (r *Router) followAll(ctx context.Context, all []*running, f *files) error {
	var errs []error
	for _, is := range all {
		errs = append(errs, r.follow(ctx, is, f))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return nil
}

// lookAll reads every proxy. Errors: haproxy.ErrProxy, of all that cannot be read.
func (r *Router) lookAll(ctx context.Context) ([]*running, error) {
	var all []*running
	var errs []error
	for _, p := range r.Proxies {
		is, err := r.look(ctx, p)
		all, errs = append(all, is), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// oldServes tells whether the older system is up, as this proxy sees it.
// Errors: haproxy.ErrProxy.
func (is *running) oldServes(ctx context.Context) (bool, error) {
	servers, err := is.socket.Servers(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(servers, func(s haproxy.Server) bool { return s.Backend == oldBackend && s.Up }), nil
}

// Apply makes every proxy go by the files as they are, whatever moves by that. It returns
// how many entries each had otherwise, by address. Errors: ErrFiles, ErrBusy,
// haproxy.ErrProxy, ErrUnfinished.
func (r *Router) Apply(ctx context.Context) (map[string]int, error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := readFiles(r.Dir)
	if err != nil {
		return nil, err
	}
	all, err := r.lookAll(ctx)
	if err != nil {
		return nil, err
	}
	mended := map[string]int{}
	for _, is := range all {
		different := is.differences(f)
		mended[is.socket.Address] = len(different)
		for _, d := range different[:min(len(different), namesMost)] {
			r.say("%s: %v", is.socket.Address, d)
		}
	}
	return mended, r.followAll(ctx, all, f)
}

// few names the first ones of many.
func few[T any](all []T) string {
	var names []string
	for _, one := range all[:min(len(all), namesMost)] {
		names = append(names, fmt.Sprint(one))
	}
	text := strings.Join(names, ", ")
	if more := len(all) - namesMost; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
