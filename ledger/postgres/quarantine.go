package postgres

import (
	"context"
	"crypto/sha256"
	"time"

	"spillway/ledger"
)

var quarantineSQL = statement("quarantine")

// Quarantine sets records aside, durably, before their message is acknowledged.
// A payload that is there already stays as it was. Errors: ledger.ErrUnavailable.
func (b *Book) Quarantine(ctx context.Context, rejected []ledger.Rejected) error {
	n := len(rejected)
	hashes, payloads := make([][]byte, n), make([][]byte, n)
	streams, reasons, details := make([]string, n), make([]string, n), make([]string, n)
	sequences, indexes, stored := make([]int64, n), make([]int32, n), make([]time.Time, n)
	for i := range rejected {
		r := &rejected[i]
		hash := sha256.Sum256(r.Payload)
		hashes[i], payloads[i] = hash[:], r.Payload
		if payloads[i] == nil {
			payloads[i] = []byte{}
		}
		streams[i], reasons[i], details[i] = r.Stream, string(r.Reason), r.Detail
		sequences[i], indexes[i], stored[i] = int64(r.Sequence), int32(r.Index), r.StoredAt // counts of messages and records
	}
	_, err := b.control.Exec(ctx, quarantineSQL, hashes, streams, sequences, indexes, stored, reasons, details, payloads)
	return sorted("quarantine", err)
}

// Quarantined counts the records that are set aside. Errors: ledger.ErrUnavailable.
func (b *Book) Quarantined(ctx context.Context) (count int64, err error) {
	err = b.control.QueryRow(ctx, "SELECT count(*) FROM quarantine").Scan(&count)
	return count, sorted("count the quarantine", err)
}
