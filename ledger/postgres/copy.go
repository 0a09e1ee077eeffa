package postgres

import (
	"encoding/binary"
	"time"
)

// copyBuffer builds the body of COPY ... FROM STDIN (FORMAT binary): a header,
// rows of length-prefixed fields, a trailer (Postgres manual, COPY, "Binary
// Format"). Written by hand because a driver's generic encoder costs more than the
// server's side of the copy: no boxing, no reflection, one buffer per batch.
type copyBuffer struct{ b []byte }

// copySignature is the fixed start: signature, no flags, no header extension.
const copySignature = "PGCOPY\n\377\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

func (c *copyBuffer) begin() { c.b = append(c.b[:0], copySignature...) }

// row starts a row of so many fields.
func (c *copyBuffer) row(fields uint16) { c.b = binary.BigEndian.AppendUint16(c.b, fields) }

func (c *copyBuffer) bigint(v int64) {
	c.b = binary.BigEndian.AppendUint32(c.b, 8)
	c.b = binary.BigEndian.AppendUint64(c.b, uint64(v)) // the bits as they are
}

func (c *copyBuffer) smallint(v int16) {
	c.b = binary.BigEndian.AppendUint32(c.b, 2)
	c.b = binary.BigEndian.AppendUint16(c.b, uint16(v)) // the bits as they are
}

func (c *copyBuffer) boolean(v bool) {
	c.b = binary.BigEndian.AppendUint32(c.b, 1)
	if v {
		c.b = append(c.b, 1)
	} else {
		c.b = append(c.b, 0)
	}
}

func (c *copyBuffer) uuid(v [16]byte) {
	c.b = binary.BigEndian.AppendUint32(c.b, 16)
	c.b = append(c.b, v[:]...)
}

func (c *copyBuffer) text(v string) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(v))) // a record is far below 4 GiB
	c.b = append(c.b, v...)
}

func (c *copyBuffer) bytea(v []byte) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(v))) // a record is far below 4 GiB
	c.b = append(c.b, v...)
}

// postgresEpoch is 2000-01-01 UTC, from which timestamptz counts microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *copyBuffer) timestamptz(t time.Time) { c.bigint(t.UnixMicro() - postgresEpoch.UnixMicro()) }

// end closes the body and returns it; it is valid until the next begin.
func (c *copyBuffer) end() []byte {
	c.b = binary.BigEndian.AppendUint16(c.b, 0xffff)
	return c.b
}
