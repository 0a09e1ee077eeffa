package manage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/console/manage"
	"spillway/campaigns/console/manage/plan"
)

// settle waits until an import is not under way any more.
func (r *rig) settle(id string) *plan.Import {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for {
		i, err := r.imports.Import(ctx, id)
		r.must(err)
		if i.State != plan.Applying {
			return i
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("import is still under way: %+v", i)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func idOf(a answer) string { return a.location[strings.LastIndexByte(a.location, '/')+1:] }

const someCampaigns = "Name;Slug;Goal;Opens;Closes;Organisation\r\nRiver School;river;150;;;\r\nCafé für Alle;;1.234,50;22.11.2026 14:00;23.11.2026;Neu e.V.\r\n<b>Hill</b>;hill;;;;\r\n"

func TestImportCampaigns_DryRunThenAllOrNone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.get(owner, "/admin/campaigns/-/imports").want(t, 200, "Template for Excel", `value="day" selected`)
	r.get(limited, "/admin/campaigns/-/imports").want(t, 403)
	sent := r.send(owner, "/admin/campaigns/-/imports", "file", `C:\Desk\campaigns <b>.csv`, []byte(someCampaigns), "event", "day", "currency", "eur").want(t, 303)
	page := r.get(owner, sent.location).want(t, 200, "CSV, UTF-8, semicolons", "1 new", "2 changed", "<del>EUR 100.00</del> → <ins>EUR 150.00</ins>", "&lt;b&gt;Hill", "campaigns &lt;b&gt;.csv", "Apply all 3",
		"2 campaigns, 100.00 EUR", "3 campaigns, 1,384.50 EUR")
	if strings.Contains(page.body, "(retries)") || strings.Contains(page.body, "Desk") {
		t.Error(page.body)
	}
	if r.campaign("river").GoalMinor != 100_00 {
		t.Fatal("the dry run changed something")
	}
	r.post(viewer, sent.location+"/apply", nil).want(t, 403)
	r.post(owner, sent.location+"/apply", nil).want(t, 303)
	if i := r.settle(idOf(sent)); i.State != plan.Done || !strings.Contains(i.Outcome, "Read back, all are as planned, and so are the totals") {
		t.Fatalf("%+v", i)
	}
	r.get(owner, sent.location).want(t, 200, "Applied", "Campaigns: 1 made, 2 changed, 0 as they were")
	c := r.campaign("cafe-fur-alle")
	if c.GoalMinor != 123450 || !c.StartsAt.Equal(time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)) || !c.EndsAt.Equal(time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC)) || c.Organisation != "Neu e.V." {
		t.Errorf("%+v", c)
	}
	if c := r.campaign("river"); c.GoalMinor != 150_00 || !c.EndsAt.Equal(start.Add(24*time.Hour)) || c.Organisation != "River Trust" {
		t.Errorf("%+v", c)
	}
	begun, ended := r.audited("import.campaigns"), r.audited("import.ended")
	if len(begun) != 1 || len(ended) != 1 || !strings.Contains(begun[0].Detail, "rows 3: 1 new, 2 changed, 0 there already; 3 applied; before: 2 in EUR 100.00; after: 3 in EUR 1384.50") ||
		!strings.Contains(begun[0].Detail, "sha256") || ended[0].Name != owner.Name || !strings.Contains(ended[0].Detail, "3 in EUR 1384.50") {
		t.Errorf("%+v, %+v", begun, ended)
	}
	// Pressed again, and the same file again: nothing to do.
	r.post(owner, sent.location+"/apply", nil).want(t, 303)
	again := r.send(owner, "/admin/v1/campaigns/-/imports", "file", "again.csv", []byte(someCampaigns), "event", "day", "currency", "EUR").want(t, 201, `"unchanged":3`).decode(t)
	r.postJSON(owner, "/admin/v1/campaigns/-/imports/"+again["id"].(string)+"/apply", "{}").want(t, 409, "nothing_to_do")
	if n := len(r.audited("import.campaigns")); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestImportCampaigns_RefusesWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte("Name,Slug,Goal,Currency\nGood,good,5,EUR\nBad,bad,1.234,EUR\n,river,9,USD\n")).want(t, 303)
	r.get(owner, sent.location).want(t, 200, "2 rows are refused", "C3, Goal", "can be read in two ways", "D4, Currency", "held in EUR")
	r.post(owner, sent.location+"/apply", nil).want(t, 409, "refused_rows")
	r.get(owner, "/admin/v1"+strings.TrimPrefix(sent.location, "/admin")+"?outcome=refused").want(t, 200, `"cell":"C3"`)
	if _, err := r.campaigns.Get(t.Context(), "good"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("a good row was made: %v", err)
	}
	r.post(owner, sent.location+"/discard", nil).want(t, 303)
	r.get(owner, sent.location).want(t, 200, "Discarded")
	r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte("Nmae,Goal\na,5\n")).want(t, 422, "Did you mean &#34;Name&#34;?", "Nothing was changed")
	r.send(owner, "/admin/v1/campaigns/-/imports", "file", "x.pdf", []byte("%PDF-1.4")).want(t, 422, "/file", "PDF")
	r.send(owner, "/admin/campaigns/-/imports", "other", "x.csv", nil).want(t, 422, "Choose a file")
	r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte("Name\na\n"), "event", "nowhere").want(t, 422, "no such giving day")
	r.get(owner, "/admin/campaigns/-/imports/rubbish").want(t, 404)
}

