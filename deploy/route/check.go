package route

import (
	"context"
	"errors"
	"fmt"
)

// Check returns a sentence for everything that is not as it should be: a proxy that is
// not there or goes by something else than the files, campaigns whose older page is not
// theirs, campaigns at Spillway that it does not know. Errors: ErrFiles.
func (r *Router) Check(ctx context.Context) (faults []string, err error) {
	f, err := readFiles(r.Dir)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Proxies {
		is, err := r.look(ctx, p)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		different := is.differences(f)
		for _, d := range different[:min(len(different), namesMost)] {
			faults = append(faults, fmt.Sprintf("%s: %v", p.Address, d))
		}
		if more := len(different) - namesMost; more > 0 {
			faults = append(faults, fmt.Sprintf("%s: %d more differ", p.Address, more))
		}
	}
	all, err := f.all()
	if err != nil {
		return nil, err
	}
	var moved []Move
	for _, c := range all {
		switch {
		case c.Side == Spillway:
			moved = append(moved, Move{Slug: c.Slug})
		case c.Page == "":
			faults = append(faults, fmt.Sprintf("%s is at the older system, but no page of it is known there: Spillway's page of it is shown, where it has one", c.Slug))
		}
		if to, there := f.links.get(c.Page); there && to != c.Slug {
			faults = append(faults, fmt.Sprintf("%s: its older page %s is %s's in %s", c.Slug, c.Page, to, linksFile))
		}
	}
	for _, reason := range r.ask(ctx, moved) {
		// One that has closed since is where its donors look for it.
		if reason != nil && !errors.Is(reason, ErrNotOpen) {
			faults = append(faults, reason.Error())
		}
	}
	return faults, nil
}
