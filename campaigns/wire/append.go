package wire

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
)

// AppendFrame appends the whole frame as one message.
func AppendFrame(dst []byte, f *campaigns.Frame) []byte {
	return AppendFramePart(dst, f, Part{Count: 1})
}

// AppendFramePart appends a message with the frame's head and, of its rows,
// those that f holds: the caller has dealt them out with SplitRows.
func AppendFramePart(dst []byte, f *campaigns.Frame, part Part) []byte {
	return appendPart(dst, &f.FrameHead, f.Rows, part)
}

// AppendSnapshotPart is AppendFramePart for a snapshot.
func AppendSnapshotPart(dst []byte, s *campaigns.Snapshot, part Part) []byte {
	return appendPart(dst, &s.FrameHead, s.Rows, part)
}

// SplitRows deals rows out, in order, so that the rows of one message take at
// most bytesMax, or one row. There is always at least one message, be it without rows.
func SplitRows(rows []campaigns.SlotRow, bytesMax int) [][]campaigns.SlotRow {
	var parts [][]campaigns.SlotRow
	from, size := 0, 0
	for i := range rows {
		n := protowire.SizeTag(partRows) + protowire.SizeBytes(sizeRow(&rows[i]))
		if size+n > bytesMax && i > from {
			parts = append(parts, rows[from:i:i])
			from, size = i, 0
		}
		size += n
	}
	return append(parts, rows[from:len(rows):len(rows)])
}

func appendPart(dst []byte, head *campaigns.FrameHead, rows []campaigns.SlotRow, part Part) []byte {
	dst = appendMessage(dst, partHead, sizeHead(head))
	dst = appendVarint(dst, headBook, uint64(head.Book))
	dst = appendVarint(dst, headSlot, uint64(head.Slot))
	dst = appendVarint(dst, headEpoch, uint64(head.Epoch))
	dst = appendVarint(dst, headTerm, uint64(head.Term))
	dst = appendVarint(dst, headNumber, uint64(head.Number))
	dst = appendVarint(dst, headCountedThrough, nanos(head.CountedThrough))
	dst = appendVarint(dst, headClosed, flag(head.Closed))
	if head.Chain.N != 0 {
		dst = appendVarint(dst, headChainN, uint64(head.Chain.N))
		dst = protowire.AppendTag(dst, headChainHash, protowire.BytesType)
		dst = protowire.AppendBytes(dst, head.Chain.Hash[:])
	}

	dst = appendMessage(dst, partPart, sizePiece(part))
	dst = appendVarint(dst, pieceIndex, uint64(part.Index))
	dst = appendVarint(dst, pieceCount, uint64(part.Count))
	if part.ID != 0 {
		dst = protowire.AppendTag(dst, pieceID, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, part.ID)
	}

	for i := range rows {
		row := &rows[i]
		dst = appendMessage(dst, partRows, sizeRow(row))
		dst = appendText(dst, rowCampaign, row.Campaign)
		dst = appendText(dst, rowCurrency, string(row.Currency))
		dst = appendVarint(dst, rowPledged, protowire.EncodeZigZag(row.PledgedMinor))
		dst = appendVarint(dst, rowRaised, protowire.EncodeZigZag(row.RaisedMinor))
		dst = appendVarint(dst, rowDonations, protowire.EncodeZigZag(row.Donations))
		dst = appendVarint(dst, rowVersion, uint64(row.Version))
	}
	return dst
}

// AppendCampaign appends the campaign; times are cut to microseconds.
func AppendCampaign(dst []byte, c *campaigns.Campaign) []byte {
	dst = appendText(dst, campaignSlug, c.Slug)
	dst = appendText(dst, campaignName, c.Name)
	dst = appendText(dst, campaignEvent, c.Event)
	dst = appendText(dst, campaignOrganisation, c.Organisation)
	dst = appendText(dst, campaignParent, c.Parent)
	dst = appendText(dst, campaignCurrency, string(c.Currency))
	dst = appendVarint(dst, campaignGoal, uint64(c.GoalMinor))
	dst = appendVarint(dst, campaignMin, uint64(c.MinMinor))
	dst = appendVarint(dst, campaignMax, uint64(c.MaxMinor))
	dst = appendVarint(dst, campaignStartsAt, micros(c.StartsAt))
	dst = appendVarint(dst, campaignEndsAt, micros(c.EndsAt))
	dst = appendVarint(dst, campaignRehearsal, flag(c.Rehearsal))
	dst = appendVarint(dst, campaignRevision, uint64(c.Revision))
	dst = appendText(dst, campaignLegalName, c.LegalName)
	dst = appendText(dst, campaignTaxNumber, c.TaxNumber)
	dst = appendText(dst, campaignStory, c.Story)
	return appendText(dst, campaignImage, c.Image)
}

func sizeHead(h *campaigns.FrameHead) int {
	return sizeChain(h.Chain) + sizeVarint(uint64(h.Book)) + sizeVarint(uint64(h.Slot)) + sizeVarint(uint64(h.Epoch)) +
		sizeVarint(uint64(h.Term)) + sizeVarint(uint64(h.Number)) +
		sizeVarint(nanos(h.CountedThrough)) + sizeVarint(flag(h.Closed))
}

func sizeChain(c campaigns.ChainHead) int {
	if c.N == 0 {
		return 0
	}
	return sizeVarint(uint64(c.N)) + tagBytes + protowire.SizeBytes(len(c.Hash))
}

func sizePiece(p Part) int {
	n := sizeVarint(uint64(p.Index)) + sizeVarint(uint64(p.Count))
	if p.ID != 0 {
		n += tagBytes + protowire.SizeFixed64()
	}
	return n
}

func sizeRow(r *campaigns.SlotRow) int {
	return sizeText(r.Campaign) + sizeText(string(r.Currency)) +
		sizeVarint(protowire.EncodeZigZag(r.PledgedMinor)) +
		sizeVarint(protowire.EncodeZigZag(r.RaisedMinor)) +
		sizeVarint(protowire.EncodeZigZag(r.Donations)) +
		sizeVarint(uint64(r.Version))
}

// nanos is a broker's time as the wire has it; 0 for the zero time.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

// micros is a time of people as the wire has it; 0 for the zero time.
func micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

func flag(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func appendMessage(b []byte, num protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(size))
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return tagBytes + protowire.SizeVarint(v)
}

func sizeText(s string) int {
	if s == "" {
		return 0
	}
	return tagBytes + protowire.SizeBytes(len(s))
}
