package scenario

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnknown says that there is no ready scenario of this name.
var ErrUnknown = errors.New("no such scenario")

//go:embed ready/*.yaml
var ready embed.FS

// order is how ready scenarios are listed: from the first to be tried to the longest.
var order = []string{"quick", "small-town", "evening-broadcast", "hot-campaign", "reader-storm", "processor-trouble", "soak"}

// Default is the scenario of a rehearsal that is asked for nothing else.
const Default = "quick"

// Names lists the ready scenarios.
func Names() []string { return slices.Clone(order) }

// Text is a ready scenario's file, to start one's own from. Errors: ErrUnknown.
func Text(name string) ([]byte, error) {
	if !slices.Contains(order, name) {
		return nil, fmt.Errorf("%w: %q; ready are %s; a file's name ends in .yaml", ErrUnknown, name, strings.Join(order, ", "))
	}
	return ready.ReadFile("ready/" + name + ".yaml")
}

// Ready is a ready scenario. Errors: ErrUnknown.
func Ready(name string) (*Scenario, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return Decode(text)
}
