package manage

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

const (
	// bookWait is how long an answer waits until a gift is booked: a payments process
	// that is up takes a tenth of it.
	bookWait = 3 * time.Second
	// bookPoll is the pace at which it is looked for.
	bookPoll = 100 * time.Millisecond
	// keyCharsMax bounds what names a gift.
	keyCharsMax = 255
)

// giftJSON is an offline gift as the admin API has it.
type giftJSON struct {
	ID             string    `json:"id"`
	Campaign       string    `json:"campaign"`
	AmountMinor    int64     `json:"amount_minor"`
	Currency       string    `json:"currency"`
	Kind           plan.Kind `json:"kind"`
	Reference      string    `json:"reference"`
	Received       string    `json:"received"`
	Note           string    `json:"note"`
	EnteredBy      string    `json:"entered_by"`
	EnteredAt      string    `json:"entered_at"`
	Status         string    `json:"status"` // booked, reversed, refused, stored
	Reason         string    `json:"reason"` // why it was refused or reversed
	ReversedBy     string    `json:"reversed_by"`
	ReversedAt     string    `json:"reversed_at"`
	AlreadyEntered bool      `json:"already_entered"`
}

func giftAsJSON(b *plan.Booked) giftJSON {
	out := giftJSON{ID: hex.EncodeToString(b.ID[:]), Campaign: b.Campaign, AmountMinor: b.AmountMinor, Currency: string(b.Currency), Kind: b.Kind, Reference: b.Reference,
		Received: b.Received, Note: b.Note, EnteredBy: b.Actor, EnteredAt: rfc3339(b.AskedAt), Status: "booked", ReversedBy: b.ReversedBy, ReversedAt: rfc3339(b.ReversedAt), Reason: b.ReversedReason}
	switch {
	case b.Refused != "":
		out.Status, out.Reason = "refused", b.Refused
	case !b.ReversedAt.IsZero():
		out.Status = "reversed"
	}
	return out
}

func (s *Section) listGifts(r *frame.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	slugs := r.Principal.Campaigns
	one := strings.TrimSpace(r.Query("campaign"))
	if one != "" {
		if !r.Principal.Can(access.OfflineGift, one) {
			return frame.Forbidden("You may not see the offline gifts of this campaign.")
		}
		slugs = []string{one}
	}
	all, next, err := s.Imports.Gifts(r.Context(), slugs, r.Query("after"), limit)
	if err != nil {
		if strings.Contains(err.Error(), "not the end of a page") {
			return frame.Invalid(frame.Field{Name: "after", Code: "unknown", Detail: "It leads to no page."})
		}
		return trouble(err)
	}
	standing, err := s.Imports.Standing(r.Context(), slugs)
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		items := make([]giftJSON, len(all))
		for i, b := range all {
			items[i] = giftAsJSON(b)
		}
		return r.Reply(200, struct {
			list[giftJSON]
			// Standing is what offline gifts have brought so far, less what was reversed.
			Standing plan.Sums `json:"standing"`
		}{list[giftJSON]{items, next}, append(plan.Sums{}, standing...)})
	}
	return r.Page("Offline gifts", giftsPage, map[string]any{"All": all, "Next": next, "After": r.Query("after"), "Campaign": one, "Standing": standing, "Hex": func(id [16]byte) string { return hex.EncodeToString(id[:]) }})
}

// giftInput is an offline gift as the form and the admin API send it.
type giftInput struct {
	// Key names the gift: under one key it is booked once. The form makes one.
	Key      string `json:"key"`
	Campaign string `json:"campaign"`
	// Amount is as people write it, in the campaign's currency.
	Amount    string `json:"amount"`
	Currency  string `json:"currency"`
	Kind      string `json:"kind"`
	Reference string `json:"reference"`
	Received  string `json:"received"`
	// Name is the donor's: looked for among the online gifts, and not kept.
	Name string `json:"name"`
	Note string `json:"note"`
	// Confirm books it although it looks like a gift that is there.
	Confirm bool `json:"confirm"`
}

// giftPageData is what gift.html shows.
type giftPageData struct {
	In       giftInput
	Fault    map[string]string
	Warnings []string
	Kinds    []plan.Kind
	Offered  []*campaigns.Campaign
}

