package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// ErrMalformed says that a message is no report.
var ErrMalformed = errors.New("not a status report")

// Encode is the report as a message of at most BytesMax. Reasons and names that are
// too long are cut, and what is no number is left out.
//
// Errors: when even so it does not fit, or has no Node.
func Encode(r *Report) ([]byte, error) {
	short := *r
	short.Node, short.Build = cut(r.Node, NameBytesMax), cut(r.Build, NameBytesMax)
	short.Roles = make([]Role, 0, len(r.Roles))
	for _, role := range r.Roles[:min(len(r.Roles), RolesMax)] {
		short.Roles = append(short.Roles, Role{cut(role.Name, NameBytesMax), role.Ready, cut(role.Reason, ReasonBytesMax)})
	}
	if r.Rehearsal != nil {
		short.Rehearsal = r.Rehearsal.cut()
	}
	if short.Node == "" {
		return nil, errors.New("encode status: it does not say whose it is")
	}
	data, err := json.Marshal(&short)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	if len(data) > BytesMax {
		return nil, fmt.Errorf("encode status: %d bytes, more than %d", len(data), BytesMax)
	}
	return data, nil
}

// Decode reads a message of Encode, of this build's or another's: members that are
// not known are passed over, those that are missing are zero.
//
// Errors: ErrMalformed.
func Decode(data []byte) (*Report, error) {
	if len(data) > BytesMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if r.Node == "" || len(r.Node) > NameBytesMax || len(r.Build) > NameBytesMax || len(r.Roles) > RolesMax {
		return nil, fmt.Errorf("%w: names or roles out of bounds", ErrMalformed)
	}
	for _, role := range r.Roles {
		if role.Name == "" || len(role.Name) > NameBytesMax || len(role.Reason) > ReasonBytesMax {
			return nil, fmt.Errorf("%w: a role out of bounds", ErrMalformed)
		}
	}
	if h := r.Rehearsal; h != nil && (h.Run == "" || len(h.Run) > NameBytesMax || len(h.Scenario) > NameBytesMax || len(h.Phase) > ReasonBytesMax) {
		return nil, fmt.Errorf("%w: a rehearsal out of bounds", ErrMalformed)
	}
	if f := r.FrontEnd; f != nil && len(f.RefusedPerSecond) > RefusalsMax {
		return nil, fmt.Errorf("%w: too many kinds of refusals", ErrMalformed)
	}
	return r, nil
}

// cut is the rehearsal with its words in their bounds.
func (h *Rehearsal) cut() *Rehearsal {
	short := *h
	short.Run, short.Scenario, short.Phase = cut(h.Run, NameBytesMax), cut(h.Scenario, NameBytesMax), cut(h.Phase, ReasonBytesMax)
	short.SentPerSecond, short.AcceptedPerSecond, short.AckP99Millis = Number(h.SentPerSecond), Number(h.AcceptedPerSecond), Number(h.AckP99Millis)
	return &short
}

// cut is at most so many bytes of s, which end with a whole character.
func cut(s string, bytesMax int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= bytesMax {
		return s
	}
	s = s[:bytesMax]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// Number is v where it is a number that a report can hold, else 0: quotients of
// nothing and gauges that were never set are neither.
func Number(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
