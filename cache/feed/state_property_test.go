package feed

import (
	"testing"

	"pgregory.net/rapid"
)

// TestState_AgesAreTrueWhateverHappens drives the small ledger of world_test.go
// through deaths, lost and doubtful publications, adoptions, repeated frames, slow
// and new readers, and holds every view of the reader against the truth: no
// version and no as_of goes back, and every donation stored before as_of is
// inside.
func TestState_AgesAreTrueWhateverHappens(t *testing.T) {
	for range 30 { // 3,000 lives, half a second
		rapid.Check(t, oneLife)
	}
}

func oneLife(t *rapid.T) {
	w := newWorld()
	w.open(1)
	process := func(t *rapid.T) *process { return choose(t, w.procs, "process") }
	t.Repeat(map[string]func(*rapid.T){
		"donate": func(t *rapid.T) {
			w.donate(rapid.SampledFrom(worldCampaigns).Draw(t, "campaign"))
		},
		"fetch":  func(t *rapid.T) { w.fetch(process(t), rapid.IntRange(1, 4).Draw(t, "n")) },
		"commit": func(t *rapid.T) { w.commit(process(t)) },
		"tick": func(t *rapid.T) {
			outcome := rapid.SampledFrom([]string{"stored", "stored", "stored", "lost", "unknown"}).Draw(t, "outcome")
			w.tick(process(t), outcome)
		},
		"snapshot": func(t *rapid.T) { w.snapshot(process(t), false) },
		"open": func(t *rapid.T) {
			slot := int32(rapid.IntRange(1, 5).Draw(t, "slot"))
			if s := w.slots[slot]; s != nil && !s.free {
				t.Skip("taken")
			}
			w.open(slot)
		},
		"end":   func(t *rapid.T) { w.end(process(t)) },
		"die":   func(t *rapid.T) { w.die(process(t)) },
		"adopt": func(t *rapid.T) { w.adopt(choose(t, w.orphans(), "orphan")) },
		"deliver": func(t *rapid.T) {
			for range rapid.IntRange(1, 4).Draw(t, "frames") {
				if w.cursor < len(w.stream) {
					w.deliver()
					w.check(t.Fatalf)
				}
			}
		},
		"deliver again": func(t *rapid.T) { // a consumer that was made anew
			if w.cursor > 0 {
				w.cursor = rapid.IntRange(0, w.cursor).Draw(t, "from")
			}
		},
		"skip": func(t *rapid.T) { // frames aged out while the reader was cut off
			w.cursor = rapid.IntRange(w.cursor, len(w.stream)).Draw(t, "first kept")
			w.reread()
		},
		"mend": func(t *rapid.T) { w.mend() },
		"any snapshot": func(t *rapid.T) {
			if sn := w.snapshots[int32(rapid.IntRange(1, 5).Draw(t, "slot"))]; sn != nil {
				w.state.Restore(sn)
			}
		},
		"restart": func(t *rapid.T) { w.restart(rapid.IntRange(max(0, len(w.stream)-8), len(w.stream)).Draw(t, "kept")) },
		"": func(t *rapid.T) {
			w.clock++
			w.check(t.Fatalf)
		},
	})
	w.settle(t.Fatalf)
}
