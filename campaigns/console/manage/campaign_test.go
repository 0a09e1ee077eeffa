package manage_test

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage"
	"spillway/ingest/openapi/openapitest"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// formOf are the hidden fields of a page's forms.
func formOf(a answer) url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

func with(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

func TestCampaigns_ListShowsWhatOneMaySee(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	page := r.get(owner, "/admin/campaigns").want(t, 200, "River School", "Hill School", "New campaign", "2026-11-22 12:00 CET")
	if strings.Contains(page.body, "Trial") {
		t.Error("a rehearsal's campaign is among the others")
	}
	if page = r.get(limited, "/admin/campaigns").want(t, 200, "River School"); strings.Contains(page.body, "Hill") || strings.Contains(page.body, "New campaign") {
		t.Error("the limited one sees what is not his")
	}
	r.get(owner, "/admin/campaigns?phase=upcoming").want(t, 200, "No campaign is like this")
	r.get(owner, "/admin/campaigns?rehearsals=1").want(t, 200, "Trial")
	r.get(owner, "/admin/campaigns?phase=never").want(t, 422)
	r.get(owner, "/admin/campaigns?search=%3Cscript%3E").want(t, 200, "&lt;script&gt;")
	items := r.get(owner, "/admin/v1/campaigns?limit=1").want(t, 200).decode(t)
	if items["next"] != "hill" || len(items["items"].([]any)) != 1 {
		t.Errorf("%v", items)
	}
	r.get(owner, "/admin/v1/campaigns?limit=1&after=hill").want(t, 200, `"river"`, `"next":""`, `"phase":"open"`)
	r.get(limited, "/admin/campaigns/hill").want(t, 403)
	r.get(owner, "/admin/campaigns/nowhere").want(t, 404)
	viewed := r.get(viewer, "/admin/campaigns/river").want(t, 200, "fieldset class=\"stack\" disabled")
	if strings.Contains(viewed.body, "Close now") {
		t.Error("a viewer is offered to close")
	}
}

func TestCampaigns_PagesOfThousands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var many []*campaigns.Campaign
	for i := range 1200 {
		many = append(many, &campaigns.Campaign{Slug: fmt.Sprintf("c%04d", i), Name: fmt.Sprintf("Campaign %04d", i), Currency: "USD", Rehearsal: i%2 == 1})
	}
	_, err := r.campaigns.Put(t.Context(), many...)
	r.must(err)
	seen, after := 0, ""
	for {
		page := r.get(owner, "/admin/v1/campaigns?search=Campaign&limit=250&after="+after).want(t, 200).decode(t)
		seen += len(page["items"].([]any))
		if after = page["next"].(string); after == "" {
			break
		}
	}
	if seen != 600 {
		t.Errorf("%d campaigns, want 600", seen)
	}
}

