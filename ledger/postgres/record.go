package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/postgres/session"
)

var (
	fenceSQL         = statement("fence")
	knownSQL         = statement("known")
	raiseSlotsSQL    = statement("raise_slots")
	noteConflictsSQL = statement("note_conflicts")
	noteDueSQL       = statement("note_due")
)

const (
	nextBlockSQL     = "SELECT nextval('donation_blocks')"
	copyDonationsSQL = "COPY donations (seq, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor," +
		" source, seal_key, anonymous, hide_amount, id, fingerprint, currency, confirmation_token, sealed) FROM STDIN (FORMAT binary)"
	copyDonationsFields = 15
	copyLinesSQL        = "COPY lines (donation_seq, amount_minor, line_no, campaign) FROM STDIN (FORMAT binary)"
	copyLinesFields     = 4
)

// raceTries bounds how often a batch is tried again because another writer
// recorded one of its donations in the same moment. Each loss means that the other
// made progress, and the next try sees what it wrote.
const raceTries = 20

// Record writes a batch in one transaction under a lease and returns the rows of
// the lease's slot that it changed, as they now are.
//
// donations hold each ID once, in ID order (every writer inserts in this order, so
// that two never wait for each other in a circle). repeats are further records of
// IDs in donations whose content differs, in the order of arrival. A donation that
// is already recorded is skipped, so a redelivered batch is harmless; whatever has
// another fingerprint than the one recorded is noted as a conflict. Either all of
// it is durable or none. Record keeps no reference to its arguments.
//
// Errors: ledger.ErrFenced, nothing written; *ledger.PoisonError, nothing written;
// ledger.ErrUnavailable, and any other error, when the outcome is not known: the
// batch may be recorded, and then repeating it changes nothing and returns no rows.
func (b *Book) Record(ctx context.Context, lease ledger.Lease, donations, repeats []*envelope.Donation) ([]campaigns.SlotRow, ledger.Counts, error) {
	conn, err := b.record.Acquire(ctx)
	if err != nil {
		return nil, ledger.Counts{}, sorted("record: connect", err)
	}
	defer conn.Release()
	work := recordWork.Get().(*recording)
	defer work.put()
	for try := 1; ; try++ {
		work.reset(b, conn, lease, donations, repeats)
		err := work.run(ctx)
		if err == nil {
			return work.changed, work.counts, nil
		}
		session.Rollback(ctx, conn.Conn())
		if !lostRace(err) && !errors.Is(err, errNumbersTaken) {
			return nil, ledger.Counts{}, sorted(fmt.Sprintf("record batch of %d", len(donations)), err)
		}
		if try == raceTries {
			return nil, ledger.Counts{}, fmt.Errorf("record batch of %d: lost %d races: %w", len(donations), try, ledger.ErrUnavailable)
		}
	}
}

// recording is the work of one transaction, pooled for its buffers.
type recording struct {
	book      *Book
	conn      *pgxpool.Conn
	lease     ledger.Lease
	donations []*envelope.Donation
	repeats   []*envelope.Donation

	known   map[ingest.ID]ingest.Fingerprint // recorded before this transaction
	fresh   []*envelope.Donation             // the others: new in this transaction
	ids     []pgtype.UUID
	copy    copyBuffer
	changed []campaigns.SlotRow
	counts  ledger.Counts
}

var recordWork = sync.Pool{New: func() any { return &recording{known: map[ingest.ID]ingest.Fingerprint{}} }}

func (r *recording) reset(b *Book, conn *pgxpool.Conn, lease ledger.Lease, donations, repeats []*envelope.Donation) {
	clear(r.known)
	*r = recording{
		book: b, conn: conn, lease: lease, donations: donations, repeats: repeats,
		known: r.known, fresh: r.fresh[:0], ids: r.ids[:0], copy: r.copy,
	}
}

func (r *recording) put() {
	clear(r.fresh[:cap(r.fresh)])
	r.reset(nil, nil, ledger.Lease{}, nil, nil)
	recordWork.Put(r)
}

