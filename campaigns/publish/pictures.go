package publish

import (
	"context"
	"time"
)

// picturesEvery is how often the broker is asked which pictures it holds: a stream
// that was lost is filled again within it.
const picturesEvery = 5 * time.Minute

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
