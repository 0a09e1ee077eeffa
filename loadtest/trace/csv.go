package trace

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"spillway/ingest"
	"spillway/ledger/money"
)

// Header is the first line of every file that can be replayed.
var Header = []string{"offset_ms", "campaign", "amount_minor", "currency"}

// Bounds of one row.
const (
	nameBytesMax    = 256         // a campaign's name in a file; its slug is derived and shorter
	offsetMillisMax = 366 * 864e5 // one year: whatever is longer is a stamp, not an offset
)

// LineError says which line of a file is wrong and why. The header is line 1.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

var (
	// ErrHeader says that the first line is not Header.
	ErrHeader = errors.New("header is not " + strings.Join(Header, ","))
	// ErrField says that a field does not hold what its column promises.
	ErrField = errors.New("bad field")
	// ErrOrder says that a row is earlier than the one before it.
	ErrOrder = errors.New("offset_ms goes back; the file must be sorted by time")
	// ErrEmpty says that there is a header and nothing else.
	ErrEmpty = errors.New("no rows")
)

// record is one parsed line.
type record struct {
	offsetMillis int64
	campaign     string // shared by all rows of the campaign
	amountMinor  int64
	currency     money.Currency
}

// lineReader reads a file's rows strictly.
type lineReader struct {
	csv    *csv.Reader
	closer []io.Closer
	names  map[string]string // interned campaigns
	last   int64
}

// readBufferBytes is what one read of the file asks for.
const readBufferBytes = 256 << 10

// openLines opens a CSV file, compressed or not (told by its first bytes, not by
// its name), and reads the header. tee, when given, gets the file's raw bytes.
func openLines(path string, tee io.Writer) (*lineReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &lineReader{closer: []io.Closer{f}, names: map[string]string{}}
	if err := l.start(f, tee); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *lineReader) start(f io.Reader, tee io.Writer) error {
	if tee != nil {
		f = io.TeeReader(f, tee)
	}
	raw := bufio.NewReaderSize(f, readBufferBytes)
	var text io.Reader = raw
	if magic, err := raw.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return err
		}
		l.closer = append(l.closer, z)
		text = z
	}
	l.csv = csv.NewReader(text)
	l.csv.ReuseRecord = true
	l.csv.FieldsPerRecord = len(Header)
	head, err := l.csv.Read()
	if errors.Is(err, io.EOF) {
		return &LineError{1, ErrHeader}
	}
	if err != nil && !errors.Is(err, csv.ErrFieldCount) {
		return l.wrap(err)
	}
	if strings.Join(head, ",") != strings.Join(Header, ",") {
		return &LineError{1, ErrHeader}
	}
	return nil
}

// next returns the next row, io.EOF after the last.
func (l *lineReader) next() (record, error) {
	fields, err := l.csv.Read()
	if err != nil {
		return record{}, l.wrap(err)
	}
	var r record
	if r.offsetMillis, err = parseWhole(fields[0], 0, offsetMillisMax); err != nil {
		return record{}, l.field(0, err)
	}
	if r.offsetMillis < l.last {
		line, _ := l.csv.FieldPos(0)
		return record{}, &LineError{line, ErrOrder}
	}
	l.last = r.offsetMillis
	name, known := l.names[fields[1]]
	if !known {
		if len(fields[1]) == 0 || len(fields[1]) > nameBytesMax || !utf8.ValidString(fields[1]) {
			return record{}, l.field(1, fmt.Errorf("%q is not 1 to %d bytes of UTF-8", fields[1], nameBytesMax))
		}
		name = strings.Clone(fields[1])
		l.names[name] = name
	}
	r.campaign = name
	if r.amountMinor, err = parseWhole(fields[2], 1, ingest.AmountMinorMax); err != nil {
		return record{}, l.field(2, err)
	}
	var ok bool
	if r.currency, ok = money.ParseCurrency([]byte(fields[3])); !ok {
		return record{}, l.field(3, fmt.Errorf("%q is no currency that can be given", fields[3]))
	}
	return r, nil
}

// parseWhole reads a decimal integer between lo and hi, without sign or blanks.
func parseWhole(s string, lo, hi int64) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	if int64(n) < lo || int64(n) > hi {
		return 0, fmt.Errorf("%s is not between %d and %d", s, lo, hi)
	}
	return int64(n), nil
}

func (l *lineReader) field(i int, err error) error {
	line, _ := l.csv.FieldPos(i)
	return &LineError{line, fmt.Errorf("%w %s: %w", ErrField, Header[i], err)}
}

// wrap names the line of an error that the CSV reader found.
func (l *lineReader) wrap(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &LineError{parse.Line, parse.Err}
	}
	return err
}

// Close closes the file.
func (l *lineReader) Close() error {
	var errs []error
	for i := len(l.closer) - 1; i >= 0; i-- {
		errs = append(errs, l.closer[i].Close())
	}
	return errors.Join(errs...)
}
