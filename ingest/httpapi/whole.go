package httpapi

import (
	"bytes"
	"net"
	"sync"
)

// whole sends an answer that is larger than the server's buffer in one call. fasthttp
// writes such an answer in two pieces, the full buffer and the rest, but for a bare
// TCP connection, which ours is not: for a page of 14 KB that is three times the CPU
// (measured 2026-11: 25 us against 8 us, on the loopback of a busy machine).
//
// The first piece is held back until the second comes, or until the server has
// nothing more to say: it reads, sets a time to read by, or closes.
type whole struct {
	mu   sync.Mutex // a connection may be closed by somebody else than who writes
	held *[writeBufferBytes]byte
	vec  [2][]byte
	bufs net.Buffers
}

var (
	heldPieces = sync.Pool{New: func() any { return new([writeBufferBytes]byte) }}
	// answerBegins tells the server's answers from what a hijacker writes.
	answerBegins = []byte("HTTP/1.1 ")
)

// write sends p to c behind what is held, or holds it back.
func (w *whole) write(c net.Conn, p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		return w.send(c, p)
	}
	if len(p) == writeBufferBytes && bytes.HasPrefix(p, answerBegins) {
		w.held = heldPieces.Get().(*[writeBufferBytes]byte)
		return copy(w.held[:], p), nil
	}
	return c.Write(p)
}

// send sends what is held, and p; it returns how much of p was sent.
func (w *whole) send(c net.Conn, p []byte) (int, error) {
	w.vec[0], w.vec[1] = w.held[:], p
	w.bufs = w.vec[:]
	if len(p) == 0 {
		w.bufs = w.vec[:1]
	}
	n, err := w.bufs.WriteTo(c)
	heldPieces.Put(w.held)
	w.held, w.bufs, w.vec[0], w.vec[1] = nil, nil, nil, nil
	return max(0, int(n)-writeBufferBytes), err
}

// release sends what is held, if anything: nothing follows. While a piece is being
// written it does nothing, for then nothing is held back.
func (w *whole) release(c net.Conn) error {
	if !w.mu.TryLock() {
		return nil
	}
	defer w.mu.Unlock()
	if w.held == nil {
		return nil
	}
	_, err := w.send(c, nil)
	return err
}
