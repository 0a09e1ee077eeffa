package consumer_test

import (
	"errors"
	"testing"
	"time"

	"spillway/campaigns"
)

// A broker that takes no frame any more does not keep the process from ending: the
// slot is left to be adopted.
func TestRun_StopIsBoundedWithoutABroker(t *testing.T) {
	config := quick
	config.StopTimeout = 20 * time.Millisecond
	f := runFakes(t, config, nil)
	eventually(t, "the slot is open", func() bool { return f.frames.last().Number > 0 })
	f.frames.mu.Lock()
	f.frames.refuse = func(*campaigns.Frame) error { return errors.New("disk full") }
	f.frames.mu.Unlock()
	f.stop() // fails the test when Run does not return
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if f.store.released != 0 {
		t.Error("a slot was given back that readers do not know to be closed")
	}
}
