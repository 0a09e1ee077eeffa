package stripesim

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// The log is one file: a head, then frames of length, checksum and record. A write
// that a kill cut short leaves a tail that does not check; it was never answered,
// and the next start cuts it off. The file is not synced: it is to survive the
// process, not the machine.

const (
	logName  = "stripesim.log"
	logMagic = "stripesim log 1\n"
	headSize = len(logMagic) + 8 // and the seed of the IDs
	// frameHead is a length and a CRC-32C of 4 bytes each, big-endian.
	frameHead = 8
	// recordMax bounds a record, bytes: a thousand times what a call makes; a longer
	// length is a torn or foreign tail.
	recordMax = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logFile is the log that is open for appending.
type logFile struct {
	f *os.File

	mu      sync.Mutex
	pending []byte // frames that are not in the file yet
	end     int64  // offset behind pending

	writing sync.Mutex // held by whoever writes; taken before mu
	spare   []byte
	written int64 // guarded by writing
	err     error // the first failure; guarded by writing
}

// openLog opens the log in a folder, or makes one with this seed; "" makes one
// without a name. It returns the seed of the log.
func openLog(dir string, seed uint64) (*logFile, uint64, error) {
	if dir == "" {
		f, err := os.CreateTemp("", "stripesim-*.log")
		if err != nil {
			return nil, 0, fmt.Errorf("make a log without a name: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			return nil, 0, errors.Join(fmt.Errorf("make a log without a name: %w", err), f.Close())
		}
		return startLog(f, seed)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("make the folder of the log: %w", err)
	}
	path := filepath.Join(dir, logName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	// Held for as long as this process lives: a second one would write over it.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s is in use by another process: %w", path, err), f.Close())
	}
	return startLog(f, seed)
}

// startLog reads the head of a log, or writes one to a log that has none yet.
func startLog(f *os.File, seed uint64) (*logFile, uint64, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	switch {
	case err == nil:
		if string(head[:len(logMagic)]) != logMagic {
			return nil, 0, errors.Join(fmt.Errorf("%s is no log of this program's version", f.Name()), f.Close())
		}
		seed = binary.BigEndian.Uint64(head[len(logMagic):])
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && string(head[:min(n, len(logMagic))]) == logMagic[:min(n, len(logMagic))]:
		head = binary.BigEndian.AppendUint64([]byte(logMagic), seed)
		if _, err := f.WriteAt(head, 0); err != nil {
			return nil, 0, errors.Join(fmt.Errorf("write the head of the log: %w", err), f.Close())
		}
	default:
		return nil, 0, errors.Join(fmt.Errorf("read the head of the log %s: %w", f.Name(), err), f.Close())
	}
	return &logFile{f: f, end: int64(headSize), written: int64(headSize)}, seed, nil
}

// replay visits every whole record and cuts off a torn tail. It is called once,
// before the first append. The payload is valid until visit returns.
func (l *logFile) replay(visit func(offset int64, payload []byte) error) (cut int64, err error) {
	if _, err := l.f.Seek(int64(headSize), io.SeekStart); err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	in := bufio.NewReaderSize(l.f, 1<<20)
	at := int64(headSize)
	var head [frameHead]byte
	var payload []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			break // the end, or a tail shorter than a head
		}
		size := binary.BigEndian.Uint32(head[:4])
		if size > recordMax {
			break
		}
		payload = append(payload[:0], make([]byte, size)...)
		if _, err := io.ReadFull(in, payload); err != nil {
			break
		}
		if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
			break
		}
		if err := visit(at+frameHead, payload); err != nil {
			return 0, fmt.Errorf("log at %d: %w", at, err)
		}
		at += frameHead + int64(size)
	}
	size, err := l.f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	if size > at {
		if err := l.f.Truncate(at); err != nil {
			return 0, fmt.Errorf("cut the torn tail of the log: %w", err)
		}
	}
	l.end, l.written = at, at
	return max(size-at, 0), nil
}

// append adds a record and returns where it will be; it is in the file once a
// flush that was called later has returned.
func (l *logFile) append(encode func([]byte) []byte) (offset int64, size uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.pending)
	l.pending = append(l.pending, make([]byte, frameHead)...)
	l.pending = encode(l.pending)
	payload := l.pending[at+frameHead:]
	binary.BigEndian.PutUint32(l.pending[at:], uint32(len(payload)))
	binary.BigEndian.PutUint32(l.pending[at+4:], crc32.Checksum(payload, castagnoli))
	offset = l.end + frameHead
	l.end += int64(frameHead + len(payload))
	return offset, uint32(len(payload))
}

// flush returns when everything that was appended before is in the file. Callers
// at the same time share one write. The first error stays.
func (l *logFile) flush() error {
	l.mu.Lock()
	upTo := l.end
	l.mu.Unlock()
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.written >= upTo || l.err != nil {
		return l.err
	}
	l.mu.Lock()
	out := l.pending
	l.pending = l.spare[:0]
	l.mu.Unlock()
	n, err := l.f.WriteAt(out, l.written)
	l.written += int64(n)
	l.spare = out
	if err != nil {
		l.err = fmt.Errorf("write log: %w", err)
	}
	return l.err
}

// read returns a record that was flushed.
func (l *logFile) read(offset int64, size uint32) (*change, error) {
	b := make([]byte, size)
	if _, err := l.f.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("read log at %d: %w", offset, err)
	}
	return decodeChange(b)
}

// close flushes, unlocks and closes.
func (l *logFile) close() error {
	err := l.flush()
	// Not left to the file's end: a child that is being forked has it open for a moment more.
	_ = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN)
	return errors.Join(err, l.f.Close())
}
