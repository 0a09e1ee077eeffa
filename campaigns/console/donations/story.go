package donations

import (
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ledger/search"
)

// logMost bounds the entries of the audit log that a story shows.
const logMost = 100

type postingJSON struct {
	Account     string `json:"account"`
	Currency    string `json:"currency"`
	AmountMinor int64  `json:"amount_minor"` // a debit when positive
}

// momentJSON is one point of a donation's story.
type momentJSON struct {
	At       time.Time     `json:"at"`
	Kind     string        `json:"kind"`
	Title    string        `json:"title"`
	Detail   string        `json:"detail,omitempty"`
	Ref      string        `json:"ref,omitempty"`
	By       string        `json:"by,omitempty"`
	Postings []postingJSON `json:"postings,omitempty"`
}

// storyJSON is a donation as the admin API tells it.
type storyJSON struct {
	rowJSON
	RecordedAt  time.Time  `json:"recorded_at"`
	CapturedAt  *time.Time `json:"captured_at,omitempty"`
	FeeMinor    *int64     `json:"processing_fee_minor,omitempty"`
	FeeCurrency string     `json:"processing_fee_currency,omitempty"`
	Dispute     string     `json:"dispute,omitempty"`
	Fingerprint string     `json:"fingerprint"`
	// Complete is false when events of the processor could not be looked through in time.
	Complete bool         `json:"complete"`
	Story    []momentJSON `json:"story"`
}

// donationData is what donation.html shows.
type donationData struct {
	*search.Story
	View     view
	Moments  []Moment
	Sentence string // where it stands
	Personal bool
	// MayRefund and MayHide offer what this donation and whoever asks allow.
	MayRefund, MayHide bool
	LogMissing         bool
	Hidings            []hiding
}

// hiding is one way to hide something of a gift.
type hiding struct {
	Word, Title string
	Now         bool
}

func (s *Section) show(r *frame.Request) error {
	t, v, err := s.story(r)
	if err != nil {
		return err
	}
	// What people did is kept beside the books: without it the story is told all the same.
	log, err := s.Log.Log(r.Context(), access.LogQuery{Subject: t.ID.String(), Limit: logMost})
	missing := errors.Is(err, access.ErrUnavailable)
	if err != nil && !missing {
		return err
	}
	moments := tell(t, v, log)
	if r.WantsJSON() {
		return r.Reply(http.StatusOK, storyAsJSON(t, v, moments))
	}
	d := &donationData{Story: t, View: v, Moments: moments, Sentence: statusSentence(v), Personal: personal(r), LogMissing: missing,
		MayRefund: !v.Part && !t.CapturedAt.IsZero() && t.RefundedMinor < t.AmountMinor && mayRefund(r, &t.Row), MayHide: r.Principal.Can(access.HideGift, access.Some)}
	for _, h := range [...]hiding{{"none", "Show everything", false}, {"name", "Hide the name", false}, {"message", "Hide message and dedication", false}, {"both", "Hide all of it", false}} {
		h.Now = h.Word == t.Hidden.String()
		d.Hidings = append(d.Hidings, h)
	}
	return r.Page("Donation", donationPage, d)
}

func storyAsJSON(t *search.Story, v view, moments []Moment) storyJSON {
	out := storyJSON{rowJSON: asJSON(v), RecordedAt: t.RecordedAt, Dispute: t.Dispute, Fingerprint: hex.EncodeToString(t.Fingerprint[:]), Complete: !t.EventsMissing, Story: []momentJSON{}}
	if !t.CapturedAt.IsZero() {
		out.CapturedAt = &t.CapturedAt
	}
	if t.FeeKnown {
		out.FeeMinor, out.FeeCurrency = &t.FeeMinor, string(t.FeeCurrency)
	}
	for _, m := range moments {
		j := momentJSON{At: m.At.UTC(), Kind: m.Kind, Title: m.Title, Detail: m.Detail, Ref: m.Ref, By: m.By}
		for _, p := range m.Postings {
			j.Postings = append(j.Postings, postingJSON{p.Account, string(p.Currency), p.AmountMinor})
		}
		out.Story = append(out.Story, j)
	}
	return out
}

