package verify

// marks is a set of row numbers, one bit each, in pages that exist only where
// something is marked: 100 million rows take 12.5 MB, and the gaps that
// repeated donations leave in the numbering take next to nothing.
type marks struct {
	pages map[int64]*[marksPageWords]uint64
	count int64
}

const (
	marksPageWords = 512 // 4 KiB, 32,768 rows
	marksPageRows  = marksPageWords * 64
)

func newMarks() *marks { return &marks{pages: map[int64]*[marksPageWords]uint64{}} }

// add marks n, which is not negative.
func (m *marks) add(n int64) {
	page := m.pages[n/marksPageRows]
	if page == nil {
		page = new([marksPageWords]uint64)
		m.pages[n/marksPageRows] = page
	}
	word, bit := &page[n%marksPageRows/64], uint64(1)<<(n%64)
	if *word&bit == 0 {
		*word |= bit
		m.count++
	}
}

// has tells whether n is marked.
func (m *marks) has(n int64) bool {
	page := m.pages[n/marksPageRows]
	return page != nil && page[n%marksPageRows/64]&(1<<(n%64)) != 0
}
