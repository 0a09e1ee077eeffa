package loadtest

import (
	"errors"
	"fmt"
	"io"
	"time"

	"spillway/loadtest/trace"
)

// GeneratorsMax bounds the generators of one run: the leader asks each of them every second.
const GeneratorsMax = 64

// Share says which rows one of several generators sends. The shares of a run are
// disjoint, and together they are all rows. The zero Share is everything.
type Share struct {
	Index int `json:"index"` // from 0; 0 is the leader's
	Of    int `json:"of"`    // 0 or 1 when one generator sends everything
}

// Has tells whether a row's copy belongs to the share. The hash spreads the seconds and
// the campaigns of an event evenly; row number modulo generators would follow a pattern in the file.
func (s Share) Has(number int64, copy uint16) bool {
	if s.Of <= 1 {
		return true
	}
	x := uint64(number)<<16 | uint64(copy) //nolint:gosec // rows are numbered from 1
	// The finaliser of splitmix64, public domain.
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return (x^x>>31)%uint64(s.Of) == uint64(s.Index) //nolint:gosec // 0 <= Index < Of
}

func (s Share) check() error {
	if s.Of < 0 || s.Of > GeneratorsMax || s.Index < 0 || s.Index >= max(1, s.Of) {
		return fmt.Errorf("share %d of %d, want 0 to %d of at most %d generators: %w", s.Index, s.Of, s.Of-1, GeneratorsMax, ErrConfig)
	}
	return nil
}

// shared is a source's rows of one share, under the whole source's name, hash, campaigns
// and sums: what is derived from those is the same for every generator.
type shared struct {
	trace.Source
	share Share
}

// Open starts at the share's first row.
func (s shared) Open() (trace.Stream, error) {
	stream, err := s.Source.Open()
	if err != nil || s.share.Of <= 1 {
		return stream, err
	}
	return sharedStream{stream, s.share}, nil
}

type sharedStream struct {
	trace.Stream
	share Share
}

// Next fills rows with those of the share.
func (s sharedStream) Next(rows []trace.Row) (int, error) {
	for {
		n, err := s.Stream.Next(rows)
		kept := 0
		for _, r := range rows[:n] {
			if s.share.Has(r.Number, r.Copy) {
				rows[kept] = r
				kept++
			}
		}
		if kept > 0 || err != nil || len(rows) == 0 {
			return kept, err
		}
	}
}

// Demand is what a share asks of its generator.
type Demand struct {
	Rows int64 `json:"rows"`
	// Busiest is the most rows of any second, counted from the beginning, as the source plans it.
	Busiest int64 `json:"busiest_second"`
}

// DemandOf reads a source once. Errors: the source's.
func DemandOf(source trace.Source, share Share) (d Demand, err error) {
	if err := share.check(); err != nil {
		return d, err
	}
	stream, err := shared{source, share}.Open()
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	block := make([]trace.Row, blockRows)
	second, rows := int64(-1), int64(0)
	for {
		n, err := stream.Next(block)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return d, err
		}
		for _, r := range block[:n] { // in order of time
			if at := int64(r.Planned / time.Second); at != second {
				second, rows = at, 0
			}
			rows++
			d.Busiest = max(d.Busiest, rows)
		}
		d.Rows += int64(n)
	}
}
