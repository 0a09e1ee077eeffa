package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"spillway/ledger/money"
)

// MixConfig says how a source's gifts are spread over its campaigns.
type MixConfig struct {
	// Hot is the part of the gifts, 0..1, that go to the campaign with the most gifts
	// instead of their own, as on a day that has one campaign in the news.
	Hot float64
	// Baskets is the part of the gifts, 0..1, that are divided among two or three
	// campaigns. The further ones are drawn by how many gifts they have.
	Baskets float64
}

// Mix is another source whose gifts go to other campaigns, or to several. Times and each
// gift's amount stay, so the day gives the same sum; what each campaign gets changes.
// Campaigns of different currencies are never mixed.
type Mix struct {
	source    Source
	config    MixConfig
	seed      uint64
	hash      [32]byte
	hot       int32
	campaigns []Campaign
	popular   map[money.Currency]*popularity
}

// popularity draws campaigns of one currency by their gifts.
type popularity struct {
	campaigns []int32
	cumulated []float64
}

var _ Source = (*Mix)(nil)

// NewMix reads source once to sum it up. Errors: ErrOptions, the source's.
func NewMix(source Source, c MixConfig) (*Mix, error) {
	if !(c.Hot >= 0 && c.Hot <= 1 && c.Baskets >= 0 && c.Baskets <= 1) {
		return nil, fmt.Errorf("%g of the gifts to one campaign, %g in baskets: not from 0 to 1: %w", c.Hot, c.Baskets, ErrOptions)
	}
	m := &Mix{source: source, config: c, popular: map[money.Currency]*popularity{}}
	base := source.Hash()
	m.hash = sha256.Sum256(fmt.Appendf(base[:], " mix/1 %v %v", c.Hot, c.Baskets))
	m.seed = binary.LittleEndian.Uint64(m.hash[:8])
	given := source.Campaigns()
	for i, of := range given {
		m.campaigns = append(m.campaigns, Campaign{Name: of.Name, Currency: of.Currency})
		if of.Rows > given[m.hot].Rows {
			m.hot = int32(i)
		}
		p := m.popular[of.Currency]
		if p == nil {
			p = &popularity{}
			m.popular[of.Currency] = p
		}
		sum := float64(of.Rows)
		if n := len(p.cumulated); n > 0 {
			sum += p.cumulated[n-1]
		}
		p.campaigns, p.cumulated = append(p.campaigns, int32(i)), append(p.cumulated, sum)
	}
	stream, err := m.Open()
	if err != nil {
		return nil, err
	}
	return m, errors.Join(m.sum(stream), stream.Close())
}

func (m *Mix) sum(stream Stream) error {
	block := make([]Row, 1024)
	for {
		n, err := stream.Next(block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range block[:n] {
			for line := range block[i].Lines {
				c := &m.campaigns[line.Campaign]
				c.Rows++
				if c.SumMinor, err = money.Add(c.SumMinor, line.AmountMinor); err != nil {
					return err
				}
			}
		}
	}
}

// place gives a row its campaigns.
func (m *Mix) place(r *Row) {
	h := mix(m.seed ^ mix(uint64(r.Number)<<10|uint64(r.Copy)))
	if unit(mix(h+1)) < m.config.Hot && m.campaigns[r.Campaign].Currency == m.campaigns[m.hot].Currency {
		r.Campaign = m.hot
	}
	if unit(mix(h+2)) >= m.config.Baskets {
		return
	}
	lines := 2 + int(mix(h+3)%(BasketMost-1))
	m.fill(r, min(lines, int(r.AmountMinor)), h)
}

// fill divides a row among so many campaigns, or fewer where no others are found.
func (m *Mix) fill(r *Row, lines int, h uint64) {
	whole, part := r.AmountMinor, r.AmountMinor/int64(max(1, lines))
	p := m.popular[m.campaigns[r.Campaign].Currency]
	further := 0
	for try := uint64(0); further < lines-1 && try < basketTries; try++ {
		drawn := p.campaigns[sort.SearchFloat64s(p.cumulated, unit(mix(h+4+try))*p.cumulated[len(p.cumulated)-1])]
		if drawn == r.Campaign || further > 0 && drawn == r.Further[0].Campaign {
			continue
		}
		r.Further[further] = Line{Campaign: drawn, AmountMinor: part}
		further++
	}
	r.AmountMinor = whole - part*int64(further)
}

// basketTries bounds the drawing of further campaigns: where one campaign has nearly
// all gifts, a basket has fewer of them.
const basketTries = 16

// CopiesMost is the highest number of copies of one gift.
func (m *Mix) CopiesMost() int {
	if more, ok := m.source.(interface{ CopiesMost() int }); ok {
		return more.CopiesMost()
	}
	return 1
}

// Name is the source's, with what was mixed.
func (m *Mix) Name() string {
	name := m.source.Name()
	if m.config.Hot > 0 {
		name += fmt.Sprintf("-%g-hot", m.config.Hot)
	}
	if m.config.Baskets > 0 {
		name += fmt.Sprintf("-%g-baskets", m.config.Baskets)
	}
	return name
}

// Hash identifies the source's content and the settings.
func (m *Mix) Hash() [32]byte { return m.hash }

// Campaigns lists the source's campaigns, with what they get. A gift to several counts
// in each.
func (m *Mix) Campaigns() []Campaign { return m.campaigns }

// Rows counts the gifts.
func (m *Mix) Rows() int64 { return m.source.Rows() }

// Span is the planned time of the last gift.
func (m *Mix) Span() time.Duration { return m.source.Span() }

// Open starts at the first gift.
func (m *Mix) Open() (Stream, error) {
	stream, err := m.source.Open()
	if err != nil {
		return nil, err
	}
	return &mixStream{mix: m, stream: stream}, nil
}

type mixStream struct {
	mix    *Mix
	stream Stream
}

// Next fills rows.
func (s *mixStream) Next(rows []Row) (int, error) {
	n, err := s.stream.Next(rows)
	for i := range rows[:n] {
		s.mix.place(&rows[i])
	}
	return n, err
}

// Close closes the source's stream.
func (s *mixStream) Close() error { return s.stream.Close() }
