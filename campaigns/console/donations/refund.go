package donations

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

const (
	// refundWait is how long an answer waits for what the ledger says: a payments process
	// that is up takes a tenth of it.
	refundWait = 3 * time.Second
	// refundPoll is the pace at which it is looked for.
	refundPoll = 100 * time.Millisecond
	// keyCharsMax bounds what names a refund; it stands in an address.
	keyCharsMax = 64
	// reasonCharsMax bounds why, in characters: a thousand bytes in any script.
	reasonCharsMax = 240
)

// refundInput is a refund as the forms and the admin API send it.
type refundInput struct {
	// Key names the refund: under one key it is made once. The form makes one.
	Key string `json:"key"`
	// Amount is as people write it; with no lines it is taken pro rata. Nothing, with no
	// lines, is all that is left.
	Amount string `json:"amount"`
	// Lines are CAMPAIGN=AMOUNT, as the command line has them.
	Lines  []string `json:"lines"`
	Reason string   `json:"reason"`
}

// refundData is what the pages of a refund show.
type refundData struct {
	*search.Story
	In      refundInput
	Fault   map[string]string
	Preview payments.RefundPreview
	Refusal string
	Typed   map[string]string // what was typed for each campaign
}

// refundable reads the donation for one who may refund all of it. Errors: a *frame.Problem.
func (s *Section) refundable(r *frame.Request) (*search.Story, error) {
	t, v, err := s.story(r)
	if err != nil {
		return nil, err
	}
	if v.Part || !mayRefund(r, &t.Row) {
		return nil, frame.Forbidden("The donation is also of campaigns that are not yours; somebody who has all of them can give it back.")
	}
	return t, nil
}

// refundForm asks how much; as JSON it says what is left of which line.
func (s *Section) refundForm(r *frame.Request) error {
	t, err := s.refundable(r)
	if err != nil {
		return err
	}
	preview, err := s.Refunds.Preview(r.Context(), &payments.RefundAsked{Donation: t.ID})
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.Reply(http.StatusOK, previewAsJSON(&preview))
	}
	d := &refundData{Story: t, In: refundInput{Key: newKey()}, Preview: preview}
	if preview.Refused != "" {
		d.Refusal = refusal(preview.Refused)
	}
	return r.Page("Give money back", refundPage, d)
}

func newKey() string {
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	return hex.EncodeToString(key[:])
}

// preview shows exactly what would go back, before anything is asked for.
func (s *Section) preview(r *frame.Request) error {
	t, err := s.refundable(r)
	if err != nil {
		return err
	}
	var in refundInput
	if err := s.input(r, t, &in); err != nil {
		return s.refundFault(r, t, &in, err)
	}
	p, err := s.judge(r, t, &in)
	if err != nil {
		return s.refundFault(r, t, &in, err)
	}
	if r.WantsJSON() {
		return r.Reply(http.StatusOK, previewAsJSON(p))
	}
	return s.confirm(r, t, &in, p, "")
}

// confirm shows the page on which a refund is asked for: its form says the very
// amounts that it shows.
func (s *Section) confirm(r *frame.Request, t *search.Story, in *refundInput, p *payments.RefundPreview, trouble string) error {
	in.Amount, in.Lines = plainMoney(p.AmountMinor, p.Currency), nil
	for _, line := range p.Lines {
		if line.AmountMinor > 0 {
			in.Lines = append(in.Lines, line.Campaign+"="+plainMoney(line.AmountMinor, p.Currency))
		}
	}
	return r.Page("Confirm the refund", confirmPage, &refundData{Story: t, In: *in, Preview: *p, Refusal: trouble})
}

// refundFault shows the form with what is wrong.
func (s *Section) refundFault(r *frame.Request, t *search.Story, in *refundInput, err error) error {
	var p *frame.Problem
	if !errors.As(err, &p) || r.WantsJSON() || p.Status == http.StatusServiceUnavailable {
		return err
	}
	whole, err := s.Refunds.Preview(r.Context(), &payments.RefundAsked{Donation: t.ID})
	if err != nil {
		return trouble(err)
	}
	if !validKey(in.Key) {
		in.Key = newKey()
	}
	d := &refundData{Story: t, In: *in, Preview: whole, Fault: map[string]string{}, Typed: map[string]string{}}
	for _, line := range in.Lines {
		slug, text, _ := strings.Cut(line, "=")
		d.Typed[slug] = text
	}
	if len(p.Fields) == 0 {
		d.Fault[""] = p.Detail
	}
	for _, f := range p.Fields {
		d.Fault[f.Name] = f.Detail
	}
	r.Status(p.Status)
	return r.Page("Give money back", refundPage, d)
}

