package consumer_test

import (
	"testing"

	"spillway/campaigns"
)

// A slot's snapshot tells the world the last link of its journal, read together with
// its rows: whoever cuts the journal's tail off contradicts it.
func TestSnapshot_NamesTheLastLinkOfTheJournal(t *testing.T) {
	chain := campaigns.ChainHead{N: 7, Hash: [32]byte{1, 2, 3}}
	f := runFakes(t, quick, func(f *fakes) { f.store.chain = chain })
	eventually(t, "a snapshot is published", func() bool {
		f.frames.mu.Lock()
		defer f.frames.mu.Unlock()
		return len(f.frames.snapshots) > 0
	})
	f.stop()
	for _, s := range f.frames.snapshots {
		if s.Chain != chain {
			t.Errorf("snapshot %d names %+v", s.Number, s.Chain)
		}
	}
}
