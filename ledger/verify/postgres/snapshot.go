// Package postgres reads both books and the campaigns for verify, in one
// read-only snapshot of the database.
//
// The one invariant: it changes nothing, and everything it returns is of one
// moment, whatever is written meanwhile.
//
// The checks' queries lie in sql, one file each, named after the check. They read
// tables, never indexes: an index may be what is damaged.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/postgres/session"
)

// closeTimeout bounds the goodbye to a database that may be gone.
const closeTimeout = 5 * time.Second

// Snapshot is one moment of the database. Not for concurrent use. It keeps that
// moment's dead rows from being vacuumed until it is closed.
type Snapshot struct {
	conn    *pgx.Conn
	takenAt time.Time
	book    ledger.Book // whose schema is in front
}

// Open connects to url and takes the snapshot.
func Open(ctx context.Context, url string) (*Snapshot, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database url cannot be read") // the cause may quote a password
	}
	session.Primary(config)
	for name, value := range map[string]string{
		"application_name":              "spillway verify",
		"default_transaction_isolation": "repeatable read",
		// A whole table is read at once: neither bound is meant for this.
		"statement_timeout":                   "0",
		"idle_in_transaction_session_timeout": "0",
		// One session, a few sorts at a time; the rest spills to disk.
		"work_mem": "64MB",
		"timezone": "UTC",
	} {
		config.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{conn: conn}
	if _, err := conn.Exec(ctx, "BEGIN READ ONLY"); err != nil {
		s.Close()
		return nil, fmt.Errorf("begin: %w", err)
	}
	// The first query takes the snapshot.
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&s.takenAt); err != nil {
		s.Close()
		return nil, fmt.Errorf("take the snapshot: %w", err)
	}
	return s, nil
}

// TakenAt is the database's time of the snapshot.
func (s *Snapshot) TakenAt() time.Time { return s.takenAt }

// Close ends the snapshot and the connection.
func (s *Snapshot) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.conn.Close(ctx) // read-only: there is nothing to lose
}

// in runs do with the book's schema in front, and undoes what a failed query did
// to the transaction, so that the next one can run.
func (s *Snapshot) in(ctx context.Context, book ledger.Book, do func() error) error {
	if s.book != book {
		if _, err := s.conn.Exec(ctx, "SELECT set_config('search_path', $1, false)", book.Schema()); err != nil {
			return err
		}
		s.book = book
	}
	if _, err := s.conn.Exec(ctx, "SAVEPOINT step"); err != nil {
		return err
	}
	if err := do(); err != nil {
		s.book = 0 // the rollback takes the search path along
		_, undo := s.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT step")
		return errors.Join(err, undo)
	}
	_, err := s.conn.Exec(ctx, "RELEASE SAVEPOINT step")
	return err
}

// each runs a query and calls visit for every row, as they come.
func (s *Snapshot) each(ctx context.Context, book ledger.Book, sql string, args []any, scan []any, visit func() error) error {
	return s.in(ctx, book, func() error {
		rows, err := s.conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, scan, visit)
		return err
	})
}

// Donations visits the recorded donations among ids, each with its row's number.
func (s *Snapshot) Donations(ctx context.Context, book ledger.Book, ids []ingest.ID, visit func(row int64, d *envelope.Donation)) error {
	var (
		row, source, sealKey int64
		id, fingerprint      [16]byte
		currency             string
		slugs                []string
		amounts              []int64
		d                    envelope.Donation
	)
	scan := []any{&row, &id, &fingerprint, &d.ReceivedAt, &source, &currency, &d.AmountMinor, &d.FeeCoverMinor,
		&d.Anonymous, &d.HideAmount, &d.ConfirmationToken, &d.TokenExpiresAt, &d.Sealed, &sealKey, &slugs, &amounts}
	return s.each(ctx, book, donationsSQL, []any{uuids(ids)}, scan, func() error {
		if len(slugs) != len(amounts) {
			return fmt.Errorf("donation %s: %d campaigns for %d amounts", ingest.ID(id), len(slugs), len(amounts))
		}
		one := d
		one.ID, one.Fingerprint = id, fingerprint
		one.Source, one.SealKey = uint64(source), uint32(sealKey)
		one.Currency = money.Currency(currency)
		one.Rehearsal = book == ledger.Rehearsal
		one.Sealed = append([]byte(nil), d.Sealed...)
		for i, slug := range slugs {
			one.Lines = append(one.Lines, ingest.Line{Campaign: slug, AmountMinor: amounts[i]})
		}
		visit(row, &one)
		return nil
	})
}

