package publish

import (
	"context"
	"time"
)

// picturesEvery is how often the broker is asked which pictures it holds: a stream
// that was lost is filled again within it.
const picturesEvery = 5 * time.Minute

const (
	// sweepEvery is how often it is looked for pictures that no campaign names any more.
	sweepEvery = 10 * time.Minute
	// unusedLeast is how long they stay: pages that are kept somewhere, and an organiser who
	// changes his mind, still find them.
	unusedLeast = 24 * time.Hour
)

// pictures carries pictures to the broker. It has a loop of its own: a thousand of
// them after a restore never stand before a campaign that closes.
type pictures struct {
	store  Store
	broker Broker

	held     map[string]bool // as the broker said, and what was published since
	asked    time.Time       // when it said so
	revision int64           // up to which all are held
}

// round publishes what the broker does not hold, as far as ctx lasts; the next one
// goes on.
func (p *pictures) round(ctx context.Context) error {
	if p.held == nil || time.Since(p.asked) > picturesEvery {
		held, err := p.broker.MediaKeys(ctx)
		if err != nil {
			return err
		}
		p.held, p.asked, p.revision = held, time.Now(), 0
	}
	for {
		keys, last, err := p.store.MediaSince(ctx, p.revision)
		if err != nil {
			p.held = nil // the database may come back as an older one
			return err
		}
		if len(keys) == 0 {
			return nil
		}
		for _, key := range keys {
			if p.held[key] {
				continue
			}
			m, err := p.store.Media(ctx, key)
			if err != nil {
				return err
			}
			if err := p.broker.PublishMedia(ctx, m.Key, m.ContentType, m.Data); err != nil {
				return err
			}
			p.held[key] = true
		}
		p.revision = last
	}
}

// sweep removes pictures that no campaign names for long: at the broker first, since the
// database knows which ones there are. One that is named again meanwhile stays there and
// is published again by the next round.
func (p *pictures) sweep(ctx context.Context) error {
	keys, err := p.store.UnusedMedia(ctx, unusedLeast)
	if err != nil || len(keys) == 0 {
		return err
	}
	for _, key := range keys {
		if err := p.broker.RemoveMedia(ctx, key); err != nil {
			return err
		}
		delete(p.held, key)
	}
	p.revision = 0
	return p.store.RemoveMedia(ctx, keys)
}
