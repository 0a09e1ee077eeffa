package consumer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"spillway/ledger/consumer"
)

// A slot without news for a minute speaks seldom, and as often as before once it has some.
func TestRun_ASlotWithoutNewsIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := runFakes(t, consumer.Config{}, nil)
		defer f.stop() // inside of the bubble
		framesIn := func(d time.Duration) int {
			before := len(f.frames.all())
			time.Sleep(d)
			return len(f.frames.all()) - before
		}
		wants := func(when string, got, want int) {
			t.Helper()
			if got < want-1 || got > want+1 {
				t.Errorf("%s: %d frames in 10 s, want about %d", when, got, want)
			}
		}
		wants("at first", framesIn(10*time.Second), 100)
		time.Sleep(time.Minute)
		wants("after a minute without news", framesIn(10*time.Second), 25)

		m, handle := message(1, time.Now(), gift("a donor in the quiet", "harbour"))
		f.source.push(m)
		time.Sleep(200 * time.Millisecond)
		if handle.acks.Load() != 1 || len(f.store.recorded) != 1 {
			t.Errorf("acknowledged %d times, recorded %d gifts", handle.acks.Load(), len(f.store.recorded))
		}
		published := 0
		for _, frame := range f.frames.all() {
			published += len(frame.Rows)
		}
		if published != 1 {
			t.Errorf("%d rows are published within 200 ms of the gift", published)
		}
		wants("after news", framesIn(10*time.Second), 100)
		time.Sleep(time.Minute)
		wants("quiet again", framesIn(10*time.Second), 25)
	})
}
