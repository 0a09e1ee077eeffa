package search

import (
	"spillway/ledger"
	"spillway/ledger/payments"
)

// Statuses are the words of the public contract that a donation may be in.
var Statuses = []string{
	ledger.StatusAccepted, payments.StatusCharging, payments.StatusRequiresAction, payments.StatusSucceeded,
	payments.StatusFailed, payments.StatusRefunded, payments.StatusDisputed, payments.StatusCanceled,
}

// Counted tells whether a donation in this status counts its donor.
func Counted(status string) bool {
	return status != payments.StatusFailed && status != payments.StatusCanceled
}

// Shown tells whether a donation in this status is shown to everybody.
func Shown(status string) bool { return status == payments.StatusSucceeded }

// Settled tells whether a donation in this status moves on by facts of the journal
// alone, which are followed one by one. The others are looked at now and then.
func Settled(status string) bool {
	switch status {
	case payments.StatusSucceeded, payments.StatusRefunded, payments.StatusDisputed, payments.StatusCanceled:
		return true
	}
	return false
}
