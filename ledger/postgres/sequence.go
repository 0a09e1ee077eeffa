package postgres

import "sync"

// BlockSize is the increment of the sequence donation_blocks: how many numbers one
// nextval gives.
const BlockSize = 8192

// sequence hands out a book's donation numbers from blocks that the database gave
// to this process. A number that was handed out is never handed out again, also
// when its transaction failed: the failure may have been a commit whose answer was
// lost.
type sequence struct {
	mu     sync.Mutex
	blocks []block
	left   int
}

type block struct{ next, end int64 } // [next, end)

// missing returns how many blocks must be added before take(n) can succeed.
func (s *sequence) missing(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (max(0, n-s.left) + BlockSize - 1) / BlockSize
}

// add gives the sequence a block that starts at first.
func (s *sequence) add(first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks = append(s.blocks, block{first, first + BlockSize})
	s.left += BlockSize
}

// take hands out n numbers, or says that there are too few because another
// transaction took them.
func (s *sequence) take(n int) (numbers []block, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.left {
		return nil, false
	}
	s.left -= n
	for n > 0 {
		b := &s.blocks[0]
		k := min(int64(n), b.end-b.next)
		numbers = append(numbers, block{b.next, b.next + k})
		b.next += k
		n -= int(k)
		if b.next == b.end {
			s.blocks = s.blocks[1:]
		}
	}
	return numbers, true
}
