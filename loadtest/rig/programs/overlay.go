package programs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Edit replaces one piece of a source file.
type Edit struct {
	File string // relative to the top of the tree, with slashes
	Old  string // the anchor: occurs in File exactly once
	New  string
}

// ErrAnchor says that an edit's anchor does not occur exactly once.
var ErrAnchor = errors.New("the code moved on: update the edit")

// apply returns the file's text with the edit made.
func (e Edit) apply(text string) (string, error) {
	if n := strings.Count(text, e.Old); n != 1 {
		return "", fmt.Errorf("%w: its anchor occurs %d times in %s, not once:\n%s", ErrAnchor, n, e.File, e.Old)
	}
	return strings.Replace(text, e.Old, e.New, 1), nil
}

// Overlay writes the edited files into dir and returns the path of a document for
// the go command's -overlay flag, which lays them over the tree: an edited program is built
// in place, without a copy, and shares the build cache of all that it did not
// change. Edits of one file are made one after the other.
func Overlay(tree, dir string, edits []Edit) (string, error) {
	edited := map[string]string{}
	for _, e := range edits {
		file := filepath.Join(tree, filepath.FromSlash(e.File))
		text, ok := edited[file]
		if !ok {
			b, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("%w: %w", ErrAnchor, err)
			}
			text = string(b)
		}
		text, err := e.apply(text)
		if err != nil {
			return "", err
		}
		edited[file] = text
	}
	replace := map[string]string{}
	for file, text := range edited {
		// The name's end stays: the go command reads build constraints from it.
		path := filepath.Join(dir, strconv.Itoa(len(replace))+"_"+filepath.Base(file))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[file] = path
	}
	document, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, document, 0o600)
}
