package broker

import (
	"time"

	"spillway/ledger"
)

// stateAnswer is the reply on the wire. Money stays int64: encoding/json keeps it.
type stateAnswer struct {
	Failed bool          `json:"failed,omitempty"` // the database could not be asked
	State  *stateMessage `json:"state,omitempty"`
}

// stateMessage is ledger.State in short: identifiers as base64, times in
// microseconds since 1970.
type stateMessage struct {
	Found         bool               `json:"found,omitempty"`
	Book          ledger.Book        `json:"book,omitempty"`
	Fingerprint   []byte             `json:"fp,omitempty"`
	Status        string             `json:"status,omitempty"`
	AmountMinor   int64              `json:"amount,omitempty"`
	FeeCoverMinor int64              `json:"fee,omitempty"`
	Currency      string             `json:"currency,omitempty"`
	ReceivedAt    int64              `json:"received,omitempty"`
	RecordedAt    int64              `json:"recorded,omitempty"`
	Lines         []ledger.StateLine `json:"lines,omitempty"`
	Conflicts     [][]byte           `json:"conflicts,omitempty"`
	Reason        string             `json:"reason,omitempty"`
	Decline       string             `json:"decline,omitempty"`
	ClientSecret  string             `json:"secret,omitempty"` // between our own processes only
	AttemptNo     int                `json:"attempt,omitempty"`
	RefundedMinor int64              `json:"refunded,omitempty"`
	Dispute       string             `json:"dispute,omitempty"`
	ExpectedWait  time.Duration      `json:"wait,omitempty"` // nanoseconds
}

func encodeState(s ledger.State) *stateMessage {
	if !s.Found {
		return &stateMessage{}
	}
	m := &stateMessage{
		Found: true, Book: s.Book, Fingerprint: s.Fingerprint[:], Status: s.Status,
		AmountMinor: s.AmountMinor, FeeCoverMinor: s.FeeCoverMinor, Currency: s.Currency,
		ReceivedAt: s.ReceivedAt.UnixMicro(), RecordedAt: s.RecordedAt.UnixMicro(), Lines: s.Lines,
		Reason: s.Reason, Decline: s.Decline, ClientSecret: s.ClientSecret, AttemptNo: s.AttemptNo,
		RefundedMinor: s.RefundedMinor, Dispute: s.Dispute, ExpectedWait: s.ExpectedWait,
	}
	for i := range s.Conflicts {
		m.Conflicts = append(m.Conflicts, s.Conflicts[i][:])
	}
	return m
}

// decode is the inverse of encodeState; ok is false when an identifier is none.
func (m *stateMessage) decode() (s ledger.State, ok bool) {
	if !m.Found {
		return ledger.State{}, true
	}
	s = ledger.State{
		Found: true, Book: m.Book, Status: m.Status,
		AmountMinor: m.AmountMinor, FeeCoverMinor: m.FeeCoverMinor, Currency: m.Currency,
		ReceivedAt: time.UnixMicro(m.ReceivedAt).UTC(), RecordedAt: time.UnixMicro(m.RecordedAt).UTC(), Lines: m.Lines,
		Reason: m.Reason, Decline: m.Decline, ClientSecret: m.ClientSecret, AttemptNo: m.AttemptNo,
		RefundedMinor: m.RefundedMinor, Dispute: m.Dispute, ExpectedWait: m.ExpectedWait,
	}
	ok = copy(s.Fingerprint[:], m.Fingerprint) == len(s.Fingerprint)
	for _, conflict := range m.Conflicts {
		var fingerprint [16]byte
		ok = ok && copy(fingerprint[:], conflict) == len(fingerprint)
		s.Conflicts = append(s.Conflicts, fingerprint)
	}
	return s, ok
}
