package charge

import (
	"context"
	"sync"
	"time"

	"spillway/ledger/backoff"
)

// run starts everything and waits for it; see Run.
func (s *Service) run(ctx context.Context) error {
	// work outlives ctx by StopTimeout: what was begun is ended in order.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	running, ended := context.WithCancel(work)
	defer ended()

	var helpers, feeders, applying sync.WaitGroup
	helpers.Go(func() {
		<-ctx.Done()
		if backoff.Pause(running, s.config.StopTimeout) {
			s.log.Warn("stopped before everything was booked: claims lapse, and it comes again")
			abandon()
		}
	})
	for _, d := range s.desks {
		applying.Go(func() { d.applier.run(work) })
		feeders.Go(func() { d.feed(ctx, work) })
	}
	feeders.Go(func() { s.webhookLoop(ctx, work) })
	feeders.Go(func() { s.sweepLoop(ctx) })
	feeders.Wait()
	for _, d := range s.desks {
		close(d.applier.in) // nobody submits any more
	}
	applying.Wait()
	ended()
	helpers.Wait()
	return nil
}

// since is how long ago t was by the business's clock, never negative.
func (s *Service) since(t time.Time) time.Duration { return max(0, s.deps.Now().Sub(t)) }
