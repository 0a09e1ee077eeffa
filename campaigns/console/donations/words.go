package donations

import (
	"fmt"
	"html/template"

	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// statusWords say in two or three words where a donation stands.
var statusWords = map[string]struct{ word, mood string }{
	ledger.StatusAccepted:         {"waits for its charge", ""},
	payments.StatusCharging:       {"being charged", ""},
	payments.StatusRequiresAction: {"waits for the donor", "warn"},
	payments.StatusSucceeded:      {"succeeded", "good"},
	payments.StatusFailed:         {"failed", "bad"},
	payments.StatusRefunded:       {"refunded", "warn"},
	payments.StatusDisputed:       {"disputed", "bad"},
	payments.StatusCanceled:       {"canceled", ""},
}

// statusBadge is a status as pages show it.
func statusBadge(word string) template.HTML {
	w, ok := statusWords[word]
	if !ok {
		w.word = word
	}
	return template.HTML(`<span class="badge ` + w.mood + `">` + template.HTMLEscapeString(w.word) + `</span>`)
}

// failures say why a payment failed.
var failures = map[payments.FailReason]string{
	payments.Declined:   "The card's bank said no.",
	payments.CardNeeded: "The card could not be charged before what the browser left of it expired. The donor was asked to enter one again.",
	payments.Abandoned:  "The donor did not come back to confirm the payment.",
	payments.Refused:    "The processor does not take this payment at all.",
}

// declines say what the bank said, for those who help the donor.
var declines = map[payments.Decline]string{
	payments.DeclineFunds: "Not enough funds.", payments.DeclineExpired: "The card has expired.", payments.DeclineDetails: "Details of the card are wrong.",
	payments.DeclineAuthentication: "The bank could not confirm that it was the donor.", payments.DeclineUnsupported: "The card is not for this kind of payment.",
	payments.DeclineLimit: "The card has reached its limit.", payments.DeclineTryLater: "The bank could not answer just then.", payments.DeclineGeneric: "No more was said.",
}

// statusSentence says in a sentence where a donation stands.
func statusSentence(v view) string {
	switch v.Status {
	case ledger.StatusAccepted:
		return "Safe in the books; its card waits for its turn to be charged."
	case payments.StatusCharging:
		return "The processor has been asked to charge the card."
	case payments.StatusRequiresAction:
		return "The donor's bank wants the donor to confirm the payment."
	case payments.StatusSucceeded:
		if v.RefundedMinor > 0 || v.SomeBack {
			return "Charged; a part of it went back."
		}
		return "Charged."
	case payments.StatusFailed:
		return "Not charged. " + failures[payments.FailReason(v.Reason)]
	case payments.StatusRefunded:
		return "Charged, and all of it went back to the donor."
	case payments.StatusDisputed:
		return "Charged, and the donor's bank asks for it back or has taken it."
	case payments.StatusCanceled:
		return "Canceled; nothing was charged."
	}
	return ""
}

func attemptTitle(no int) string {
	if no == 1 {
		return "Card"
	}
	return fmt.Sprintf("Card %d", no)
}

// attemptWords say what became of an attempt.
func attemptWords(a *search.StoryAttempt) (title, detail, mood string) {
	switch a.State {
	case "due":
		return "waits for its turn", "", ""
	case "calling":
		return "the outcome of the call is not known yet", "It is asked again until it is; the card is charged once.", ""
	case "requires_action":
		return "the bank wants the donor to confirm", "", ""
	case "processing":
		return "the processor works on it", "", ""
	case "failed":
		detail = failures[payments.FailReason(a.Reason)]
		if why := declines[payments.Decline(a.Decline)]; why != "" {
			detail += " " + why
		}
		return "failed", detail, "bad"
	case "canceled":
		return "canceled", "Nothing was charged.", ""
	case "succeeded":
		return "charged", "", "good"
	}
	return a.State, "", ""
}

// entries are the journal's kinds in words.
var entries = map[journal.Kind]string{
	journal.Capture: "the charge", journal.ProcessingFee: "the processor's fee", journal.RefundMade: "a refund", journal.RefundFailed: "a refund that came back to us",
	journal.DisputeOpened: "a dispute, money held", journal.DisputeFee: "the fee of a dispute", journal.DisputeWon: "a dispute won", journal.DisputeLost: "a dispute lost",
	journal.DisputeReversed: "a dispute's outcome taken back", journal.DisputeFeeReturned: "the fee of a dispute, returned", journal.Correction: "a correction by a person",
}

func entryWords(kind string) string {
	if word := entries[journal.Kind(kind)]; word != "" {
		return word
	}
	return kind
}

// refundWords say what became of a refund.
func refundWords(status, why string) (title, detail, mood string) {
	switch status {
	case payments.RefundRequested:
		return "in the books; the processor is called next", "", ""
	case payments.RefundCalling:
		return "the processor is being asked", "Until it answers it is asked again under the same key, so that it pays once.", ""
	case payments.RefundRefused:
		return "refused by the processor", "The money stays with us. The processor's word: " + why + ".", "bad"
	case string(payments.RefundPending):
		return "on its way", "The processor has taken it on; the bank takes some days.", ""
	case string(payments.RefundSucceeded):
		return "done", "", "good"
	case string(payments.RefundFailed):
		return "failed", "The donor's bank did not take it, and the money came back to us.", "bad"
	case string(payments.RefundCanceled):
		return "canceled", "It was canceled at the processor; the money is with us.", "bad"
	}
	return status, why, ""
}

// refusals say why the ledger does not make a refund.
var refusals = map[string]string{
	payments.RefusedNotCaptured: "Nothing was captured of this donation, so there is nothing to give back.",
	payments.RefusedExceeds:     "That is more than what is left to give back; refunds under way count too.",
	payments.RefusedLines:       "That is more than what is left of one campaign's part.",
	payments.RefusedDisputed:    "The donor's bank has taken the money already: a dispute is open or lost.",
}

func refusal(detail string) string {
	if text := refusals[detail]; text != "" {
		return text
	}
	return "The ledger refuses it: " + detail + "."
}

func disputeWords(status string) (title, mood string) {
	switch status {
	case string(payments.DisputeOpen):
		return "open; the money is held", "bad"
	case string(payments.DisputeWon):
		return "won; the money is ours", "good"
	case string(payments.DisputeLost):
		return "lost; the money went back to the donor", "bad"
	}
	return status, ""
}