// campaignsOffered is how many campaigns the form's field offers while somebody types.
const campaignsOffered = 500

func (s *Section) newGift(r *frame.Request) error {
	return s.giftForm(r, &giftPageData{In: giftInput{Key: newID(), Campaign: r.Query("campaign"), Kind: r.Query("kind"), Received: s.today(r).Format(time.DateOnly)}})
}

func (s *Section) giftForm(r *frame.Request, d *giftPageData) (err error) {
	d.Kinds = plan.Kinds()
	if d.Offered, _, err = s.narrowed(r, "", "", campaignsOffered, &filter{allowed: r.Principal.Campaigns, now: r.Now()}); err != nil {
		return err
	}
	return r.Page("Enter an offline gift", giftPage, d)
}

// gift reads what was sent. Errors: a *frame.Problem with every fault.
func (s *Section) gift(r *frame.Request, in *giftInput) (*plan.Offline, error) {
	var faults []frame.Field
	add := func(field, code, detail string) {
		faults = append(faults, frame.Field{Name: field, Code: code, Detail: detail})
	}
	if in.Key == "" || utf8.RuneCountInString(in.Key) > keyCharsMax {
		add("key", "required", "Name the gift with a key of at most 255 characters, such as a cheque's number: under one key it is booked once.")
	}
	o := &plan.Offline{ID: plan.GiftID(in.Key), Campaign: strings.ToLower(strings.TrimSpace(in.Campaign)), Reference: strings.TrimSpace(in.Reference),
		Note: strings.Join(strings.Fields(in.Note), " "), Received: strings.TrimSpace(in.Received)}
	today := s.today(r)
	if o.Received == "" {
		o.Received = today.Format(time.DateOnly)
	} else if at, _, err := sheet.ParseMoment(o.Received, sheet.OrderUnknown, false, time.UTC); err != nil {
		add("received", "not_a_day", sentence(err.Error()))
	} else {
		o.Received = at.Format(time.DateOnly)
	}
	kind, known := plan.ParseKind(in.Kind)
	if !known {
		add("kind", "unknown", "Choose cash, cheque, bank transfer or other.")
	}
	o.Kind = kind
	switch c, err := s.Campaigns.Get(r.Context(), o.Campaign); {
	case o.Campaign == "" || errors.Is(err, campaigns.ErrUnknown):
		add("campaign", "unknown", "There is no such campaign.")
	case err != nil:
		return nil, trouble(err)
	case !r.Principal.Can(access.OfflineGift, o.Campaign):
		add("campaign", "forbidden", "You may not book gifts for this campaign.")
	case c.Rehearsal:
		add("campaign", "rehearsal", "It is a rehearsal's: it takes no real money.")
	case in.Currency != "" && !strings.EqualFold(in.Currency, string(c.Currency)):
		add("currency", "another", "The campaign is held in "+string(c.Currency)+".")
	default:
		o.Currency = c.Currency
		minor, err := sheet.ParseAmount(in.Amount, false, sheet.Undecided, c.Currency)
		if err != nil {
			add("amount", "not_an_amount", sentence(err.Error()))
			break
		}
		o.AmountMinor = minor
		for _, w := range o.Check(today.Format(time.DateOnly)) {
			add(w.Field, "invalid", sentence(w.Reason))
		}
	}
	if ingest.HoldsCardNumber(in.Name) || utf8.RuneCountInString(in.Name) > campaigns.NameCharsMax {
		add("name", "invalid", "It is not a name.")
	}
	if len(faults) > 0 {
		return nil, frame.Invalid(faults...)
	}
	return o, nil
}

