// Package postgres reads the rehearsal book for the audit: plain SQL of its own,
// so that the judge does not share code with the judged.
//
// The one invariant: it never writes, and everything read between Begin and its
// end is of one moment.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/postgres/session"
	"spillway/loadtest/audit"
)

//go:embed sql/*.sql
var files embed.FS

func statement(name string) string {
	b, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the file is part of this package
	}
	return string(b)
}

var (
	donationsSQL     = statement("donations")
	moreLinesSQL     = statement("more_lines")
	findSQL          = statement("find")
	findMoreLinesSQL = statement("find_more_lines")
	conflictsSQL     = statement("conflicts")
	slotsSQL         = statement("slots")
	countSQL         = statement("count")
	entriesSQL       = statement("entries")
	chargingSQL      = statement("charging")
	callsSQL         = statement("calls")
	actingSQL        = statement("acting")
)

// connectTimeout bounds one try to connect.
const connectTimeout = 5 * time.Second

// ErrURL says that a connection string cannot be read. It does not quote it,
// for it holds a password.
var ErrURL = errors.New("database url cannot be read")

// view is a read-only transaction on the rehearsal book.
type view struct{ tx pgx.Tx }

var (
	_ audit.Ledger  = (*view)(nil)
	_ audit.Journal = (*view)(nil)
)

// connect opens one connection whose tables are the rehearsal book's.
func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, ErrURL
	}
	session.Primary(config)
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["search_path"] = ledger.Rehearsal.Schema()
	config.RuntimeParams["application_name"] = "spillway rehearse"
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["jit"] = "off" // longer to compile than to run
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Not a parameter of the connection: a URL of several hosts may ask for the one that
	// takes writes, and this session would not look like one.
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// Begin connects and starts a view of one moment. The function it returns ends
// the view and the connection.
func Begin(ctx context.Context, url string) (audit.Ledger, func(), error) {
	conn, err := connect(ctx, url)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger database: %w", err)
	}
	end := func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		_ = conn.Close(stop) // ends the transaction, which only read
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("ledger database: %w", err)
	}
	return &view{tx}, end, nil
}

// Count is how many lines the campaigns whose slugs begin with prefix have been given.
func Count(ctx context.Context, url, prefix string) (int64, error) {
	conn, err := connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("ledger database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	var n int64
	if err := conn.QueryRow(ctx, countSQL, prefix).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the run's donations: %w", err)
	}
	return n, nil
}

// Donations visits the donations of an ID range.
func (v *view) Donations(ctx context.Context, prefix string, from, to ingest.ID, visit func(*audit.Donation) error) error {
	if err := v.donations(ctx, visit, donationsSQL, moreLinesSQL, prefix, [16]byte(from), [16]byte(to)); err != nil {
		return fmt.Errorf("read donations: %w", err)
	}
	return nil
}

// Find visits donations by their IDs.
func (v *view) Find(ctx context.Context, ids []ingest.ID, visit func(*audit.Donation) error) error {
	uuids := make([][16]byte, len(ids))
	for i, id := range ids {
		uuids[i] = id
	}
	if err := v.donations(ctx, visit, findSQL, findMoreLinesSQL, uuids); err != nil {
		return fmt.Errorf("find donations: %w", err)
	}
	return nil
}

func (v *view) donations(ctx context.Context, visit func(*audit.Donation) error, firstSQL, moreSQL string, args ...any) error {
	more, err := v.moreLines(ctx, moreSQL, args...)
	if err != nil {
		return err
	}
	rows, err := v.tx.Query(ctx, firstSQL, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var d audit.Donation
	var seq, sealKey int64
	for rows.Next() {
		var campaign *string
		var amountMinor, feeMinor *int64
		var fellAt *time.Time
		p := &d.Payment
		p.RefundedMinor, p.LostMinor = nil, nil
		if err := rows.Scan(&seq, (*[16]byte)(&d.ID), (*[16]byte)(&d.Fingerprint), &d.ReceivedAt, &d.TokenExpiresAt,
			&d.AmountMinor, &d.LinesMinor, &d.FeeCoverMinor, &d.Currency, &d.Anonymous, &d.HideAmount,
			&d.ConfirmationToken, &d.Sealed, &sealKey, &campaign, &amountMinor,
			&p.Status, &p.Reason, &p.Intent, &p.Charge, &p.CapturedMinor, &feeMinor, &p.FeeCurrency, &p.RefundedMinor, &p.LostMinor, &fellAt, &p.Falls); err != nil {
			return err
		}
		d.SealKey = uint32(sealKey) //nolint:gosec // 32 bits, stored in 64 for want of an unsigned type
		p.FeeMinor, p.FeeKnown = orZero(feeMinor), feeMinor != nil
		p.FellAt = orZero(fellAt)
		d.Lines = d.Lines[:0]
		if campaign != nil {
			d.Lines = append(d.Lines, ingest.Line{Campaign: *campaign, AmountMinor: *amountMinor})
		}
		d.Lines = append(d.Lines, more[seq]...)
		if err := visit(&d); err != nil {
			return err
		}
	}
	return rows.Err()
}

// orZero is what p points to, the zero value for NULL.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// moreLines reads the lines after the first, by donation. Most donations have one line.
func (v *view) moreLines(ctx context.Context, sql string, args ...any) (map[int64][]ingest.Line, error) {
	rows, err := v.tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	more := map[int64][]ingest.Line{}
	for rows.Next() {
		var seq int64
		var l ingest.Line
		if err := rows.Scan(&seq, &l.Campaign, &l.AmountMinor); err != nil {
			return nil, err
		}
		more[seq] = append(more[seq], l)
	}
	return more, rows.Err()
}

// Conflicts visits the conflicts of an ID range.
func (v *view) Conflicts(ctx context.Context, from, to ingest.ID, visit func(audit.Conflict) error) error {
	rows, err := v.tx.Query(ctx, conflictsSQL, [16]byte(from), [16]byte(to))
	if err != nil {
		return fmt.Errorf("read conflicts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c audit.Conflict
		if err := rows.Scan((*[16]byte)(&c.ID), (*[16]byte)(&c.Fingerprint)); err != nil {
			return fmt.Errorf("read conflicts: %w", err)
		}
		if err := visit(c); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Entries visits the journal's entries of an ID range.
func (v *view) Entries(ctx context.Context, from, to ingest.ID, visit func(*audit.Entry) error) error {
	rows, err := v.tx.Query(ctx, entriesSQL, [16]byte(from), [16]byte(to))
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e audit.Entry
		if err := rows.Scan((*[16]byte)(&e.Donation), &e.Kind, &e.Ref, &e.Accounts, &e.Currencies, &e.Amounts); err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		if err := visit(&e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	return nil
}

// Slots visits the slots of the run's campaigns.
func (v *view) Slots(ctx context.Context, prefix string, visit func(campaigns.SlotRow) error) error {
	rows, err := v.tx.Query(ctx, slotsSQL, prefix)
	if err != nil {
		return fmt.Errorf("read slots: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s campaigns.SlotRow
		var currency string
		if err := rows.Scan(&s.Campaign, &currency, &s.PledgedMinor, &s.RaisedMinor, &s.Donations, &s.Version); err != nil {
			return fmt.Errorf("read slots: %w", err)
		}
		s.Currency = money.Currency(currency)
		if err := visit(s); err != nil {
			return err
		}
	}
	return rows.Err()
}
