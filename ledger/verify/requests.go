package verify

import (
	"slices"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// sentRequest is a donor's further wish (another card, a cancellation) as a
// message holds it. Losing one would charge somebody who had canceled.
type sentRequest struct {
	*envelope.Request
	sequence uint64
	index    int
	raw      []byte // the record as it was stored
}

// flushRequests looks for the waiting requests among the recorded ones. Of those
// that share an ID the first is the one that counts, so what is compared is what
// all of them agree on: the ID stands for donation and kind.
func (c *comparison) flushRequests() error {
	ids := make([]ingest.RequestID, 0, len(c.requests))
	for _, r := range c.requests {
		ids = append(ids, r.ID)
	}
	slices.SortFunc(ids, func(a, b ingest.RequestID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	type wish struct {
		donation ingest.ID
		kind     string
	}
	rows := make(map[ingest.RequestID]wish, len(ids))
	err := c.db.Requests(c.ctx, c.book, ids, func(id ingest.RequestID, donation ingest.ID, kind string) { rows[id] = wish{donation, kind} })
	if err != nil {
		return err
	}
	for _, sent := range c.requests {
		row, found := rows[sent.ID]
		at := place(c.book, c.shard, sent.sequence, sent.index)
		switch {
		case sent.Rehearsal != (c.book == ledger.Rehearsal):
			c.suspect(sent.sequence, sent.ID.String(), "a request in the stream of the other book and not in quarantine, at "+at, sent.raw)
		case !found:
			c.suspect(sent.sequence, sent.ID.String(), "a request acknowledged and not stored, at "+at, sent.raw)
		case row != wish{sent.Donation, sent.Kind.String()}:
			c.tally.add(sent.ID.String(), "a request stored with another donation or kind than sent, at "+at)
		}
	}
	return nil
}
