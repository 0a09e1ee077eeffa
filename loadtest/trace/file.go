package trace

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"spillway/ledger/money"
)

// Options say how a file is replayed.
type Options struct {
	// Speed divides every offset: 100 replays a day in 14.4 minutes. At least a
	// thousandth; 0 means 1.
	Speed float64
	// Copies sends every row this many times, each under a key of its own.
	// 0 means 1, at most CopiesMax.
	Copies int
}

// ErrOptions says that the options cannot be.
var ErrOptions = errors.New("bad replay options")

// SpeedMin and SpeedMax bound Options.Speed: slower than the first is waiting,
// and above the second whole days fall into a millisecond.
const (
	SpeedMin = 1e-3
	SpeedMax = 1e9
)

// secondRowsMax bounds the rows of one second that are held to be spread inside it.
const secondRowsMax = 1 << 20

// ErrCrowded says that one second holds more rows than can be spread.
var ErrCrowded = fmt.Errorf("more than %d rows in one second", secondRowsMax)

// File is a recorded event, read twice: once to check and sum it up, then
// streamed as it is sent.
type File struct {
	path      string
	options   Options
	hash      [32]byte
	campaigns []Campaign
	index     map[string]int32
	rows      int64 // in the file, without copies
	span      time.Duration
	// coarse says that every offset is a whole second.
	coarse bool
}

var _ Source = (*File)(nil)

// Scan reads and checks the whole file. Errors: *LineError with ErrHeader,
// ErrField, ErrOrder or the CSV reader's; ErrEmpty, ErrOptions, ErrCrowded.
func Scan(path string, o Options) (*File, error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Copies == 0 {
		o.Copies = 1
	}
	if !(o.Speed >= SpeedMin && o.Speed <= SpeedMax) {
		return nil, fmt.Errorf("speed %g: not between %g and %g: %w", o.Speed, SpeedMin, SpeedMax, ErrOptions)
	}
	if o.Copies < 1 || o.Copies > CopiesMax {
		return nil, fmt.Errorf("%d copies: not between 1 and %d: %w", o.Copies, CopiesMax, ErrOptions)
	}
	f := &File{path: path, options: o, index: map[string]int32{}, coarse: true}
	if err := f.scan(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *File) scan() error {
	hash := sha256.New()
	lines, err := openLines(f.path, hash)
	if err != nil {
		return err
	}
	defer lines.Close()
	for {
		r, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if r.offsetMillis%1000 != 0 {
			f.coarse = false
		}
		if err := f.count(r); err != nil {
			line, _ := lines.csv.FieldPos(0)
			return &LineError{line, err}
		}
	}
	if f.rows == 0 {
		return ErrEmpty
	}
	hash.Sum(f.hash[:0])
	f.span = f.at(lines.last, f.rows)
	return nil
}

func (f *File) count(r record) error {
	f.rows++
	i, known := f.index[r.campaign]
	if !known {
		i = int32(len(f.campaigns))
		f.index[r.campaign] = i
		f.campaigns = append(f.campaigns, Campaign{Name: r.campaign, Currency: r.currency})
	}
	c := &f.campaigns[i]
	if c.Currency != r.currency {
		return fmt.Errorf("%w currency: %s, and the campaign's rows before it %s", ErrField, r.currency, c.Currency)
	}
	c.Rows += int64(f.options.Copies)
	sum, err := money.Add(c.SumMinor, r.amountMinor*int64(f.options.Copies))
	if err != nil {
		return err
	}
	c.SumMinor = sum
	return nil
}

// at is the planned time of the file's row with this number: its offset, moved
// inside its second where stamps have no more than seconds, divided by the speed.
func (f *File) at(offsetMillis, number int64) time.Duration {
	offset := float64(offsetMillis)
	if f.coarse {
		offset += 1000 * unit(mix(uint64(number)))
	}
	return time.Duration(offset * float64(time.Millisecond) / f.options.Speed)
}

// Name is the file's base name.
func (f *File) Name() string { return filepath.Base(f.path) }

// Hash is the SHA-256 of the file's bytes.
func (f *File) Hash() [32]byte { return f.hash }

// Campaigns lists the file's campaigns.
func (f *File) Campaigns() []Campaign { return f.campaigns }

// Rows counts the rows, copies included.
func (f *File) Rows() int64 { return f.rows * int64(f.options.Copies) }

// CopiesMost is how often each row is sent.
func (f *File) CopiesMost() int { return f.options.Copies }

// Span is the planned time of the last row; with coarse stamps at most a
// second's share more or less.
func (f *File) Span() time.Duration { return f.span }

// Coarse tells whether all stamps are whole seconds, so that rows are spread
// inside their second.
func (f *File) Coarse() bool { return f.coarse }

// Open starts reading at the first row.
func (f *File) Open() (Stream, error) {
	lines, err := openLines(f.path, nil)
	if err != nil {
		return nil, err
	}
	return &fileStream{file: f, lines: lines, offset: -1}, nil
}

// fileStream holds the rows of one offset at a time, because those of a coarse
// second change places when they are spread inside it.
type fileStream struct {
	file   *File
	lines  *lineReader
	number int64
	held   []Row  // of one offset, in order of time
	given  int    // of held
	ahead  record // the first row of the next offset
	offset int64  // of ahead, -1 before the first row
	ended  bool
}

// Next fills rows.
func (s *fileStream) Next(rows []Row) (int, error) {
	n := 0
	copies := s.file.options.Copies
	for n < len(rows) {
		if s.given == len(s.held)*copies {
			if err := s.hold(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return n, fmt.Errorf("%s: %w", s.file.path, err)
			}
		}
		row := s.held[s.given/copies]
		row.Copy = uint16(s.given % copies)
		rows[n] = row
		n++
		s.given++
	}
	if n == 0 && len(rows) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// hold reads all rows of the next offset.
func (s *fileStream) hold() error {
	s.held, s.given = s.held[:0], 0
	if s.offset < 0 {
		if err := s.read(); err != nil {
			return err
		}
	}
	if s.ended {
		return io.EOF
	}
	for offset := s.offset; !s.ended && s.offset == offset; {
		if len(s.held) == secondRowsMax {
			if s.file.coarse {
				return ErrCrowded
			}
			break
		}
		i, known := s.file.index[s.ahead.campaign]
		if !known {
			return errChanged
		}
		s.held = append(s.held, Row{Number: s.number, Campaign: i, AmountMinor: s.ahead.amountMinor,
			Planned: s.file.at(offset, s.number)})
		if err := s.read(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(s.held, func(a, b Row) int { return int(a.Planned - b.Planned) })
	return nil
}

// errChanged says that the file is not the one that was scanned.
var errChanged = errors.New("the file changed while it was replayed")

func (s *fileStream) read() error {
	r, err := s.lines.next()
	if errors.Is(err, io.EOF) {
		s.ended = true
		if s.number != s.file.rows {
			return errChanged
		}
		return nil
	}
	if err != nil {
		return err
	}
	s.ahead, s.offset = r, r.offsetMillis
	s.number++
	return nil
}

// Close closes the file.
func (s *fileStream) Close() error { return s.lines.Close() }
