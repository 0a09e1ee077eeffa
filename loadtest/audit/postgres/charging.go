package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/loadtest/audit"
)

// endpointIntents is the endpoint whose pace is that of charging.
const endpointIntents = "payment_intents"

// Till watches a run's charging over a connection of its own, made when it is first
// used and again after an error. It is for one goroutine.
type Till struct {
	URL  func() (string, error) // where the database is now
	conn *pgx.Conn
}

// use runs do on the connection, and lets go of one that failed.
func (t *Till) use(ctx context.Context, do func(*pgx.Conn) error) (err error) {
	if t.conn == nil {
		url, err := t.URL()
		if err != nil {
			return err
		}
		if t.conn, err = connect(ctx, url); err != nil {
			return fmt.Errorf("ledger database: %w", err)
		}
	}
	if err := do(t.conn); err != nil {
		t.Close()
		return err
	}
	return nil
}

// Close lets go of the connection.
func (t *Till) Close() {
	if t.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = t.conn.Close(ctx) // it only read
	t.conn = nil
}

// State says how far the charging of the run with this prefix has come.
func (t *Till) State(ctx context.Context, slugPrefix string) (c audit.Charging, err error) {
	err = t.use(ctx, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, chargingSQL, slugPrefix).Scan(&c.At, &c.Waiting, &c.Calling, &c.Acting, &c.Feeless, &c.Captured, &c.All); err != nil {
			return fmt.Errorf("count the run's charges: %w", err)
		}
		var perSecond, current *float64
		var slowedAt *time.Time
		// The moment of counting the calls is what rates are taken by.
		if err := conn.QueryRow(ctx, callsSQL, endpointIntents).Scan(&c.At, &c.Calls, &perSecond, &current, &slowedAt); err != nil {
			return fmt.Errorf("count the calls: %w", err)
		}
		c.PerSecond, c.Current, c.SlowedAt = orZero(perSecond), orZero(current), orZero(slowedAt)
		return nil
	})
	return c, err
}

// Acting lists the run's payments that wait for their donors.
func (t *Till) Acting(ctx context.Context, slugPrefix string) (all []audit.Acting, err error) {
	err = t.use(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, actingSQL, slugPrefix)
		if err != nil {
			return fmt.Errorf("who has to act: %w", err)
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a audit.Acting, err error) {
			err = row.Scan((*[16]byte)(&a.Donation), &a.Intent)
			return a, err
		})
		if err != nil {
			return fmt.Errorf("who has to act: %w", err)
		}
		return nil
	})
	return all, err
}
