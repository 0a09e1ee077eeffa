package httpapi

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
)

// Against a plain map: what is remembered is always what was remembered first,
// forgetting is allowed, and the newest of a set is never forgotten at once.
func TestRemembered_NeverAnotherContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, model := newRemembered(rapid.IntRange(1, 64).Draw(t, "size")), map[ingest.ID]ingest.Fingerprint{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 200), 1, 400).Draw(t, "donations") {
			id, fp := ingest.DeriveID(fmt.Appendf(nil, "donation-%08d", n)), ingest.Fingerprint{byte(rapid.IntRange(0, 3).Draw(t, "content"))}
			if known, ok := r.lookup(id); ok && known != model[id] {
				t.Fatalf("donation %d remembered as %x, was %x", n, known, model[id])
			} else if !ok {
				model[id] = fp // forgotten, or new
			}
			r.remember(id, fp)
			if known, ok := r.lookup(id); !ok || known != model[id] {
				t.Fatalf("donation %d: %x %v, want %x", n, known, ok, model[id])
			}
		}
		if n := r.entries.Load(); n > int64(len(r.sets)*rememberedWays) {
			t.Fatalf("%d entries in %d places", n, len(r.sets)*rememberedWays)
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	r, ids := newRemembered(DefaultRemembered), make([]ingest.ID, 1<<16)
	for i := range ids {
		ids[i] = ingest.DeriveID(fmt.Appendf(nil, "donation-%08d", i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := ids[i&(len(ids)-1)]
		r.lookup(id)
		r.remember(id, ingest.Fingerprint{})
	}
}
