package payments

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"spillway/ledger/money"
)

// Limits of a command, which a person or a tool of ours wrote.
const (
	commandBytesMax  = 64 << 10 // 200 lines take 6 KiB
	commandActorMax  = 255      // bytes: an account's name
	commandReasonMax = 1000     // bytes: a sentence or two
	commandMinorMax  = 1_000_000_000_000
	commandLinesMax  = 200 // a donation's own limit
	slugBytesMax     = 64
)

// ErrCommand says that bytes are no command that this build can carry out.
var ErrCommand = errors.New("not a money command")

// Command is what a person asks of the money. It travels on a stream of its own, so
// that a restore can replay it. Exactly one of the pointers is set.
type Command struct {
	// ID is the command's idempotency key: a command that is asked twice is done once.
	ID     [16]byte
	At     time.Time // when it was asked, UTC, microseconds
	Actor  string    // who asks, for the books
	Reason string    // why, for the books

	Refund     *RefundAsked
	Offline    *OfflineGift
	Correction *Correction
}

// RefundAsked gives a donation's money back: whole when AmountMinor is 0 and Lines
// nil; pro rata by largest remainder when AmountMinor is given alone; and by lines,
// in the order of the donation's, when Lines is given: AmountMinor is then their
// sum and may hold a part of the covered fee beyond it.
type RefundAsked struct {
	Donation    [16]byte
	AmountMinor int64
	Lines       []int64
}

// OfflineGift is money that came by another road than the processor: a cheque, cash.
type OfflineGift struct {
	Campaign    string
	AmountMinor int64
	Currency    money.Currency
}

// Correction moves money between two accounts of the journal. One that touches a
// campaign's account moves what the campaign raised.
type Correction struct {
	Debit, Credit string // accounts
	AmountMinor   int64
	Currency      money.Currency
	Donation      [16]byte // the donation it is about, zero for none
}

// CommandResult says what became of a command.
type CommandResult struct {
	Word   CommandWord
	Detail string // of CommandRefused: a word of a closed set, such as "exceeds"
}

// CommandWord is one word of what became of a command.
type CommandWord string

// The words.
const (
	// CommandDone: carried out. A refund is then under way to the processor.
	CommandDone CommandWord = "done"
	// CommandRefused: it cannot be carried out, now or later; Detail says why.
	CommandRefused CommandWord = "refused"
	// CommandNotYet: its donation is not recorded yet; ask again later.
	CommandNotYet CommandWord = "not_yet"
)

// Why a command is refused.
const (
	RefusedNotCaptured = "not_captured" // nothing was captured of the donation
	RefusedExceeds     = "exceeds"      // more than what is left to give back
	RefusedLines       = "lines"        // not the donation's lines, or more than a line has left
	RefusedDisputed    = "disputed"     // the donor's bank has taken the money already
	RefusedAccount     = "account"      // not in the chart of accounts
)

// The command on the wire: JSON, written and read by this file alone.
type wireCommand struct {
	ID         string          `json:"id"`
	At         time.Time       `json:"at"`
	Actor      string          `json:"actor"`
	Reason     string          `json:"reason"`
	Refund     *wireRefund     `json:"refund,omitempty"`
	Offline    *wireOffline    `json:"offline_gift,omitempty"`
	Correction *wireCorrection `json:"correction,omitempty"`
}

type wireRefund struct {
	Donation    string  `json:"donation"`
	AmountMinor int64   `json:"amount_minor,omitempty"`
	Lines       []int64 `json:"lines_minor,omitempty"`
}

type wireOffline struct {
	Campaign    string `json:"campaign"`
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
}

type wireCorrection struct {
	Debit       string `json:"debit"`
	Credit      string `json:"credit"`
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Donation    string `json:"donation,omitempty"`
}

// EncodeCommand writes a command for the stream. Errors: ErrCommand when it is none.
func EncodeCommand(c *Command) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w := wireCommand{ID: hexID(c.ID), At: c.At.UTC().Truncate(time.Microsecond), Actor: c.Actor, Reason: c.Reason}
	switch {
	case c.Refund != nil:
		w.Refund = &wireRefund{Donation: hexID(c.Refund.Donation), AmountMinor: c.Refund.AmountMinor, Lines: c.Refund.Lines}
	case c.Offline != nil:
		w.Offline = &wireOffline{Campaign: c.Offline.Campaign, AmountMinor: c.Offline.AmountMinor, Currency: string(c.Offline.Currency)}
	case c.Correction != nil:
		w.Correction = &wireCorrection{
			Debit: c.Correction.Debit, Credit: c.Correction.Credit,
			AmountMinor: c.Correction.AmountMinor, Currency: string(c.Correction.Currency),
		}
		if c.Correction.Donation != [16]byte{} {
			w.Correction.Donation = hexID(c.Correction.Donation)
		}
	}
	return json.Marshal(w)
}

