package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/web/style"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files that pages load, each under a name with a hash in it, so that
// browsers may keep it for ever: /assets/site.3f2a90bc.css.
type assets struct {
	urls    map[string]string // by file name, such as "give.js"
	files   map[string]*asset // by URL
	imports map[string][]string
}

type asset struct {
	body, gzip  []byte // gzip is nil where it does not help
	contentType []byte
	etag        []byte
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".ico": "image/x-icon",
}

// assetHashBytes of SHA-256 tell two builds of a file apart.
const assetHashBytes = 6

// sameFolder finds how a module names another one. Scripts are written with plain
// names, "./money.js", and read so by an editor; their names are replaced here.
var sameFolder = regexp.MustCompile(`(["'])\./([a-z0-9-]+\.js)(["'])`)

// theAssets are the same for every Web of a process, and compressing them takes a while.
var theAssets = sync.OnceValues(loadAssets)

// remarks are the lines of a script that only say something, a fifth of what would
// travel. No script has a text of several lines, where such a line could be data.
var remarks = regexp.MustCompile(`(?m)^[ \t]*//.*\n`)

// loadAssets reads the embedded files. Scripts import each other, in circles too, so
// they share one hash, over all of them.
func loadAssets() (*assets, error) {
	a := &assets{urls: map[string]string{}, files: map[string]*asset{}, imports: map[string][]string{}}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, err
	}
	files, scripts := map[string][]byte{}, sha256.New()
	for _, e := range entries { // in order of names
		if files[e.Name()], err = fs.ReadFile(assetFiles, path.Join("assets", e.Name())); err != nil {
			return nil, err
		}
		if path.Ext(e.Name()) == ".js" {
			fmt.Fprintf(scripts, "%s %d\n%s", e.Name(), len(files[e.Name()]), files[e.Name()])
		}
	}
	// One sheet for every page: the common look, and what is the pages' own.
	files["site.css"] = append(append(slices.Clone(style.CSS), '\n'), files["site.css"]...)
	shared := hex.EncodeToString(scripts.Sum(nil)[:assetHashBytes])
	for name, body := range files {
		ext := path.Ext(name)
		if assetTypes[ext] == "" {
			return nil, fmt.Errorf("asset %s: no such type of file is served", name)
		}
		hash := shared
		if ext != ".js" {
			sum := sha256.Sum256(body)
			hash = hex.EncodeToString(sum[:assetHashBytes])
		}
		a.urls[name] = prefixAsset + strings.TrimSuffix(name, ext) + "." + hash + ext
	}
	for name, body := range files {
		if path.Ext(name) == ".js" {
			if body, err = a.link(name, remarks.ReplaceAll(body, nil)); err != nil {
				return nil, err
			}
		}
		f := &asset{body: body, contentType: []byte(assetTypes[path.Ext(name)])}
		if z := fasthttp.AppendGzipBytesLevel(nil, body, fasthttp.CompressBestCompression); len(z) < len(body)*9/10 {
			f.gzip = z
		}
		sum := sha256.Sum256(body)
		f.etag = fmt.Appendf(nil, `W/"%x"`, sum[:assetHashBytes])
		a.files[a.urls[name]] = f
	}
	return a, nil
}

// link replaces the names of other modules by their URLs, and notes those that are
// imported at once.
func (a *assets) link(name string, body []byte) ([]byte, error) {
	var missing error
	linked := sameFolder.ReplaceAllFunc(body, func(match []byte) []byte {
		parts := sameFolder.FindSubmatch(match)
		target := string(parts[2])
		if a.urls[target] == "" {
			missing = fmt.Errorf("asset %s: imports %s, which is not there", name, target)
			return match
		}
		return fmt.Appendf(nil, "%s%s%s", parts[1], a.urls[target], parts[3])
	})
	for line := range bytes.Lines(body) {
		// A static import begins a line; import() does not, and is loaded when needed.
		if m := sameFolder.FindSubmatch(line); m != nil && (bytes.HasPrefix(line, []byte("import ")) || bytes.HasPrefix(line, []byte("export ")) || bytes.HasPrefix(line, []byte("} from"))) {
			a.imports[name] = append(a.imports[name], string(m[2]))
		}
	}
	return linked, missing
}

// url is the address of a file; unknown names are a mistake in a template.
func (a *assets) url(name string) (string, error) {
	if u, ok := a.urls[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("no asset is called %s", name)
}

// closure lists the modules that the named ones import at once, and those that these
// do, without the named ones: what a browser should fetch while it reads the page.
func (a *assets) closure(names []string) []string {
	seen := slices.Clone(names)
	for i := 0; i < len(seen); i++ {
		for _, next := range a.imports[seen[i]] {
			if !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
	}
	return seen[len(names):]
}

// asset answers GET /assets/{name}.{hash}.{ext}.
func (w *Web) asset(ctx *fasthttp.RequestCtx, path []byte) {
	f, ok := w.assets.files[string(path)]
	if !ok {
		w.problem(ctx, noSuchPage)
		return
	}
	w.file(ctx, f, forever)
}

// file answers with something that is not a page.
func (w *Web) file(ctx *fasthttp.RequestCtx, f *asset, keep []byte) {
	h := &ctx.Response.Header
	for _, one := range w.headers.file {
		h.SetCanonical(one.name, one.value)
	}
	h.SetCanonical(headerCacheControl, keep)
	h.SetCanonical(headerETag, f.etag)
	if f.gzip != nil {
		h.SetCanonical(headerVary, acceptEncoding)
	}
	if tagMatches(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), f.etag) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.SetContentTypeBytes(f.contentType)
	if f.gzip != nil && takesGzip(ctx) {
		h.SetCanonical(headerEncoding, gzipName)
		ctx.Response.SetBodyRaw(f.gzip)
		return
	}
	ctx.Response.SetBodyRaw(f.body)
}
