package payments

import (
	"fmt"
	"reflect"
	"strconv"

	"spillway/ledger/journal"
)

// reporter is what *testing.T and *rapid.T share.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// text is a plain Stringer.
type text string

func (s text) String() string { return string(s) }

// holds checks what must hold of every step. what is written only when something does not.
func holds(t reporter, what fmt.Stringer, before, p Payment, fx Effects) {
	t.Helper()
	raised := map[string]int64{}
	for i := range p.Lines {
		r, pledged := Raised(p, i), Pledged(p, i)
		if r < 0 || r > p.Lines[i].AmountMinor {
			t.Errorf("%s: line %d raised %d of %d", what, i, r, p.Lines[i].AmountMinor)
		}
		if pledged != 0 && pledged != p.Lines[i].AmountMinor || (pledged == 0) != (Counted(p) == 0) {
			t.Errorf("%s: line %d pledged %d of %d, counted %d", what, i, pledged, p.Lines[i].AmountMinor, Counted(p))
		}
		if r > pledged {
			t.Errorf("%s: line %d raised %d, pledged %d", what, i, r, pledged)
		}
		raised[journal.Gifts(p.Lines[i].Campaign)] += r - Raised(before, i)
	}
	for i := range fx.Entries {
		e := &fx.Entries[i]
		if err := journal.Balanced(e); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if e.Donation != p.Donation || e.OccurredAt.IsZero() || e.Ref == "" || len(e.Ref) > journal.RefBytesMax {
			t.Errorf("%s: entry %+v", what, e)
		}
		for _, posting := range e.Postings {
			if !journal.KnownAccount(posting.Account) {
				t.Errorf("%s: account %q is in no chart", what, posting.Account)
			}
			if _, ok := journal.CampaignOf(posting.Account); ok {
				raised[posting.Account] += posting.AmountMinor
			}
		}
	}
	for account, off := range raised {
		if off != 0 {
			t.Errorf("%s: raised less %s is %d", what, account, off)
		}
	}
	for i := range p.Attempts {
		if a := &p.Attempts[i]; i < len(p.Attempts)-1 && !a.State.final() {
			t.Errorf("%s: attempt %d is open beside attempt %d", what, a.No, p.last().No)
		}
		if a := &p.Attempts[i]; a.ClientSecret != "" && a.State != RequiresAction {
			t.Errorf("%s: attempt %d keeps a client secret", what, a.No)
		}
	}
	if p.Charge != "" && p.last().State != Succeeded {
		t.Errorf("%s: captured, and the last attempt is in state %d", what, p.last().State)
	}
	if before.Charge != "" && (p.Charge != before.Charge || p.CapturedMinor != before.CapturedMinor) {
		t.Errorf("%s: captured charge %s became %s", what, before.Charge, p.Charge)
	}
	if fx.Verdict == NoChange && (!reflect.DeepEqual(before, p) || len(fx.Entries) > 0 || fx.Changed || fx.Alarm != "") {
		t.Errorf("%s: no change, but %+v", what, fx)
	}
	if (fx.Alarm != "") != (fx.Verdict == Alarming) {
		t.Errorf("%s: verdict %d with alarm %q", what, fx.Verdict, fx.Alarm)
	}
	if status, reason := Status(p); (status == StatusFailed) != (reason != "") || Words(status, reason, p.last().Decline) == "" {
		t.Errorf("%s: status %s with reason %q", what, status, reason)
	}
}

// flat writes an entry's kind, ref and postings; times differ with what was heard first.
func flat(e *journal.Entry) string {
	b := append(make([]byte, 0, 256), e.Kind...)
	b = append(append(b, ' '), e.Ref...)
	for i := range e.Postings {
		b = appendPosting(b, &e.Postings[i])
	}
	return string(b)
}

// appendPosting writes a posting in short; these tests write millions.
func appendPosting(b []byte, p *journal.Posting) []byte {
	b = append(append(b, ' '), p.Account...)
	b = append(append(b, '='), p.Currency...)
	return strconv.AppendInt(b, p.AmountMinor, 10)
}
