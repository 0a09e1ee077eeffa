package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

// Prefix begins the name of every environment variable of ours: the flag
// --ops-listen is SPILLWAY_OPS_LISTEN.
const Prefix = "SPILLWAY"

// others are variables of ours that are no flags: the build's own.
var others = []string{"SPILLWAY_CI_INSTALL"}

// ErrUnknownVariable says that a variable looks like one of ours and is not.
var ErrUnknownVariable = errors.New("unknown environment variable")

// CheckEnvironment refuses variables that begin with our prefix and belong to no
// flag of any command: a misspelt limit must not be silently ignored. environ is
// as os.Environ gives it. All of them are reported, with the nearest known name.
// The values are never quoted.
func CheckEnvironment(app *kong.Application, environ []string) error {
	known := slices.Clone(others)
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			known = append(known, f.Envs...)
			for _, name := range f.Envs {
				if isSecret(f) {
					known = append(known, name+FileSuffix)
				}
			}
		}
		return next(nil)
	})
	var errs []error
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, Prefix+"_") || slices.Contains(known, name) {
			continue
		}
		if near := nearest(name, known); near != "" {
			errs = append(errs, fmt.Errorf("%w %s; did you mean %s?", ErrUnknownVariable, name, near))
		} else {
			errs = append(errs, fmt.Errorf("%w %s", ErrUnknownVariable, name))
		}
	}
	return errors.Join(errs...)
}

// nearest returns the known name with the fewest edits, "" when none is near: more
// than a third of the name wrong is another word.
func nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}
