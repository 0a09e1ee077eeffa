package manage_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"spillway/campaigns/access"
	"spillway/campaigns/console/manage"
)

func TestGift_EnteredOnceAndReversedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.get(viewer, "/admin/gifts").want(t, 403)
	r.get(owner, "/admin/gifts").want(t, 200, "no offline gifts yet")
	first := formOf(r.get(limited, "/admin/gifts/-/new?campaign=river").want(t, 200, `value="river"`, `value="2026-11-22"`))
	if first.Get("key") == "" || first.Get("key") == formOf(r.get(limited, "/admin/gifts/-/new")).Get("key") {
		t.Fatal("no key of its own")
	}
	form := with(first, "campaign", "river", "amount", "12,50", "kind", "cheque", "reference", "100231", "received", "2026-11-20", "note", "at the desk")
	r.post(limited, "/admin/gifts", with(form, "amount", "1.234", "kind", "", "received", "2026-12-01", "note", "4242 4242 4242 4242")).want(t, 422,
		"can be read in two ways", "Choose cash", `value="1.234"`, "amount-error")
	r.post(limited, "/admin/gifts", with(form, "received", "2026-12-01", "note", "4242 4242 4242 4242", "reference", "a]b")).want(t, 422, "in the future", "card&#39;s number", "holds one of")
	r.post(limited, "/admin/gifts", with(form, "campaign", "hill")).want(t, 422, "You may not book gifts for this campaign")
	r.post(owner, "/admin/gifts", with(form, "campaign", "trial")).want(t, 422, "rehearsal")
	r.post(limited, "/admin/gifts", form).want(t, 303)
	r.post(limited, "/admin/gifts", form).want(t, 303) // sent twice
	r.post(limited, "/admin/gifts", with(form, "amount", "13.50")).want(t, 409, "Another gift was entered under this key")
	page := r.get(limited, "/admin/gifts").want(t, 200, "<strong>12.50 EUR</strong> from 1 gift entered", "cheque", "100231", "2026-11-20", "at the desk", "bob@example.org", "booked")
	if n := strings.Count(page.body, "Reverse it"); n != 1 {
		t.Fatalf("%d gifts", n)
	}
	if log := r.audited("gift.enter"); len(log) != 1 || log[0].Subject != "river" || !strings.Contains(log[0].Detail, "EUR 12.50, cheque") {
		t.Errorf("%+v", log)
	}
	action := regexp.MustCompile(`action="(/admin/gifts/[0-9a-f]{32}/reverse)"`).FindStringSubmatch(page.body)
	other := limited
	other.Campaigns = []string{"hill"}
	r.post(other, action[1], url.Values{"reason": {"mine"}}).want(t, 404)
	r.post(limited, action[1], nil).want(t, 422)
	r.post(limited, action[1], url.Values{"reason": {"it bounced"}}).want(t, 303)
	r.post(limited, action[1], url.Values{"reason": {"it bounced"}}).want(t, 303)
	page = r.get(limited, "/admin/gifts").want(t, 200, "reversed", "it bounced", "<strong>0.00 EUR</strong> from 1 gift entered")
	if strings.Contains(page.body, "Reverse it") {
		t.Error("it can be reversed again")
	}
	r.postJSON(limited, "/admin/v1"+strings.TrimPrefix(action[1], "/admin"), `{"reason":"again"}`).want(t, 200, `"status":"reversed"`)
	if log := r.audited("gift.reverse"); len(log) != 1 {
		t.Errorf("%+v", log)
	}
	r.get(limited, "/admin/gifts?campaign=hill").want(t, 403)
	r.get(owner, "/admin/gifts?campaign=hill").want(t, 200, "no offline gifts of this campaign")
	r.get(owner, "/admin/gifts?after=rubbish").want(t, 422)
	r.post(owner, "/admin/gifts/rubbish/reverse", nil).want(t, 404)
}