func TestImportCampaigns_OvertakenChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte(someCampaigns), "currency", "EUR").want(t, 303)
	_, err := r.campaigns.Edit(t.Context(), "hill", func(c *campaigns.Campaign) error { c.Story = "theirs"; return nil })
	r.must(err)
	r.post(owner, sent.location+"/apply", nil).want(t, 303)
	if i := r.settle(idOf(sent)); i.State != plan.Failed {
		t.Fatalf("%+v", i)
	}
	r.get(owner, sent.location).want(t, 200, "Not applied", "somebody else")
	if r.campaign("river").GoalMinor != 100_00 || r.campaign("hill").Story != "theirs" {
		t.Error("something was changed")
	}
}

// A process that dies after storing, before it could say so, leaves an import that the
// next one finds done.
func TestImportCampaigns_DoneTwiceIsDoneOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte(someCampaigns), "event", "day", "currency", "EUR").want(t, 303)
	id := idOf(sent)
	r.must(r.imports.Start(t.Context(), id, false, 3, start, "ann"))
	// Nobody woke this process: the test is the one that dies.
	i, err := r.imports.Claim(t.Context(), plan.OfCampaigns, "dead", time.Millisecond)
	r.must(err)
	if i == nil {
		// The rig's own worker was faster, which looks by itself now and then.
		r.settle(id)
		return
	}
	_, err = r.campaigns.PutIf(t.Context(), &campaigns.Campaign{Slug: "river", Name: "River School", Event: "day", Organisation: "River Trust", Currency: "EUR", GoalMinor: 150_00,
		StartsAt: start.Add(-time.Hour), EndsAt: start.Add(24 * time.Hour), Revision: r.campaign("river").Revision},
		&campaigns.Campaign{Slug: "cafe-fur-alle", Name: "Café für Alle", Event: "day", Organisation: "Neu e.V.", Currency: "EUR", GoalMinor: 123450,
			StartsAt: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC)},
		&campaigns.Campaign{Slug: "hill", Name: "<b>Hill</b>", Event: "day", Currency: "EUR", Revision: r.campaign("hill").Revision})
	r.must(err)
	next := manage.New(manage.Deps{Campaigns: r.campaigns, Imports: r.imports, Commands: r, Auditor: r, Now: r.now})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- next.Run(ctx, slog.New(slog.DiscardHandler)) }()
	settled := r.settle(id)
	stop()
	r.must(<-ended)
	if settled.State != plan.Done || !strings.Contains(settled.Outcome, "all are as planned") {
		t.Errorf("%+v", settled)
	}
}

func TestTemplates_CanBeSentBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, format := range []string{"xlsx", "csv"} {
		file := r.get(owner, "/admin/campaigns/-/imports/-/template?format="+format).want(t, 200)
		if !strings.Contains(file.header("Content-Disposition"), "campaigns."+format) {
			t.Error(file.header("Content-Disposition"))
		}
		sent := r.send(owner, "/admin/campaigns/-/imports", "file", "template."+format, []byte(file.body)).want(t, 303)
		if page := r.get(owner, sent.location).want(t, 200); !strings.Contains(page.body, "Apply all 1") && !strings.Contains(page.body, "1 row is refused") {
			t.Errorf("%s: %s", format, page.body)
		}
		gifts := r.get(limited, "/admin/gifts/-/imports/-/template?format="+format).want(t, 200)
		sent = r.send(limited, "/admin/gifts/-/imports", "file", "template."+format, []byte(strings.ReplaceAll(gifts.body, "river-school", "river"))).want(t, 303)
		r.get(limited, sent.location).want(t, 200)
	}
	r.get(owner, "/admin/campaigns/-/imports/-/template?format=pdf").want(t, 422)
}

