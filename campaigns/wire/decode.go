package wire

import (
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// DecodeFrame reads a frame that travelled in one message. Errors: ErrMalformed,
// also for a part of a larger one.
func DecodeFrame(data []byte) (*campaigns.Frame, error) {
	f, part, err := DecodeFramePart(data)
	if err == nil && part.Count != 1 {
		return nil, malformed("part %d of %d", part.Index, part.Count)
	}
	return f, err
}

// DecodeFramePart reads one message of a frame: its head, and the rows that are
// in this part. The result shares no memory with data. Errors: ErrMalformed.
func DecodeFramePart(data []byte) (*campaigns.Frame, Part, error) {
	f := &campaigns.Frame{}
	part, err := decodePart(data, &f.FrameHead, &f.Rows)
	if err != nil {
		return nil, Part{}, err
	}
	return f, part, nil
}

// DecodeSnapshotPart is DecodeFramePart for a snapshot.
func DecodeSnapshotPart(data []byte) (*campaigns.Snapshot, Part, error) {
	s := &campaigns.Snapshot{}
	part, err := decodePart(data, &s.FrameHead, &s.Rows)
	if err != nil {
		return nil, Part{}, err
	}
	return s, part, nil
}

func decodePart(data []byte, head *campaigns.FrameHead, rows *[]campaigns.SlotRow) (part Part, err error) {
	heads, pieces, count := 0, 0, 0
	if err := walk(data, func(num protowire.Number, v value) {
		switch num {
		case partHead:
			heads++
		case partPart:
			pieces++
		case partRows:
			count++
		}
	}); err != nil {
		return Part{}, err
	}
	if heads != 1 || pieces != 1 {
		return Part{}, malformed("%d heads, %d parts", heads, pieces)
	}
	if count > 0 {
		*rows = make([]campaigns.SlotRow, 0, count)
	}
	err = walk(data, func(num protowire.Number, v value) {
		switch num {
		case partHead:
			v.message(func(num protowire.Number, v value) { decodeHead(head, num, v) })
		case partPart:
			v.message(func(num protowire.Number, v value) { decodePiece(&part, num, v) })
		case partRows:
			var row campaigns.SlotRow
			v.message(func(num protowire.Number, v value) { decodeRow(&row, num, v) })
			v.check(row.Campaign != "" && row.Currency != "", "row without campaign or currency")
			*rows = append(*rows, row)
		}
	})
	switch {
	case err != nil:
		return Part{}, err
	case head.Book != ledger.Live && head.Book != ledger.Rehearsal:
		return Part{}, malformed("no such book")
	case head.Chain.N == 0 && head.Chain.Hash != [32]byte{}:
		return Part{}, malformed("a hash of no link")
	case part.Count < 1 || part.Count > PartsMax || part.Index >= part.Count:
		return Part{}, malformed("part %d of %d", part.Index, part.Count)
	}
	return part, nil
}

func decodeHead(h *campaigns.FrameHead, num protowire.Number, v value) {
	switch num {
	case headBook:
		h.Book = ledger.Book(v.atMost(math.MaxUint8))
	case headSlot:
		h.Slot = int32(v.atMost(math.MaxInt32))
	case headEpoch:
		h.Epoch = int64(v.atMost(math.MaxInt64))
	case headTerm:
		h.Term = int64(v.atMost(math.MaxInt64))
	case headNumber:
		h.Number = int64(v.atMost(math.MaxInt64))
	case headCountedThrough:
		if ns := v.atMost(math.MaxInt64); ns != 0 {
			h.CountedThrough = time.Unix(0, int64(ns)).UTC()
		}
	case headClosed:
		h.Closed = v.atMost(1) == 1
	case headChainN:
		h.Chain.N = int64(v.atMost(math.MaxInt64))
	case headChainHash:
		if hash := v.raw(); v.check(len(hash) == len(h.Chain.Hash), "not a hash") {
			copy(h.Chain.Hash[:], hash)
		}
	}
}

func decodePiece(p *Part, num protowire.Number, v value) {
	switch num {
	case pieceIndex:
		p.Index = int(v.atMost(PartsMax))
	case pieceCount:
		p.Count = int(v.atMost(PartsMax))
	case pieceID:
		p.ID = v.fixed64()
	}
}

func decodeRow(r *campaigns.SlotRow, num protowire.Number, v value) {
	switch num {
	case rowCampaign:
		r.Campaign = v.slug()
	case rowCurrency:
		r.Currency = v.currency()
	case rowPledged:
		r.PledgedMinor = protowire.DecodeZigZag(v.varint())
	case rowRaised:
		r.RaisedMinor = protowire.DecodeZigZag(v.varint())
	case rowDonations:
		r.Donations = protowire.DecodeZigZag(v.varint())
	case rowVersion:
		r.Version = int64(v.atMost(math.MaxInt64))
	}
}

// DecodeCampaign reads a campaign; it shares no memory with data. Errors: ErrMalformed.
func DecodeCampaign(data []byte) (*campaigns.Campaign, error) {
	c := &campaigns.Campaign{}
	err := walk(data, func(num protowire.Number, v value) {
		switch num {
		case campaignSlug:
			c.Slug = v.slug()
		case campaignName:
			c.Name = v.text()
		case campaignEvent:
			c.Event = v.text()
		case campaignOrganisation:
			c.Organisation = v.text()
		case campaignParent:
			c.Parent = v.slug()
		case campaignCurrency:
			c.Currency = v.currency()
		case campaignGoal:
			c.GoalMinor = int64(v.atMost(math.MaxInt64))
		case campaignMin:
			c.MinMinor = int64(v.atMost(math.MaxInt64))
		case campaignMax:
			c.MaxMinor = int64(v.atMost(math.MaxInt64))
		case campaignStartsAt:
			c.StartsAt = v.micros()
		case campaignEndsAt:
			c.EndsAt = v.micros()
		case campaignRehearsal:
			c.Rehearsal = v.atMost(1) == 1
		case campaignRevision:
			c.Revision = int64(v.atMost(math.MaxInt64))
		case campaignLegalName:
			c.LegalName = v.text()
		case campaignTaxNumber:
			c.TaxNumber = v.text()
		case campaignStory:
			c.Story = v.text()
		case campaignImage:
			c.Image = v.text()
			v.check(campaigns.ValidMediaKey(c.Image), "not a picture's key")
		}
	})
	if err != nil {
		return nil, err
	}
	if c.Slug == "" || c.Currency == "" {
		return nil, malformed("campaign without slug or currency")
	}
	return c, nil
}

// timeMicrosMax is the last microsecond of the year 9999, as far as RFC 3339 goes.
const timeMicrosMax = 253402300799_999999

// value is one field's value, known to be whole; reading it as another type than
// it has, or beyond its range, sets the walk's error.
type value struct {
	num   protowire.Number
	typ   protowire.Type
	bytes []byte
	err   *error
}

// walk calls field for every field of a message, in order, until one is wrong.
func walk(b []byte, field func(protowire.Number, value)) error {
	var err error
	for len(b) > 0 && err == nil {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed("tag")
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(num, typ, b)
		if m < 0 {
			return malformed("field %d", num)
		}
		field(num, value{num: num, typ: typ, bytes: b[:m], err: &err})
		b = b[m:]
	}
	return err
}

func (v value) check(ok bool, what string) bool {
	if !ok && *v.err == nil {
		*v.err = malformed("field %d: %s", v.num, what)
	}
	return ok
}

func (v value) varint() uint64 {
	if !v.check(v.typ == protowire.VarintType, "wire type") {
		return 0
	}
	n, _ := protowire.ConsumeVarint(v.bytes)
	return n
}

func (v value) atMost(limit uint64) uint64 {
	n := v.varint()
	if !v.check(n <= limit, "out of range") {
		return 0
	}
	return n
}

func (v value) fixed64() uint64 {
	if !v.check(v.typ == protowire.Fixed64Type, "wire type") {
		return 0
	}
	n, _ := protowire.ConsumeFixed64(v.bytes)
	return n
}

func (v value) raw() []byte {
	if !v.check(v.typ == protowire.BytesType, "wire type") {
		return nil
	}
	b, _ := protowire.ConsumeBytes(v.bytes)
	return b
}

func (v value) message(field func(protowire.Number, value)) {
	if err := walk(v.raw(), field); err != nil && *v.err == nil {
		*v.err = err
	}
}

func (v value) text() string {
	b := v.raw()
	v.check(utf8.Valid(b), "not UTF-8")
	return string(b)
}

func (v value) slug() string {
	s := string(v.raw())
	v.check(s == "" || campaigns.ValidSlug(s), "not a slug")
	return s
}

func (v value) currency() money.Currency {
	c, ok := money.ParseCurrency(v.raw())
	v.check(ok, "unknown currency")
	return c
}

func (v value) micros() time.Time {
	us := v.atMost(timeMicrosMax)
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us)).UTC()
}
