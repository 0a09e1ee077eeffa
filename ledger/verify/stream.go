package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

const (
	// lookupDonations is how many donations are compared in one round trip: large
	// enough that the query's cost is the rows', small enough to be megabytes.
	lookupDonations = 2048
	// sampleEnds and sampleBetween are how many messages a sample takes at each end
	// of the stream and, evenly spaced, between them: an envelope under load holds
	// tens of donations, so a sample compares up to about ten thousand.
	sampleEnds, sampleBetween = 32, 192
	// trimmedSkew is by how much a front-end's clock may run ahead of the broker's
	// before a row of a trimmed message looks like one that nobody sent.
	trimmedSkew = time.Minute
)

// states asks every shard's stream where it stands.
func (r *run) states(ctx context.Context) [][]stateAnswer {
	if r.Streams == nil {
		return nil
	}
	all := make([][]stateAnswer, len(ledger.Books))
	for i, book := range ledger.Books {
		for shard := range r.Streams.Shards() {
			state, err := r.Streams.State(ctx, book, shard)
			all[i] = append(all[i], stateAnswer{state, err})
		}
	}
	return all
}

type stateAnswer struct {
	StreamState
	err error
}

// streams makes the checks of the broker. before are the states from before the
// database's snapshot.
func (r *run) streams(ctx context.Context, before [][]stateAnswer) {
	synced := Result{Check: "synced", Scope: "broker", Holds: "every server that holds donations has them on disk before it acknowledges"}
	if r.Streams == nil {
		r.unchecked(synced)
	} else {
		r.check(synced, Broken, func(res *Result, t *tally) error {
			res.Examined = int64(len(ledger.Books) * r.Streams.Shards())
			fault, err := r.Streams.Durable(ctx)
			if fault != "" {
				t.add("broker", fault)
			}
			return err
		})
	}
	for i, book := range ledger.Books {
		if before == nil {
			for _, res := range []Result{durableResult(book.String()), waitingResult(book.String()), recordedResult(book.String()), sentResult(book)} {
				if res.Check != "sent" || r.Deep {
					r.unchecked(res)
				}
			}
			continue
		}
		proof := &proof{rows: newMarks()}
		for shard, state := range before[i] {
			scope := fmt.Sprintf("%s/%d", book, shard)
			r.check(durableResult(scope), Broken, func(res *Result, t *tally) error {
				res.Examined = 1
				for _, fault := range state.Faults {
					t.add(scope, fault)
				}
				return state.err
			})
			bad := Noted
			if r.Drained {
				bad = Broken
			}
			r.check(waitingResult(scope), bad, func(res *Result, t *tally) error {
				if state.err != nil {
					return state.err
				}
				res.Examined = int64(state.Last)
				if n := state.Pending + state.Unacked; n > 0 {
					t.add(scope, fmt.Sprintf("%d messages not delivered yet, %d delivered and not acknowledged; acknowledged through %d of %d",
						state.Pending, state.Unacked, state.AckFloor, state.Last))
					t.count = int64(n)
				}
				return nil
			})
			r.check(recordedResult(scope), Broken, func(res *Result, t *tally) error {
				if state.err != nil {
					proof.incomplete = state.err
					return state.err
				}
				c := comparison{run: r, ctx: ctx, book: book, shard: shard, state: state.StreamState, res: res, tally: t, proof: proof}
				if err := c.compare(); err != nil {
					proof.incomplete = err
					return err
				}
				return nil
			})
		}
		if r.Deep {
			r.check(sentResult(book), Broken, func(res *Result, t *tally) error {
				return r.sent(ctx, book, proof, res, t)
			})
		}
	}
}

func durableResult(scope string) Result {
	return Result{Check: "durable", Scope: scope,
		Holds: "stream and consumer have the settings that keep what was acknowledged"}
}

func waitingResult(scope string) Result {
	return Result{Check: "waiting", Scope: scope,
		Holds: "the ledger has taken every message of the stream"}
}