const someGifts = "Campaign,Amount,Kind,Reference,Received,Donor,Note\nriver,250.00,cheque,100 231,2026-11-20,Ada Example,at the desk\nriver,10,cash,,2026-11-21,,\nriver,10,cash,,2026-11-21,,\n"

func TestImportGifts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.alike["river Ada Example"] = []manage.Alike{{Donation: "11111111-2222-8333-8444-555555555555", At: start, SameName: true}, {Donation: "x", At: start}}
	r.get(viewer, "/admin/gifts/-/imports").want(t, 403)
	sent := r.send(limited, "/admin/gifts/-/imports", "file", "gifts.csv", []byte(someGifts)).want(t, 303)
	page := r.get(limited, sent.location).want(t, 200, "3 new", "2 with a warning", "donation 11111111-2222-8333-8444-555555555555", "a row above says the same", "3 gifts, 270.00 EUR", "book the other 1")
	if strings.Contains(page.body, "Ada") {
		t.Error("the donor's name is kept")
	}
	// Whoever is bound to other campaigns sees nothing of it.
	other := limited
	other.User, other.Campaigns = "7", []string{"hill"}
	r.get(other, sent.location).want(t, 404)
	r.post(other, sent.location+"/apply", nil).want(t, 404)
	r.post(limited, sent.location+"/apply", url.Values{"leave_out_warned": {"1"}}).want(t, 303)
	if i := r.settle(idOf(sent)); i.State != plan.Done || !strings.Contains(i.Outcome, "1 gift handed in; the journal holds 1 in EUR 10.00 of them. 2 rows with a warning left out. That is what was planned, to the cent.") {
		t.Fatalf("%+v", i)
	}
	// The same file again: what is booked is known, the rest is booked after all.
	sent = r.send(limited, "/admin/gifts/-/imports", "file", "gifts.csv", []byte(someGifts)).want(t, 303)
	r.get(limited, sent.location+"?outcome=all").want(t, 200, "2 new", "1 there already", "2 gifts, 260.00 EUR")
	r.post(limited, sent.location+"/apply", url.Values{"apply_again": {"1"}}).want(t, 303)
	if i := r.settle(idOf(sent)); i.State != plan.Done || !strings.Contains(i.Outcome, "2 in EUR 260.00") {
		t.Fatalf("%+v", i)
	}
	sent = r.send(limited, "/admin/gifts/-/imports", "file", "gifts.csv", []byte(someGifts)).want(t, 303)
	r.get(limited, sent.location).want(t, 200, "There is nothing to do")
	gifts := r.get(limited, "/admin/v1/gifts").want(t, 200, `"standing":[{"currency":"EUR","count":3,"amount_minor":27000}]`, `"reference":"100 231"`, `"note":"at the desk"`, `"received":"2026-11-20"`, `"entered_by":"bob@example.org"`).decode(t)
	if n := len(gifts["items"].([]any)); n != 3 {
		t.Errorf("%d gifts are booked", n)
	}
	// Another file with that cheque and another amount: warned of, by another.
	sent = r.send(owner, "/admin/gifts/-/imports", "file", "g.csv", []byte("Campaign,Amount,Kind,Reference,Donor\nhill,251,check,100231,search is away\n")).want(t, 303)
	r.get(owner, sent.location).want(t, 200, "the reference is that of a gift to river", "1 of 1 rows could not be compared")
	r.send(limited, "/admin/v1/gifts/-/imports", "file", "g.csv", []byte("Campaign,Amount,Kind\nhill,251,cash\n")).want(t, 201, "you may not book gifts", `"refused":1`)
}