func (s *Section) enterGift(r *frame.Request) error {
	var in giftInput
	if err := r.Input(&in); err != nil {
		return err
	}
	o, err := s.gift(r, &in)
	if err != nil {
		return s.giftFault(r, &in, err)
	}
	held, err := s.Imports.Gift(r.Context(), o.ID)
	if err != nil {
		return trouble(err)
	}
	if held != nil {
		return s.enteredBefore(r, &in, o, held)
	}
	if !in.Confirm {
		warnings, err := s.warnings(r, o, in.Name)
		if err != nil {
			return err
		}
		if len(warnings) > 0 {
			return s.giftWarned(r, &in, warnings)
		}
	}
	text := fmt.Sprintf("%s, %s, received %s", money.Amount{Minor: o.AmountMinor, Currency: o.Currency}, o.Kind, o.Received)
	if err := r.Audit("gift.enter", o.Campaign, text+"; gift "+hex.EncodeToString(o.ID[:])); err != nil {
		return err
	}
	result, err := s.order(r, o.Command(r.Principal.Name, s.Now()))
	if errors.Is(err, ErrCommandUnknown) {
		return s.giftFault(r, &in, &frame.Problem{Status: 503, Code: "unavailable", RetryAfter: 2,
			Detail: "The broker did not answer, so it is not known whether the gift is stored. Send it again as it is: it is booked once."})
	}
	if err != nil {
		return err
	}
	if result.Word == payments.CommandDone {
		// Another under this key may have been on the disk before it: what is booked counts.
		if held, err := s.Imports.Gift(r.Context(), o.ID); err == nil && held != nil && held.Offline != *o {
			return s.enteredBefore(r, &in, o, held)
		}
	}
	return s.entered(r, o, result)
}

// giftFault shows what is wrong where it was typed.
func (s *Section) giftFault(r *frame.Request, in *giftInput, err error) error {
	var p *frame.Problem
	if !errors.As(err, &p) || r.WantsJSON() {
		return err
	}
	d := &giftPageData{In: *in, Fault: map[string]string{}}
	if len(p.Fields) == 0 {
		d.Fault[""] = p.Detail
	}
	for _, f := range p.Fields {
		if d.Fault[f.Name] == "" {
			d.Fault[f.Name] = f.Detail
		}
	}
	r.Status(p.Status)
	return s.giftForm(r, d)
}

// giftWarned asks whether it is to be booked all the same.
func (s *Section) giftWarned(r *frame.Request, in *giftInput, warnings []string) error {
	if r.WantsJSON() {
		return &frame.Problem{Status: 409, Code: "looks_booked", Detail: "It looks like a gift that is there: " + strings.Join(warnings, "; ") + ". Send it with \"confirm\": true when it is another one."}
	}
	r.Status(409)
	return s.giftForm(r, &giftPageData{In: *in, Warnings: warnings})
}

// warnings say which gifts o looks like. While the search does not answer that is said.
func (s *Section) warnings(r *frame.Request, o *plan.Offline, name string) ([]string, error) {
	index, err := s.offline(r.Context())
	if err != nil {
		return nil, trouble(err)
	}
	texts := index.warnings(o, &r.Principal)
	online, err := s.online(r.Context(), o, name, &r.Principal)
	if err != nil {
		online = []string{"it could not be compared with online gifts: the search does not answer"}
	}
	return append(texts, online...), nil
}

// enteredBefore answers when the key was used: the same gift is booked once.
func (s *Section) enteredBefore(r *frame.Request, in *giftInput, o *plan.Offline, held *plan.Booked) error {
	// A refused one is not in the journal, so its campaign is not known.
	if held.Refused == "" && !r.Principal.Can(access.OfflineGift, held.Campaign) {
		return frame.Forbidden("The key names a gift to a campaign that is not yours.")
	}
	same := held.Offline
	if held.Refused == "" && same != *o {
		return s.giftFault(r, in, &frame.Problem{Status: 409, Code: "key_reused", Detail: "Another gift was entered under this key. Begin with a new form, or another key."})
	}
	if r.WantsJSON() {
		out := giftAsJSON(held)
		out.AlreadyEntered = true
		return r.Reply(200, out)
	}
	if held.Refused != "" {
		return r.Redirect("/admin/gifts", "It was entered before, and the ledger refused it: nothing is booked under this key. Begin with a new form.")
	}
	return r.Redirect("/admin/gifts", "It was entered before, and is booked once.")
}

