package manage

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
)

// organisationJSON is an organisation as the admin API has it.
type organisationJSON struct {
	Name      string `json:"name"`
	LegalName string `json:"legal_name"`
	TaxNumber string `json:"tax_number"`
}

func (s *Section) listOrganisations(r *frame.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	all, err := s.Campaigns.Organisations(r.Context(), r.Query("search"), r.Query("after"), limit+1)
	if err != nil {
		return trouble(err)
	}
	next := ""
	if len(all) > limit {
		all, next = all[:limit], all[limit-1].Name
	}
	if r.WantsJSON() {
		items := make([]organisationJSON, len(all))
		for i, o := range all {
			items[i] = organisationJSON(*o)
		}
		return r.Reply(200, list[organisationJSON]{items, next})
	}
	return r.Page("Organisations", organisationsPage, map[string]any{"All": all, "Next": next, "After": r.Query("after"), "Search": r.Query("search"),
		"MayEdit": r.Principal.Can(access.EditCampaigns, "")})
}

// organisationPageData is what organisation.html shows.
type organisationPageData struct {
	New          bool
	Organisation campaigns.Organisation
	Seen         string
	Fault        map[string]string
	Moved        []plan.Change
	MayEdit      bool
}

// seenOrganisation carries what a form's owner has seen: organisations have no revision.
func seenOrganisation(o *campaigns.Organisation) string {
	return sumOf(o.LegalName + "\x00" + o.TaxNumber)
}

func (s *Section) showOrganisation(r *frame.Request) error {
	name := r.Query("name")
	if name == "" && !r.WantsJSON() {
		return s.organisationForm(r, &organisationPageData{New: true})
	}
	o, err := s.Campaigns.Organisation(r.Context(), name)
	if errors.Is(err, campaigns.ErrUnknown) {
		return frame.NotFound("organisation")
	}
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.Reply(200, organisationJSON(*o))
	}
	return s.organisationForm(r, &organisationPageData{Organisation: *o, Seen: seenOrganisation(o)})
}

func (s *Section) organisationForm(r *frame.Request, d *organisationPageData) error {
	d.MayEdit = r.Principal.Can(access.EditCampaigns, "")
	title := "A new organisation"
	if !d.New {
		title = d.Organisation.Name
	}
	return r.Page(title, organisationPage, d)
}

// putOrganisation makes an organisation or changes what receipts say of it. Its name is
// what finds it, so it stays.
func (s *Section) putOrganisation(r *frame.Request) error {
	var in struct {
		Name      string `json:"name"`
		LegalName string `json:"legal_name"`
		TaxNumber string `json:"tax_number"`
		// Seen is the form's; without it the change is made whatever is there.
		Seen string `json:"seen"`
		New  bool   `json:"new"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	o := campaigns.Organisation{Name: strings.TrimSpace(in.Name), LegalName: strings.TrimSpace(in.LegalName), TaxNumber: strings.TrimSpace(in.TaxNumber)}
	var faults []frame.Field
	for _, text := range []struct{ field, value string }{{"name", o.Name}, {"legal_name", o.LegalName}, {"tax_number", o.TaxNumber}} {
		if utf8.RuneCountInString(text.value) > campaigns.NameCharsMax {
			faults = append(faults, frame.Field{Name: text.field, Code: "too_long", Detail: "It is longer than 200 characters."})
		}
	}
	if o.Name == "" {
		faults = append(faults, frame.Field{Name: "name", Code: "required", Detail: "An organisation needs a name."})
	}
	was, err := s.Campaigns.Organisation(r.Context(), o.Name)
	switch {
	case errors.Is(err, campaigns.ErrUnknown):
		was = &campaigns.Organisation{Name: o.Name}
	case err != nil:
		return trouble(err)
	case in.New:
		faults = append(faults, frame.Field{Name: "name", Code: "taken", Detail: "An organisation of this name is there already."})
	}
	d := &organisationPageData{New: in.New, Organisation: o, Seen: in.Seen}
	if len(faults) > 0 {
		err := frame.Invalid(faults...)
		if r.WantsJSON() {
			return err
		}
		d.Fault, _, _ = faultsOf(err)
		r.Status(422)
		return s.organisationForm(r, d)
	}
	if in.Seen != "" && in.Seen != seenOrganisation(was) {
		if r.WantsJSON() {
			return trouble(campaigns.ErrOvertaken)
		}
		d.Moved, d.Seen = organisationChanges(&o, was), seenOrganisation(was)
		r.Status(409)
		return s.organisationForm(r, d)
	}
	if err := r.Audit("organisation.edit", o.Name, changesText(organisationChanges(was, &o))); err != nil {
		return err
	}
	if err := s.Campaigns.PutOrganisation(r.Context(), &o); err != nil {
		return trouble(err)
	}
	s.Nudge()
	if r.WantsJSON() {
		return r.Reply(200, organisationJSON(o))
	}
	return r.Redirect("/admin/organisations/-/one?name="+url.QueryEscape(o.Name), "Saved. Its campaigns show it in a moment.")
}

func organisationChanges(was, is *campaigns.Organisation) (changes []plan.Change) {
	if was.LegalName != is.LegalName {
		changes = append(changes, plan.Change{Field: "Legal name", Before: was.LegalName, After: is.LegalName})
	}
	if was.TaxNumber != is.TaxNumber {
		changes = append(changes, plan.Change{Field: "Tax number", Before: was.TaxNumber, After: is.TaxNumber})
	}
	return changes
}
