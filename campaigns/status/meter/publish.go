package meter

import (
	"context"
	"log/slog"
	"time"

	"spillway/campaigns/status"
)

// Config says who reports.
type Config struct {
	Node, Build string // see status.Report
	StartedAt   time.Time
	Every       time.Duration    // zero takes status.Every
	Now         func() time.Time // nil takes time.Now
}

// Deps are what a publisher works with.
type Deps struct {
	Meter *Meter
	// Roles are those of the process, as they are now. It must not block for long.
	Roles   func() []status.Role
	Publish func(context.Context, *status.Report) error
	Log     *slog.Logger
}

// lastTimeout bounds saying goodbye.
const lastTimeout = time.Second

// Run reports at once and then every Config.Every until ctx ends, and says then that
// the process leaves. It returns nil: a report that could not be sent is one that
// nobody got.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	if cfg.Every <= 0 {
		cfg.Every = status.Every
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	said := false
	report := func(ctx context.Context, n int64, leaving bool) {
		now := cfg.Now()
		r := &status.Report{Node: cfg.Node, Build: cfg.Build, StartedAt: cfg.StartedAt.UTC(), SentAt: now.UTC(), Number: n, Leaving: leaving, Roles: deps.Roles()}
		err := deps.Meter.Take(now, r)
		if sent := deps.Publish(ctx, r); sent != nil {
			err = sent
		}
		// Once: a broker that is away is told of elsewhere.
		if err != nil && !said {
			said = true
			deps.Log.Debug("a report of status was not sent whole", "error", err)
		} else if err == nil {
			said = false
		}
	}
	for n := int64(1); ; n++ {
		report(ctx, n, false)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
			defer cancel()
			report(last, n+1, true)
			return nil
		case <-tick.C:
		}
	}
}
