package frame

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"time"

	"github.com/valyala/fasthttp"
)

// downloadBuffer is what is written at a time: some hundred rows.
const downloadBuffer = 32 << 10

// Download answers with a file that is made while it is sent, in as long as longest.
// It returns at once; write runs on, so it must not use the Request. Its context ends
// after longest, when the console stops, and when the browser has left.
//
// A file that is not whole does not look whole: when write returns an error the
// connection is cut, and browsers and programs tell that the download failed.
func (r *Request) Download(contentType, filename string, longest time.Duration, write func(ctx context.Context, w *bufio.Writer) error) error {
	h := &r.ctx.Response.Header
	h.SetContentType(contentType)
	h.Set(fasthttp.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": filename}))
	r.ctx.SetStatusCode(fasthttp.StatusOK)
	if r.ctx.IsHead() {
		return nil
	}
	ctx, done, ok := r.s.Stream(longest)
	if !ok {
		return Busy("Too many streams are open; try again in a moment.")
	}
	log := r.s.Log
	ctx, cancel := context.WithCancel(ctx)
	from, to := io.Pipe()
	r.s.Beside(func() {
		defer done()
		defer cancel()
		w := bufio.NewWriterSize(to, downloadBuffer)
		err := write(ctx, w)
		if err == nil {
			err = w.Flush()
		}
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrClosedPipe) {
			log.Warn("a download ended early", "err", err)
		}
		_ = to.CloseWithError(err) // it never fails
	})
	r.ctx.Response.ImmediateHeaderFlush = true
	r.ctx.SetBodyStream(&download{from, cancel}, -1)
	return nil
}

// download is a file on its way; the server closes it when it is sent or nobody reads.
type download struct {
	*io.PipeReader
	left context.CancelFunc
}

// Close ends the writer.
func (d *download) Close() error {
	d.left()
	return d.CloseWithError(context.Canceled)
}
