package trace

import (
	"container/heap"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"spillway/ledger/money"
)

// heldMax bounds the rows that are held to be put in order, some 80 bytes each: those
// of one spread, times the factor.
const heldMax = 1 << 22

// DonorsSpread is how much later, at most, another donor of a recorded gift gives, on the
// event's own clock: see DESIGN.md for what it was chosen by.
const DonorsSpread = 15 * time.Second

// Donors is another source with more donors, or fewer: each of its gifts is given so
// many times, each by a donor of his own at a moment of his own, at most Spread later. A
// factor between two whole numbers is met on the whole: which gifts are given once
// more is drawn by their numbers. So the day's curve, its hot campaigns and its amounts
// stay; seconds are more uneven than those of as many donors who know nothing of each
// other, for what belongs to one gift comes together. (Options.Copies repeats each gift
// in the same moment.)
type Donors struct {
	source    Source
	factor    float64
	spread    time.Duration
	seed      uint64
	hash      [32]byte
	campaigns []Campaign
	rows      int64
	span      time.Duration
}

var _ Source = (*Donors)(nil)

// NewDonors reads source once to sum it up. Its rows must have no copies. spread is in
// planned time: DonorsSpread, divided by the speed. Errors: ErrOptions,
// ErrCrowded, the source's.
func NewDonors(source Source, factor float64, spread time.Duration) (*Donors, error) {
	if !(factor > 0 && factor <= CopiesMax) {
		return nil, fmt.Errorf("%g times the donors: not above 0 and up to %d: %w", factor, CopiesMax, ErrOptions)
	}
	if spread < 0 {
		return nil, fmt.Errorf("spread %v: %w", spread, ErrOptions)
	}
	d := &Donors{source: source, factor: factor, spread: spread}
	base := source.Hash()
	d.hash = sha256.Sum256(fmt.Appendf(base[:], " donors/2 %v", factor))
	for _, b := range base[:8] {
		d.seed = d.seed<<8 | uint64(b)
	}
	for _, c := range source.Campaigns() {
		d.campaigns = append(d.campaigns, Campaign{Name: c.Name, Currency: c.Currency})
	}
	stream, err := d.Open()
	if err != nil {
		return nil, err
	}
	err = d.sum(stream)
	if err := errors.Join(err, stream.Close()); err != nil {
		return nil, err
	}
	if d.rows == 0 {
		return nil, fmt.Errorf("%g times the donors of %s: nobody gives: %w", factor, source.Name(), ErrOptions)
	}
	return d, nil
}

func (d *Donors) sum(stream Stream) error {
	block := make([]Row, 1024)
	for {
		n, err := stream.Next(block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range block[:n] {
			c := &d.campaigns[r.Campaign]
			c.Rows++
			if c.SumMinor, err = money.Add(c.SumMinor, r.AmountMinor); err != nil {
				return err
			}
			d.rows, d.span = d.rows+1, max(d.span, r.Planned)
		}
	}
}

// times is how often the gift with this number is given.
func (d *Donors) times(number int64) int {
	whole, part := math.Modf(d.factor)
	n := int(whole)
	if unit(mix(d.seed^mix(uint64(number)))) < part {
		n++
	}
	return n
}

// CopiesMost is the highest number of copies of one gift.
func (d *Donors) CopiesMost() int { return int(math.Ceil(d.factor)) }

// Name is the source's, with the factor.
func (d *Donors) Name() string { return fmt.Sprintf("%s-%gx-donors", d.source.Name(), d.factor) }

// Hash identifies the source's content and the factor.
func (d *Donors) Hash() [32]byte { return d.hash }

// Campaigns lists the source's campaigns, with what they get.
func (d *Donors) Campaigns() []Campaign { return d.campaigns }

// Rows counts the gifts.
func (d *Donors) Rows() int64 { return d.rows }

// Span is the planned time of the last gift.
func (d *Donors) Span() time.Duration { return d.span }

// Open starts at the first gift.
func (d *Donors) Open() (Stream, error) {
	stream, err := d.source.Open()
	if err != nil {
		return nil, err
	}
	return &donorsStream{donors: d, stream: stream}, nil
}

// donorsStream holds gifts until nothing before them can come any more.
type donorsStream struct {
	donors *Donors
	stream Stream
	block  [256]Row
	read   []Row // of block, not yet given more donors
	passed time.Duration
	ended  bool
	held   rowHeap
}

// Next fills rows.
func (s *donorsStream) Next(rows []Row) (int, error) {
	n := 0
	for n < len(rows) {
		for !s.ended && (len(s.held) == 0 || s.held[0].Planned > s.passed) {
			if err := s.fill(); err != nil {
				return n, err
			}
		}
		if len(s.held) == 0 {
			break
		}
		rows[n] = heap.Pop(&s.held).(Row)
		n++
	}
	if n == 0 && len(rows) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill takes the source's next gift.
func (s *donorsStream) fill() error {
	if len(s.read) == 0 {
		n, err := s.stream.Next(s.block[:])
		if errors.Is(err, io.EOF) {
			s.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		s.read = s.block[:n]
	}
	row := s.read[0]
	s.read = s.read[1:]
	s.passed = row.Planned
	d := s.donors
	if len(s.held) > heldMax {
		return fmt.Errorf("%g times the donors: %w", d.factor, ErrCrowded)
	}
	for i := range d.times(row.Number) {
		r := row
		r.Copy = uint16(i)
		if i > 0 { // the first gives when the recorded one did
			r.Planned += time.Duration(unit(mix(d.seed^mix(uint64(row.Number)<<10|uint64(i)))) * float64(d.spread))
		}
		heap.Push(&s.held, r)
	}
	return nil
}

// Close closes the source's stream.
func (s *donorsStream) Close() error { return s.stream.Close() }

// rowHeap has the earliest row on top; equal times keep the order of number and copy.
type rowHeap []Row

func (h rowHeap) Len() int { return len(h) }
func (h rowHeap) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	if a.Planned != b.Planned {
		return a.Planned < b.Planned
	}
	if a.Number != b.Number {
		return a.Number < b.Number
	}
	return a.Copy < b.Copy
}
func (h rowHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *rowHeap) Push(x any)   { *h = append(*h, x.(Row)) }
func (h *rowHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