func TestGift_WarnsOfWhatIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.alike["river Ada"] = []manage.Alike{{Donation: "d-1", At: start, SameName: true}, {Donation: "d-2", At: start}, {Donation: "d-3", At: start}}
	body := func(more string) string {
		return `{"key":"` + t.Name() + more[:1] + `","campaign":"river","amount":"12.50","kind":"cheque","reference":"7 7",` + more[1:] + `}`
	}
	r.postJSON(owner, "/admin/v1/gifts", body(`1"name":"Ada"`)).want(t, 409, "looks_booked", "donation d-1 of 2026-11-22", "several online gifts of the same amount")
	r.postJSON(owner, "/admin/v1/gifts", body(`1"name":"Ada","confirm":true`)).want(t, 201, `"status":"booked"`)
	r.postJSON(owner, "/admin/v1/gifts", body(`1"name":"Ada"`)).want(t, 200, `"already_entered":true`)
	r.postJSON(owner, "/admin/v1/gifts", body(`2"name":"search is away"`)).want(t, 409, "the reference is that of a gift to river", "search does not answer")
	r.postJSON(owner, "/admin/v1/gifts", body(`2"currency":"USD"`)).want(t, 422, "/currency", "held in EUR")
	r.postJSON(owner, "/admin/v1/gifts", `{"campaign":"river","amount":"5","kind":"cash"}`).want(t, 422, "/key")
	page := r.post(owner, "/admin/gifts", url.Values{"key": {"k3"}, "campaign": {"river"}, "amount": {"12.50"}, "kind": {"cheque"}, "received": {"2026-11-22"}}).want(t, 409,
		"It looks like a gift that is there already", "a gift of the same kind and amount was entered 2026-11-22", `name="confirm"`)
	if formOf(page).Get("key") != "k3" {
		t.Error("the key is another")
	}
}

// Who may not see donors' names learns nothing by typing one: neither that somebody of
// the name gave nor which gift it was.
func TestGift_TellsNoNamesToWhoMayNotSeeThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.alike["river Ada"] = []manage.Alike{{Donation: "d-1", At: start, SameName: true}}
	key := access.Principal{User: "7", Name: "till", Key: true, Scopes: access.SetOf(access.OfflineGift)}
	if got := r.postJSON(key, "/admin/v1/gifts", `{"key":"a","campaign":"river","amount":"12.50","kind":"cash","name":"Ada"}`); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	file := "Campaign,Amount,Kind,Reference,Received,Donor\nriver,13.50,cheque,9,2026-11-22,Ada\n"
	id := r.send(key, "/admin/v1/gifts/-/imports", "file", "a.csv", []byte(file)).want(t, 201).decode(t)["id"].(string)
	if got := r.get(key, "/admin/v1/gifts/-/imports/"+id).want(t, 200); strings.Contains(got.body, "d-1") {
		t.Errorf("%s", got.body)
	}
}

// Who is bound to some campaigns is not told which other one a reference was used for.
func TestGift_NamesNoCampaignOfOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.postJSON(owner, "/admin/v1/gifts", `{"key":"a","campaign":"hill","amount":"20","kind":"cheque","reference":"4711"}`).want(t, 201)
	body := `{"key":"b","campaign":"river","amount":"12.50","kind":"cheque","reference":"4711"}`
	if got := r.postJSON(limited, "/admin/v1/gifts", body).want(t, 409, "the reference is that of a gift to another campaign"); strings.Contains(got.body, "hill") {
		t.Errorf("%s", got.body)
	}
	r.postJSON(owner, "/admin/v1/gifts", body).want(t, 409, "the reference is that of a gift to hill")
}

func TestGift_BrokerOrPaymentsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	form := url.Values{"key": {"k"}, "campaign": {"river"}, "amount": {"5"}, "kind": {"cash"}}
	r.away = true
	page := r.post(owner, "/admin/gifts", form).want(t, 503, "Send it again as it is: it is booked once", `value="5"`)
	if formOf(page).Get("key") != "k" {
		t.Error("the key is another")
	}
	r.away, r.held = false, true
	r.postJSON(owner, "/admin/v1/gifts", `{"key":"k","campaign":"river","amount":"5","kind":"cash"}`).want(t, 202, `"status":"stored"`)
	r.release()
	r.postJSON(owner, "/admin/v1/gifts", `{"key":"k","campaign":"river","amount":"5","kind":"cash"}`).want(t, 200, `"already_entered":true`)
	r.get(owner, "/admin/v1/gifts").want(t, 200, `"amount_minor":500`)
}

// Two gifts are sent under one key while no payments process is up. The first is booked;
// who sent the second is told so, and not that theirs is.
func TestGift_BookedUnderTheKeyIsWhatIsSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entry := func(amount string) string {
		return `{"key":"slip 7","campaign":"river","amount":"` + amount + `","kind":"cash"}`
	}
	r.held = true
	r.postJSON(owner, "/admin/v1/gifts", entry("5")).want(t, 202, `"status":"stored"`)
	r.held = false // it comes up, and finds the first before the second
	r.postJSON(owner, "/admin/v1/gifts", entry("6")).want(t, 409, "key_reused")
	r.postJSON(owner, "/admin/v1/gifts", entry("5")).want(t, 200, `"already_entered":true`, `"amount_minor":500`)
	r.get(owner, "/admin/v1/gifts").want(t, 200, `"standing":[{"currency":"EUR","count":1,"amount_minor":500`)
}
