package people

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// keyDaysMax is the longest life of an API key, ten years: longer is for ever, which
// is 0.
const keyDaysMax = 3650

// keyDocument is an API key as JSON.
type keyDocument struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	Reach     string    `json:"reach"`
	Campaigns []string  `json:"campaigns,omitempty"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

func keyOf(k access.Key) keyDocument {
	return keyDocument{ID: k.ID, Name: k.Name, Scopes: k.Scopes.Names(), Reach: reachOf(k.Campaigns), Campaigns: k.Campaigns, CreatedBy: k.CreatedBy,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, UsedAt: k.UsedAt}
}

// keyForm is an API key as forms and JSON ask for it.
type keyForm struct {
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Reach     string   `json:"reach"`
	Campaigns []string `json:"campaigns"`
	// Days is how long the key works; 0 for ever.
	Days int64 `json:"days"`
}

// keysPage is what keys.html shows.
type keysPage struct {
	Keys   []access.Key
	Scopes []access.Permission
	Form   keyForm
	Chosen access.Permissions
	Fault  map[string]string
	Now    time.Time
}

func (s *Section) keys(r *frame.Request) error {
	return s.showKeys(r, keysPage{Form: keyForm{Reach: reachAll, Days: 365}})
}

func (s *Section) showKeys(r *frame.Request, p keysPage) error {
	all, err := s.store.Keys(r.Context())
	if err != nil {
		return err
	}
	if r.WantsJSON() {
		items := make([]keyDocument, len(all))
		for i, k := range all {
			items[i] = keyOf(k)
		}
		return r.Reply(200, map[string]any{"items": items, "next": ""})
	}
	p.Keys, p.Scopes, p.Now = all, access.Grantable(), r.Now()
	return r.Page("API keys", keysTemplate, p)
}

// addKey makes an API key and shows it, once. Nobody gives what they do not have.
func (s *Section) addKey(r *frame.Request) error {
	var in keyForm
	if err := r.Input(&in); err != nil {
		return err
	}
	var faults []frame.Field
	fault := func(field, code, detail string) {
		faults = append(faults, frame.Field{Name: field, Code: code, Detail: detail})
	}
	in.Name = strings.TrimSpace(in.Name)
	if n := utf8.RuneCountInString(in.Name); n == 0 || n > access.KeyNameCharsMax || !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, func(c rune) bool { return c < ' ' }) {
		fault("name", "invalid", fmt.Sprintf("A name of 1 to %d characters, by which people know what the key is for.", access.KeyNameCharsMax))
	}
	var scopes access.Permissions
	for _, name := range in.Scopes {
		switch p, ok := access.ParsePermission(name); {
		case !ok:
			fault("scopes", "unknown", "There is no scope of this name.")
		case !r.Principal.Can(p, ""):
			fault("scopes", "not_yours", "Nobody gives what they may not do: "+p.String()+".")
		default:
			scopes |= access.SetOf(p)
		}
	}
	if scopes == 0 && len(in.Scopes) == 0 {
		fault("scopes", "required", "Choose what the key may do.")
	}
	if in.Days < 0 || in.Days > keyDaysMax {
		fault("days", "out_of_range", fmt.Sprintf("From 1 to %d days, or 0 for ever.", keyDaysMax))
	}
	bound, more := boundOf(in.Reach, in.Campaigns)
	if faults = append(faults, more...); len(faults) > 0 {
		if r.WantsJSON() {
			return frame.Invalid(faults...)
		}
		r.Status(422)
		return s.showKeys(r, keysPage{Form: in, Chosen: scopes, Fault: byField(faults)})
	}
	text, id, sum := credential.NewKey()
	k := access.Key{ID: id, Name: in.Name, Scopes: scopes, Campaigns: bound, CreatedBy: r.Principal.Name, CreatedAt: r.Now()}
	if in.Days > 0 {
		k.ExpiresAt = r.Now().AddDate(0, 0, int(in.Days))
	}
	by := entry(r, "key.add", id, fmt.Sprintf("%q: %s; %s", in.Name, strings.Join(scopes.Names(), ", "), reachSentence(bound)))
	if err := s.store.AddKey(r.Context(), k, sum, by); err != nil {
		return err
	}
	if r.WantsJSON() {
		return r.Reply(201, map[string]any{"key": keyOf(k), "secret": text})
	}
	return r.Page("API key", onceTemplate, oncePage{
		Title: "API key " + k.Name, Secret: text, Expires: k.ExpiresAt, Back: "/admin/keys", BackTitle: "To the API keys",
		Text: "Send it as Authorization: Bearer with requests to /admin/v1/. The console keeps only what is needed to know it again.",
		Hint: "It is shown only here and now.",
	})
}

func reachSentence(bound []string) string {
	if bound == nil {
		return "all campaigns"
	}
	return "campaigns " + strings.Join(bound, ", ")
}

func (s *Section) revokeKey(r *frame.Request) error {
	if err := s.store.RevokeKey(r.Context(), r.Param("id"), entry(r, "key.revoke", r.Param("id"), "")); err != nil {
		return err
	}
	if r.WantsJSON() {
		return r.NoContent()
	}
	return r.Redirect("/admin/keys", "The key does not work any more.")
}
