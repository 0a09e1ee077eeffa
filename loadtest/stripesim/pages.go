package stripesim

// pageSize is how many objects share one allocation: growing never copies.
const pageSize = 1 << 12

// pages holds objects that are numbered from 1 in the order of their making.
type pages[T any] struct {
	chunks [][]T
	last   uint32 // number of the newest
}

// at returns object n, which must be in 1..last.
func (p *pages[T]) at(n uint32) *T {
	return &p.chunks[(n-1)/pageSize][(n-1)%pageSize]
}

// get returns object n, or false.
func (p *pages[T]) get(n uint32) (*T, bool) {
	if n == 0 || n > p.last {
		return nil, false
	}
	return p.at(n), true
}

// put stores object n: one that is there, or the next one. It tells whether n is neither.
func (p *pages[T]) put(n uint32, v T) bool {
	switch {
	case n >= 1 && n <= p.last:
		*p.at(n) = v
	case n == p.last+1:
		if p.last%pageSize == 0 {
			p.chunks = append(p.chunks, make([]T, 0, pageSize))
		}
		end := &p.chunks[len(p.chunks)-1]
		*end = append(*end, v)
		p.last++
	default:
		return false
	}
	return true
}
