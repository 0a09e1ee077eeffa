package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What is proven of a stream with several copies, and by which evidence.
//
// JetStream acknowledges once a majority of a stream's copies has the message; which
// copies those were it does not say. So that every possible majority is one of servers
// that sync first, each server that can take part has to have said that it does: the
// leader's own word on who its followers are (stream info), and each server's own word
// on how it stores (JSZ). A follower that the leader has not heard of for peerSilence, or
// not at all since it leads, takes no part. With fewer servers left than a majority nothing can be acknowledged, and
// the gate shuts: on the smaller side of a network that is cut in two it says so before
// the envelopes' own deadlines do.

// peerSilence is how long the leader has not heard of a follower that counts as away:
// one answers every second, and four of them is the least that followers wait for a leader
// that is gone. Longer would keep donors out for as long after the loss of one server of
// three; who is back is asked at the next look, as whoever is new.
const peerSilence = 4 * time.Second

// quorum is who holds copies of a stream, and how many of them an
// acknowledgement needs.
type quorum struct {
	stream         string
	online         []string
	copies, needed int
}

// copies names the servers that hold the stream. One that is offline takes no part
// in acknowledgements; it is asked when it is back.
func (g *Gate) copies(info *jetstream.StreamInfo) quorum {
	q := quorum{stream: info.Config.Name, copies: 1, needed: 1}
	if info.Cluster == nil || (info.Cluster.Leader == "" && len(info.Cluster.Replicas) == 0) {
		q.online = []string{g.b.nc.ConnectedServerName()}
		return q
	}
	known := len(info.Cluster.Replicas)
	if info.Cluster.Leader != "" {
		q.online = append(q.online, info.Cluster.Leader)
		known++
	}
	for _, r := range info.Cluster.Replicas {
		// The broker calls a killed server offline after minutes only, and a new leader
		// that never heard of it says 0.
		if !r.Offline && r.Active > 0 && r.Active < peerSilence {
			q.online = append(q.online, r.Name)
		}
	}
	// The settings count where the leader does not know all of its followers yet.
	q.copies = max(known, info.Config.Replicas)
	q.needed = q.copies/2 + 1
	return q
}

// prove has every holder vouched for. One that does not answer this time is
// trusted for proofLife, unless it has been away since.
func (g *Gate) prove(ctx context.Context, holders map[string][]string) error {
	g.peers = slices.Sorted(maps.Keys(holders))
	for server := range g.proven {
		if _, holds := holders[server]; !holds {
			delete(g.proven, server) // whoever comes back has to say so anew
			delete(g.zones, server)
		}
	}
	answers, askErr := g.b.askSync(ctx, g.peers)
	now := time.Now()
	for server, word := range answers {
		if _, holds := holders[server]; !holds {
			continue // it stores nothing of ours
		}
		if !word.SyncAlways {
			delete(g.proven, server)
			return fmt.Errorf("%w: server %s does not sync before it acknowledges; set jetstream { sync_interval: always } and restart it",
				ErrNotDurable, server)
		}
		g.proven[server] = now
		g.zones[server] = word.zone
	}
	for _, server := range g.peers {
		if at, ok := g.proven[server]; !ok || now.Sub(at) > proofLife {
			err := fmt.Errorf("%w: server %s holds %s and did not say whether it syncs", ErrNoProof, server, strings.Join(holders[server], ", "))
			if askErr != nil {
				err = fmt.Errorf("%w: %w", err, askErr)
			}
			return err
		}
	}
	return nil
}

// together names the streams whose copies share a zone, so that losing it may lose a
// majority of them for good. Nothing that was acknowledged is lost by a power cut there,
// so donations are taken; a person should know.
func (g *Gate) together(quorums []quorum) (streams []string) {
	for _, q := range quorums {
		if q.copies == 1 {
			continue // one copy is what was asked for
		}
		by := make(map[string]int)
		for _, server := range q.online {
			if zone := g.zones[server]; zone != "" {
				if by[zone]++; by[zone] > q.copies-q.needed {
					streams = append(streams, q.stream)
					break
				}
			}
		}
	}
	return streams
}

// tellTogether says it once for each change.
func (g *Gate) tellTogether(streams []string) {
	g.metrics.together.Set(float64(len(streams)))
	said := strings.Join(streams, ", ")
	if said != g.lastTogether && said != "" {
		g.b.log.Warn("copies stand in one failure domain: its loss may lose what was acknowledged", "streams", said)
	}
	g.lastTogether = said
}
