// Package wire is the broker's form of frames and snapshots, campaigns, giving days,
// switches and walls: Protocol Buffers (frames.proto), written by hand on protowire.
//
// The one invariant: what Decode returns is what Append was given, and bytes that
// are not the message are ErrMalformed and never a guess.
package wire

import (
	"errors"
	"fmt"
)

// ErrMalformed says that bytes are not the message they were taken for.
var ErrMalformed = errors.New("malformed message of news")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}

// Part says which piece of a split frame or snapshot a message is.
type Part struct {
	Index int // 0 to Count-1
	Count int // at least 1
	// ID names the publication, so that parts of two never make one whole.
	ID uint64
}

// PartsMax bounds how many messages a frame or a snapshot may travel in; at
// 512 KiB each that is room for about a million rows.
const PartsMax = 128
