package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
)

const (
	// asksMost is how many campaigns Spillway is asked for at once.
	asksMost = 8
	// sayEvery is after how many of them progress is told.
	sayEvery = 1000
)

// Move is a campaign that is to be moved, and older pages of it that the maps may not
// know yet; the first one is where a campaign that moves back is led to.
type Move struct {
	Slug  string
	Pages []string
}

// Outcome says what a switch did, or would do.
type Outcome struct {
	Moved   []Campaign // as they are now
	Already []string   // slugs that were there
	// Unlinked were moved to Spillway, and no older page leads to them.
	Unlinked []string
}

// Switch moves campaigns: all or none. Where nothing is left to move it makes sure that
// every proxy knows. dry looks at everything and changes nothing.
//
// Errors: ErrRefused with every reason at once, ErrFiles, ErrBusy, haproxy.ErrProxy, each with
// nothing changed; ErrUnfinished.
func (r *Router) Switch(ctx context.Context, moves []Move, to Side, dry bool) (Outcome, error) {
	var done Outcome
	if err := soundOrder(moves, to); err != nil {
		return done, err
	}
	unlock, err := r.lock()
	if err != nil {
		return done, err
	}
	defer unlock()
	f, err := readFiles(r.Dir)
	if err != nil {
		return done, err
	}
	all, err := r.lookAll(ctx)
	if err != nil {
		return done, err
	}
	reasons := f.apply(moves, to, &done)
	named := make(map[string]bool, len(moves))
	for _, m := range moves {
		named[m.Slug] = true
	}
	for _, is := range all {
		if strange := is.strangers(f, named); len(strange) > 0 {
			reasons = append(reasons, fmt.Errorf("%s and the files differ in more than what is to be switched (%s): 'spillway route check' shows it, 'spillway route apply' makes the proxy go by the files", is.socket.Address, few(strange)))
		}
		if to == Old {
			up, err := is.oldServes(ctx)
			if err != nil {
				return done, err
			}
			if !up {
				reasons = append(reasons, fmt.Errorf("%s sees the older system down", is.socket.Address))
			}
		}
	}
	if to == Spillway {
		reasons = append(reasons, r.ask(ctx, moves)...)
	}
	if reasons = slices.DeleteFunc(reasons, func(err error) bool { return err == nil }); len(reasons) > 0 {
		return Outcome{}, fmt.Errorf("%w: %w", ErrRefused, join(reasons))
	}
	if dry {
		return done, nil
	}
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}
	if err := f.write(); err != nil {
		return Outcome{}, err
	}
	// From here on nothing is left half done on purpose: Ctrl-C comes too late.
	return done, r.followAll(context.WithoutCancel(ctx), all, f)
}

// soundOrder looks at what can be judged without looking anything up.
func soundOrder(moves []Move, to Side) error {
	var errs []error
	switch {
	case to != Spillway && to != Old:
		errs = append(errs, fmt.Errorf("to %q: want spillway or old", to))
	case len(moves) == 0:
		errs = append(errs, errors.New("no campaign is named"))
	case len(moves) > CampaignsMax:
		errs = append(errs, fmt.Errorf("%d campaigns, at most %d are taken", len(moves), CampaignsMax))
	}
	seen := make(map[string]bool, len(moves))
	for _, m := range moves {
		if !campaigns.ValidSlug(m.Slug) {
			errs = append(errs, fmt.Errorf("%q is no slug: it has 1 to %d of a-z, 0-9, '-' and '_'", m.Slug, campaigns.SlugBytesMax))
		}
		if seen[m.Slug] {
			errs = append(errs, fmt.Errorf("%s is named twice", m.Slug))
		}
		seen[m.Slug] = true
		for _, page := range m.Pages {
			if err := soundPage(page); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", m.Slug, err))
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrRefused, join(errs))
	}
	return nil
}

// apply makes the tables what they are to be, and returns what speaks against it.
func (f *files) apply(moves []Move, to Side, done *Outcome) (reasons []error) {
	pages := make(map[string]string, len(f.links.at)) // of each campaign, the first
	for _, e := range f.links.entries() {
		if pages[e.Value] == "" {
			pages[e.Value] = e.Key
		}
	}
	for _, m := range moves {
		for _, page := range m.Pages {
			if other, there := f.links.get(page); there && other != m.Slug {
				reasons = append(reasons, fmt.Errorf("%s: %s leads to %s in %s: change it there first", m.Slug, page, other, linksFile))
				continue
			}
			f.links.set(page, m.Slug)
		}
		was, err := f.find(m.Slug)
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		is := Campaign{Slug: m.Slug, Side: to, Page: was.Page}
		switch {
		case len(m.Pages) > 0:
			is.Page = m.Pages[0]
		case is.Page == "":
			is.Page = pages[m.Slug]
		}
		if is.Page == "" && to == Old {
			reasons = append(reasons, fmt.Errorf("%s: no page of it at the older system is known, so nobody would find it there: write one into %s", m.Slug, linksFile))
			continue
		}
		if is.Page == "" {
			done.Unlinked = append(done.Unlinked, m.Slug)
		}
		_, there := f.campaigns.get(m.Slug)
		if there && was.Side == to {
			done.Already = append(done.Already, m.Slug)
		} else {
			done.Moved = append(done.Moved, is)
		}
		f.campaigns.set(m.Slug, is.value())
	}
	if len(f.campaigns.at) > CampaignsMax {
		reasons = append(reasons, fmt.Errorf("%s would have %d campaigns, at most %d are taken", campaignsFile, len(f.campaigns.at), CampaignsMax))
	}
	return reasons
}

// strangers are differences that are of no campaign in named: following the files would
// move others too.
func (is *running) strangers(f *files, named map[string]bool) (all []difference) {
	for _, d := range is.differences(f) {
		switch d.file {
		case campaignsFile:
			if named[d.key] {
				continue
			}
		case linksFile:
			if (d.wanted == "" || named[d.wanted]) && (d.is == "" || named[d.is]) {
				continue
			}
		}
		all = append(all, d)
	}
	return all
}

// ask asks Spillway whether it would show each of them.
func (r *Router) ask(ctx context.Context, moves []Move) []error {
	if r.Spillway == nil {
		return nil
	}
	reasons := make([]error, len(moves))
	var asked atomic.Int64
	var group errgroup.Group
	group.SetLimit(asksMost)
	for i, m := range moves {
		group.Go(func() error {
			err := r.Spillway.Shows(ctx, m.Slug)
			if err != nil && (!r.AnyPhase || !errors.Is(err, ErrNotOpen)) {
				reasons[i] = err
			}
			if n := asked.Add(1); n%sayEvery == 0 {
				r.say("Spillway was asked for %d of %d campaigns", n, len(moves))
			}
			return nil
		})
	}
	_ = group.Wait() // none returns one: every reason is told
	return reasons
}

// join is every reason, but no screen full of the same.
func join(reasons []error) error {
	most := reasons
	if len(reasons) > namesMost {
		most = append(slices.Clone(reasons[:namesMost]), fmt.Errorf("and %d more", len(reasons)-namesMost))
	}
	var texts []string
	for _, reason := range most {
		texts = append(texts, reason.Error())
	}
	return &refusal{strings.Join(texts, "; "), reasons}
}

// refusal is all reasons of one.
type refusal struct {
	text    string
	reasons []error
}

// Error names the first ones.
func (r *refusal) Error() string { return r.text }

// Unwrap gives all of them.
func (r *refusal) Unwrap() []error { return r.reasons }
