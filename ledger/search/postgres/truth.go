package postgres

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// truth is a donation as the ledger has it at one moment, and the part of it that is
// here already.
type truth struct {
	id                     ingest.ID
	seq                    int64
	receivedAt, recordedAt time.Time
	fingerprint            [16]byte
	amount, fee            int64
	currency               string
	anonymous, hideAmount  bool
	sealed                 []byte
	sealKey                int64
	campaigns              []string
	amounts                []int64

	status, reason, intent, charge string
	refunded                       int64
	changedAt                      time.Time // of the payment; when it was received before there is one
	readAt                         time.Time // the database's clock

	here bool
	was  struct {
		status, reason, intent, charge string
		refunded                       int64
	}

	personal ingest.Personal
	words    []string // what the donor is found by
	donor    [16]byte // zero without an address
}

// eachTruth reads the rows of sql/truth.sql; each gets what it may keep.
func eachTruth(rows pgx.Rows, visit func(*truth)) error {
	var (
		t                                          truth
		id, fingerprint                            pgtype.UUID
		status                                     pgtype.Text
		changed                                    pgtype.Timestamptz
		called                                     bool
		wasStatus, wasReason, wasIntent, wasCharge pgtype.Text
		wasRefunded                                pgtype.Int8
	)
	fields := []any{
		&id, &t.seq, &t.receivedAt, &t.recordedAt, &fingerprint, &t.amount, &t.fee, &t.currency, &t.anonymous, &t.hideAmount, &t.sealed, &t.sealKey,
		&t.campaigns, &t.amounts, &status, &t.reason, &t.intent, &t.charge, &changed, &called, &t.refunded,
		&wasStatus, &wasReason, &wasIntent, &wasCharge, &wasRefunded, &t.readAt,
	}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		one := t
		one.id, one.fingerprint = id.Bytes, fingerprint.Bytes
		one.sealed, one.campaigns, one.amounts = slices.Clone(t.sealed), slices.Clone(t.campaigns), slices.Clone(t.amounts)
		one.status, one.changedAt = status.String, one.receivedAt
		if changed.Valid {
			one.changedAt = changed.Time
		}
		// As the ledger answers donors: no payment yet is accepted, and a claim writes the
		// attempt alone.
		if !status.Valid {
			one.status = ledger.StatusAccepted
		} else if one.status == ledger.StatusAccepted && called {
			one.status = payments.StatusCharging
		}
		one.here = wasStatus.Valid
		one.was.status, one.was.reason, one.was.intent, one.was.charge, one.was.refunded =
			wasStatus.String, wasReason.String, wasIntent.String, wasCharge.String, wasRefunded.Int64
		visit(&one)
		return nil
	})
	return err
}

// open reads the personal fields; false when no key opens them, and then there are none.
func (t *truth) open(keys Keys) bool {
	p, err := keys.Open(t.id, t.sealed, uint32(t.sealKey)) // keys are numbered in 32 bits
	if err != nil {
		return false
	}
	for _, text := range []*string{&p.Name, &p.Email, &p.Message, &p.DedicationName} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "?"), "\x00", "") // what no column takes
	}
	t.personal, t.words = p, search.Words(&p)
	if email := search.FoldEmail(p.Email); email != "" {
		t.donor = keys.Donor(email)
	}
	return true
}

// lineCampaigns are the campaigns of the lines, each once.
func (t *truth) lineCampaigns() []string {
	return slices.Compact(slices.Sorted(slices.Values(t.campaigns)))
}

// walls are those on which the donation counts.
func (t *truth) walls() []string { return append(t.lineCampaigns(), day) }

// lookAt is when to look again, NULL for never.
func (t *truth) lookAt() pgtype.Timestamptz {
	age := t.readAt.Sub(t.changedAt)
	if search.Settled(t.status) || t.status == payments.StatusFailed && age > lookFailed {
		return pgtype.Timestamptz{}
	}
	return pgtype.Timestamptz{Time: t.readAt.Add(min(max(age/lookShare, lookLeast), lookMost)), Valid: true}
}

var donationColumns = []string{
	"seq", "received_at", "amount_minor", "fee_cover_minor", "id", "donor", "anonymous", "hide_amount", "currency",
	"name", "email", "message", "dedication", "words", "campaigns", "amounts",
}

func (t *truth) donationRow() []any {
	donor := pgtype.UUID{Bytes: t.donor, Valid: t.donor != [16]byte{}}
	return []any{
		t.seq, t.receivedAt, t.amount, t.fee, pgtype.UUID{Bytes: t.id, Valid: true}, donor, t.anonymous, t.hideAmount, t.currency,
		t.personal.Name, t.personal.Email, t.personal.Message, search.Dedication(&t.personal), t.texts(), t.campaigns, t.amounts,
	}
}

// texts are the words, none for none: the column is never NULL.
func (t *truth) texts() []string {
	if t.words == nil {
		return []string{}
	}
	return t.words
}

var stateColumns = []string{"seq", "received_at", "refunded_minor", "look_at", "status", "reason", "intent", "charge"}

func (t *truth) stateRow() []any {
	return []any{t.seq, t.receivedAt, t.refunded, t.lookAt(), t.status, t.reason, t.intent, t.charge}
}

// row is the donation as lists show it; what is hidden is not known here.
func (t *truth) row() search.Row {
	r := search.Row{
		ID: t.id, AcceptedAt: t.receivedAt.UTC(), Name: t.personal.Name, Email: t.personal.Email, Anonymous: t.anonymous, HideAmount: t.hideAmount,
		AmountMinor: t.amount, FeeCoverMinor: t.fee, Currency: currency(t.currency), Status: t.status, Reason: t.reason,
		Message: t.personal.Message, Dedication: search.Dedication(&t.personal), RefundedMinor: t.refunded, Intent: t.intent, Charge: t.charge,
	}
	r.Lines = lines(t.campaigns, t.amounts, nil)
	return r
}
