package conn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

// eventBytesMax bounds one line of a stream: a wall of gifts fits ten times.
const eventBytesMax = 64 << 10

// ErrEvent says that a stream holds a line that no front-end would send.
var ErrEvent = errors.New("no stream of events")

// Stream dials, sends a whole request for server-sent events and reads the head of the
// answer; Events reads what follows a 200. The connection is good for nothing else afterwards.
func (c *Conn) Stream(ctx context.Context, request []byte, deadline time.Time) (status int, err error) {
	c.drop()
	raw, err := c.dial(ctx, deadline)
	if err != nil {
		return 0, err
	}
	if err := c.keep(raw); err != nil {
		return 0, err
	}
	if err := raw.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := raw.Write(request); err != nil {
		return 0, err
	}
	var head fasthttp.ResponseHeader
	if err := head.Read(c.reader); err != nil {
		return 0, err
	}
	return head.StatusCode(), nil
}

// Events hands every event to visit, with its name and data, which are valid until visit
// returns (WHATWG HTML, section 9.2). It ends with visit's error, or with the stream's
// when that ends or says nothing for as long as silence.
func (c *Conn) Events(silence time.Duration, visit func(event, data []byte) error) error {
	var event, data, long []byte
	for {
		if err := c.raw.SetDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		line, err := c.reader.ReadSlice('\n')
		if len(long) > 0 || errors.Is(err, bufio.ErrBufferFull) {
			if len(long)+len(line) > eventBytesMax {
				return fmt.Errorf("a line of more than %d bytes: %w", eventBytesMax, ErrEvent)
			}
			long = append(long, line...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			line = long
		}
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch {
		case string(name) == "event":
			event = append(event[:0], value...)
		case string(name) == "data":
			if len(data)+len(value) > eventBytesMax {
				return fmt.Errorf("an event of more than %d bytes: %w", eventBytesMax, ErrEvent)
			}
			data = append(data, value...)
		case len(line) == 0:
			if err := visit(event, data); err != nil {
				return err
			}
			event, data = event[:0], data[:0]
		}
		long = long[:0]
	}
}