// Conflicts visits the recorded conflicts of the donations among ids.
func (s *Snapshot) Conflicts(ctx context.Context, book ledger.Book, ids []ingest.ID, visit func(id ingest.ID, fp ingest.Fingerprint)) error {
	var id, fingerprint [16]byte
	return s.each(ctx, book, "SELECT id, fingerprint FROM conflicts WHERE id = ANY ($1::uuid[])",
		[]any{uuids(ids)}, []any{&id, &fingerprint}, func() error {
			visit(id, fingerprint)
			return nil
		})
}

// Requests visits the stored requests among ids.
func (s *Snapshot) Requests(ctx context.Context, book ledger.Book, ids []ingest.RequestID, visit func(id ingest.RequestID, donation ingest.ID, kind string)) error {
	var id, donation [16]byte
	var kind string
	return s.each(ctx, book, "SELECT request, donation_id, kind FROM requests WHERE request = ANY ($1::uuid[])",
		[]any{uuids(ids)}, []any{&id, &donation, &kind}, func() error {
			visit(id, donation, kind)
			return nil
		})
}

// Quarantined visits those of the payload hashes (SHA-256) that are in quarantine.
func (s *Snapshot) Quarantined(ctx context.Context, book ledger.Book, hashes [][32]byte, visit func(hash [32]byte)) error {
	asked := make([][]byte, len(hashes))
	for i := range hashes {
		asked[i] = hashes[i][:]
	}
	var hash []byte
	return s.each(ctx, book, "SELECT payload_hash FROM quarantine WHERE payload_hash = ANY ($1::bytea[])",
		[]any{asked}, []any{&hash}, func() error {
			if len(hash) != 32 {
				return fmt.Errorf("payload hash of %d bytes in quarantine", len(hash))
			}
			visit([32]byte(hash))
			return nil
		})
}

// Rows visits every recorded donation, in no order.
func (s *Snapshot) Rows(ctx context.Context, book ledger.Book, visit func(row int64, id ingest.ID, receivedAt time.Time)) error {
	var row int64
	var id [16]byte
	var receivedAt time.Time
	return s.each(ctx, book, "SELECT seq, id, received_at FROM donations", nil,
		[]any{&row, &id, &receivedAt}, func() error {
			visit(row, id, receivedAt)
			return nil
		})
}

// Lines visits every line of every recorded donation, in no order, and whether its
// payment neither failed nor was canceled.
func (s *Snapshot) Lines(ctx context.Context, book ledger.Book, visit func(campaign string, currency money.Currency, amountMinor int64, standing bool)) error {
	const sql = `SELECT l.campaign, d.currency, l.amount_minor, coalesce(p.status, 'accepted') NOT IN ('failed', 'canceled')
		FROM lines l JOIN donations d ON d.seq = l.donation_seq LEFT JOIN payments p ON p.donation_id = d.id`
	var campaign, currency string
	var amountMinor int64
	var standing bool
	return s.each(ctx, book, sql, nil, []any{&campaign, &currency, &amountMinor, &standing}, func() error {
		visit(campaign, money.Currency(currency), amountMinor, standing)
		return nil
	})
}

// Slots visits every row of every slot.
func (s *Snapshot) Slots(ctx context.Context, book ledger.Book, visit func(slot int32, row *campaigns.SlotRow)) error {
	var slot int32
	var currency string
	var row campaigns.SlotRow
	return s.each(ctx, book, "SELECT slot, campaign, currency, pledged_minor, raised_minor, donations, version FROM slots", nil,
		[]any{&slot, &row.Campaign, &currency, &row.PledgedMinor, &row.RaisedMinor, &row.Donations, &row.Version}, func() error {
			row.Currency = money.Currency(currency)
			visit(slot, &row)
			return nil
		})
}

func uuids[ID ~[16]byte](ids []ID) []pgtype.UUID {
	all := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		all[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return all
}
