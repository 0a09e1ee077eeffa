package envelope

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger/money"
)

// Bounds of what a record may say; beyond them it is malformed, because no
// front-end writes it and the ledger's tables would refuse it.
const (
	nodeBytesMax = 255
	// timeMicrosMax is the last microsecond of the year 9999, as far as RFC 3339 goes.
	timeMicrosMax = 253402300799_999999
	// sealedBytesMax is above the longest personal fields, four bytes a character
	// (ingest's bounds), with their framing and the seal's own bytes.
	sealedBytesMax = 8 << 10
)

// decoder holds what the records of one envelope share.
type decoder struct {
	donations []Donation
	lines     lineSlab
}

// lineSlab hands out the lines of many donations from few allocations.
type lineSlab []ingest.Line

// take returns n zeroed lines with no room behind them, so that an append by a
// holder of one donation never writes over another's.
func (s *lineSlab) take(n int) []ingest.Line {
	if cap(*s)-len(*s) < n {
		*s = make([]ingest.Line, 0, max(n, cap(*s)))
	}
	from := len(*s)
	*s = (*s)[:from+n]
	return (*s)[from : from+n : from+n]
}

// record reads one Record: exactly one kind. d is room for it to be a donation.
func (dec *decoder) record(d *Donation, b []byte) (Record, error) {
	var kind protowire.Number
	var body []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Record{}, malformed("record: tag")
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(num, typ, b)
		if m < 0 {
			return Record{}, malformed("record: field %d", num)
		}
		switch {
		case num > recordCancellation:
			return Record{}, fmt.Errorf("number %d: %w", num, ErrUnknownKind)
		case typ != protowire.BytesType:
			return Record{}, malformed("record: wire type %d", typ)
		case kind != 0:
			return Record{}, malformed("record: two in one")
		}
		kind = num
		body, _ = protowire.ConsumeBytes(b)
		b = b[m:]
	}
	switch kind {
	case 0:
		return Record{}, malformed("record: empty")
	case recordDonation:
		if err := dec.donation(d, body); err != nil {
			return Record{}, err
		}
		return Record{Donation: d}, nil
	}
	r := &Request{Kind: Kind(kind)}
	if err := decodeRequest(r, body); err != nil {
		return Record{}, err
	}
	return Record{Request: r}, nil
}

func (dec *decoder) donation(d *Donation, b []byte) error {
	count, err := countLines(b)
	if err != nil {
		return err
	}
	lines := dec.lines.take(count)
	var seen fieldSet
	line := 0
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		b = b[n:] // countLines has walked every field
		switch num {
		case donationID:
			err = seen.fixedBytes(d.ID[:], num, typ, b)
		case donationFingerprint:
			err = seen.fixedBytes(d.Fingerprint[:], num, typ, b)
		case donationReceivedAt:
			d.ReceivedAt, err = seen.micros(num, typ, b)
		case donationSource:
			d.Source, err = seen.fixed64(num, typ, b)
		case donationRehearsal:
			d.Rehearsal, err = seen.bool(num, typ, b)
		case donationCurrency:
			d.Currency, err = seen.currency(num, typ, b)
		case donationAmount:
			d.AmountMinor, err = seen.minor(num, typ, b)
		case donationFeeCover:
			d.FeeCoverMinor, err = seen.minor(num, typ, b)
		case donationLines:
			body, _ := protowire.ConsumeBytes(b)
			err = decodeLine(&lines[line], body)
			line++
		case donationAnonymous:
			d.Anonymous, err = seen.bool(num, typ, b)
		case donationHideAmount:
			d.HideAmount, err = seen.bool(num, typ, b)
		case donationToken:
			d.ConfirmationToken, err = seen.text(num, typ, b, ingest.TokenBytesMax)
		case donationTokenExpiresAt:
			d.TokenExpiresAt, err = seen.micros(num, typ, b)
		case donationSealed:
			d.Sealed, err = seen.bytes(num, typ, b, sealedBytesMax)
		case donationSealKey:
			d.SealKey, err = seen.uint32(num, typ, b)
		case donationTrace:
			readTrace(&d.Trace, typ, b)
		}
		if err != nil {
			return err
		}
		b = b[protowire.ConsumeFieldValue(num, typ, b):]
	}
	d.Lines = lines
	return checkDonation(d, seen)
}

// required are the fields that are never at their zero value.
var required = fieldSet(0).with(donationID, donationFingerprint, donationReceivedAt,
	donationCurrency, donationAmount, donationToken, donationTokenExpiresAt)

// checkDonation holds a donation to what a front-end can have written.
func checkDonation(d *Donation, seen fieldSet) error {
	if seen&required != required {
		return malformed("donation: a required field is missing")
	}
	if len(d.Lines) == 0 || len(d.Lines) > ingest.LinesMax {
		return malformed("donation: %d lines", len(d.Lines))
	}
	sum := d.FeeCoverMinor
	for i := range d.Lines {
		var err error
		if sum, err = money.Add(sum, d.Lines[i].AmountMinor); err != nil {
			return malformed("donation: amounts overflow")
		}
	}
	if sum != d.AmountMinor {
		return malformed("donation: the amount is not the sum of its parts")
	}
	return nil
}

// countLines walks a Donation's fields and returns how many lines it has.
func countLines(b []byte) (int, error) {
	count := 0
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, malformed("donation: tag")
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return 0, malformed("donation: field %d", num)
		}
		if num == donationLines {
			if typ != protowire.BytesType {
				return 0, malformed("lines: wire type %d", typ)
			}
			if count++; count > ingest.LinesMax {
				return 0, malformed("donation: more than %d lines", ingest.LinesMax)
			}
		}
		b = b[n+m:]
	}
	return count, nil
}

func decodeLine(line *ingest.Line, b []byte) error {
	var seen fieldSet
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed("line: tag")
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(num, typ, b)
		if m < 0 {
			return malformed("line: field %d", num)
		}
		var err error
		switch num {
		case lineCampaign:
			line.Campaign, err = seen.text(num, typ, b, ingest.SlugBytesMax)
		case lineAmount:
			line.AmountMinor, err = seen.minor(num, typ, b)
		}
		if err != nil {
			return err
		}
		b = b[m:]
	}
	// A slug goes on into broker subjects and frames, which hold nothing else.
	if !campaigns.ValidSlug(line.Campaign) || line.AmountMinor < 1 {
		return malformed("line: without campaign or amount")
	}
	return nil
}