func (s *Section) entered(r *frame.Request, o *plan.Offline, result payments.CommandResult) error {
	amount := frame.Money(o.AmountMinor, o.Currency)
	status, flash := "stored", "Stored: "+amount+" for "+o.Campaign+". It is booked as soon as a payments process is up."
	switch result.Word {
	case payments.CommandDone:
		status, flash = "booked", "Booked: "+amount+" for "+o.Campaign+"."
	case payments.CommandRefused:
		status, flash = "refused", "Refused by the ledger: "+result.Detail+"."
	}
	if r.WantsJSON() {
		out := giftAsJSON(&plan.Booked{Offline: *o, Actor: r.Principal.Name, AskedAt: r.Now()})
		out.Status, out.Reason = status, result.Detail
		code := 201
		if status == "stored" {
			code = 202
		}
		return r.Reply(code, out)
	}
	return r.Redirect("/admin/gifts/-/new?campaign="+url.QueryEscape(o.Campaign)+"&kind="+url.QueryEscape(string(o.Kind)), flash)
}

// order has a command stored, and waits a moment for what becomes of it; the result has no
// word when that is not known yet. Errors: ErrCommandUnknown, a *frame.Problem.
func (s *Section) order(r *frame.Request, c *payments.Command) (payments.CommandResult, error) {
	if err := s.Commands.Command(r.Context(), c); err != nil {
		return payments.CommandResult{}, err
	}
	deadline := time.NewTimer(bookWait)
	defer deadline.Stop()
	look := time.NewTicker(bookPoll)
	defer look.Stop()
	for {
		// Stored is stored: a database that is away makes the answer "stored".
		results, err := s.Imports.Outcomes(r.Context(), [][16]byte{c.ID})
		if err == nil && results[c.ID].Word != "" {
			return results[c.ID], nil
		}
		select {
		case <-deadline.C:
			return payments.CommandResult{}, nil
		case <-r.Context().Done():
			return payments.CommandResult{}, nil
		case <-look.C:
		}
	}
}

// reverseGift takes a gift out of its campaign by a correction: nothing in the journal is
// ever changed.
func (s *Section) reverseGift(r *frame.Request) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	raw, err := hex.DecodeString(r.Param("id"))
	if err != nil || len(raw) != 16 {
		return frame.NotFound("offline gift")
	}
	b, err := s.Imports.Gift(r.Context(), [16]byte(raw))
	if err != nil {
		return trouble(err)
	}
	if b == nil || !r.Principal.Can(access.OfflineGift, b.Campaign) {
		return frame.NotFound("offline gift")
	}
	reason := strings.Join(strings.Fields(in.Reason), " ")
	switch {
	case b.Refused != "":
		return frame.Conflict("refused", "It was never booked; there is nothing to reverse.")
	case !b.ReversedAt.IsZero():
		return s.reversed(r, b.ID, payments.CommandResult{Word: payments.CommandDone})
	case reason == "" || utf8.RuneCountInString(reason) > plan.NoteCharsMax || ingest.HoldsCardNumber(reason):
		return frame.Invalid(frame.Field{Name: "reason", Code: "required", Detail: "Say why, in a sentence of at most 160 characters, without a donor's name."})
	}
	if err := r.Audit("gift.reverse", b.Campaign, money.Amount{Minor: b.AmountMinor, Currency: b.Currency}.String()+"; gift "+r.Param("id")); err != nil {
		return err
	}
	result, err := s.order(r, plan.Reversal(&b.Offline, r.Principal.Name, reason, s.Now()))
	if errors.Is(err, ErrCommandUnknown) {
		return frame.Unavailable("The broker did not answer. Ask again: it is reversed once.")
	}
	if err != nil {
		return err
	}
	return s.reversed(r, b.ID, result)
}

func (s *Section) reversed(r *frame.Request, id [16]byte, result payments.CommandResult) error {
	if !r.WantsJSON() {
		flash := "Reversed by a correction; the campaign has raised less from now on."
		if result.Word == "" {
			flash = "Stored: it is reversed as soon as a payments process is up."
		}
		return r.Redirect("/admin/gifts", flash)
	}
	b, err := s.Imports.Gift(r.Context(), id)
	if err != nil {
		return trouble(err)
	}
	status := 200
	if result.Word == "" {
		status = 202
	}
	return r.Reply(status, giftAsJSON(b))
}
