package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
)

// Total is a campaign's total with everything that does not change with time
// rendered already. It is immutable and shared by all readers.
type Total struct {
	campaigns.Total
	// Book says whose age goes with the numbers.
	Book ledger.Book
	head []byte // the document up to the ages, `{"raised_minor":…,"version":…,`
	etag []byte // with its quotes
}

// NewTotal renders t, which belongs to book.
func NewTotal(t campaigns.Total, book ledger.Book) *Total {
	b := make([]byte, 0, 160)
	b = append(b, `{"raised_minor":`...)
	b = strconv.AppendInt(b, t.RaisedMinor, 10)
	b = append(b, `,"pledged_minor":`...)
	b = strconv.AppendInt(b, t.PledgedMinor, 10)
	b = append(b, `,"donations":`...)
	b = strconv.AppendInt(b, t.Donations, 10)
	b = append(b, `,"currency":"`...)
	b = append(b, t.Currency...)
	b = append(b, `","epoch":`...)
	b = strconv.AppendInt(b, t.Epoch, 10)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, t.Version, 10)
	b = append(b, ',')
	return &Total{Total: t, Book: book, head: b, etag: ETag(b)}
}

// Position is where the total stands in the order of its versions.
func (t *Total) Position() Position { return Position{Epoch: t.Epoch, Version: t.Version} }

// ETag is the entity tag with its quotes; the caller does not change it.
func (t *Total) ETag() []byte { return t.etag }

// AppendJSON appends the whole document. To keep as_of true, the caller reads the
// age before it reads the total: a total may be newer than its age, never older.
func (t *Total) AppendJSON(dst []byte, age *Age, now time.Time) []byte {
	dst = append(dst, t.head...)
	dst = age.AppendMembers(dst, now)
	return append(dst, '}')
}

// AppendEvent appends the server-sent event of this total: the document as
// data, and its position as ID.
func (t *Total) AppendEvent(dst []byte, age *Age, now time.Time) []byte {
	dst = append(dst, "id: "...)
	dst = t.Position().AppendText(dst)
	dst = append(dst, "\nevent: totals\ndata: "...)
	dst = t.AppendJSON(dst, age, now)
	return append(dst, "\n\n"...)
}

// AppendNamedEvent is AppendEvent for a stream of several campaigns: the document
// begins with its campaign, and there is no ID, for the stream has no one position.
func (t *Total) AppendNamedEvent(dst []byte, age *Age, now time.Time) []byte {
	dst = append(dst, "event: totals\ndata: {\"campaign\":\""...)
	dst = append(dst, t.Campaign...) // a slug needs no escaping
	dst = append(dst, "\","...)
	dst = append(dst, t.head[1:]...)
	dst = age.AppendMembers(dst, now)
	return append(dst, "}\n\n"...)
}

// AppendHeartbeat appends the event that says how old the numbers are while they
// do not change. It has no ID, so the viewer's last position stands.
func AppendHeartbeat(dst []byte, age *Age, now time.Time) []byte {
	dst = append(dst, "event: heartbeat\ndata: {"...)
	dst = age.AppendMembers(dst, now)
	return append(dst, "}\n\n"...)
}

// etagBytes of SHA-256 make two contents of one address differ surely enough and
// keep the header short.
const etagBytes = 9

// ETag is the entity tag of content, with quotes. It is weak, for it leaves
// out the ages: two answers with one tag say the same numbers, not the same bytes
// (RFC 9110, section 8.8.1).
func ETag(content []byte) []byte {
	sum := sha256.Sum256(content)
	tag := append(make([]byte, 0, 2*etagBytes+4), `W/"`...)
	tag = hex.AppendEncode(tag, sum[:etagBytes])
	return append(tag, '"')
}
