package onebox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

const (
	// healthEvery is how often the broker is asked how its store does: a look at a
	// few words in memory and two folders.
	healthEvery = time.Second
	// healPauseMin doubles with every replacement up to healPauseMax, and starts anew
	// once a server has been well for healPauseMax: a disk that stays in trouble is not
	// read back every second.
	healPauseMin = 2 * time.Second
	healPauseMax = time.Minute
	// healRoomBytes, or healRoomShare of a small disk, must be free before a server
	// is replaced: on a full disk the next one would fail at its first write again.
	healRoomBytes = 64 << 20
	healRoomShare = 20
	// recoverPatience is how long a stream's folder may be without its stream before
	// that is trouble. A stream that is being made or removed has its folder first and
	// last, for as long as the disk takes for a handful of syncs.
	recoverPatience = 10 * time.Second
	// writeErrorMark is in what the server says of a stream that will never be written
	// to again: that is certain at once.
	writeErrorMark = "write error"
)

// Run looks after the broker until ctx ends. A nats-server whose write to a stream
// failed once, on a full disk for one, never writes to it again; it is replaced by a
// new one on the same store as soon as the disk has room. Connections are lost for
// that moment and come back by themselves; what was acknowledged is in the store.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	pause, replacedAt, said := healPauseMin, time.Time{}, ""
	var doubts doubts
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		trouble := doubts.settle(b.findings(), time.Now())
		since := time.Since(replacedAt)
		if trouble == nil {
			if said = ""; since > healPauseMax {
				pause = healPauseMin
			}
			continue
		}
		if text := trouble.Error(); text != said {
			b.log.Error("the broker's store is in error", "reason", trouble)
			said = text
		}
		if since < pause || !b.roomy() {
			continue
		}
		b.log.Warn("starting the broker again", "reason", trouble)
		if err := b.replace(); err != nil {
			b.log.Error("the broker does not start", "error", err)
		} else {
			b.log.Warn("the broker was started again")
		}
		replacedAt, pause = time.Now(), min(2*pause, healPauseMax)
	}
}

// errNoServer says that the last replacement failed.
var errNoServer = errors.New("it does not run")

// finding is one thing that a look at the running server found.
type finding struct {
	text string
	// certain is false for what a server that works shows too, for a moment.
	certain bool
}

// findings looks at the running server's store; none when all is well.
func (b *Broker) findings() []finding {
	s := b.running()
	if s == nil {
		return []finding{{text: errNoServer.Error(), certain: true}}
	}
	var found []finding
	for _, e := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		switch e.Type {
		case server.HealthzErrorJetStream:
			found = append(found, finding{text: e.Error, certain: true})
		case server.HealthzErrorStream:
			found = append(found, finding{text: e.Error, certain: strings.Contains(e.Error, writeErrorMark)})
		}
	}
	return found
}

// trouble says what a look finds wrong with the running server's store, whether it
// is certain or not; nil when nothing is.
func (b *Broker) trouble() error {
	var errs []error
	for _, f := range b.findings() {
		errs = append(errs, errors.New(f.text))
	}
	return errors.Join(errs...)
}

// doubts remembers since when each finding that is not certain was there at every look.
type doubts map[string]time.Time

// settle says what of a look's findings is trouble: what is certain, and what has
// stood for recoverPatience.
func (d *doubts) settle(found []finding, now time.Time) error {
	still := doubts{}
	var errs []error
	for _, f := range found {
		since, before := (*d)[f.text]
		if !before {
			since = now
		}
		if !f.certain {
			still[f.text] = since
		}
		if f.certain || now.Sub(since) >= recoverPatience {
			errs = append(errs, errors.New(f.text))
		}
	}
	*d = still
	return errors.Join(errs...)
}

// roomy tells whether the disk has room for a server to begin with.
func (b *Broker) roomy() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(b.dir, &st); err != nil {
		return false
	}
	free, disk := int64(st.Bavail)*int64(st.Bsize), int64(st.Blocks)*int64(st.Bsize)
	return free >= min(healRoomBytes, disk/healRoomShare)
}

// replace ends the running server and starts another on the same store and
// address, unless the broker was stopped meanwhile.
func (b *Broker) replace() error {
	b.mu.Lock()
	old := b.server
	b.server = nil
	stopped := b.stopped
	b.mu.Unlock()
	if old != nil {
		end(old)
	}
	if stopped {
		return nil
	}
	s, err := b.launch()
	if err != nil {
		return fmt.Errorf("start it again: %w", err)
	}
	b.mu.Lock()
	if stopped = b.stopped; !stopped {
		b.server = s
	}
	b.mu.Unlock()
	if stopped { // nobody else knows of it
		end(s)
	}
	return nil
}
