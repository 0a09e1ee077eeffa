package bundle_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest/bundle"
)

func TestSplit_GivesWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
			return append([]byte{'{'}, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "rest")...)
		}), 1, 20).Draw(t, "bodies")
		var b bundle.Bundle
		for _, body := range bodies {
			b.Add(body)
		}
		if b.Len() != len(bodies) {
			t.Fatalf("%d events, %d were added", b.Len(), len(bodies))
		}
		if len(bodies) == 1 && !bytes.Equal(b.Bytes(), bodies[0]) {
			t.Fatalf("an event alone is %q, not its body", b.Bytes())
		}
		got, err := bundle.Split(b.Bytes())
		if err != nil || len(got) != len(bodies) {
			t.Fatalf("%d events, %v; %d were added", len(got), err, len(bodies))
		}
		for i := range got {
			if !bytes.Equal(got[i], bodies[i]) {
				t.Fatalf("event %d is %q, not %q", i, got[i], bodies[i])
			}
		}
	})
}

func TestSplit_RefusesWhatIsCutOrEmpty(t *testing.T) {
	var b bundle.Bundle
	b.Add([]byte(`{"a":1}`))
	b.Add([]byte(`{"b":2}`))
	whole := b.Bytes()
	ends := map[int]bool{1 + 1 + 7: true} // after the first event
	for cut := 1; cut < len(whole); cut++ {
		if _, err := bundle.Split(whole[:cut]); !errors.Is(err, bundle.ErrMalformed) && !ends[cut] {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
	for _, data := range [][]byte{{1}, {1, 0}, {1, 0xff}, append([]byte{1}, bytes.Repeat([]byte{0xff}, 11)...)} {
		if _, err := bundle.Split(data); !errors.Is(err, bundle.ErrMalformed) {
			t.Errorf("%x: %v", data, err)
		}
	}
}

// TestBytes_ABodyThatLooksLikeABundle is what fuzzing found.
func TestBytes_ABodyThatLooksLikeABundle(t *testing.T) {
	var b bundle.Bundle
	b.Add([]byte{1})
	if got, err := bundle.Split(b.Bytes()); err != nil || len(got) != 1 || !bytes.Equal(got[0], []byte{1}) {
		t.Errorf("%x, %v", got, err)
	}
}

func FuzzSplit(f *testing.F) {
	var b bundle.Bundle
	b.Add([]byte(`{"a":1}`))
	f.Add(b.Bytes())
	b.Add([]byte(`{"b":2}`))
	f.Add(b.Bytes())
	f.Add([]byte{1, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		bodies, err := bundle.Split(data)
		if err != nil {
			return
		}
		var again bundle.Bundle
		for _, body := range bodies {
			if len(body) == 0 {
				return // only an empty message, which holds no event
			}
			again.Add(body)
		}
		got, err := bundle.Split(again.Bytes())
		if err != nil || len(got) != len(bodies) {
			t.Fatalf("%x: %d events, then %d, %v", data, len(bodies), len(got), err)
		}
	})
}