// Moment is one point of a donation's time line.
type Moment struct {
	At     time.Time
	Kind   string // gift, attempt, event, entry, refund, dispute, conflict, person
	Title  string
	Detail string
	Ref    string // of the processor or the books
	By     string // a person
	Mood   string // good, bad, or ""
	// Postings are both sides of a journal entry.
	Postings []search.StoryPosting
}

// Money is a posting's amount without its sign.
func (m Moment) Money(p search.StoryPosting) string {
	minor := p.AmountMinor
	if minor < 0 {
		minor = -minor
	}
	return frame.Money(minor, p.Currency)
}

// tell puts everything that is known about a donation in the order in which it happened.
// Of a part it leaves out amounts that are of the whole.
func tell(t *search.Story, v view, log []access.Entry) []Moment {
	of := func(minor int64) string { // " of $50.00"
		if v.Part {
			return ""
		}
		return " of " + frame.Money(minor, t.Currency)
	}
	all := []Moment{{At: t.AcceptedAt, Kind: "gift", Title: "Accepted", Detail: "A front-end had the donation" + of(t.AmountMinor) + " on the broker's disk and told the donor so."},
		{At: t.RecordedAt, Kind: "gift", Title: "Recorded in the ledger"}}
	for _, a := range t.Attempts {
		if !a.FirstCalledAt.IsZero() {
			all = append(all, Moment{At: a.FirstCalledAt, Kind: "attempt", Title: attemptTitle(a.No) + ": the processor is asked to charge the card"})
		}
		title, detail, mood := attemptWords(&a)
		all = append(all, Moment{At: a.ChangedAt, Kind: "attempt", Title: attemptTitle(a.No) + ": " + title, Detail: detail, Ref: a.Charge, Mood: mood})
	}
	for _, e := range t.Events {
		detail := ""
		if e.Parked {
			detail = "It came before its donation was recorded and waited for it."
		}
		all = append(all, Moment{At: e.CreatedAt, Kind: "event", Title: "The processor told us: " + e.Type, Detail: detail, Ref: e.ID})
	}
	for _, e := range t.Entries {
		all = append(all, Moment{At: e.OccurredAt, Kind: "entry", Title: "Booked: " + entryWords(e.Kind), Detail: e.Reason, Ref: e.Ref, By: e.Actor, Postings: e.Postings})
	}
	for _, f := range t.Refunds {
		title, detail, mood := refundWords(f.Status, f.Detail)
		if f.Actor != "" {
			all = append(all, Moment{At: f.AskedAt, Kind: "refund", Title: "A refund" + of(f.AmountMinor) + " is asked for", Detail: f.Reason, By: f.Actor})
		}
		at := f.CreatedAt
		if at.IsZero() {
			at = f.AskedAt
		}
		all = append(all, Moment{At: at, Kind: "refund", Title: "Refund" + of(f.AmountMinor) + ": " + title, Detail: detail, Ref: f.ProcessorID, Mood: mood})
	}
	for _, d := range t.Disputes {
		title, mood := disputeWords(d.Status)
		all = append(all, Moment{At: d.CreatedAt, Kind: "dispute", Title: "Dispute" + of(d.AmountMinor) + ": " + title, Ref: d.ID, Mood: mood})
	}
	for _, c := range t.Conflicts {
		all = append(all, Moment{At: c.ReceivedAt, Kind: "conflict", Title: "Another content came under the same key", Mood: "bad",
			Detail: "It was kept for the record and not booked: the one that came first counts.", Ref: hex.EncodeToString(c.Fingerprint[:])})
	}
	for _, e := range log {
		if strings.HasPrefix(e.Action, "donation.hide") {
			all = append(all, Moment{At: e.At, Kind: "person", Title: "What the public sees was changed", Detail: "Hidden: " + e.Detail + ".", By: e.Name})
		}
	}
	slices.SortStableFunc(all, func(a, b Moment) int { return a.At.Compare(b.At) })
	return all
}

// campaignsOf are the slugs of a donation's lines.
func campaignsOf(row *search.Row) []string {
	all := make([]string, len(row.Lines))
	for i, l := range row.Lines {
		all[i] = l.Campaign
	}
	return all
}

// mayRefund tells whether whoever asks may give back all that the donation holds: money
// goes back of every campaign of it.
func mayRefund(r *frame.Request, row *search.Row) bool {
	for _, slug := range campaignsOf(row) {
		if !r.Principal.Can(access.Refund, slug) {
			return false
		}
	}
	return true
}
