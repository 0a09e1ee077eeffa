package route

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"spillway/deploy/haproxy"
)

// fileBytesMax bounds a map's file: CampaignsMax entries, twice for their older pages, and
// comments.
const fileBytesMax = 8 << 20

// table is a map's file: its lines as they are written, comments and order included.
type table struct {
	name    string
	lines   []row
	at      map[string]int // key to line
	changed bool
}

// row is a line; key is "" for one that is blank or a comment.
type row struct{ key, gap, value string }

// parseTable reads a file as HAProxy does: a key, blanks, and the rest is the value.
// Two entries of one key, of which HAProxy would take the first in silence, are an error.
func parseTable(name string, data []byte, sound func(key, value string) error) (*table, error) {
	t := &table{name: name, at: map[string]int{}}
	var errs []error
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return t, nil
	}
	for i, line := range strings.Split(text, "\n") {
		content := strings.TrimSpace(line)
		if content == "" || content[0] == '#' {
			t.lines = append(t.lines, row{gap: strings.TrimRight(line, "\r")})
			continue
		}
		r := row{key: content}
		if end := strings.IndexAny(content, " \t"); end >= 0 {
			r.key, r.value = content[:end], strings.TrimLeft(content[end:], " \t")
			r.gap = content[end : len(content)-len(r.value)]
		}
		if _, twice := t.at[r.key]; twice {
			errs = append(errs, fmt.Errorf("%s:%d: %s is there twice", name, i+1, r.key))
		} else if err := sound(r.key, r.value); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, i+1, err))
		}
		t.at[r.key] = len(t.lines)
		t.lines = append(t.lines, r)
	}
	if len(t.at) > 2*CampaignsMax {
		errs = append(errs, fmt.Errorf("%s: %d entries, at most %d are taken", name, len(t.at), 2*CampaignsMax))
	}
	return t, errors.Join(errs...)
}

func (t *table) get(key string) (value string, there bool) {
	i, there := t.at[key]
	if !there {
		return "", false
	}
	return t.lines[i].value, true
}

// set changes an entry where it stands, or adds it at the end.
func (t *table) set(key, value string) {
	i, there := t.at[key]
	switch {
	case !there:
		t.at[key] = len(t.lines)
		t.lines = append(t.lines, row{key, " ", value})
	case t.lines[i].value == value:
		return
	default:
		t.lines[i].value = value
	}
	t.changed = true
}

func (t *table) entries() []haproxy.Entry {
	all := make([]haproxy.Entry, 0, len(t.at))
	for _, l := range t.lines {
		if l.key != "" {
			all = append(all, haproxy.Entry{Key: l.key, Value: l.value})
		}
	}
	return all
}

func (t *table) bytes() []byte {
	var b bytes.Buffer
	for _, l := range t.lines {
		b.WriteString(l.key + l.gap + l.value + "\n")
	}
	return b.Bytes()
}

// write puts the file in the place of the one in dir when something changed: whoever reads
// it, now or after a loss of power, reads the one or the other.
func (t *table) write(dir string) error {
	if !t.changed {
		return nil
	}
	path := filepath.Join(dir, t.name)
	is, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+t.name+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(t.bytes())
	// The proxy reads it under its own user.
	err = errors.Join(err, f.Chmod(is.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	folder, err := os.Open(dir)
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	if err != nil {
		return fmt.Errorf("it is in its place, but may not outlive a loss of power: %w", err)
	}
	t.changed = false
	return nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own folder
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > fileBytesMax {
		return nil, fmt.Errorf("%s has more than %d bytes", path, fileBytesMax)
	}
	return data, nil
}
