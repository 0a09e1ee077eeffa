package gift

import (
	"encoding/binary"
	"strconv"
	"time"

	"spillway/ingest"
	"spillway/ledger/money"
)

// Gift is one donation as the rehearsal sends it and expects it to be stored.
type Gift struct {
	ID       ingest.ID
	Donation ingest.Donation // as the contract understands it: trimmed
	// padded says that the name is sent with spaces around it, which the
	// contract trims.
	padded bool
}

// farExpiry is a hint beyond any clamp: the stored expiry must be the receive
// time plus ingest.TokenLife all the same.
var farExpiry = time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)

var (
	firstNames = [...]string{"Ada", "Grace", "Edsger", "Barbara", "Donald", "Margaret", "Ken", "Radia", "Zoë", "José", "Łukasz", "美咲", "Олена", "O'Brien"}
	lastNames  = [...]string{"Example", "Sample", "Beispiel", "Ejemplo", "Muster", "Exempel"}
	messages   = [...]string{"Go team!", "For the river, always.", "Merci \u00e0 tous \U0001F4A7", `She said "give", so I gave.`, `C:\gifts\mine`, "\u0423\u0441\u043f\u0456\u0445\u0456\u0432!", "Happy to help <3 & again next year"}
)

// Make derives the gift with these lines. What the donor says of themselves, the
// covered fee and the flags follow from the key, the confirmation token from the
// key and the variant: so two variants with equal lines, in any order, are the same donation.
// The gift keeps lines.
func (r *Run) Make(ref Ref, currency money.Currency, lines []ingest.Line) Gift {
	var buf [ingest.KeyBytesMax]byte
	key := r.AppendKey(buf[:0], ref)
	g := Gift{ID: ingest.DeriveID(key), Donation: ingest.Donation{Currency: currency, Lines: lines}}
	d := &g.Donation
	seed := binary.LittleEndian.Uint64(g.ID[:8]) ^ binary.LittleEndian.Uint64(g.ID[8:])
	h := mix(seed)

	// Eleven independent choices, each from its own bits of the hash.
	bits := func(n uint) uint64 { v := h & (1<<n - 1); h >>= n; return v }
	if bits(2) == 0 {
		d.FeeCoverMinor = feeCover(lines)
	}
	d.Anonymous = bits(3) == 0
	d.HideAmount = bits(4) == 0
	if bits(3) != 0 { // one in eight gives without a name
		first, last := firstNames[bits(5)%uint64(len(firstNames))], lastNames[bits(4)%uint64(len(lastNames))]
		tag := letters(mix(seed + nameSalt))
		d.Personal.Name = first + " " + last + " " + tag[:4]
		d.Personal.Email = "donor-" + tag + "@example.org"
		g.padded = bits(4) == 0
	}
	if bits(2) == 0 {
		d.Personal.Message = messages[bits(4)%uint64(len(messages))]
	}
	switch bits(6) {
	case 0:
		d.Personal.DedicationKind, d.Personal.DedicationName = ingest.InHonor, firstNames[bits(5)%uint64(len(firstNames))]
	case 1:
		d.Personal.DedicationKind, d.Personal.DedicationName = ingest.InMemory, firstNames[bits(5)%uint64(len(firstNames))]
	}
	if bits(3) == 0 {
		d.Payment.ExpiresAt = farExpiry
	}
	d.Payment.ConfirmationToken = "ctoken_rehearsal_" + letters(mix(seed+tokenSalt+uint64(ref.Variant)))
	return g
}

// Salts keep what is derived from one seed apart.
const (
	nameSalt  = 1 << 32
	tokenSalt = 2 << 32
)

// feeCover is what a donor who covers the fee adds: about 3 % and 30 minor
// units, less where the whole would pass ingest.AmountMinorMax.
func feeCover(lines []ingest.Line) int64 {
	var sum int64
	for i := range lines {
		sum += lines[i].AmountMinor
	}
	return max(0, min(sum*3/100+30, ingest.AmountMinorMax-sum))
}

// mix spreads nearby numbers far apart (the finaliser of splitmix64, public domain).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// letters writes 64 bits as 16 letters: no digits, because long runs of them
// may look like a card number, which the contract refuses.
func letters(x uint64) string {
	var b [16]byte
	for i := range b {
		b[i] = 'a' + byte(x&15)
		x >>= 4
	}
	return string(b[:])
}

// AmountMinor is what is charged. Rows are checked when they are read, so the
// sum fits.
func (g *Gift) AmountMinor() int64 {
	sum, _ := g.Donation.AmountMinor()
	return sum
}

// AppendJSON appends the request's body as the public contract wants it.
func (g *Gift) AppendJSON(b []byte) []byte {
	d := &g.Donation
	b = append(b, `{"currency":"`...)
	b = append(b, d.Currency...)
	b = append(b, `","lines":[`...)
	for i := range d.Lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"campaign":"`...)
		b = append(b, d.Lines[i].Campaign...)
		b = append(b, `","amount_minor":`...)
		b = strconv.AppendInt(b, d.Lines[i].AmountMinor, 10)
		b = append(b, '}')
	}
	b = append(b, ']')
	if d.FeeCoverMinor != 0 {
		b = append(b, `,"fee_cover_minor":`...)
		b = strconv.AppendInt(b, d.FeeCoverMinor, 10)
	}
	if p := &d.Personal; p.Name != "" || d.Anonymous || d.HideAmount {
		b = append(b, `,"donor":{`...)
		if p.Name != "" {
			b = append(b, `"name":`...)
			if g.padded {
				b = appendText(b, "  ", p.Name, " ")
			} else {
				b = appendText(b, p.Name)
			}
			b = append(b, `,"email":`...)
			b = appendText(b, p.Email)
			b = append(b, ',')
		}
		b = append(b, `"anonymous":`...)
		b = strconv.AppendBool(b, d.Anonymous)
		b = append(b, `,"hide_amount":`...)
		b = strconv.AppendBool(b, d.HideAmount)
		b = append(b, '}')
	}
	if d.Personal.Message != "" {
		b = append(b, `,"message":`...)
		b = appendText(b, d.Personal.Message)
	}
	if d.Personal.DedicationKind != ingest.NoDedication {
		b = append(b, `,"dedication":{"kind":"`...)
		b = append(b, d.Personal.DedicationKind.String()...)
		b = append(b, `","name":`...)
		b = appendText(b, d.Personal.DedicationName)
		b = append(b, '}')
	}
	b = append(b, `,"payment":{"confirmation_token":"`...)
	b = append(b, d.Payment.ConfirmationToken...)
	b = append(b, '"')
	if !d.Payment.ExpiresAt.IsZero() {
		b = append(b, `,"expires_at":"`...)
		b = d.Payment.ExpiresAt.AppendFormat(b, time.RFC3339)
		b = append(b, '"')
	}
	return append(b, `}}`...)
}

// appendText appends the parts as one JSON string. The rehearsal's texts are
// valid UTF-8 without control characters, so only quotes and backslashes are escaped.
func appendText(b []byte, parts ...string) []byte {
	b = append(b, '"')
	for _, s := range parts {
		for i := range len(s) {
			if c := s[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, s[i])
		}
	}
	return append(b, '"')
}