// input reads what was sent. The form has a field for each campaign, of which the
// empty ones say nothing, and a choice between the three ways.
func (s *Section) input(r *frame.Request, t *search.Story, in *refundInput) error {
	if err := r.Input(in); err != nil {
		return err
	}
	if !r.WantsJSON() {
		switch r.Form("way") {
		case "whole":
			in.Amount, in.Lines = "", nil
		case "amount":
			in.Lines = nil
			if in.Amount == "" {
				return frame.Invalid(frame.Field{Name: "amount", Code: "required", Detail: "Say how much is to go back."})
			}
		case "lines":
			in.Amount, in.Lines = "", nil
			for _, line := range t.Lines {
				if text := r.Form("line-" + line.Campaign); text != "" {
					in.Lines = append(in.Lines, line.Campaign+"="+text)
				}
			}
			if len(in.Lines) == 0 {
				return frame.Invalid(frame.Field{Name: "lines", Code: "required", Detail: "Say of which campaign how much is to go back."})
			}
		}
	}
	in.Key, in.Reason = strings.TrimSpace(in.Key), strings.Join(strings.Fields(in.Reason), " ")
	var faults []frame.Field
	if !validKey(in.Key) {
		faults = append(faults, frame.Field{Name: "key", Code: "required", Detail: "Name the refund with a key of at most 64 letters, digits, '-' and '_': under one key it is made once."})
	}
	if in.Reason == "" || utf8.RuneCountInString(in.Reason) > reasonCharsMax || strings.ContainsFunc(in.Reason, unicode.IsControl) || ingest.HoldsCardNumber(in.Reason) {
		faults = append(faults, frame.Field{Name: "reason", Code: "required", Detail: "Say why, in a sentence of at most 240 characters, without a donor's name or card: it stands in the books for ever."})
	}
	if len(faults) > 0 {
		return frame.Invalid(faults...)
	}
	return nil
}