// run is the transaction: look, two copies, then the slots and the commit in one
// round trip. It leaves a failed transaction open.
func (r *recording) run(ctx context.Context) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	for _, d := range r.donations {
		if _, recorded := r.known[d.ID]; !recorded {
			r.fresh = append(r.fresh, d)
		}
	}
	if len(r.fresh) > 0 {
		if err := r.insert(ctx); err != nil {
			return err
		}
	}
	losers := r.losers()
	r.counts = ledger.Counts{New: len(r.fresh), Conflicts: len(losers)}
	r.counts.Repeats = len(r.donations) + len(r.repeats) - r.counts.New - r.counts.Conflicts
	return r.commit(ctx, losers)
}

// look begins the transaction, takes the fence, and learns what is recorded.
func (r *recording) look(ctx context.Context) error {
	for _, d := range r.donations {
		r.ids = append(r.ids, pgtype.UUID{Bytes: d.ID, Valid: true})
	}
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(fenceSQL, r.lease.Slot, r.lease.Term, r.lease.Epoch).QueryRow(func(row pgx.Row) error {
		var held int
		err := row.Scan(&held)
		if errors.Is(err, pgx.ErrNoRows) {
			return ledger.ErrFenced
		}
		return err
	})
	batch.Queue(knownSQL, r.ids).Query(func(rows pgx.Rows) error {
		var id, fingerprint pgtype.UUID
		_, err := pgx.ForEachRow(rows, []any{&id, &fingerprint}, func() error {
			r.known[id.Bytes] = fingerprint.Bytes
			return nil
		})
		return err
	})
	for range r.book.seqs.missing(len(r.donations)) {
		batch.Queue(nextBlockSQL).QueryRow(func(row pgx.Row) error {
			var first int64
			if err := row.Scan(&first); err != nil {
				return err
			}
			r.book.seqs.add(first)
			return nil
		})
	}
	return r.conn.SendBatch(ctx, batch).Close()
}

// errNumbersTaken says that another shard's transaction took the numbers that this
// one drew; the batch is simply tried again.
var errNumbersTaken = errors.New("donation numbers taken by another transaction")

// insert copies the new donations and their lines.
func (r *recording) insert(ctx context.Context) error {
	numbers, ok := r.book.seqs.take(len(r.fresh))
	if !ok {
		return errNumbersTaken
	}
	pc := r.conn.Conn().PgConn()

	at := slices.Clone(numbers)
	r.copy.begin()
	for _, d := range r.fresh {
		seq := next(&at)
		r.copy.row(copyDonationsFields)
		r.copy.bigint(seq)
		r.copy.timestamptz(d.ReceivedAt)
		r.copy.timestamptz(d.TokenExpiresAt)
		r.copy.bigint(d.AmountMinor)
		r.copy.bigint(linesMinor(d))
		r.copy.bigint(d.FeeCoverMinor)
		r.copy.bigint(int64(d.Source)) // the bits as they are
		r.copy.bigint(int64(d.SealKey))
		r.copy.boolean(d.Anonymous)
		r.copy.boolean(d.HideAmount)
		r.copy.uuid(d.ID)
		r.copy.uuid(d.Fingerprint)
		r.copy.text(string(d.Currency))
		r.copy.text(d.ConfirmationToken)
		r.copy.bytea(d.Sealed)
	}
	if _, err := pc.CopyFrom(ctx, bytes.NewReader(r.copy.end()), copyDonationsSQL); err != nil {
		return fmt.Errorf("copy donations: %w", err)
	}

	at = numbers
	r.copy.begin()
	for _, d := range r.fresh {
		seq := next(&at)
		for i := range d.Lines {
			r.copy.row(copyLinesFields)
			r.copy.bigint(seq)
			r.copy.bigint(d.Lines[i].AmountMinor)
			r.copy.smallint(int16(i + 1)) // at most ingest.LinesMax
			r.copy.text(d.Lines[i].Campaign)
		}
	}
	if _, err := pc.CopyFrom(ctx, bytes.NewReader(r.copy.end()), copyLinesSQL); err != nil {
		return fmt.Errorf("copy lines: %w", err)
	}
	return nil
}

func next(at *[]block) int64 {
	b := &(*at)[0]
	seq := b.next
	b.next++
	if b.next == b.end {
		*at = (*at)[1:]
	}
	return seq
}

// linesMinor sums a donation's lines. A sum that wraps belongs to a line beyond
// what lines_amount_range allows.
func linesMinor(d *envelope.Donation) (sum int64) {
	for i := range d.Lines {
		sum += d.Lines[i].AmountMinor
	}
	return sum
}

