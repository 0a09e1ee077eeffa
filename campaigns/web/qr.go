package web

import (
	"fmt"
	"image/color"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/valyala/fasthttp"
)

// quietModules is the white border that readers need around a code (ISO/IEC 18004).
const quietModules = 4

// qrCode draws text as an SVG picture, black on white in both themes, since many
// readers take nothing else.
func qrCode(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("code of %d bytes: %w", len(text), err)
	}
	size := code.Bounds().Dx()
	side := size + 2*quietModules
	out := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, side, side, side, side)
	for y := range size {
		for x := 0; x < size; {
			if !dark(code, x, y) {
				x++
				continue
			}
			run := 1
			for x+run < size && dark(code, x+run, y) {
				run++
			}
			out = fmt.Appendf(out, "M%d %dh%dv1h-%dz", x+quietModules, y+quietModules, run, run)
			x += run
		}
	}
	return append(out, `"/></svg>`...), nil
}

func dark(code barcode.Barcode, x, y int) bool {
	return color.GrayModel.Convert(code.At(x, y)).(color.Gray).Y < 128
}

// qr answers GET /c/{slug}/qr.svg: the page's address as a code. There is none while the
// public address is not known.
func (w *Web) qr(ctx *fasthttp.RequestCtx, path []byte) {
	slug := path[len(prefixGive) : len(path)-len(leafQR)]
	c, err := w.lookup(slug)
	if err != nil {
		w.fail(ctx, err)
		return
	}
	if w.cfg.PublicURL == "" {
		w.problem(ctx, noSuchPage)
		return
	}
	picture, known := w.pictures.find(path, w.cfg.Now())
	if !known {
		body, err := qrCode(w.cfg.PublicURL + prefixGive + c.Slug)
		if err != nil {
			w.fail(ctx, err)
			return
		}
		picture = &asset{body: body, gzip: fasthttp.AppendGzipBytesLevel(nil, body, gzipLevel),
			contentType: []byte(assetTypes[".svg"]), etag: []byte(`W/"qr-1-` + c.Slug + `"`)}
		w.pictures.put(string(path), picture)
	}
	w.file(ctx, picture, []byte("public, max-age=86400"))
}