func validKey(key string) bool {
	return key != "" && len(key) <= keyCharsMax && !strings.ContainsFunc(key, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// asked says what is to go back, in minor units and in the order of the donation's
// lines. Errors: a *frame.Problem.
func asked(t *search.Story, in *refundInput) (*payments.RefundAsked, error) {
	out := &payments.RefundAsked{Donation: t.ID}
	wrong := func(field, detail string) error {
		return frame.Invalid(frame.Field{Name: field, Code: "not_an_amount", Detail: detail})
	}
	if len(in.Lines) > 0 {
		out.Lines = make([]int64, len(t.Lines))
	}
	for _, line := range in.Lines {
		slug, text, ok := strings.Cut(line, "=")
		at := slices.IndexFunc(t.Lines, func(l search.Line) bool { return l.Campaign == slug })
		if !ok || at < 0 || out.Lines[at] != 0 {
			return nil, wrong("lines", "Each of the donation's campaigns once at most, as CAMPAIGN=AMOUNT.")
		}
		minor, err := sheet.ParseAmount(text, false, sheet.Undecided, t.Currency)
		if err != nil || minor <= 0 {
			return nil, wrong("lines", "What goes back of "+slug+" is an amount above zero, such as 12.50.")
		}
		out.Lines[at] = minor
		if out.AmountMinor, err = money.Add(out.AmountMinor, minor); err != nil {
			return nil, wrong("lines", "That is more than was given.")
		}
	}
	if in.Amount == "" {
		return out, nil
	}
	minor, err := sheet.ParseAmount(in.Amount, false, sheet.Undecided, t.Currency)
	if err != nil || minor <= 0 || minor < out.AmountMinor {
		return nil, wrong("amount", "An amount above zero such as 12.50, and not less than its lines.")
	}
	out.AmountMinor = minor
	return out, nil
}

// judge says what would go back. Errors: a *frame.Problem, also when the ledger would
// refuse it.
func (s *Section) judge(r *frame.Request, t *search.Story, in *refundInput) (*payments.RefundPreview, error) {
	a, err := asked(t, in)
	if err != nil {
		return nil, err
	}
	p, err := s.Refunds.Preview(r.Context(), a)
	if err != nil {
		return nil, trouble(err)
	}
	if p.Refused != "" {
		return nil, frame.Conflict(p.Refused, refusal(p.Refused))
	}
	return &p, nil
}

// refund asks for it: a command on the broker's disk, of exactly the amounts that were
// shown, so that it is made as confirmed or refused. The key is looked at first: asked
// twice, by a double click or by a program that did not hear the answer, it is done
// once, and the second is told what became of the first.
func (s *Section) refund(r *frame.Request) error {
	t, err := s.refundable(r)
	if err != nil {
		return err
	}
	var in refundInput
	if err := s.input(r, t, &in); err != nil {
		return s.refundFault(r, t, &in, err)
	}
	id := s.Refunds.CommandID(t.ID, in.Key)
	before, err := s.Refunds.Commanded(r.Context(), id)
	if err != nil {
		return trouble(err)
	}
	if before.Word == payments.CommandDone || before.Word == payments.CommandRefused {
		return s.again(r, t, &in, id, before)
	}
	p, err := s.judge(r, t, &in)
	if err != nil {
		return s.refundFault(r, t, &in, err)
	}
	order := &payments.Command{ID: id, At: s.Now().UTC().Truncate(time.Microsecond), Actor: r.Principal.Name, Reason: in.Reason,
		Refund: &payments.RefundAsked{Donation: t.ID, AmountMinor: p.AmountMinor, Lines: make([]int64, len(p.Lines))}}
	parts := make([]string, 0, len(p.Lines)+1)
	for i, line := range p.Lines {
		order.Refund.Lines[i] = line.AmountMinor
		if line.AmountMinor > 0 {
			parts = append(parts, line.Campaign+" "+plainMoney(line.AmountMinor, p.Currency))
		}
	}
	if p.CoverMinor > 0 {
		parts = append(parts, "covered fee "+plainMoney(p.CoverMinor, p.Currency))
	}
	detail := fmt.Sprintf("%s: %s; command %s", money.Amount{Minor: p.AmountMinor, Currency: p.Currency}, strings.Join(parts, ", "), ingest.ID(id))
	if err := r.Audit("donation.refund", t.ID.String(), detail); err != nil {
		return err
	}
	err = s.Refunds.Command(r.Context(), order)
	if errors.Is(err, ErrCommandUnknown) {
		const sentence = "The broker did not answer, so it is not known whether the refund is stored. Send it again as it is: it is made once."
		if r.WantsJSON() {
			return frame.Unavailable(sentence)
		}
		r.Status(http.StatusServiceUnavailable)
		return s.confirm(r, t, &in, p, sentence)
	}
	if err != nil {
		return err
	}
	s.await(r, id)
	return s.follow(r, t, in.Key)
}

// again answers when the key was used before.
func (s *Section) again(r *frame.Request, t *search.Story, in *refundInput, id [16]byte, before payments.CommandResult) error {
	if before.Word == payments.CommandDone {
		want, err := asked(t, in)
		if err != nil {
			return s.refundFault(r, t, in, err)
		}
		made, err := s.Refunds.State(r.Context(), id)
		if err != nil {
			return trouble(err)
		}
		if want.AmountMinor != 0 && want.AmountMinor != made.AmountMinor || want.Lines != nil && !slices.Equal(want.Lines, made.Lines) {
			return frame.Conflict("key_reused", "Another refund of this donation was asked for under this key. Begin with a new form, or another key.")
		}
	}
	return s.follow(r, t, in.Key)
}

// follow leads to what became of a refund.
func (s *Section) follow(r *frame.Request, t *search.Story, key string) error {
	if r.WantsJSON() {
		return s.answer(r, t, key)
	}
	return r.Redirect(root+"/"+t.ID.String()+"/refunds/"+key, "")
}

// await waits a moment until the ledger has said something. What it does not hear is
// looked up later: stored is stored.
func (s *Section) await(r *frame.Request, id [16]byte) {
	deadline := time.NewTimer(refundWait)
	defer deadline.Stop()
	look := time.NewTicker(refundPoll)
	defer look.Stop()
	for {
		result, err := s.Refunds.Commanded(r.Context(), id)
		if err == nil && result.Word != "" {
			return
		}
		select {
		case <-deadline.C:
			return
		case <-r.Context().Done():
			return
		case <-look.C:
		}
	}
}

// outcome is where a refund stands.
type outcome struct {
	Key         string     `json:"key"`
	Status      string     `json:"status"` // stored, refused, requested, calling, pending, succeeded, failed, canceled
	Final       bool       `json:"final"`  // nothing more is to be waited for here
	Sentence    string     `json:"sentence"`
	AmountMinor int64      `json:"amount_minor,omitempty"`
	Currency    string     `json:"currency,omitempty"`
	Lines       []lineJSON `json:"lines,omitempty"`
	CoverMinor  int64      `json:"covered_fee_minor,omitempty"`
	Processor   string     `json:"processor_id,omitempty"`
	By          string     `json:"by,omitempty"`
	AskedAt     *time.Time `json:"asked_at,omitempty"`
	Good        bool       `json:"-"`
}

// Asked is when it was asked for; the zero time while that is not known.
func (o *outcome) Asked() time.Time {
	if o.AskedAt == nil {
		return time.Time{}
	}
	return *o.AskedAt
}

// outcome looks up what became of a refund.
func (s *Section) outcome(r *frame.Request, t *search.Story, key string) (*outcome, error) {
	id := s.Refunds.CommandID(t.ID, key)
	result, err := s.Refunds.Commanded(r.Context(), id)
	if err != nil {
		return nil, err
	}
	o := &outcome{Key: key, Currency: string(t.Currency)}
	switch result.Word {
	case payments.CommandDone:
	case payments.CommandRefused:
		o.Status, o.Final, o.Sentence = "refused", true, refusal(result.Detail)+" Nothing went back."
		return o, nil
	default:
		o.Status = "stored"
		o.Sentence = "What was asked for under this key is not carried out yet. A payments process does it as soon as one is up; nothing more is to be done here."
		return o, nil
	}
	state, err := s.Refunds.State(r.Context(), id)
	if err != nil {
		return nil, err
	}
	title, detail, mood := refundWords(state.Status, state.Detail)
	o.Status, o.Processor, o.By, o.Good = state.Status, state.ProcessorID, state.Actor, mood != "bad"
	o.Final = state.ProcessorID != "" || state.Status == payments.RefundRefused
	o.Sentence = strings.TrimSpace(strings.ToUpper(title[:min(1, len(title))]) + title[min(1, len(title)):] + ". " + detail)
	o.AmountMinor, o.CoverMinor = state.AmountMinor, state.AmountMinor
	for i, minor := range state.Lines {
		if i < len(t.Lines) && minor > 0 {
			o.Lines = append(o.Lines, lineJSON{t.Lines[i].Campaign, minor})
			o.CoverMinor -= minor
		}
	}
	if !state.AskedAt.IsZero() {
		o.AskedAt = &state.AskedAt
	}
	return o, nil
}

// answer is the outcome as JSON: 200 once nothing is to be waited for, 202 before.
func (s *Section) answer(r *frame.Request, t *search.Story, key string) error {
	o, err := s.outcome(r, t, key)
	if errors.Is(err, ledger.ErrUnavailable) {
		return trouble(err)
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !o.Final {
		status = http.StatusAccepted
	}
	return r.Reply(status, o)
}

// refunded follows a refund until it is done or refused; the page loads itself again
// until then.
func (s *Section) refunded(r *frame.Request) error {
	t, err := s.refundable(r)
	if err != nil {
		return err
	}
	key := r.Param("key")
	if !validKey(key) {
		return frame.NotFound("refund")
	}
	if r.WantsJSON() {
		return s.answer(r, t, key)
	}
	o, err := s.outcome(r, t, key)
	if err != nil {
		return trouble(err)
	}
	var content strings.Builder
	if err := refundedPage.Execute(&content, map[string]any{"Story": t, "Outcome": o}); err != nil {
		return fmt.Errorf("page of a refund: %w", err)
	}
	return r.Content(frame.Content{Title: "Refund", HTML: template.HTML(content.String()), Retry: !o.Final})
}

// previewJSON is a preview as the admin API has it.
type previewJSON struct {
	Refused     string     `json:"refused,omitempty"` // why it would be refused
	Currency    string     `json:"currency"`
	AmountMinor int64      `json:"amount_minor"`
	CoverMinor  int64      `json:"covered_fee_minor"`
	LeftMinor   int64      `json:"left_minor"`
	Lines       []partJSON `json:"lines"`
}

type partJSON struct {
	Campaign    string `json:"campaign"`
	GivenMinor  int64  `json:"given_minor"`
	LeftMinor   int64  `json:"left_minor"`
	AmountMinor int64  `json:"amount_minor"`
}

func previewAsJSON(p *payments.RefundPreview) previewJSON {
	out := previewJSON{Refused: p.Refused, Currency: string(p.Currency), AmountMinor: p.AmountMinor, CoverMinor: p.CoverMinor, LeftMinor: p.LeftMinor, Lines: []partJSON{}}
	for _, line := range p.Lines {
		out.Lines = append(out.Lines, partJSON(line))
	}
	return out
}

// plainMoney is an amount without its currency, as programs and spreadsheets read it.
func plainMoney(minor int64, currency money.Currency) string {
	_, text, _ := strings.Cut(money.Amount{Minor: minor, Currency: currency}.String(), " ")
	return text
}
