package broker

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"spillway/ingest"
	"spillway/ledger"
)

// Names on the broker. A change of what a message means gets a new version in
// the subject; streams keep their names.
const (
	framesStream    = "FRAMES"    // frames.v1.<book>.<slot>
	snapshotsStream = "SNAPSHOTS" // snapshots.v1.<book>.<slot>.<part>
	campaignsStream = "CAMPAIGNS" // campaigns.v1.<slug>
	eventsStream    = "EVENTS"    // events.v1.<slug>
	switchesStream  = "SWITCHES"  // switches.v1
	switchesSubject = "switches.v1"
	mediaStream     = "MEDIA" // media.v1.<key>
	wallsStream     = "WALLS" // walls.v1.<slug, or campaigns.DayWall>
	statesSubject   = "donations.state.v1"
	statesGroup     = "ledger"
	ledgerConsumer  = "LEDGER"
)

// Stream is the name of the stream that holds a book's shard.
func Stream(book ledger.Book, shard int) string {
	if book == ledger.Rehearsal {
		return "REHEARSALS_" + strconv.Itoa(shard)
	}
	return "DONATIONS_" + strconv.Itoa(shard)
}

func donationSubject(book ledger.Book, shard int) string {
	if book == ledger.Rehearsal {
		return "rehearsals.v1." + strconv.Itoa(shard)
	}
	return "donations.v1." + strconv.Itoa(shard)
}

func frameSubject(book ledger.Book, slot int32) string {
	return fmt.Sprintf("frames.v1.%s.%d", book, slot)
}

func snapshotSubject(book ledger.Book, slot int32, part int) string {
	return fmt.Sprintf("snapshots.v1.%s.%d.%d", book, slot, part)
}

// parseSnapshotSubject is the inverse of snapshotSubject.
func parseSnapshotSubject(subject string) (book ledger.Book, slot int32, part int, ok bool) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 5 {
		return 0, 0, 0, false
	}
	book, ok = ledger.ParseBook(tokens[2])
	n, err := strconv.ParseInt(tokens[3], 10, 32)
	p, err2 := strconv.ParseInt(tokens[4], 10, 32)
	return book, int32(n), int(p), ok && err == nil && err2 == nil
}

func campaignSubject(slug string) string { return "campaigns.v1." + slug }

func eventSubject(slug string) string { return "events.v1." + slug }

func mediaSubject(key string) string { return "media.v1." + key }

func wallSubject(campaign string) string { return "walls.v1." + campaign }

// shardOf spreads donations by their ID, which is a hash: a hot campaign's gifts
// go to all shards alike. Its first four bytes hold no version bits.
func shardOf(id ingest.ID, shards int) int {
	return int(binary.BigEndian.Uint32(id[:4]) % uint32(shards))
}

// Shards is the number of shards of each book.
func (b *Broker) Shards() int { return b.cfg.Shards }
