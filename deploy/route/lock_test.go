package route

import (
	"os/exec"
	"sync"
	"testing"
)

// A child that was forked and has not begun its program yet holds every open file of
// ours: a lock that only falls with its file would outlive the unlocking.
func TestLock_IsFreeOnceItIsUnlocked(t *testing.T) {
	t.Parallel()
	r := &Router{Dir: t.TempDir()}
	stop := make(chan struct{})
	var forks sync.WaitGroup
	for range 2 {
		forks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("true").Run() // only that it is forked counts
				}
			}
		})
	}
	defer forks.Wait()
	defer close(stop)
	for n := range 5000 {
		unlock, err := r.lock()
		if err != nil {
			t.Fatalf("the %dth time: %v", n+1, err)
		}
		unlock()
	}
}