func TestCampaigns_Create(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.get(owner, "/admin/campaigns/-/new").want(t, 200, "2026-11-22T12:00", `<option selected>USD`)
	r.get(limited, "/admin/campaigns/-/new").want(t, 403)
	form := url.Values{"name": {"Café für Alle"}, "currency": {"EUR"}, "goal": {"1.234,50"}, "event": {"day"}, "starts": {"2026-11-22T14:00"}, "ends": {"2026-11-23T14:00:00"}, "story": {"One.\r\n\r\nTwo."}, "organisation": {"New <b>Org</b>"}}
	r.post(limited, "/admin/campaigns", form).want(t, 403)
	// What is wrong is told at its field, and nothing of what was typed is lost.
	bad := r.post(owner, "/admin/campaigns", with(form, "ends", "2026-11-22T13:00", "max", "x", "parent", "nowhere", "slug", "Big")).want(t, 422,
		"It closes before it opens", "is not an amount", "There is no such campaign", "Small letters", "Café für Alle", "1.234,50", "New &lt;b&gt;Org", `id="max-error"`, `aria-describedby="max-error"`)
	if strings.Contains(bad.body, "<b>Org") {
		t.Error("a name is markup")
	}
	if a := r.post(owner, "/admin/campaigns", form).want(t, 303); a.location != "/admin/campaigns/cafe-fur-alle" {
		t.Error(a.location)
	}
	c := r.campaign("cafe-fur-alle")
	if c.GoalMinor != 123450 || c.Story != "One.\n\nTwo." || !c.StartsAt.Equal(time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)) || c.Organisation != "New <b>Org</b>" || c.Event != "day" {
		t.Errorf("%+v", c)
	}
	r.post(owner, "/admin/campaigns", form).want(t, 409, "is there already")
	if log := r.audited("campaign.create"); len(log) < 1 || log[0].Subject != "cafe-fur-alle" || log[0].Name != owner.Name || !strings.Contains(log[0].Detail, "EUR 1234.50") {
		t.Errorf("%+v", log)
	}
	made := r.postJSON(owner, "/admin/v1/campaigns", `{"name":"J","slug":"j","currency":"JPY","goal_minor":500,"starts_at":"2026-11-22T08:00:00Z"}`).want(t, 201, `"slug":"j"`, `"revision":`)
	if made.decode(t)["goal_minor"] != 500.0 {
		t.Error(made.body)
	}
	r.postJSON(owner, "/admin/v1/campaigns", `{"name":"J","currency":"xyz","goal_minor":-1,"ends_at":"tomorrow"}`).want(t, 422, "/currency", "/goal_minor", "/ends_at")
}

func TestCampaigns_EditKeepsWhatOthersDid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// The end has a part of a second, which the form does not show and must not lose.
	end := start.Add(24*time.Hour + 123456*time.Microsecond)
	_, err := r.campaigns.Edit(t.Context(), "river", func(c *campaigns.Campaign) error { c.EndsAt = end; return nil })
	r.must(err)
	first := r.get(owner, "/admin/campaigns/river").want(t, 200, "2026-11-23T13:00")
	second := formOf(r.get(limited, "/admin/campaigns/river").want(t, 200))
	all := url.Values{"name": {"River School"}, "organisation": {"River Trust"}, "story": {""}, "event": {"day"}, "parent": {""}, "goal": {"100.00"}, "min": {""}, "max": {""}, "starts": {"2026-11-22T12:00"}, "ends": {"2026-11-23T13:00:00"}}
	fill := func(hidden url.Values, pairs ...string) url.Values {
		form := with(all, pairs...)
		for k, v := range hidden {
			form[k] = v
		}
		return form
	}
	r.post(owner, "/admin/campaigns/river", fill(formOf(first), "goal", "250")).want(t, 303)
	c := r.campaign("river")
	if c.GoalMinor != 250_00 || !c.EndsAt.Equal(end) {
		t.Fatalf("%+v", c)
	}
	// The other one comes with a page from before: he is told, and what he typed is there.
	late := r.post(limited, "/admin/campaigns/river", fill(second, "name", "Rivers")).want(t, 409, "Somebody else changed", `value="Rivers"`, `value="250.00"`, "Somebody else made it: <strong>250.00")
	if r.campaign("river").Name != "River School" {
		t.Fatal("saved in spite of it")
	}
	r.post(limited, "/admin/campaigns/river", fill(formOf(late), "name", "Rivers", "goal", "250.00")).want(t, 303)
	if c := r.campaign("river"); c.Name != "Rivers" || c.GoalMinor != 250_00 || !c.EndsAt.Equal(end) {
		t.Errorf("%+v", c)
	}
	log := r.audited("campaign.edit")
	if len(log) != 2 || !strings.Contains(log[1].Detail, "Name: River School → Rivers") || strings.Contains(log[1].Detail, "Closes") {
		t.Errorf("%+v", log)
	}
	r.post(limited, "/admin/campaigns/river", fill(formOf(late), "organisation", "Mine Inc")).want(t, 409) // by now it is older
	fresh := formOf(r.get(limited, "/admin/campaigns/river"))
	r.post(limited, "/admin/campaigns/river", fill(fresh, "name", "Rivers", "goal", "250.00", "organisation", "Mine Inc")).want(t, 422, "you may not make one")
	r.post(limited, "/admin/campaigns/hill", fill(fresh)).want(t, 403)
	r.post(owner, "/admin/campaigns/trial", fill(fresh)).want(t, 409)
	r.post(owner, "/admin/campaigns/river", all).want(t, 422)
}

