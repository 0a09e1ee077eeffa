package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// Writer appends to a record. It is safe for any number of goroutines.
//
// Entries collect in memory until Flush writes them as one block; whoever sends a
// request flushes its attempt first.
type Writer struct {
	file *os.File

	flushing sync.Mutex // one write(2) at a time, held over the write
	spare    []byte     // guarded by flushing

	mu        sync.Mutex
	pending   []byte // a block: room for its head, then entries
	campaigns int32
	err       error // the first write that went wrong; nothing is written after it
}

// flushBytes is when an entry flushes by itself, so that a block stays far below
// blockBytesMax.
const flushBytes = 1 << 20

// Open opens the record at path to append to it, and creates it when it is not
// there. What a kill left of a block at the end is cut off. Entries that are there are visited.
//
// Errors: ErrOther when the header there is not h, ErrBusy, those of Scan.
func Open(path string, h Header, v Visitor) (*Writer, error) {
	h.Version = Version
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: f, pending: make([]byte, blockHeadBytes, flushBytes)}
	if err := w.begin(path, h, v); err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

func (w *Writer) begin(path string, h Header, v Visitor) error {
	// The lock falls with the process, so a killed generator leaves none behind.
	if err := syscall.Flock(int(w.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", path, ErrBusy)
		}
		return &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	visit := v.Campaign
	v.Campaign = func(i int32, c Campaign) error {
		w.campaigns = i + 1
		if visit == nil {
			return nil
		}
		return visit(i, c)
	}
	found, end, _, err := scan(path, v)
	if err != nil {
		return err
	}
	if end == 0 {
		return w.header(path, h)
	}
	if found != h {
		return fmt.Errorf("%s: it says run %q of %s (%.12s), %d copies, probes %v: %w",
			path, found.Run, found.Source, found.Hash, found.Copies, found.Probes, ErrOther)
	}
	return w.file.Truncate(end)
}

// header writes the first block. A file that holds bytes, but no whole block, must
// be a beginning of that very block: anything else is somebody's file and no record.
func (w *Writer) header(path string, h Header) error {
	entry, err := appendJSON(nil, kindHeader, h)
	if err != nil {
		return err
	}
	block := seal(append(make([]byte, blockHeadBytes), entry...))
	found, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(block, found) {
		return fmt.Errorf("%s: no record: %w", path, ErrCorrupt)
	}
	if err := w.file.Truncate(0); err != nil {
		return err
	}
	_, err = w.file.Write(block)
	return err
}

// seal fills in the head of a block whose body follows the room for it.
func seal(block []byte) []byte {
	body := block[blockHeadBytes:]
	binary.LittleEndian.PutUint32(block, uint32(len(body)))
	binary.LittleEndian.PutUint32(block[4:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(block[8:], crc32.Checksum(block[:8], castagnoli))
	return block
}

// Attempt adds an attempt; it is on file once Flush returned.
func (w *Writer) Attempt(a *Attempt) { w.add(func(b []byte) []byte { return appendAttempt(b, a) }) }

// Answer adds an answer.
func (w *Writer) Answer(a *Answer) { w.add(func(b []byte) []byte { return appendAnswer(b, a) }) }

// Observation adds what a watcher read.
func (w *Writer) Observation(o *Observation) {
	w.add(func(b []byte) []byte { return appendObservation(b, o) })
}

// Session writes the start of a session, and flushes as Finding and End do.
func (w *Writer) Session(s Session) error { return w.writeJSON(kindSession, s) }

// Finding writes what the generator found out by itself.
func (w *Writer) Finding(f Finding) error { return w.writeJSON(kindFinding, f) }

// End closes a session.
func (w *Writer) End(e End) error { return w.writeJSON(kindEnd, e) }

// Campaigns writes campaigns and returns the index of the first.
func (w *Writer) Campaigns(cs []Campaign) (int32, error) {
	w.mu.Lock()
	first := w.campaigns
	w.campaigns += int32(len(cs))
	w.mu.Unlock()
	for _, c := range cs {
		if err := w.addJSON(kindCampaign, c); err != nil {
			return 0, err
		}
	}
	return first, w.Flush()
}

func (w *Writer) add(entry func([]byte) []byte) {
	w.mu.Lock()
	w.pending = entry(w.pending)
	full := len(w.pending) >= flushBytes
	w.mu.Unlock()
	if full {
		w.Flush() // a failure stays in err and is returned by the next Flush
	}
}

func (w *Writer) addJSON(kind byte, v any) error {
	entry, err := appendJSON(nil, kind, v)
	if err != nil {
		return err
	}
	w.add(func(b []byte) []byte { return append(b, entry...) })
	return nil
}

func (w *Writer) writeJSON(kind byte, v any) error {
	if err := w.addJSON(kind, v); err != nil {
		return err
	}
	return w.Flush()
}

// Flush hands everything that was added to the operating system, in one
// write(2). After an error nothing more is written, and every Flush returns it.
func (w *Writer) Flush() error {
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	if w.err != nil || len(w.pending) == blockHeadBytes {
		defer w.mu.Unlock()
		return w.err
	}
	block := w.pending
	w.pending = append(w.spare[:0], make([]byte, blockHeadBytes)...)
	w.mu.Unlock()

	_, err := w.file.Write(seal(block))
	w.spare = block
	if err != nil {
		w.mu.Lock()
		w.err = fmt.Errorf("write record: %w", err)
		err = w.err
		w.mu.Unlock()
	}
	return err
}

// Sync flushes, and has everything written on disk when it returns: for a record that
// another machine is going to rely on.
func (w *Writer) Sync() error { return errors.Join(w.Flush(), w.file.Sync()) }

// Close flushes and closes the file.
func (w *Writer) Close() error {
	err := w.Flush()
	// Not left to the file's end: a child that is being forked has it open for a moment more.
	_ = syscall.Flock(int(w.file.Fd()), syscall.LOCK_UN)
	return errors.Join(err, w.file.Close())
}