// Rows without a day are taken for the day's on which the file is read: the same file
// another day books them again, and only for whoever says that this is meant.
func TestImportGifts_TheSameFileAnotherDay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	undated := []byte("Campaign,Amount,Kind\nriver,10,cash\nhill,20,cash\n")
	read := func(data []byte) answer {
		return r.send(owner, "/admin/gifts/-/imports", "file", "box.csv", data).want(t, 303)
	}
	first, beside := read(undated), read(undated)
	for _, a := range []answer{first, beside} {
		if page := r.get(owner, a.location).want(t, 200, "2 new"); strings.Contains(page.body, "was applied") || strings.Contains(page.body, "apply_again") {
			t.Fatalf("warned before anything was applied: %s", page.body)
		}
	}
	r.post(owner, first.location+"/apply", nil).want(t, 303)
	if i := r.settle(idOf(first)); i.State != plan.Done {
		t.Fatalf("%+v", i)
	}
	// The plan that was made before is held against it too.
	r.post(owner, beside.location+"/apply", nil).want(t, 409, "applied_before", "by ann@example.org")
	r.lock.Lock()
	r.at = r.at.Add(24 * time.Hour)
	r.lock.Unlock()
	second := read(undated)
	r.get(owner, second.location).want(t, 200, "2 new", "This file was applied", "by ann@example.org", "Apply it all the same", `name="apply_again"`, "required")
	api := "/admin/v1" + strings.TrimPrefix(second.location, "/admin")
	r.get(owner, api).want(t, 200, `"applied_before":{"at":"2026-11-22T12:00:00Z","by":"ann@example.org"}`)
	r.postJSON(owner, api+"/apply", `{}`).want(t, 409, "applied_before", "2026-11-22", `apply_again`)
	if n := len(r.audited("import.gifts")); n != 1 {
		t.Errorf("%d imports were applied, want one", n)
	}
	r.get(owner, "/admin/v1/gifts").want(t, 200, `"count":2,"amount_minor":3000`)
	r.postJSON(owner, api+"/apply", `{"apply_again":true}`).want(t, 202)
	if i := r.settle(idOf(second)); i.State != plan.Done {
		t.Fatalf("%+v", i)
	}
	r.get(owner, "/admin/v1/gifts").want(t, 200, `"count":4,"amount_minor":6000`)
	if log := r.audited("import.gifts"); len(log) != 2 || !strings.Contains(log[1].Detail, "applied before on 2026-11-22") {
		t.Errorf("%+v", log)
	}
	// Another file is another one.
	if page := r.get(owner, read(append(undated, "river,30,cash\n"...)).location); strings.Contains(page.body, "This file was applied") {
		t.Error("another file is warned of")
	}
}

// While no payments process is up the gifts are on disk, and the import goes on.
func TestImportGifts_WaitForAPaymentsProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.held = true
	sent := r.send(owner, "/admin/gifts/-/imports", "file", "gifts.csv", []byte(someGifts)).want(t, 303)
	if got := r.postJSON(owner, "/admin/v1"+strings.TrimPrefix(sent.location, "/admin")+"/apply", "{}").want(t, 202).decode(t); got["state"] != "applying" {
		t.Errorf("%v", got)
	}
	r.get(owner, sent.location).want(t, 200, "(retries)", "Under way")
	// Campaigns are not held up by it.
	other := r.send(owner, "/admin/campaigns/-/imports", "file", "x.csv", []byte(someCampaigns), "currency", "EUR").want(t, 303)
	r.post(owner, other.location+"/apply", nil).want(t, 303)
	if i := r.settle(idOf(other)); i.State != plan.Done {
		t.Errorf("%+v", i)
	}
	r.release()
	if i := r.settle(idOf(sent)); i.State != plan.Done || !strings.Contains(i.Outcome, "3 in EUR 270.00") {
		t.Errorf("%+v", i)
	}
}

func TestImportGifts_LargestFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var file strings.Builder
	file.WriteString("Campaign,Amount,Kind,Reference\n")
	const rows = 5000
	for i := range rows {
		fmt.Fprintf(&file, "river,%d.50,cheque,%d\n", i+1, 100000+i)
	}
	sent := r.send(owner, "/admin/gifts/-/imports", "file", "many.csv", []byte(file.String())).want(t, 303)
	r.get(owner, sent.location).want(t, 200, "5000 new", "Further rows")
	page := r.get(owner, sent.location+"?outcome=new&after=4900").want(t, 200)
	if strings.Contains(page.body, "Further rows") || !strings.Contains(page.body, ">5001<") {
		t.Error("the last page is another")
	}
}