// losers returns the records whose content differs from what is recorded under
// their ID, by this transaction or before it.
func (r *recording) losers() (losers []*envelope.Donation) {
	if len(r.known) == 0 && len(r.repeats) == 0 {
		return nil
	}
	for _, d := range r.donations {
		if first, recorded := r.known[d.ID]; recorded && first != d.Fingerprint {
			losers = append(losers, d)
		}
	}
	for _, d := range r.repeats {
		first, recorded := r.known[d.ID]
		if !recorded {
			i, found := slices.BinarySearchFunc(r.fresh, d.ID, func(f *envelope.Donation, id ingest.ID) int { return bytes.Compare(f.ID[:], id[:]) })
			if !found {
				continue // a repeat of nothing: the caller broke the contract, nothing is lost by it
			}
			first = r.fresh[i].Fingerprint
		}
		if first != d.Fingerprint {
			losers = append(losers, d)
		}
	}
	return losers
}

// commit notes the losers and what is due, raises the slots by what was new, and commits.
func (r *recording) commit(ctx context.Context, losers []*envelope.Donation) error {
	batch := &pgx.Batch{}
	if len(losers) > 0 {
		queueConflicts(batch, losers)
	}
	if len(r.fresh) > 0 {
		batch.Queue(noteDueSQL, r.due())
	}
	if raised := sum(r.fresh); len(raised.campaigns) > 0 {
		batch.Queue(raiseSlotsSQL, r.lease.Slot, raised.campaigns, raised.currencies, raised.pledged, raised.donations).Query(func(rows pgx.Rows) (err error) {
			r.changed, err = pgx.CollectRows(rows, slotRow)
			return err
		})
	}
	batch.Queue("COMMIT")
	return r.conn.SendBatch(ctx, batch).Close()
}

// due returns the IDs of the new donations, in their order: the batch of attempts that
// payments make of them. The transaction's own list of IDs is not needed any more.
func (r *recording) due() []pgtype.UUID {
	if len(r.fresh) == len(r.ids) {
		return r.ids
	}
	r.ids = r.ids[:0]
	for _, d := range r.fresh {
		r.ids = append(r.ids, pgtype.UUID{Bytes: d.ID, Valid: true})
	}
	return r.ids
}

func slotRow(row pgx.CollectableRow) (s campaigns.SlotRow, err error) {
	var currency string
	err = row.Scan(&s.Campaign, &currency, &s.PledgedMinor, &s.RaisedMinor, &s.Donations, &s.Version)
	s.Currency = money.Currency(currency)
	return s, err
}

// deltas are what a batch adds to each campaign and currency, as columns.
type deltas struct {
	campaigns, currencies []string
	pledged, donations    []int64
}

// sum adds up the lines of donations per campaign and currency.
func sum(donations []*envelope.Donation) deltas {
	type key struct {
		campaign string
		currency money.Currency
	}
	at := map[key]int{}
	var d deltas
	for _, donation := range donations {
		for i := range donation.Lines {
			k := key{donation.Lines[i].Campaign, donation.Currency}
			n, ok := at[k]
			if !ok {
				n = len(d.campaigns)
				at[k] = n
				d.campaigns, d.currencies = append(d.campaigns, k.campaign), append(d.currencies, string(k.currency))
				d.pledged, d.donations = append(d.pledged, 0), append(d.donations, 0)
			}
			d.pledged[n] += donation.Lines[i].AmountMinor
			d.donations[n]++
		}
	}
	return d
}

func queueConflicts(batch *pgx.Batch, losers []*envelope.Donation) {
	slices.SortFunc(losers, func(a, b *envelope.Donation) int {
		return cmp.Or(bytes.Compare(a.ID[:], b.ID[:]), bytes.Compare(a.Fingerprint[:], b.Fingerprint[:]))
	})
	n := len(losers)
	ids, fingerprints := make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	received, records := make([]pgtype.Timestamptz, n), make([][]byte, n)
	for i, d := range losers {
		ids[i] = pgtype.UUID{Bytes: d.ID, Valid: true}
		fingerprints[i] = pgtype.UUID{Bytes: d.Fingerprint, Valid: true}
		received[i] = pgtype.Timestamptz{Time: d.ReceivedAt, Valid: true}
		records[i] = envelope.AppendDonation(nil, d)
	}
	batch.Queue(noteConflictsSQL, ids, fingerprints, received, records)
}