func recordedResult(scope string) Result {
	return Result{Check: "recorded", Invariant: "I1", Scope: scope,
		Holds: "every donation and request below the ack floor is recorded as it was sent, or is a conflict or in quarantine"}
}

func sentResult(book ledger.Book) Result {
	return Result{Check: "sent", Invariant: "I2", Scope: book.String(),
		Holds: "every recorded donation is, field by field, one that the stream holds"}
}

// proof collects, over a book's shards, which rows a stored message accounts for.
type proof struct {
	rows *marks
	// since is, when a stream was trimmed, the moment from which its messages are
	// all there; rows received earlier cannot be proven and are not accused.
	since      time.Time
	incomplete error // why some stream was not read to its end
}

// comparison compares one shard's stored messages with the book.
type comparison struct {
	*run
	ctx   context.Context
	book  ledger.Book
	shard int
	state StreamState
	res   *Result
	tally *tally
	proof *proof

	// next is the sequence that a reading of everything comes to next.
	next     uint64
	batch    []sentDonation
	requests []sentRequest
	// raw backs the raw of both.
	raw []byte
	// suspects are offenders unless their payload turns out to be in quarantine.
	suspects []suspect
}

type sentDonation struct {
	*envelope.Donation
	sequence uint64
	index    int
	raw      []byte // the record as it was stored
}

type suspect struct {
	Finding
	payload [32]byte // SHA-256 of the record, or of the envelope that cannot be read
}

func (c *comparison) compare() error {
	var err error
	if c.Deep {
		err = c.readAll()
	} else {
		err = c.readSample()
	}
	if err != nil {
		return err
	}
	return c.flush()
}

// readAll reads everything: to the ack floor for what must be recorded, and on to
// the end as it is now for what may be.
func (c *comparison) readAll() error {
	after, err := c.Streams.State(c.ctx, c.book, c.shard)
	if err != nil {
		return err
	}
	if c.state.First > 1 && c.state.First <= c.state.Last {
		c.proof.since = later(c.proof.since, c.state.FirstAt.Add(trimmedSkew))
		c.res.Reason = fmt.Sprintf("the stream was trimmed: messages before %d are gone", c.state.First)
	}
	if after.Last < c.state.First {
		return nil
	}
	c.next = c.state.First
	err = c.Streams.Read(c.ctx, c.book, c.shard, c.state.First, after.Last, func(sequence uint64, data []byte) error {
		c.missing(sequence)
		c.next = sequence + 1
		return c.message(sequence, data)
	})
	if errors.Is(err, ErrNoMessage) {
		return fmt.Errorf("the stream was trimmed while it was read; try again: %w", err)
	}
	if err != nil {
		return err
	}
	c.missing(after.Last + 1)
	return nil
}

// missing accuses the messages between the one that should come next and the one
// that came: our streams delete nothing but their oldest.
func (c *comparison) missing(came uint64) {
	if came > c.next {
		c.tally.add(place(c.book, c.shard, c.next, -1), fmt.Sprintf("%d messages from here on are gone from the middle of the stream", came-c.next))
	}
}

