package envelope

import "google.golang.org/protobuf/encoding/protowire"

// Header is what an envelope says of itself.
type Header struct {
	ID   [16]byte // unique; also the broker's message ID
	Node string   // the front-end that wrote it, for people
}

// AppendHeader begins an envelope of this build's Version; records follow it.
func AppendHeader(dst []byte, h Header) []byte {
	dst = appendVarint(dst, envelopeVersion, Version)
	dst = appendBytes(dst, envelopeID, h.ID[:])
	return appendText(dst, envelopeNode, h.Node)
}

// AppendDonation adds one donation to the envelope that AppendHeader began. It
// trusts d, keeps no reference to it, and allocates only to grow dst.
func AppendDonation(dst []byte, d *Donation) []byte {
	body := sizeDonation(d)
	dst = protowire.AppendTag(dst, envelopeRecords, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(tagBytes+protowire.SizeBytes(body)))
	dst = protowire.AppendTag(dst, recordDonation, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(body))

	dst = appendBytes(dst, donationID, d.ID[:])
	dst = appendBytes(dst, donationFingerprint, d.Fingerprint[:])
	dst = appendVarint(dst, donationReceivedAt, uint64(d.ReceivedAt.UnixMicro()))
	if d.Source != 0 {
		dst = protowire.AppendTag(dst, donationSource, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, d.Source)
	}
	dst = appendBool(dst, donationRehearsal, d.Rehearsal)
	dst = appendText(dst, donationCurrency, string(d.Currency))
	dst = appendVarint(dst, donationAmount, uint64(d.AmountMinor))
	dst = appendVarint(dst, donationFeeCover, uint64(d.FeeCoverMinor))
	for i := range d.Lines {
		line := &d.Lines[i]
		dst = protowire.AppendTag(dst, donationLines, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(sizeLine(line.Campaign, line.AmountMinor)))
		dst = appendText(dst, lineCampaign, line.Campaign)
		dst = appendVarint(dst, lineAmount, uint64(line.AmountMinor))
	}
	dst = appendBool(dst, donationAnonymous, d.Anonymous)
	dst = appendBool(dst, donationHideAmount, d.HideAmount)
	dst = appendText(dst, donationToken, d.ConfirmationToken)
	dst = appendVarint(dst, donationTokenExpiresAt, uint64(d.TokenExpiresAt.UnixMicro()))
	dst = appendBytes(dst, donationSealed, d.Sealed)
	dst = appendVarint(dst, donationSealKey, uint64(d.SealKey))
	return appendTrace(dst, donationTrace, d.Trace)
}

// AppendRequest adds one request to the envelope that AppendHeader began. It
// trusts r, keeps no reference to it, and allocates only to grow dst.
func AppendRequest(dst []byte, r *Request) []byte {
	kind, body := protowire.Number(r.Kind), sizeRequest(r)
	dst = protowire.AppendTag(dst, envelopeRecords, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(tagBytes+protowire.SizeBytes(body)))
	dst = protowire.AppendTag(dst, kind, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(body))

	dst = appendBytes(dst, requestID, r.ID[:])
	dst = appendBytes(dst, requestDonation, r.Donation[:])
	dst = appendVarint(dst, requestReceivedAt, uint64(r.ReceivedAt.UnixMicro()))
	if r.Source != 0 {
		dst = protowire.AppendTag(dst, requestSource, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, r.Source)
	}
	dst = appendBool(dst, requestRehearsal, r.Rehearsal)
	if r.Kind == Attempt {
		dst = appendText(dst, requestToken, r.ConfirmationToken)
		dst = appendVarint(dst, requestTokenExpiresAt, uint64(r.TokenExpiresAt.UnixMicro()))
	}
	return appendTrace(dst, requestTrace, r.Trace)
}

// AppendRecord adds one record of either kind.
func AppendRecord(dst []byte, r Record) []byte {
	if r.Request != nil {
		return AppendRequest(dst, r.Request)
	}
	return AppendDonation(dst, r.Donation)
}

// sizeRequest is the length of the message that AppendRequest writes.
func sizeRequest(r *Request) int {
	n := sizeBytes(len(r.ID)) + sizeBytes(len(r.Donation)) +
		sizeVarint(uint64(r.ReceivedAt.UnixMicro())) + sizeBool(r.Rehearsal) + sizeTrace(requestTrace, r.Trace)
	if r.Source != 0 {
		n += tagBytes + protowire.SizeFixed64()
	}
	if r.Kind == Attempt {
		n += sizeBytes(len(r.ConfirmationToken)) + sizeVarint(uint64(r.TokenExpiresAt.UnixMicro()))
	}
	return n
}

// sizeDonation is the length of the Donation message that AppendDonation writes.
func sizeDonation(d *Donation) int {
	n := sizeBytes(len(d.ID)) + sizeBytes(len(d.Fingerprint)) +
		sizeVarint(uint64(d.ReceivedAt.UnixMicro())) +
		sizeBool(d.Rehearsal) +
		sizeBytes(len(d.Currency)) +
		sizeVarint(uint64(d.AmountMinor)) + sizeVarint(uint64(d.FeeCoverMinor)) +
		sizeBool(d.Anonymous) + sizeBool(d.HideAmount) +
		sizeBytes(len(d.ConfirmationToken)) +
		sizeVarint(uint64(d.TokenExpiresAt.UnixMicro())) +
		sizeBytes(len(d.Sealed)) + sizeVarint(uint64(d.SealKey)) +
		sizeTrace(donationTrace, d.Trace)
	if d.Source != 0 {
		n += tagBytes + protowire.SizeFixed64()
	}
	for i := range d.Lines {
		n += tagBytes + protowire.SizeBytes(sizeLine(d.Lines[i].Campaign, d.Lines[i].AmountMinor))
	}
	return n
}

func sizeLine(campaign string, amountMinor int64) int {
	return sizeBytes(len(campaign)) + sizeVarint(uint64(amountMinor))
}
