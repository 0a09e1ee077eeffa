package manage_test

import (
	"strings"
	"testing"

	"spillway/campaigns"
)

// What a rehearsal made is offered to nobody who manages the day, neither its campaign nor
// who is said to receive there; it is seen by who asks for rehearsals, or for it by name.
func TestRehearsals_AreAmongNothingThatOrganisersManage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.campaigns.Put(t.Context(), &campaigns.Campaign{Slug: "drill-at-noon", Name: "Drill At Noon", Organisation: "Drill Trust", Event: "day", Currency: "EUR", Rehearsal: true})
	r.must(err)
	for _, path := range []string{
		"/admin/campaigns", "/admin/campaigns?search=drill", "/admin/campaigns?phase=open", "/admin/v1/campaigns", "/admin/v1/campaigns?search=drill",
		"/admin/campaigns/-/new", "/admin/campaigns/river", "/admin/organisations", "/admin/organisations?search=drill", "/admin/v1/organisations", "/admin/v1/organisations?search=drill",
		"/admin/events", "/admin/events/day", "/admin/v1/events", "/admin/gifts", "/admin/v1/gifts", "/admin/gifts/-/new", "/admin/campaigns/-/imports", "/admin/gifts/-/imports",
	} {
		page := r.get(owner, path).want(t, 200)
		for _, theirs := range []string{"Drill At Noon", "Drill Trust", "drill-at-noon"} {
			if strings.Contains(page.body, theirs) {
				t.Errorf("%s shows %s", path, theirs)
			}
		}
	}
	r.get(owner, "/admin/campaigns?rehearsals=1").want(t, 200, "Drill At Noon")
	r.get(owner, "/admin/campaigns/drill-at-noon").want(t, 200, "Drill At Noon")
}
