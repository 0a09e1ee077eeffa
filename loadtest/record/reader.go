package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

const (
	// blockHeadBytes: the body's length, its CRC, and the CRC of these two, so that
	// a length gone wrong is not taken for a block cut off.
	blockHeadBytes = 12
	// blockBytesMax bounds a block: the writer flushes long before.
	blockBytesMax = 16 << 20
	// readBufferBytes is what one read of the file asks for.
	readBufferBytes = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Scan reads the record at path and visits its entries. It returns the header
// and how many bytes at the end were cut off in the middle of a block, which is what
// a kill leaves behind. A file that is still being written reads as one that was cut.
//
// Errors: ErrCorrupt, ErrVersion, what the visitor returned, or the file's own.
func Scan(path string, v Visitor) (Header, int64, error) {
	h, _, torn, err := scan(path, v)
	return h, torn, err
}

// scan also returns where the last whole block ends.
func scan(path string, v Visitor) (h Header, end, torn int64, err error) {
	return scanHeaded(path, v, nil)
}

// scanHeaded shows the header to accept, when there is one, before anything is visited.
func scanHeaded(path string, v Visitor, accept func(Header) error) (h Header, end, torn int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return h, 0, 0, err
	}
	size := info.Size()
	s := scanner{r: bufio.NewReaderSize(f, readBufferBytes), visitor: v, accept: accept}
	for {
		n, err := s.block(size - end)
		if errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return h, end, 0, fmt.Errorf("%s: block at byte %d: %w", path, end, err)
		}
		end += n
	}
	return s.header, end, size - end, nil
}

// errTorn ends reading: the file ends before the block does.
var errTorn = errors.New("block cut off")

type scanner struct {
	r         *bufio.Reader
	visitor   Visitor
	accept    func(Header) error // nil for every header
	head      [blockHeadBytes]byte
	body      []byte
	header    Header
	headed    bool
	campaigns int32

	attempt     Attempt
	answer      Answer
	observation Observation
}

// block reads one block of at most left bytes and returns its size.
func (s *scanner) block(left int64) (int64, error) {
	if left < blockHeadBytes {
		return 0, errTorn
	}
	if _, err := io.ReadFull(s.r, s.head[:]); err != nil {
		return 0, err
	}
	if crc32.Checksum(s.head[:8], castagnoli) != binary.LittleEndian.Uint32(s.head[8:]) {
		return 0, fmt.Errorf("head: %w", ErrCorrupt)
	}
	n := int64(binary.LittleEndian.Uint32(s.head[:4]))
	if n == 0 || n > blockBytesMax {
		return 0, fmt.Errorf("%d bytes long: %w", n, ErrCorrupt)
	}
	if n > left-blockHeadBytes {
		return 0, errTorn
	}
	if int64(cap(s.body)) < n {
		s.body = make([]byte, n)
	}
	s.body = s.body[:n]
	if _, err := io.ReadFull(s.r, s.body); err != nil {
		return 0, err
	}
	if crc32.Checksum(s.body, castagnoli) != binary.LittleEndian.Uint32(s.head[4:8]) {
		return 0, fmt.Errorf("checksum: %w", ErrCorrupt)
	}
	d := decoder{b: s.body}
	for len(d.b) > 0 {
		if err := s.entry(&d); err != nil {
			return 0, err
		}
	}
	return blockHeadBytes + n, d.err
}

func (s *scanner) entry(d *decoder) error {
	kind := d.byte()
	if !s.headed {
		if kind != kindHeader {
			return fmt.Errorf("no header: %w", ErrCorrupt)
		}
		d.json(&s.header)
		if d.err == nil && s.header.Version != Version {
			return fmt.Errorf("version %d: %w", s.header.Version, ErrVersion)
		}
		s.headed = true
		if d.err == nil && s.accept != nil {
			return s.accept(s.header)
		}
		return d.err
	}
	v := &s.visitor
	switch kind {
	case kindAttempt:
		d.attempt(&s.attempt)
		return visit(d, v.Attempt, &s.attempt)
	case kindAnswer:
		d.answer(&s.answer)
		return visit(d, v.Answer, &s.answer)
	case kindObservation:
		d.observation(&s.observation)
		return visit(d, v.Observation, &s.observation)
	case kindSession:
		return visitJSON(d, v.Session)
	case kindFinding:
		return visitJSON(d, v.Finding)
	case kindEnd:
		return visitJSON(d, v.End)
	case kindCampaign:
		var c Campaign
		d.json(&c)
		s.campaigns++
		if d.err != nil || v.Campaign == nil {
			return d.err
		}
		return v.Campaign(s.campaigns-1, c)
	}
	return fmt.Errorf("entry of kind %d: %w", kind, ErrCorrupt)
}

func visit[E any](d *decoder, f func(*E) error, e *E) error {
	if d.err != nil || f == nil {
		return d.err
	}
	return f(e)
}

func visitJSON[E any](d *decoder, f func(E) error) error {
	var e E
	d.json(&e)
	if d.err != nil || f == nil {
		return d.err
	}
	return f(e)
}
