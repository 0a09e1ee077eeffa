package journal

import (
	"encoding/hex"
	"time"

	"spillway/ledger/money"
)

// The entries that are not a payment's. Those of payments are made by its machine.

// NewPayout books money that went from the processor to our bank account; a negative
// amount went the other way. id is the payout's.
func NewPayout(id string, minor int64, currency money.Currency, at time.Time) Entry {
	return two(Payout, "payout:"+id, at, Bank, Processor, minor, currency)
}

// NewPayoutFailed books that a payout came back, or was canceled.
func NewPayoutFailed(id string, minor int64, currency money.Currency, at time.Time) Entry {
	return two(PayoutFailed, "payout_failed:"+id, at, Processor, Bank, minor, currency)
}

// NewProcessorOther books a balance transaction that names no gift, such as an
// adjustment or a monthly fee. minor is what was added to our balance there,
// negative for what was taken.
func NewProcessorOther(transaction string, minor int64, currency money.Currency, at time.Time) Entry {
	return two(ProcessorOther, "other:"+transaction, at, Processor, OtherProcessor, minor, currency)
}

// NewOfflineGift books a gift that came by another road than the processor, once for
// each command.
func NewOfflineGift(command [16]byte, campaign string, minor int64, currency money.Currency, at time.Time, actor, reason string) Entry {
	e := two(OfflineGift, "offline:"+hex.EncodeToString(command[:]), at, OfflineReceived, Gifts(campaign), minor, currency)
	e.Actor, e.Reason = actor, reason
	return e
}

// NewCorrection moves money between two accounts by a person's command. donation is
// the one it is about, zero for none.
func NewCorrection(command, donation [16]byte, debit, credit string, minor int64, currency money.Currency, at time.Time, actor, reason string) Entry {
	e := two(Correction, "correction:"+hex.EncodeToString(command[:]), at, debit, credit, minor, currency)
	e.Donation, e.Actor, e.Reason = donation, actor, reason
	return e
}

// two is an entry that moves minor from one account to another.
func two(kind Kind, ref string, at time.Time, debit, credit string, minor int64, currency money.Currency) Entry {
	return Entry{
		Kind: kind, Ref: ref, OccurredAt: at.UTC().Truncate(time.Microsecond),
		Postings: []Posting{
			{Account: debit, Currency: currency, AmountMinor: minor},
			{Account: credit, Currency: currency, AmountMinor: -minor},
		},
	}
}
