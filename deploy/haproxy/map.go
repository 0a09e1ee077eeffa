package haproxy

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// payloadMax bounds the entries of one command, in bytes: a command with them has to fit
// in tune.bufsize, 16,384 where a configuration does not say.
const payloadMax = 8 << 10

// Entry is one of a map: a key without blanks, and what it leads to.
type Entry struct{ Key, Value string }

// Map is a map of a running proxy.
type Map struct {
	// ID is how the proxy calls it, "#4"; numbers change when it starts anew.
	ID string
	// File is what it was read from at the start.
	File string
}

var mapLine = regexp.MustCompile(`^(\d+) \(([^)]+)\) `)

// Maps returns the maps that were read from a file, by the file's name without its
// folder. Errors: ErrProxy, also when two have one name.
func (p Socket) Maps(ctx context.Context) (map[string]Map, error) {
	answer, err := p.Ask(ctx, "show map")
	if err != nil {
		return nil, err
	}
	return parseMaps(answer)
}

func parseMaps(answer string) (map[string]Map, error) {
	head, rest, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(head, "# id (file)") {
		return nil, fmt.Errorf("%w: list of maps: %q", ErrProxy, head)
	}
	all := map[string]Map{}
	for line := range strings.Lines(rest) {
		m := mapLine.FindStringSubmatch(line)
		if m == nil {
			continue // one that is written in the configuration has no file
		}
		name := filepath.Base(m[2])
		if other, twice := all[name]; twice {
			return nil, fmt.Errorf("%w: it has two maps of one name, %s and %s", ErrProxy, other.File, m[2])
		}
		all[name] = Map{ID: "#" + m[1], File: m[2]}
	}
	return all, nil
}

// Entries returns what is in a map now, in no order. Errors: ErrProxy.
func (p Socket) Entries(ctx context.Context, m Map) ([]Entry, error) {
	return p.entries(ctx, "show map "+m.ID)
}

func (p Socket) entries(ctx context.Context, command string) ([]Entry, error) {
	answer, err := p.Ask(ctx, command)
	if err != nil {
		return nil, err
	}
	return parseEntries(answer)
}

// parseEntries reads "0x55f68d069e10 key value" from each line.
func parseEntries(answer string) ([]Entry, error) {
	var all []Entry
	for line := range strings.Lines(answer) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		reference, rest, _ := strings.Cut(line, " ")
		key, value, found := strings.Cut(rest, " ")
		if !strings.HasPrefix(reference, "0x") || !found {
			return nil, fmt.Errorf("%w: an entry of a map: %q", ErrProxy, line)
		}
		all = append(all, Entry{key, value})
	}
	return all, nil
}

var created = regexp.MustCompile(`^New version created: (\d+)\s*$`)

// Replace puts entries in the place of all that a map holds. Requests see the old map or
// the new one, never a part: it is prepared beside the one in use and then committed.
// Cut off before that, it changed nothing. Errors: ErrProxy.
func (p Socket) Replace(ctx context.Context, m Map, entries []Entry) error {
	answer, err := p.Ask(ctx, "prepare map "+m.ID)
	if err != nil {
		return err
	}
	version := created.FindStringSubmatch(answer)
	if version == nil {
		return fmt.Errorf("%w: prepare %s: %s", ErrProxy, m.File, firstLine(answer))
	}
	at := "@" + version[1] + " " + m.ID
	for rest := entries; len(rest) > 0; {
		// An empty line ends the entries; Ask adds it.
		var payload strings.Builder
		n := 0
		for _, e := range rest {
			if payload.Len() > 0 && payload.Len()+len(e.Key)+len(e.Value)+2 > payloadMax {
				break
			}
			fmt.Fprintf(&payload, "%s %s\n", e.Key, e.Value)
			n++
		}
		rest = rest[n:]
		if err := p.do(ctx, "add map "+at+" <<\n"+payload.String()); err != nil {
			return err
		}
	}
	// It says nothing of a line that it dropped.
	there, err := p.entries(ctx, "show map "+at)
	if err != nil {
		return err
	}
	if len(there) != len(entries) {
		return fmt.Errorf("%w: %s: %d entries were sent and %d arrived", ErrProxy, m.File, len(entries), len(there))
	}
	return p.do(ctx, "commit map "+at)
}

// do is for commands that answer nothing when they succeed.
func (p Socket) do(ctx context.Context, command string) error {
	answer, err := p.Ask(ctx, command)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(answer); text != "" {
		return fmt.Errorf("%w: %s: %s", ErrProxy, firstLine(command), firstLine(text))
	}
	return nil
}
