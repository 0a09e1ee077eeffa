package manage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

// The fields of the form, in its order.
var formFields = []string{"name", "organisation", "story", "event", "parent", "currency", "goal", "min", "max", "starts", "ends"}

// How a form's field of date and time writes it: seconds only where there are some.
const (
	localMinute = "2006-01-02T15:04"
	localSecond = localMinute + ":05"
)

// textsOf are a campaign's fields as the form shows them, times as the clocks of zone do.
func textsOf(c *campaigns.Campaign, zone *time.Location) map[string]string {
	return map[string]string{
		"name": c.Name, "organisation": c.Organisation, "story": c.Story, "event": c.Event, "parent": c.Parent, "currency": string(c.Currency),
		"goal": amountText(c.GoalMinor, c.Currency), "min": amountText(c.MinMinor, c.Currency), "max": amountText(c.MaxMinor, c.Currency),
		"starts": momentText(c.StartsAt, zone), "ends": momentText(c.EndsAt, zone),
	}
}

// amountText is an amount as a field has it: "25000.00", "" for none.
func amountText(minor int64, c money.Currency) string {
	if minor == 0 {
		return ""
	}
	return strings.TrimPrefix(money.Amount{Minor: minor, Currency: c}.String(), string(c)+" ")
}

func momentText(at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return ""
	}
	if local := at.In(zone); local.Second() != 0 {
		return local.Format(localSecond)
	}
	return at.In(zone).Format(localMinute)
}

// localTyped is what a field of date and time sent, in the one form of momentText.
func localTyped(text string) string {
	if len(text) == len(localSecond) {
		return strings.TrimSuffix(text, ":00")
	}
	return text
}

// seen is what the form's owner has seen, carried along in the form so that what he
// changed can be told from what somebody else did. A story is carried as its sum.
func seen(texts map[string]string) string {
	kept := make(map[string]string, len(texts))
	for k, v := range texts {
		kept[k] = v
	}
	kept["story"] = sumOf(texts["story"])
	text, err := json.Marshal(kept)
	if err != nil {
		return "" // strings only: it cannot
	}
	return string(text)
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// merge is one form against what is there now.
type merge struct {
	// Texts are what the form shows next: what was typed where something was, what is
	// there now elsewhere.
	Texts map[string]string
	// Touched are the fields that the form's owner changed, Moved what they are now of
	// those that somebody else did.
	Touched map[string]bool
	Moved   map[string]string
}

// mergeForm holds what was typed against what was seen and what is there.
func mergeForm(typed, was, is map[string]string) *merge {
	m := &merge{Texts: map[string]string{}, Touched: map[string]bool{}, Moved: map[string]string{}}
	for _, f := range formFields {
		same := func(a, seen string) bool {
			if f == "story" {
				return sumOf(a) == seen
			}
			return a == seen
		}
		text, sent := typed[f]
		m.Touched[f] = sent && !same(text, was[f])
		m.Texts[f] = is[f]
		if m.Touched[f] {
			m.Texts[f] = text
		}
		if !same(is[f], was[f]) && is[f] != text {
			m.Moved[f] = is[f]
		}
	}
	return m
}

// typedOf are the fields that a form sent.
func typedOf(r *frame.Request) map[string]string {
	typed := map[string]string{}
	for _, f := range formFields {
		if len(r.FormAll(f)) > 0 {
			typed[f] = strings.ReplaceAll(strings.ReplaceAll(r.Form(f), "\r\n", "\n"), "\r", "\n")
		}
	}
	for _, f := range []string{"starts", "ends"} {
		if text, sent := typed[f]; sent {
			typed[f] = localTyped(text)
		}
	}
	return typed
}

// applyTexts changes the touched fields of c to what was typed. Times are as the clocks
// of zone show them.
func applyTexts(c *campaigns.Campaign, texts map[string]string, touched map[string]bool, zone *time.Location) (faults []frame.Field) {
	for field, into := range map[string]*string{"name": &c.Name, "organisation": &c.Organisation, "story": &c.Story, "event": &c.Event, "parent": &c.Parent} {
		if touched[field] {
			*into = texts[field]
		}
	}
	if touched["currency"] {
		currency, known := money.ParseCurrency([]byte(strings.ToUpper(texts["currency"])))
		if !known {
			faults = append(faults, frame.Field{Name: "currency", Code: "unknown", Detail: "Gifts cannot be made in this currency. Write three letters, such as USD."})
		}
		c.Currency = currency
	}
	for field, into := range map[string]*int64{"goal": &c.GoalMinor, "min": &c.MinMinor, "max": &c.MaxMinor} {
		if !touched[field] {
			continue
		}
		if texts[field] == "" {
			*into = 0
			continue
		}
		if !c.Currency.Valid() {
			continue // the amount means nothing until the currency does
		}
		minor, err := sheet.ParseAmount(texts[field], false, sheet.GuessDecimal([]string{texts["goal"], texts["min"], texts["max"]}), c.Currency)
		if err != nil {
			faults = append(faults, frame.Field{Name: field, Code: "not_an_amount", Detail: sentence(err.Error())})
			continue
		}
		*into = minor
	}
	for field, into := range map[string]*time.Time{"starts": &c.StartsAt, "ends": &c.EndsAt} {
		if !touched[field] {
			continue
		}
		if texts[field] == "" {
			*into = time.Time{}
			continue
		}
		at, _, err := sheet.ParseMoment(texts[field], sheet.OrderUnknown, false, zone)
		if err != nil {
			faults = append(faults, frame.Field{Name: field, Code: "not_a_time", Detail: sentence(err.Error())})
			continue
		}
		*into = at
	}
	return faults
}

// checkFields holds a campaign against the rules, each fault at its field.
func checkFields(c *campaigns.Campaign) (faults []frame.Field) {
	add := func(field, code, detail string) {
		faults = append(faults, frame.Field{Name: field, Code: code, Detail: detail})
	}
	if !campaigns.ValidSlug(c.Slug) {
		add("slug", "not_a_slug", "Small letters, digits, - and _; it begins and ends with a letter or digit, at most 64 of them.")
	}
	if c.Name == "" {
		add("name", "required", "A campaign needs a name.")
	}
	for _, text := range []struct {
		field, value string
		most         int
	}{{"name", c.Name, campaigns.NameCharsMax}, {"organisation", c.Organisation, campaigns.NameCharsMax}, {"story", c.Story, campaigns.StoryCharsMax}} {
		if utf8.RuneCountInString(text.value) > text.most {
			add(text.field, "too_long", "It is longer than "+strconv.Itoa(text.most)+" characters.")
		}
	}
	if !c.Currency.Valid() {
		add("currency", "required", "A campaign needs a currency that gifts can be made in, such as USD.")
	}
	if c.Event != "" && !campaigns.ValidSlug(c.Event) {
		add("event", "unknown", "There is no such giving day.")
	}
	if c.Parent != "" && (!campaigns.ValidSlug(c.Parent) || c.Parent == c.Slug) {
		add("parent", "unknown", "It is not the slug of another campaign.")
	}
	for _, amount := range []struct {
		field string
		minor int64
	}{{"goal", c.GoalMinor}, {"min", c.MinMinor}, {"max", c.MaxMinor}} {
		if amount.minor < 0 {
			add(amount.field, "negative", "It is below zero.")
		}
	}
	if c.MaxMinor > 0 && c.MinMinor > c.MaxMinor {
		add("max", "below_min", "It is below the smallest gift.")
	}
	if !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		add("ends", "before_start", "It closes before it opens.")
	}
	if len(faults) == 0 {
		if err := c.Validate(); err != nil { // characters that cannot be stored
			add("name", "invalid", err.Error())
		}
	}
	return faults
}

