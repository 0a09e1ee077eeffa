package ingest

import "errors"

// What publishing a donation may end in besides its acknowledgement. They cross
// package borders: the broker's adapter returns them, wrapped or bare, and the
// HTTP edge turns them into answers. Each is a 503 for the donor, and the same
// key may be sent again.
var (
	// ErrBusy says that as many donations wait as may wait. Nothing was published.
	ErrBusy = errors.New("too many donations are waiting")
	// ErrNotReady says that durability is not proven or the broker is not
	// connected. Nothing was published.
	ErrNotReady = errors.New("not ready to take donations")
	// ErrUnknown says that the donation was handed to the broker and no
	// acknowledgement was seen: it may be stored or not.
	ErrUnknown = errors.New("donation's outcome is unknown")
)
