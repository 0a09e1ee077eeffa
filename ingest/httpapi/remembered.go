package httpapi

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"spillway/ingest"
)

const (
	// rememberedWays is how many donations share a set, the older one makes room. Two
	// fill a cache line: every donation looks here twice, and eight to a set, five
	// lines of cold memory, were a twentieth of what a donation costs (profile of
	// 40,000/s, 2026-11-22).
	rememberedWays = 2
	// rememberedLocks is how many locks the table has, far more than cores.
	rememberedLocks = 256
)

// remembered is the content of donations that this front-end has seen
// acknowledged, so that a key used again for another content is refused at once.
// It forgets: then the ledger records the conflict.
//
// The one invariant: what it holds is on disk, because it is filled after the
// broker's acknowledgement and never before.
type remembered struct {
	sets  []rememberedSet // a power of two
	locks [rememberedLocks]struct {
		sync.Mutex
		_ [56]byte // a cache line for each
	}
	entries atomic.Int64
}

// rememberedSet is one cache line, the newest donation first. A place is free when
// its ID is zero, which no donation's is: see ingest.DeriveID.
type rememberedSet [rememberedWays]struct {
	id          ingest.ID
	fingerprint ingest.Fingerprint
}

// newRemembered makes room for at least n donations, all of it now.
func newRemembered(n int) *remembered {
	sets := 1
	for sets*rememberedWays < n {
		sets *= 2
	}
	return &remembered{sets: make([]rememberedSet, sets)}
}

// set finds the set of an ID by bytes that its version does not touch.
func (r *remembered) set(id ingest.ID) (*rememberedSet, *sync.Mutex) {
	i := binary.LittleEndian.Uint32(id[9:]) & uint32(len(r.sets)-1)
	return &r.sets[i], &r.locks[i%rememberedLocks].Mutex
}

// lookup returns the content that was acknowledged under this ID.
func (r *remembered) lookup(id ingest.ID) (fp ingest.Fingerprint, ok bool) {
	set, mu := r.set(id)
	mu.Lock()
	defer mu.Unlock()
	for i := range set {
		if set[i].id == id {
			return set[i].fingerprint, true
		}
	}
	return fp, false
}

// remember notes an acknowledged donation. The first content of an ID stays.
func (r *remembered) remember(id ingest.ID, fp ingest.Fingerprint) {
	set, mu := r.set(id)
	mu.Lock()
	defer mu.Unlock()
	for i := range set {
		if set[i].id == id {
			return
		}
	}
	if set[rememberedWays-1].id == (ingest.ID{}) {
		r.entries.Add(1)
	}
	copy(set[1:], set[:])
	set[0].id, set[0].fingerprint = id, fp
}