// sentence begins with a capital and ends with a point.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, n := utf8.DecodeRuneInString(s)
	s = strings.ToUpper(string(first)) + s[n:]
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// campaignInput is a campaign as the admin API sends it; what is not sent stays.
type campaignInput struct {
	Slug         *string `json:"slug"`
	Name         *string `json:"name"`
	Event        *string `json:"event"`
	Organisation *string `json:"organisation"`
	Story        *string `json:"story"`
	Parent       *string `json:"parent"`
	Currency     *string `json:"currency"`
	GoalMinor    *int64  `json:"goal_minor"`
	MinMinor     *int64  `json:"min_minor"`
	MaxMinor     *int64  `json:"max_minor"`
	StartsAt     *string `json:"starts_at"`
	EndsAt       *string `json:"ends_at"`
	// Revision is the one that the change stands on.
	Revision *int64 `json:"revision"`
}

// apply changes what was sent.
func (in *campaignInput) apply(c *campaigns.Campaign) (faults []frame.Field) {
	for from, into := range map[*string]*string{in.Name: &c.Name, in.Event: &c.Event, in.Organisation: &c.Organisation, in.Story: &c.Story, in.Parent: &c.Parent} {
		if from != nil {
			*into = *from
		}
	}
	if in.Currency != nil {
		c.Currency, _ = money.ParseCurrency([]byte(*in.Currency)) // checkFields tells
	}
	for from, into := range map[*int64]*int64{in.GoalMinor: &c.GoalMinor, in.MinMinor: &c.MinMinor, in.MaxMinor: &c.MaxMinor} {
		if from != nil {
			*into = *from
		}
	}
	for name, moment := range map[string]struct {
		from *string
		into *time.Time
	}{"starts_at": {in.StartsAt, &c.StartsAt}, "ends_at": {in.EndsAt, &c.EndsAt}} {
		switch {
		case moment.from == nil:
		case *moment.from == "":
			*moment.into = time.Time{}
		default:
			at, err := time.Parse(time.RFC3339, *moment.from)
			if err != nil {
				faults = append(faults, frame.Field{Name: name, Code: "not_a_time", Detail: "Write it as 2026-11-22T08:00:00Z."})
				continue
			}
			*moment.into = at.UTC().Truncate(time.Microsecond)
		}
	}
	return faults
}

// jsonNames are the admin API's names of the form's fields.
var jsonNames = map[string]string{"goal": "goal_minor", "min": "min_minor", "max": "max_minor", "starts": "starts_at", "ends": "ends_at"}

// forJSON renames fields as the admin API has them.
func forJSON(faults []frame.Field) []frame.Field {
	for i, f := range faults {
		if name := jsonNames[f.Name]; name != "" {
			faults[i].Name = name
		}
	}
	return faults
}

// differences are what a change shows, in the zone of the campaign's event.
func (s *Section) differences(r *frame.Request, was, is *campaigns.Campaign) []plan.Change {
	return plan.Differences(was, is, s.zones(r)(is.Event))
}