// DecodeCommand reads a command. It takes exactly what EncodeCommand writes: a
// member that is unknown, doubled, misspelt in its case or out of order is no
// command, because money moves by it. Errors: ErrCommand.
func DecodeCommand(data []byte) (*Command, error) {
	if len(data) > commandBytesMax {
		return nil, fmt.Errorf("%d bytes: %w", len(data), ErrCommand)
	}
	var w wireCommand
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("%w: not its JSON", ErrCommand) // the cause may quote a reason
	}
	c := &Command{At: w.At.UTC(), Actor: w.Actor, Reason: w.Reason}
	ok := parseID(w.ID, &c.ID)
	if r := w.Refund; r != nil {
		c.Refund = &RefundAsked{AmountMinor: r.AmountMinor, Lines: r.Lines}
		ok = ok && parseID(r.Donation, &c.Refund.Donation)
	}
	if o := w.Offline; o != nil {
		currency, known := money.ParseCurrency([]byte(o.Currency))
		c.Offline = &OfflineGift{Campaign: o.Campaign, AmountMinor: o.AmountMinor, Currency: currency}
		ok = ok && known
	}
	if k := w.Correction; k != nil {
		currency, known := money.ParseCurrency([]byte(k.Currency))
		c.Correction = &Correction{Debit: k.Debit, Credit: k.Credit, AmountMinor: k.AmountMinor, Currency: currency}
		ok = ok && known && (k.Donation == "" || parseID(k.Donation, &c.Correction.Donation))
	}
	if !ok {
		return nil, fmt.Errorf("%w: an ID or a currency that is none", ErrCommand)
	}
	again, err := EncodeCommand(c)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: not in its one written form", ErrCommand)
	}
	return c, nil
}

// Validate says what makes c no command. Errors: ErrCommand.
func (c *Command) Validate() error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrCommand, why) }
	set := 0
	for _, there := range []bool{c.Refund != nil, c.Offline != nil, c.Correction != nil} {
		if there {
			set++
		}
	}
	switch {
	case set != 1:
		return bad("not exactly one thing is asked")
	case c.ID == [16]byte{}:
		return bad("no id")
	case c.At.Year() < 1970 || c.At.Year() > 9999:
		return bad("no time")
	case c.Actor == "" || len(c.Actor) > commandActorMax || !plain(c.Actor):
		return bad("no actor, or too long a name")
	case len(c.Reason) > commandReasonMax || !plain(c.Reason):
		return bad("too long a reason")
	}
	inRange := func(minor int64) bool { return minor >= 1 && minor <= commandMinorMax }
	switch {
	case c.Refund != nil:
		return c.Refund.validate(bad)
	case c.Offline != nil:
		if c.Offline.Campaign == "" || len(c.Offline.Campaign) > slugBytesMax || !plain(c.Offline.Campaign) {
			return bad("no campaign")
		}
		if !inRange(c.Offline.AmountMinor) || c.Offline.Currency == "" {
			return bad("no amount")
		}
	case c.Correction != nil:
		k := c.Correction
		if k.Debit == "" || k.Credit == "" || k.Debit == k.Credit || len(k.Debit) > commandActorMax || len(k.Credit) > commandActorMax || !plain(k.Debit) || !plain(k.Credit) {
			return bad("not two accounts")
		}
		if !inRange(k.AmountMinor) || k.Currency == "" {
			return bad("no amount")
		}
	}
	return nil
}

func (r *RefundAsked) validate(bad func(string) error) error {
	if r.Donation == [16]byte{} {
		return bad("no donation")
	}
	if r.AmountMinor < 0 || r.AmountMinor > commandMinorMax {
		return bad("an amount out of range")
	}
	if r.Lines == nil {
		return nil
	}
	if len(r.Lines) == 0 || len(r.Lines) > commandLinesMax {
		return bad("a number of lines that no donation has")
	}
	sum := int64(0)
	for _, minor := range r.Lines {
		if minor < 0 || minor > commandMinorMax {
			return bad("a line out of range")
		}
		sum += minor
	}
	if sum > r.AmountMinor || r.AmountMinor == 0 {
		return bad("lines beyond the amount")
	}
	return nil
}

// plain tells whether s is text without control characters.
func plain(s string) bool {
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

func hexID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func parseID(s string, into *[16]byte) bool {
	if len(s) != 36 {
		return false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil || len(b) != 16 || hexID([16]byte(b)) != s {
		return false
	}
	copy(into[:], b)
	return true
}
