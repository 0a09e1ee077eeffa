// Package route moves campaigns between an older donation system and Spillway, both behind
// HAProxy (deploy/haproxy/strangler.cfg), while donors give at both.
//
// The one invariant: a switch moves the campaigns that it names, all of them or none in
// each proxy, and no other; the files that a proxy starts from are written first, so that
// whatever dies, repeating the command completes it.
//
// Goroutines: a few per Switch and Check that ask Spillway for campaigns; they end with it.
package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"spillway/campaigns"
	"spillway/deploy/haproxy"
)

// Side is one of the two systems.
type Side string

// The two systems, as the maps call them.
const (
	Spillway Side = "spillway"
	Old      Side = "old"
)

// Names of the map files, in the folder that the proxy's configuration names.
const (
	campaignsFile = "campaigns.map"
	linksFile     = "links.map"
	pathsFile     = "paths.map"
)

// oldBackend is the older system's name in strangler.cfg.
const oldBackend = "old_system"

// CampaignsMax bounds a map: each entry is some 100 bytes of the proxy's memory, and all are
// sent anew with every switch.
const CampaignsMax = 20_000

var (
	// ErrRefused says that an order cannot be carried out; nothing was changed.
	ErrRefused = errors.New("nothing was switched")
	// ErrFiles says that the maps' files cannot be read or written.
	ErrFiles = errors.New("map files")
	// ErrBusy says that another one switches at this moment.
	ErrBusy = errors.New("another 'spillway route' is at work in this folder: wait for it")
	// ErrUnfinished says that the files are written and a proxy does not follow them yet.
	ErrUnfinished = errors.New("the files are written, a proxy does not follow them yet; repeat the command, or 'spillway route apply'")
)

// Shower tells whether Spillway would show a campaign to donors. Errors: ErrUnknown and
// ErrNotOpen, which are about the campaign; any other is about Spillway.
type Shower interface {
	Shows(ctx context.Context, slug string) error
}

// Router is where campaigns are switched: the folder of the maps, and every proxy that
// starts from it.
type Router struct {
	Dir     string
	Proxies []haproxy.Socket
	// Spillway is asked before a campaign is moved there; nil asks nobody.
	Spillway Shower
	// AnyPhase moves campaigns that are not open, too.
	AnyPhase bool
	// Say tells people; nil for nobody.
	Say func(format string, args ...any)
}

func (r *Router) say(format string, args ...any) {
	if r.Say != nil {
		r.Say(format, args...)
	}
}

// List returns the campaigns of the file, in its order. Errors: ErrFiles.
func (r *Router) List() ([]Campaign, error) {
	f, err := readFiles(r.Dir)
	if err != nil {
		return nil, err
	}
	return f.all()
}

// lock keeps others from switching in the same folder until unlock is called.
// Errors: ErrBusy, ErrFiles.
func (r *Router) lock() (unlock func(), err error) {
	folder, err := os.Open(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFiles, err)
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrFiles, r.Dir, err), folder.Close())
	}
	return func() {
		// Not left to Close: a child that is being forked has the folder open for a moment more.
		_ = syscall.Flock(int(folder.Fd()), syscall.LOCK_UN)
		_ = folder.Close() // only read
	}, nil
}

// files is the three maps as they stand on disk.
type files struct {
	dir                     string
	campaigns, links, paths *table
}

// readFiles reads and checks all three. Errors: ErrFiles.
func readFiles(dir string) (*files, error) {
	f := &files{dir: dir}
	var errs []error
	for name, m := range map[string]struct {
		into  **table
		sound func(key, value string) error
	}{
		campaignsFile: {&f.campaigns, func(slug, value string) error { _, err := parseCampaign(slug, value); return err }},
		linksFile:     {&f.links, soundLink},
		pathsFile:     {&f.paths, soundPath},
	} {
		data, err := readBounded(filepath.Join(dir, name))
		if err == nil {
			*m.into, err = parseTable(name, data, m.sound)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w in %s: %w", ErrFiles, dir, err)
	}
	return f, nil
}

func (f *files) all() ([]Campaign, error) {
	all := make([]Campaign, 0, len(f.campaigns.at))
	for _, e := range f.campaigns.entries() {
		c, err := parseCampaign(e.Key, e.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (f *files) tables() map[string]*table {
	return map[string]*table{campaignsFile: f.campaigns, linksFile: f.links, pathsFile: f.paths}
}

// find returns what the file says of a campaign; one that it does not name is at the
// older system.
func (f *files) find(slug string) (Campaign, error) {
	if value, there := f.campaigns.get(slug); there {
		return parseCampaign(slug, value)
	}
	return Campaign{Slug: slug, Side: Old}, nil
}

// write stores what a switch changes: the links first, which lead nowhere new until the
// campaigns say so. Errors: ErrFiles.
func (f *files) write() error {
	for _, t := range []*table{f.links, f.campaigns} {
		if err := t.write(f.dir); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFiles, t.name, err)
		}
	}
	return nil
}

func soundLink(page, slug string) error {
	if err := soundPage(page); err != nil {
		return err
	}
	if !campaigns.ValidSlug(slug) {
		return fmt.Errorf("%q is no slug", slug)
	}
	return nil
}

func soundPath(prefix, side string) error {
	if err := soundPage(prefix); err != nil {
		return err
	}
	if side != string(Spillway) && side != string(Old) {
		return fmt.Errorf("%q: want spillway or old", side)
	}
	return nil
}