func TestCampaigns_EditByTheAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	revision := r.campaign("river").Revision
	r.postJSON(owner, "/admin/v1/campaigns/river", `{"name":"X"}`).want(t, 422, "/revision")
	r.postJSON(owner, "/admin/v1/campaigns/river", fmt.Sprintf(`{"currency":"USD","revision":%d}`, revision)).want(t, 422, "/currency")
	got := r.postJSON(owner, "/admin/v1/campaigns/river", fmt.Sprintf(`{"name":"X","ends_at":"","revision":%d}`, revision)).want(t, 200).decode(t)
	if got["name"] != "X" || got["ends_at"] != "" || got["goal_minor"] != 10000.0 {
		t.Errorf("%v", got)
	}
	r.postJSON(owner, "/admin/v1/campaigns/river", fmt.Sprintf(`{"name":"Y","revision":%d}`, revision)).want(t, 409, "overtaken", "/name", "It is now: X")
	r.postJSON(owner, "/admin/v1/campaigns/river", `{"nmae":"Y"}`).want(t, 400)
}

func TestCampaigns_OpenCloseExtend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post(viewer, "/admin/campaigns/river/close", nil).want(t, 403)
	r.post(limited, "/admin/campaigns/river/close", nil).want(t, 303)
	if c := r.campaign("river"); !c.EndsAt.Equal(start.Add(2 * time.Second)) {
		t.Fatalf("ends %v", c.EndsAt)
	}
	r.at = start.Add(time.Minute)
	r.post(limited, "/admin/campaigns/river/close", nil).want(t, 303) // pressed twice: as it was
	if c := r.campaign("river"); !c.EndsAt.Equal(start.Add(2 * time.Second)) {
		t.Fatalf("ends %v", c.EndsAt)
	}
	r.post(limited, "/admin/campaigns/river/open", nil).want(t, 409, "Extend it")
	r.post(limited, "/admin/campaigns/river/extend", url.Values{"minutes": {"60"}}).want(t, 303)
	if c := r.campaign("river"); !c.EndsAt.Equal(start.Add(61 * time.Minute)) {
		t.Fatalf("ends %v", c.EndsAt)
	}
	r.post(limited, "/admin/campaigns/river/extend", url.Values{"ends_at": {"2026-11-22T12:30"}}).want(t, 422, "in the past", "extend-error")
	r.post(limited, "/admin/campaigns/river/extend", url.Values{"ends_at": {"2026-11-23T08:00"}}).want(t, 303)
	if c := r.campaign("river"); !c.EndsAt.Equal(time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)) {
		t.Fatalf("ends %v", c.EndsAt)
	}
	r.postJSON(limited, "/admin/v1/campaigns/river/extend", `{"ends_at":"2026-11-23T08:00:00Z"}`).want(t, 200, `"ends_at":"2026-11-23T08:00:00Z"`)
	r.postJSON(limited, "/admin/v1/campaigns/river/extend", `{"ends_at":"2026-11-23T09:00"}`).want(t, 422)
	r.postJSON(limited, "/admin/v1/campaigns/river/extend", `{}`).want(t, 422)
	r.post(owner, "/admin/campaigns/hill/extend", url.Values{"minutes": {"60"}}).want(t, 409, "never closes")
	_, err := r.campaigns.Put(t.Context(), &campaigns.Campaign{Slug: "later", Name: "Later", Currency: "EUR", StartsAt: start.Add(time.Hour)})
	r.must(err)
	r.post(owner, "/admin/campaigns/later/close", nil).want(t, 409, "not opened")
	r.postJSON(owner, "/admin/v1/campaigns/later/open", ``).want(t, 200, `"phase":"open"`)
	for action, n := range map[string]int{"campaign.close": 1, "campaign.extend": 3, "campaign.open": 1} {
		if got := r.audited(action); len(got) != n {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

func picture(t *testing.T, width, height int, jpg bool) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if m := image.NewGray(image.Rect(0, 0, width, height)); jpg {
		err = jpeg.Encode(&b, m, nil)
	} else {
		err = png.Encode(&b, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webp is the beginning of a WebP of 640 by 480, of each of its three kinds.
var webp = map[string]string{
	"VP8X": "RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x7f\x02\x00\xdf\x01\x00",
	"VP8L": "RIFF\x16\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f\x7f\xc2\x77\x00\x00\x00\x00\x00\x00",
	"VP8 ": "RIFF\x16\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x80\x02\xe0\x01",
}

func TestImage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := map[string][]byte{"a.png": picture(t, 1200, 630, false), "b.jpg": picture(t, 1200, 630, true)}
	for kind, head := range webp {
		good[kind] = []byte(head)
	}
	for name, data := range good {
		r.send(limited, "/admin/campaigns/river/image", "image", name, data).want(t, 303)
		key := r.campaign("river").Image
		if key != campaigns.MediaKey(data) {
			t.Fatalf("%s: key %q", name, key)
		}
		if got := r.get(viewer, "/admin/media/"+key).want(t, 200); got.body != string(data) || !strings.HasPrefix(got.header("Content-Type"), "image/") {
			t.Errorf("%s comes back otherwise", name)
		}
	}
	huge := append(picture(t, 100, 100, false), make([]byte, campaigns.MediaBytesMax)...)
	for says, data := range map[string][]byte{
		"not a PNG, JPEG or WebP":    []byte("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
		"at most 512":                huge,
		"10 by 10 pixels":            picture(t, 10, 10, false),
		"7000 by 64 pixels":          picture(t, 7000, 64, false),
		"not a PNG, JPEG or WebP ":   []byte("\x89PNG\r\n\x1a\nrubbish"),
		"not a PNG, JPEG or WebP  ":  []byte("RIFF\x20\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00rubbishrubbish"),
		"not a PNG, JPEG or WebP   ": []byte(""),
	} {
		r.send(limited, "/admin/campaigns/river/image", "image", "x.png", data).want(t, 422, strings.TrimSpace(says), "image-error")
		r.send(limited, "/admin/v1/campaigns/river/image", "image", "x.png", data).want(t, 422, "/image")
	}
	r.post(limited, "/admin/campaigns/river/image/remove", nil).want(t, 303)
	if r.campaign("river").Image != "" {
		t.Error("it is still there")
	}
	r.get(viewer, "/admin/media/rubbish").want(t, 404)
}

func TestEventsAndOrganisations(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.get(viewer, "/admin/events").want(t, 200, "Giving Day", "Europe/Vienna")
	r.get(limited, "/admin/events").want(t, 403)
	r.get(owner, "/admin/events/-/new").want(t, 200)
	r.post(owner, "/admin/events", url.Values{"name": {""}, "time_zone": {"Mars/Base"}, "banner": {strings.Repeat("x", 301)}}).want(t, 422, "needs a name", "not the name of a time zone", "longer than 300", "Mars/Base")
	r.post(owner, "/admin/events", url.Values{"name": {"Next Year"}, "time_zone": {"America/New_York"}, "starts_at": {"2027-03-14T02:30"}}).want(t, 422, "clocks of the zone")
	r.post(owner, "/admin/events", url.Values{"name": {"Next Year"}, "time_zone": {"America/New_York"}, "starts_at": {"2027-03-14T08:00"}, "ends_at": {"2027-03-15T08:00"}}).want(t, 303)
	e, err := r.campaigns.Event(t.Context(), "next-year")
	r.must(err)
	if !e.StartsAt.Equal(time.Date(2027, 3, 14, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", e)
	}
	r.post(owner, "/admin/events", url.Values{"name": {"Next Year"}, "time_zone": {"UTC"}}).want(t, 422, "there already")
	first := formOf(r.get(owner, "/admin/events/day").want(t, 200, "2026-11-22T12:00"))
	form := with(first, "name", "Giving Day", "time_zone", "Europe/Vienna", "starts_at", "2026-11-22T12:00", "ends_at", "2026-11-23T13:00:00", "banner", "We are <b>open</b>")
	r.post(owner, "/admin/events/day", form).want(t, 303)
	if e, _ = r.campaigns.Event(t.Context(), "day"); e.Banner != "We are <b>open</b>" || !e.StartsAt.Equal(start.Add(-time.Hour)) {
		t.Errorf("%+v", e)
	}
	late := r.post(owner, "/admin/events/day", with(form, "banner", "Mine")).want(t, 409, "Somebody else changed it", "We are &lt;b&gt;open", "Mine")
	r.post(owner, "/admin/events/day", with(form, "banner", "Mine", "revision", formOf(late).Get("revision"))).want(t, 303)
	r.postJSON(owner, "/admin/v1/events/day", fmt.Sprintf(`{"banner":"API","revision":%s}`, formOf(late).Get("revision"))).want(t, 409)
	r.postJSON(owner, "/admin/v1/events/day", `{"banner":"API"}`).want(t, 422, "/revision")
	r.get(viewer, "/admin/v1/events").want(t, 200, `"slug":"day"`, `"banner":"Mine"`)
	if log := r.audited("event.edit"); len(log) != 2 || !strings.Contains(log[1].Detail, "Banner") {
		t.Errorf("%+v", log)
	}

	r.get(viewer, "/admin/organisations").want(t, 200, "River Trust")
	seen := formOf(r.get(owner, "/admin/organisations/-/one?name=River+Trust").want(t, 200, "readonly"))
	r.post(owner, "/admin/organisations", with(seen, "name", "River Trust", "legal_name", "River Trust e.V.", "tax_number", "12/345")).want(t, 303)
	if c := r.campaign("river"); c.LegalName != "River Trust e.V." || c.TaxNumber != "12/345" {
		t.Errorf("%+v", c)
	}
	r.post(owner, "/admin/organisations", with(seen, "name", "River Trust", "legal_name", "Other")).want(t, 409, "Somebody else changed it", "River Trust e.V.")
	r.post(owner, "/admin/organisations", url.Values{"name": {"River Trust"}, "new": {"1"}}).want(t, 422, "there already")
	r.postJSON(owner, "/admin/v1/organisations", `{"name":"A/B & Co","legal_name":"L"}`).want(t, 200)
	r.get(owner, "/admin/v1/organisations/-/one?name=A%2FB+%26+Co").want(t, 200, `"legal_name":"L"`)
	r.get(owner, "/admin/organisations/-/one?name=nobody").want(t, 404)
	r.get(owner, "/admin/organisations?search=trust").want(t, 200, "River Trust")
	if who := (access.Principal{User: "9", Name: "k", Key: true, Scopes: access.SetOf(access.ViewCampaigns)}); r.postJSON(who, "/admin/v1/organisations", `{"name":"x"}`).status != 403 {
		t.Error("a key of reading writes")
	}
}

// Every operation of the admin API stands in its contract.
func TestRoutes_AreInTheContract(t *testing.T) {
	t.Parallel()
	contract, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range manage.New(manage.Deps{}).Routes() {
		if !frame.IsJSON(route.Path) {
			continue
		}
		if faults, known := contract.Check(openapitest.Answer{Method: route.Method, Target: route.Path, Status: 403, Header: http.Header{"Content-Type": {"application/problem+json"}},
			Body: frame.Forbidden("no").(*frame.Problem).AppendJSON(nil, route.Path)}); !known || len(faults) > 0 {
			t.Errorf("%s %s: known: %v, %v", route.Method, route.Path, known, faults)
		}
	}
}
