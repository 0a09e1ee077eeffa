package httpapi

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"spillway/ingest"
)

const (
	// rememberedWays is how many donations share a set; the oldest makes room.
	rememberedWays = 8
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

type rememberedSet struct {
	ids          [rememberedWays]ingest.ID
	fingerprints [rememberedWays]ingest.Fingerprint
	used, next   uint8
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
	for i := range set.used {
		if set.ids[i] == id {
			return set.fingerprints[i], true
		}
	}
	return fp, false
}

// remember notes an acknowledged donation. The first content of an ID stays.
func (r *remembered) remember(id ingest.ID, fp ingest.Fingerprint) {
	set, mu := r.set(id)
	mu.Lock()
	defer mu.Unlock()
	for i := range set.used {
		if set.ids[i] == id {
			return
		}
	}
	i := set.next
	set.ids[i], set.fingerprints[i] = id, fp
	set.next = (i + 1) % rememberedWays
	if set.used < rememberedWays {
		set.used++
		r.entries.Add(1)
	}
}