// readSample reads both ends of what is below the ack floor and evenly spaced
// messages between them.
func (c *comparison) readSample() error {
	floor := min(c.state.AckFloor, c.state.Last)
	sample := sampleSequences(c.state.First, floor)
	for _, sequence := range sample {
		err := c.Streams.Read(c.ctx, c.book, c.shard, sequence, sequence, c.message)
		if errors.Is(err, ErrNoMessage) {
			now, err := c.Streams.State(c.ctx, c.book, c.shard)
			if err != nil {
				return err
			}
			if sequence >= now.First {
				c.tally.add(place(c.book, c.shard, sequence, -1), "gone from the middle of the stream")
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	if stored := int64(floor) - int64(c.state.First) + 1; int64(len(sample)) < stored {
		c.res.Reason = fmt.Sprintf("a sample of %d of %s messages; --deep compares all", len(sample), thousands(stored))
	}
	return nil
}

// sampleSequences picks the messages of a sample from first..last, ascending.
func sampleSequences(first, last uint64) []uint64 {
	if last < first || last == 0 {
		return nil
	}
	n := last - first + 1
	var all []uint64
	if n <= 2*sampleEnds+sampleBetween {
		for s := first; s <= last; s++ {
			all = append(all, s)
		}
		return all
	}
	for i := range uint64(sampleEnds) {
		all = append(all, first+i, last-i)
	}
	between := n - 2*sampleEnds
	for i := range uint64(sampleBetween) {
		all = append(all, first+sampleEnds+i*between/sampleBetween)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// message takes one stored envelope apart.
func (c *comparison) message(sequence uint64, data []byte) error {
	_, err := envelope.Decode(data, func(index int, r envelope.Record, raw []byte, err error) {
		c.res.Examined++
		if err != nil {
			c.suspect(sequence, place(c.book, c.shard, sequence, index), "unreadable record, acknowledged and not in quarantine", raw)
			return
		}
		begin := len(c.raw)
		c.raw = append(c.raw, raw...)
		raw = c.raw[begin:len(c.raw):len(c.raw)]
		if r.Request != nil {
			c.requests = append(c.requests, sentRequest{r.Request, sequence, index, raw})
			return
		}
		c.batch = append(c.batch, sentDonation{r.Donation, sequence, index, raw})
	})
	if err != nil {
		c.res.Examined++
		c.suspect(sequence, place(c.book, c.shard, sequence, -1), "unreadable envelope, acknowledged and not in quarantine", data)
	}
	if max(len(c.batch), len(c.requests), len(c.suspects)) >= lookupDonations {
		return c.flush()
	}
	return nil
}

// suspect remembers what should be in the book, or else in quarantine. Above the
// ack floor nothing has to be anywhere yet.
func (c *comparison) suspect(sequence uint64, id, detail string, payload []byte) {
	if sequence <= c.state.AckFloor {
		c.suspects = append(c.suspects, suspect{Finding{id, detail}, sha256.Sum256(payload)})
	}
}

// flush compares the waiting donations and requests with their rows, and accuses
// the suspects that are not in quarantine.
func (c *comparison) flush() error {
	if len(c.batch) > 0 {
		if err := c.flushBatch(); err != nil {
			return err
		}
	}
	if len(c.requests) > 0 {
		if err := c.flushRequests(); err != nil {
			return err
		}
	}
	if len(c.suspects) > 0 {
		hashes := make([][32]byte, len(c.suspects))
		for i := range c.suspects {
			hashes[i] = c.suspects[i].payload
		}
		kept := map[[32]byte]bool{}
		if err := c.db.Quarantined(c.ctx, c.book, hashes, func(hash [32]byte) { kept[hash] = true }); err != nil {
			return err
		}
		for _, s := range c.suspects {
			if !kept[s.payload] {
				c.tally.add(s.ID, s.Detail)
			}
		}
	}
	c.batch, c.requests, c.raw, c.suspects = c.batch[:0], c.requests[:0], c.raw[:0], c.suspects[:0]
	if c.Deep {
		c.Progress("compare "+c.res.Scope, c.res.Examined, 0)
	}
	return nil
}

func (c *comparison) flushBatch() error {
	ids := make([]ingest.ID, 0, len(c.batch))
	for _, d := range c.batch {
		ids = append(ids, d.ID)
	}
	slices.SortFunc(ids, func(a, b ingest.ID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)

	type recorded struct {
		row int64
		*envelope.Donation
	}
	rows := make(map[ingest.ID]recorded, len(ids))
	err := c.db.Donations(c.ctx, c.book, ids, func(row int64, d *envelope.Donation) { rows[d.ID] = recorded{row, d} })
	if err != nil {
		return err
	}
	type conflictKey struct {
		id ingest.ID
		fp ingest.Fingerprint
	}
	conflicts := map[conflictKey]bool{}
	err = c.db.Conflicts(c.ctx, c.book, ids, func(id ingest.ID, fp ingest.Fingerprint) { conflicts[conflictKey{id, fp}] = true })
	if err != nil {
		return err
	}

	for _, sent := range c.batch {
		row, found := rows[sent.ID]
		at := place(c.book, c.shard, sent.sequence, sent.index)
		switch {
		case sent.Rehearsal != (c.book == ledger.Rehearsal):
			c.suspect(sent.sequence, sent.ID.String(), "in the stream of the other book and not in quarantine, at "+at, sent.raw)
		case !found:
			c.suspect(sent.sequence, sent.ID.String(), "acknowledged and not recorded, at "+at, sent.raw)
		case row.Fingerprint != sent.Fingerprint:
			if !conflicts[conflictKey{sent.ID, sent.Fingerprint}] {
				c.suspect(sent.sequence, sent.ID.String(), "other content under a recorded ID, and no conflict recorded, at "+at, sent.raw)
			}
		default:
			if field := contentDiffers(row.Donation, sent.Donation); field != "" {
				c.tally.add(sent.ID.String(), fmt.Sprintf("recorded with another %s than sent, at %s", field, at))
			} else if deliveryDiffers(row.Donation, sent.Donation) == "" {
				c.proof.rows.add(row.row)
			}
		}
	}
	return nil
}

// sent accuses every row that no stored message accounts for.
func (r *run) sent(ctx context.Context, book ledger.Book, p *proof, res *Result, t *tally) error {
	if p.incomplete != nil {
		return fmt.Errorf("a stream was not read to its end: %w", p.incomplete)
	}
	older := int64(0)
	err := r.db.Rows(ctx, book, func(row int64, id ingest.ID, receivedAt time.Time) {
		res.Examined++
		switch {
		case p.rows.has(row):
		case !p.since.IsZero() && receivedAt.Before(p.since):
			older++
		default:
			t.add(id.String(), "recorded, and no stored message says exactly this")
		}
	})
	if older > 0 {
		res.Reason = fmt.Sprintf("%s rows are older than what the stream still holds", thousands(older))
	}
	return err
}

// contentDiffers names the first field of the content, which the fingerprint
// stands for, that differs; "" when none does. Personal fields are left out: they
// are sealed anew with each attempt. The row's lines are in order of their slugs
// or of the request, so both are compared as sets.
func contentDiffers(row, sent *envelope.Donation) string {
	switch {
	case row.Currency != sent.Currency:
		return "currency"
	case row.AmountMinor != sent.AmountMinor:
		return "amount_minor"
	case row.FeeCoverMinor != sent.FeeCoverMinor:
		return "fee_cover_minor"
	case row.Anonymous != sent.Anonymous:
		return "anonymous"
	case row.HideAmount != sent.HideAmount:
		return "hide_amount"
	case !sameLines(row.Lines, sent.Lines):
		return "line"
	}
	return ""
}

func sameLines(a, b []ingest.Line) bool {
	if len(a) != len(b) {
		return false
	}
	minor := make(map[string]int64, len(a))
	for _, l := range a {
		minor[l.Campaign] = l.AmountMinor
	}
	for _, l := range b {
		if m, ok := minor[l.Campaign]; !ok || m != l.AmountMinor {
			return false
		}
	}
	return true
}

// deliveryDiffers names the first field that differs between attempts of one
// donation: when and from where it came, with which card token. A row is one
// attempt's, the first that was recorded.
func deliveryDiffers(row, sent *envelope.Donation) string {
	switch {
	case !row.ReceivedAt.Equal(sent.ReceivedAt):
		return "received_at"
	case row.Source != sent.Source:
		return "source"
	case row.ConfirmationToken != sent.ConfirmationToken:
		return "confirmation_token"
	case !row.TokenExpiresAt.Equal(sent.TokenExpiresAt):
		return "token_expires_at"
	case row.SealKey != sent.SealKey || string(row.Sealed) != string(sent.Sealed):
		return "sealed"
	}
	return ""
}

// place names a record in a stream: "live/0:17[3]".
func place(book ledger.Book, shard int, sequence uint64, index int) string {
	if index < 0 {
		return fmt.Sprintf("%s/%d:%d", book, shard, sequence)
	}
	return fmt.Sprintf("%s/%d:%d[%d]", book, shard, sequence, index)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
