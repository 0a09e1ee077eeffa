package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger/journal"
)

const (
	copyEntriesSQL = "COPY entries (n, occurred_at, slot, donation_id, kind, ref, actor, reason, accounts, currencies, amounts, prev, hash)" +
		" FROM STDIN (FORMAT binary)"
	copyEntriesFields = 13
)

// copyEntries appends a batch of linked entries to the journal. The table's rules
// are the last word: balanced, no empty posting, a movement once, a place once.
func copyEntries(ctx context.Context, pc *pgconn.PgConn, entries []journal.Entry, links []journal.Link) error {
	c := copyBuffer{b: make([]byte, 0, len(entries)*entryBytesGuess)}
	c.begin()
	for i := range entries {
		e, link := &entries[i], &links[i]
		c.row(copyEntriesFields)
		c.bigint(link.N)
		c.timestamptz(e.OccurredAt)
		c.integer(link.Slot)
		c.optionalUUID(e.Donation)
		c.text(string(e.Kind))
		c.text(e.Ref)
		c.text(e.Actor)
		c.text(e.Reason)
		c.array(oidText, len(e.Postings), func(i int) { c.text(e.Postings[i].Account) })
		c.array(oidText, len(e.Postings), func(i int) { c.text(string(e.Postings[i].Currency)) })
		c.array(oidInt8, len(e.Postings), func(i int) { c.bigint(e.Postings[i].AmountMinor) })
		c.bytea(link.Prev[:])
		c.bytea(link.Hash[:])
	}
	if _, err := pc.CopyFrom(ctx, bytes.NewReader(c.end()), copyEntriesSQL); err != nil {
		return fmt.Errorf("copy entries: %w", err)
	}
	return nil
}

// entryBytesGuess is about what an entry of three postings takes; a buffer that is
// too small grows.
const entryBytesGuess = 512

// copyBuffer builds the body of COPY ... FROM STDIN (FORMAT binary): a header, rows
// of length-prefixed fields, a trailer (Postgres manual, COPY, "Binary Format"). By
// hand, because a driver's generic encoder costs about as much as the server's side.
type copyBuffer struct{ b []byte }

// copySignature is the fixed start: signature, no flags, no header extension.
const copySignature = "PGCOPY\n\377\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// Types of array elements (pg_type.dat).
const (
	oidInt8 uint32 = 20
	oidText uint32 = 25
)

func (c *copyBuffer) begin() { c.b = append(c.b[:0], copySignature...) }

// row starts a row of so many fields.
func (c *copyBuffer) row(fields uint16) { c.b = binary.BigEndian.AppendUint16(c.b, fields) }

func (c *copyBuffer) bigint(v int64) {
	c.b = binary.BigEndian.AppendUint32(c.b, 8)
	c.b = binary.BigEndian.AppendUint64(c.b, uint64(v)) // the bits as they are
}

func (c *copyBuffer) integer(v int32) {
	c.b = binary.BigEndian.AppendUint32(c.b, 4)
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(v)) // the bits as they are
}

func (c *copyBuffer) text(v string) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(v))) // far below 4 GiB
	c.b = append(c.b, v...)
}

func (c *copyBuffer) bytea(v []byte) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(v))) // far below 4 GiB
	c.b = append(c.b, v...)
}

// optionalUUID writes NULL for the zero ID.
func (c *copyBuffer) optionalUUID(v [16]byte) {
	if v == [16]byte{} {
		c.b = append(c.b, 0xff, 0xff, 0xff, 0xff)
		return
	}
	c.bytea(v[:])
}

// postgresEpoch is 2000-01-01 UTC, from which timestamptz counts microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *copyBuffer) timestamptz(t time.Time) { c.bigint(t.UnixMicro() - postgresEpoch.UnixMicro()) }

// array writes a one-dimensional array of n elements without NULLs; element writes
// the i-th (array_send in the server's arrayfuncs.c).
func (c *copyBuffer) array(oid uint32, n int, element func(i int)) {
	at := len(c.b)
	c.b = append(c.b, 0, 0, 0, 0)
	dimensions := uint32(1)
	if n == 0 {
		dimensions = 0
	}
	c.b = binary.BigEndian.AppendUint32(c.b, dimensions)
	c.b = binary.BigEndian.AppendUint32(c.b, 0) // no NULLs
	c.b = binary.BigEndian.AppendUint32(c.b, oid)
	if n > 0 {
		c.b = binary.BigEndian.AppendUint32(c.b, uint32(n)) // at most some hundred postings
		c.b = binary.BigEndian.AppendUint32(c.b, 1)         // the first index
		for i := range n {
			element(i)
		}
	}
	binary.BigEndian.PutUint32(c.b[at:], uint32(len(c.b)-at-4))
}

// end closes the body and returns it.
func (c *copyBuffer) end() []byte {
	c.b = binary.BigEndian.AppendUint16(c.b, 0xffff)
	return c.b
}
