package journal

import "strings"

// The accounts. Debits are positive: an asset or an expense has a positive balance,
// a debt a negative one. The chart of accounts in ledger/DESIGN.md says more.
const (
	// Processor is an asset: our money at the processor, before a payout.
	Processor = "processor:stripe"
	// Bank is an asset: what the processor paid out.
	Bank = "bank"
	// OfflineReceived is an asset: gifts that came by another road.
	OfflineReceived = "offline:received"
	// DisputesHeld is an asset: what donors' banks took until a dispute is decided.
	DisputesHeld = "disputes:held"
	// FeesCovered is what donors gave on top of their gifts towards the fees.
	FeesCovered = "fees:covered"
	// FeesProcessing is an expense: what the processor took for charges.
	FeesProcessing = "fees:processing"
	// FeesDispute is an expense: what the processor took for disputes.
	FeesDispute = "fees:dispute"
	// OtherProcessor holds what the processor moved and names no gift.
	OtherProcessor = "processor:other"
	// Suspense holds money of donations that no gift explains: a second charge, the
	// difference to an amount, what was taken back beyond a gift. Not zero means that a
	// person must look, and settle it with a correction.
	Suspense = "suspense:stripe"

	giftsPrefix = "gifts:"
)

// Gifts is the account of what is owed to a campaign: minus its balance is what the
// campaign has raised.
func Gifts(campaign string) string { return giftsPrefix + campaign }

// CampaignOf is the inverse of Gifts; ok is false for any other account.
func CampaignOf(account string) (campaign string, ok bool) {
	return strings.CutPrefix(account, giftsPrefix)
}

// KnownAccount tells whether the chart of accounts has it; any campaign's is known.
func KnownAccount(account string) bool {
	switch account {
	case Processor, Bank, OfflineReceived, DisputesHeld, FeesCovered, FeesProcessing, FeesDispute, OtherProcessor, Suspense:
		return true
	}
	campaign, ok := CampaignOf(account)
	return ok && campaign != ""
}
