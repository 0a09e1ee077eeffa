package frame

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"strings"
)

// AssetRoot is where assets are served: AssetRoot + "name.<hash>.ext", for ever.
const AssetRoot = PageRoot + "/assets/"

// hashDigits are enough to tell contents apart; a clash would show an old file.
const hashDigits = 16

// Asset is one file that browsers keep.
type Asset struct {
	Name        string // as in the folder: "dashboard.js"
	URL         string
	ContentType string
	Body, Gzip  []byte // Gzip is nil where it is no smaller
}

// Assets are a section's own scripts, styles and pictures.
type Assets struct {
	byName map[string]*Asset
	list   []*Asset
}

// NewAssets takes every file of one embedded folder, not those of folders below.
// Names must be unique over all sections; begin them with the section's name. It
// panics when the folder cannot be read, which only a wrong go:embed brings about.
func NewAssets(files fs.FS, folder string) *Assets {
	a := &Assets{byName: map[string]*Asset{}}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		panic(fmt.Sprintf("frame: embedded folder %s: %v", folder, err))
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		body, err := fs.ReadFile(files, path.Join(folder, e.Name()))
		if err != nil {
			panic(fmt.Sprintf("frame: embedded file %s: %v", e.Name(), err))
		}
		a.Add(e.Name(), body)
	}
	return a
}

// Add adds a file by its content. It is for building, before anything is served.
func (a *Assets) Add(name string, body []byte) {
	if a.byName == nil {
		a.byName = map[string]*Asset{}
	}
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	f := &Asset{
		Name: name, Body: body, ContentType: contentType(ext), Gzip: gzipped(body),
		URL: AssetRoot + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:])[:hashDigits] + ext,
	}
	a.byName[name] = f
	a.list = append(a.list, f)
}

// URL is where the asset of this name is served, as the template function "asset"
// has it.
//
// Errors: when there is no such asset.
func (a *Assets) URL(name string) (string, error) {
	if a != nil {
		if f := a.byName[name]; f != nil {
			return f.URL, nil
		}
	}
	return "", fmt.Errorf("no asset %q", name)
}

// List is every asset.
func (a *Assets) List() []*Asset {
	if a == nil {
		return nil
	}
	return a.list
}

// contentType is fixed for what the console is made of, whatever the machine's own
// table says.
func contentType(ext string) string {
	switch ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	if _, err = w.Write(body); err == nil {
		err = w.Close()
	}
	if err != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}
