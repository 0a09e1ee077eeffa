package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/ingest"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// Kind is by which road an offline gift came.
type Kind string

// The kinds.
const (
	Cash   Kind = "cash"
	Cheque Kind = "cheque"
	Bank   Kind = "bank transfer"
	// OtherKind is what came by another command than ours, or another road.
	OtherKind Kind = "other"
)

// Kinds lists what can be entered.
func Kinds() []Kind { return []Kind{Cash, Cheque, Bank, OtherKind} }

// ParseKind reads a kind as people write it.
func ParseKind(text string) (Kind, bool) {
	switch strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == '_' || r == '-' }), " ") {
	case "cash", "coins", "notes":
		return Cash, true
	case "cheque", "check", "cheques", "checks":
		return Cheque, true
	case "bank", "bank transfer", "transfer", "wire", "wire transfer", "ach", "sepa", "standing order":
		return Bank, true
	case "other", "in kind":
		return OtherKind, true
	}
	return "", false
}

// Longest texts of an offline gift, in characters. Together with what stands around
// them they fit into a command's reason.
const (
	ReferenceCharsMax = 80
	NoteCharsMax      = 160
)

// Offline is a gift that came by another road than the processor. Nothing in it names
// its donor: it is written into the journal, which is never changed.
type Offline struct {
	ID          [16]byte       `json:"id"` // of the command that books it, once
	Campaign    string         `json:"campaign"`
	AmountMinor int64          `json:"amount_minor"`
	Currency    money.Currency `json:"currency"`
	Kind        Kind           `json:"kind"`
	Reference   string         `json:"reference"` // a cheque's number, a transfer's; "" for none
	Received    string         `json:"received"`  // the day, 2026-11-22; "" when not known
	Note        string         `json:"note"`
}

// Signs of the reason's form; no reference may hold them.
const (
	reasonOpen, reasonClose, reasonNext = "[", "]", "; "
)

// Reason is how the journal says what kind of gift it was, for people and for ParseReason:
// "[cheque 100231; received 2026-11-20] handed in at the desk".
func (o *Offline) Reason() string {
	text := reasonOpen + string(o.Kind)
	if o.Reference != "" {
		text += " " + o.Reference
	}
	if o.Received != "" {
		text += reasonNext + "received " + o.Received
	}
	text += reasonClose
	if o.Note != "" {
		text += " " + o.Note
	}
	return text
}

// ParseReason is the inverse of Reason. Any other text, as other commands give, is a note
// of a gift of another kind.
func ParseReason(reason string) (kind Kind, reference, received, note string) {
	head, rest, closed := strings.Cut(reason, reasonClose)
	head, opened := strings.CutPrefix(head, reasonOpen)
	if !closed || !opened {
		return OtherKind, "", "", reason
	}
	head, received, _ = strings.Cut(head, reasonNext+"received ")
	for _, k := range Kinds() {
		after, found := strings.CutPrefix(head, string(k))
		if !found || after != "" && after[0] != ' ' {
			continue
		}
		return k, strings.TrimPrefix(after, " "), received, strings.TrimPrefix(rest, " ")
	}
	return OtherKind, "", "", reason
}

// Command is what books the gift, asked by actor at a moment.
func (o *Offline) Command(actor string, at time.Time) *payments.Command {
	return &payments.Command{ID: o.ID, At: at.UTC().Truncate(time.Microsecond), Actor: actor, Reason: o.Reason(),
		Offline: &payments.OfflineGift{Campaign: o.Campaign, AmountMinor: o.AmountMinor, Currency: o.Currency}}
}

// Reversal is what takes a booked gift out of the campaign again, once, however often it
// is asked.
func Reversal(o *Offline, actor, reason string, at time.Time) *payments.Command {
	return &payments.Command{ID: ReversalID(o.ID), At: at.UTC().Truncate(time.Microsecond), Actor: actor, Reason: reason,
		Correction: &payments.Correction{Debit: journal.Gifts(o.Campaign), Credit: journal.OfflineReceived, AmountMinor: o.AmountMinor, Currency: o.Currency}}
}

// ReversalID names the correction that reverses a gift.
func ReversalID(gift [16]byte) [16]byte {
	return derive("offline gift reversed", string(gift[:]))
}

// GiftID names a gift that a person named: the very ID that the command line derives, so
// that the same key is the same gift on both roads.
func GiftID(key string) [16]byte { return derive("offline gift", key) }

// rowID names a gift of a spreadsheet by what it is, so that the same file, or the same
// row in a longer file, is the same gift. occurrence tells rows apart that are alike,
// such as two gifts of ten in cash on one day.
func rowID(o *Offline, occurrence int) [16]byte {
	return derive("offline gift of a spreadsheet", o.Campaign, string(o.Kind), PlainReference(o.Reference),
		fmt.Sprint(o.AmountMinor), string(o.Currency), o.Received, fmt.Sprint(occurrence))
}

// PlainReference is a reference without what people write in different ways.
func PlainReference(reference string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -./#\u00a0", r) {
			return -1
		}
		return r
	}, reference))
}

// derive makes an ID of what names a command, as cmd/spillway does: lengths stand before
// the parts, so that no two lists are one.
func derive(parts ...string) (id [16]byte) {
	h := sha256.New()
	for _, part := range append([]string{"spillway command"}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	copy(id[:], h.Sum(nil))
	return id
}

// Wrong is what is wrong with a field of a form.
type Wrong struct{ Field, Reason string }

// Check says what is wrong with a gift, by field; today is the day that it may have been
// received at the latest.
func (o *Offline) Check(today string) (wrong []Wrong) {
	add := func(field, format string, args ...any) {
		wrong = append(wrong, Wrong{field, fmt.Sprintf(format, args...)})
	}
	for _, text := range []struct {
		field, value string
		most         int
	}{{"reference", o.Reference, ReferenceCharsMax}, {"note", o.Note, NoteCharsMax}} {
		switch {
		case utf8.RuneCountInString(text.value) > text.most:
			add(text.field, "it is longer than %d characters", text.most)
		case strings.IndexFunc(text.value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
			add(text.field, "it is more than one line of text")
		case ingest.HoldsCardNumber(text.value):
			add(text.field, "it looks like a card's number, which must not be written down here")
		}
	}
	if strings.ContainsAny(o.Reference, reasonOpen+reasonClose+";") {
		add("reference", "it holds one of [ ] and ;")
	}
	if o.AmountMinor <= 0 {
		add("amount", "it is not above zero")
	}
	if o.Received != "" && today != "" && o.Received > today {
		add("received", "it is in the future")
	}
	if len(wrong) == 0 {
		// What is left is a bound of the command itself.
		named := *o
		named.ID = [16]byte{1}
		if err := named.Command("x", time.Unix(0, 0)).Validate(); err != nil {
			add("amount", "it is more than can be booked at once")
		}
	}
	return wrong
}
