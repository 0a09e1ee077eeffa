package broker

import (
	"sync"
	"time"
)

// elsewhereAfter is how long a server may be of no use until the connection is made anew,
// to the next one: longer than an election takes (4 to 9 s), so that one in progress is
// waited for where we are.
const elsewhereAfter = 10 * time.Second

// elsewhere notices that a server answers pings and nothing of use: one that is cut off the
// others of its cluster keeps its clients, and they would share its fate.
type elsewhere struct {
	mu    sync.Mutex
	since time.Time // useless from then on; zero while it is of use
}

// useful notes that the server at the other end is of use.
func (b *Broker) useful() {
	b.elsewhere.mu.Lock()
	defer b.elsewhere.mu.Unlock()
	b.elsewhere.since = time.Time{}
}

// useless notes that it is not, and goes to the next server when that has lasted, at most
// once in elsewhereAfter. With one server there is nowhere to go.
func (b *Broker) useless(why error) {
	b.elsewhere.mu.Lock()
	defer b.elsewhere.mu.Unlock()
	now := time.Now()
	switch {
	case b.elsewhere.since.IsZero():
		b.elsewhere.since = now
		return
	case now.Sub(b.elsewhere.since) < elsewhereAfter || len(b.nc.Servers()) < 2:
		return
	}
	b.elsewhere.since = now
	b.log.Warn("this server is of no use; going to the next one", "server", b.nc.ConnectedServerName(), "reason", why)
	if err := b.nc.ForceReconnect(); err != nil {
		b.log.Warn("go to the next server", "error", err)
	}
}
