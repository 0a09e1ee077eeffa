package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/campaigns/postgres"
)

func get(t *testing.T, s *postgres.Store, slug string) *campaigns.Campaign {
	t.Helper()
	c, err := s.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPut_StoryAndPictureAndWhatReceiptsSay(t *testing.T) {
	s, _ := open(t)
	want := school()
	want.Story = "One paragraph.\n\nAnother."
	want.Image = campaigns.MediaKey([]byte("a picture"))
	if _, err := s.Put(t.Context(), want); !errors.Is(err, campaigns.ErrInvalid) {
		t.Fatalf("a picture that is not stored: %v", err)
	}
	key, err := s.PutMedia(t.Context(), "image/png", []byte("a picture"))
	if err != nil || key != want.Image {
		t.Fatalf("picture %q, %v", key, err)
	}
	put(t, s, want)
	first := get(t, s, want.Slug).Revision

	want.LegalName, want.TaxNumber = "River School Trust, Inc.", "12-3456789"
	organisation := &campaigns.Organisation{Name: want.Organisation, LegalName: want.LegalName, TaxNumber: want.TaxNumber}
	var got *campaigns.Campaign
	for again := range 2 {
		if err := s.PutOrganisation(t.Context(), organisation); err != nil {
			t.Fatal(err)
		}
		before := got
		if got = get(t, s, want.Slug); got.Revision <= first || again > 0 && got.Revision != before.Revision {
			t.Errorf("time %d: revision %d, was %d before the first", again, got.Revision, first)
		}
	}
	want.Revision = got.Revision
	for _, read := range []func() ([]*campaigns.Campaign, error){
		func() ([]*campaigns.Campaign, error) { return []*campaigns.Campaign{got}, nil },
		func() ([]*campaigns.Campaign, error) { return s.List(t.Context(), "", 10) },
		func() ([]*campaigns.Campaign, error) { return s.Since(t.Context(), first) },
		func() ([]*campaigns.Campaign, error) { return s.Search(t.Context(), "TRUST", "", 10) },
	} {
		all, err := read()
		if d := cmp.Diff([]*campaigns.Campaign{want}, all); d != "" || err != nil {
			t.Errorf("%v %s", err, d)
		}
	}
	changed := *want
	changed.Story, changed.Image = "", ""
	if n := put(t, s, &changed); n != 1 {
		t.Error("a story that is taken away is no change")
	}
}

func TestEdit(t *testing.T) {
	s, _ := open(t)
	put(t, s, school())
	before := get(t, s, "river-school")
	end := time.Date(2026, 11, 22, 20, 0, 2, 0, time.UTC)
	edited, err := s.Edit(t.Context(), "river-school", func(c *campaigns.Campaign) error { c.EndsAt = end; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := *before
	want.EndsAt, want.Revision = end, edited.Revision
	if d := cmp.Diff(&want, edited); d != "" || edited.Revision <= before.Revision {
		t.Errorf("edited: %s", d)
	}
	same, err := s.Edit(t.Context(), "river-school", func(*campaigns.Campaign) error { return nil })
	if err != nil || same.Revision != edited.Revision {
		t.Errorf("a change of nothing: %+v, %v", same, err)
	}
	own := errors.New("not today")
	for name, c := range map[string]struct {
		slug   string
		change func(*campaigns.Campaign) error
		want   error
	}{
		"unknown":       {"nobody", func(*campaigns.Campaign) error { return nil }, campaigns.ErrUnknown},
		"its own error": {"river-school", func(*campaigns.Campaign) error { return own }, own},
		"another slug":  {"river-school", func(c *campaigns.Campaign) error { c.Slug = "lake-school"; return nil }, campaigns.ErrInvalid},
		"invalid":       {"river-school", func(c *campaigns.Campaign) error { c.Name = ""; return nil }, campaigns.ErrInvalid},
		"currency":      {"river-school", func(c *campaigns.Campaign) error { c.Currency = "EUR"; return nil }, campaigns.ErrCurrencyKept},
	} {
		if got, err := s.Edit(t.Context(), c.slug, c.change); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if d := cmp.Diff(edited, get(t, s, "river-school")); d != "" {
		t.Errorf("after refused edits: %s", d)
	}
}

// Edits that read what they change may not lose one another.
func TestEdit_AtOnceLosesNothing(t *testing.T) {
	s, _ := open(t)
	put(t, s, plain("a"))
	const edits = 20
	var wg sync.WaitGroup
	for range edits {
		wg.Go(func() {
			if _, err := s.Edit(t.Context(), "a", func(c *campaigns.Campaign) error { c.GoalMinor++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := get(t, s, "a").GoalMinor; got != edits {
		t.Errorf("%d of %d edits are there", got, edits)
	}
}

func TestSearch_PagesThroughWhatHoldsTheText(t *testing.T) {
	s, _ := open(t)
	var all []*campaigns.Campaign
	for i := range 12 {
		c := plain(fmt.Sprintf("c%02d", i))
		if i%2 == 0 {
			c.Name = fmt.Sprintf("100%% of Shelter %d", i)
		}
		all = append(all, c)
	}
	put(t, s, all...)
	find := func(text string) (slugs []string) {
		t.Helper()
		for after := ""; ; {
			page, err := s.Search(t.Context(), text, after, 4)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				slugs = append(slugs, c.Slug)
			}
			if len(page) < 4 {
				return slugs
			}
			after = page[3].Slug
		}
	}
	for text, want := range map[string]string{
		"sHELTER": "c00 c02 c04 c06 c08 c10", "": "c00 c01 c02 c03 c04 c05 c06 c07 c08 c09 c10 c11",
		"c1": "c10 c11", "%": "c00 c02 c04 c06 c08 c10", "_": "", "\x00": "", "\xff": "",
	} {
		if got := strings.Join(find(text), " "); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestEvents(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Event(t.Context(), "day-2026"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("nobody made it: %v", err)
	}
	put(t, s, school()) // makes it of its slug
	made, err := s.Event(t.Context(), "day-2026")
	if err != nil || made.Name != "day-2026" || made.TimeZone != "UTC" || made.Revision < 1 {
		t.Fatalf("%+v, %v", made, err)
	}
	want := &campaigns.Event{Slug: "day-2026", Name: "The day", TimeZone: "Europe/Vienna", Banner: "Matched until noon",
		StartsAt: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	var last int64
	for range 2 {
		if err := s.PutEvent(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Event(t.Context(), want.Slug)
		if err != nil || last != 0 && got.Revision != last {
			t.Errorf("the same again: %+v, %v", got, err)
		}
		last, want.Revision = got.Revision, got.Revision
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	edited, err := s.EditEvent(t.Context(), want.Slug, func(e *campaigns.Event) error { e.Banner = "Closed"; return nil })
	if err != nil || edited.Banner != "Closed" || edited.Revision <= last {
		t.Errorf("%+v, %v", edited, err)
	}
	if since, err := s.EventsSince(t.Context(), last); err != nil || len(since) != 1 || since[0].Banner != "Closed" {
		t.Errorf("since: %+v, %v", since, err)
	}
	if all, err := s.Events(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("all: %+v, %v", all, err)
	}
	if err := s.PutEvent(t.Context(), &campaigns.Event{Slug: "x", Name: "x", TimeZone: "Local"}); !errors.Is(err, campaigns.ErrInvalid) {
		t.Errorf("an invalid one: %v", err)
	}
	for name, change := range map[string]func(*campaigns.Event){
		"no name": func(e *campaigns.Event) { e.Name = "" }, "slug": func(e *campaigns.Event) { e.Slug = "other" },
	} {
		if _, err := s.EditEvent(t.Context(), want.Slug, func(e *campaigns.Event) error { change(e); return nil }); !errors.Is(err, campaigns.ErrInvalid) {
			t.Errorf("edited, %s: %v", name, err)
		}
	}
	if _, err := s.EditEvent(t.Context(), "nobody", func(*campaigns.Event) error { return nil }); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("edit of nobody: %v", err)
	}
}

func TestOrganisations(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Organisation(t.Context(), "Ark"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	for _, name := range []string{"Bow", "Ark", "Cove"} {
		if err := s.PutOrganisation(t.Context(), &campaigns.Organisation{Name: name, TaxNumber: "T-" + name}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Organisations(t.Context(), "t-", "Ark", 1)
	if d := cmp.Diff([]*campaigns.Organisation{{Name: "Bow", TaxNumber: "T-Bow"}}, page); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if one, err := s.Organisation(t.Context(), "Cove"); err != nil || one.TaxNumber != "T-Cove" {
		t.Errorf("%+v, %v", one, err)
	}
	if err := s.PutOrganisation(t.Context(), &campaigns.Organisation{}); !errors.Is(err, campaigns.ErrInvalid) {
		t.Errorf("without a name: %v", err)
	}
}

func TestMedia(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Media(t.Context(), campaigns.MediaKey(nil)); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("nobody's: %v", err)
	}
	largest := bytes.Repeat([]byte{0xff}, campaigns.MediaBytesMax)
	var keys []string
	for _, data := range [][]byte{{1}, largest, {1}} {
		key, err := s.PutMedia(t.Context(), "image/jpeg", data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Media(t.Context(), key)
		if err != nil || got.ContentType != "image/jpeg" || !bytes.Equal(got.Data, data) || got.Validate() != nil {
			t.Errorf("%d bytes, %v", len(got.Data), err)
		}
		keys = append(keys, key)
	}
	got, last, err := s.MediaSince(t.Context(), 0)
	if d := cmp.Diff(keys[:2], got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if more, same, err := s.MediaSince(t.Context(), last); err != nil || len(more) != 0 || same != last {
		t.Errorf("after the last: %q, %d, %v", more, same, err)
	}
	for name, c := range map[string]struct {
		contentType string
		data        []byte
	}{"nothing": {"image/png", nil}, "too large": {"image/png", append(largest, 0)}, "a script": {"image/svg+xml", []byte{1}}} {
		if _, err := s.PutMedia(t.Context(), c.contentType, c.data); !errors.Is(err, campaigns.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMedia_UnusedOnesAreRemovedAfterAWhile(t *testing.T) {
	s, url := open(t)
	conn := connect(t, url)
	c := school()
	key := func(data string) string {
		k, err := s.PutMedia(t.Context(), "image/png", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	used, left, back := key("used"), key("left"), key("back")
	c.Image = used
	put(t, s, c)
	unused := func(least time.Duration, want ...string) {
		t.Helper()
		slices.Sort(want)
		got, err := s.UnusedMedia(t.Context(), least)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("unused for %v: %v, %v; want %v", least, got, err, want)
		}
	}
	unused(time.Hour)
	// An hour goes by.
	if _, err := conn.Exec(t.Context(), "UPDATE campaigns.media SET unused_since = unused_since - interval '61 minutes'"); err != nil {
		t.Fatal(err)
	}
	unused(time.Hour, left, back)
	key("back") // somebody chooses it again, and is about to name it
	unused(time.Hour, left)
	if err := s.RemoveMedia(t.Context(), []string{used, left}); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]error{used: nil, left: campaigns.ErrUnknown, back: nil} {
		if _, err := s.Media(t.Context(), k); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", k, err, want)
		}
	}
	// Named again, it is used, however long it was not.
	if _, err := conn.Exec(t.Context(), "UPDATE campaigns.media SET unused_since = now() - interval '1 year'"); err != nil {
		t.Fatal(err)
	}
	c.Image = back
	put(t, s, c)
	if err := s.RemoveMedia(t.Context(), []string{back}); err != nil {
		t.Fatal(err)
	}
	unused(time.Hour, used)
}

// A build of before makes an event by its slug and name alone, and knows no stories.
func TestMigrate_ABuildOfBeforeGoesOn(t *testing.T) {
	s, url := open(t)
	conn := connect(t, url)
	told := school()
	told.Story = "kept"
	put(t, s, told)
	for _, statement := range []string{
		"INSERT INTO campaigns.events (slug, name) VALUES ('old', 'old')",
		"INSERT INTO campaigns.campaigns (revision, slug, name, currency) VALUES (nextval('campaigns.revisions'), 'old', 'old', 'EUR')",
		"UPDATE campaigns.campaigns SET revision = nextval('campaigns.revisions'), name = 'renamed' WHERE slug = 'river-school'",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := s.Event(t.Context(), "old"); err != nil || e.Revision < 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if c := get(t, s, "river-school"); c.Story != "kept" || c.Name != "renamed" {
		t.Errorf("%+v", c)
	}
	if c := get(t, s, "old"); c.Story != "" || c.Image != "" {
		t.Errorf("%+v", c)
	}
}

func TestPutIf_StoresWhatStandsAsItWasRead(t *testing.T) {
	s, _ := open(t)
	a, b := plain("a"), plain("b")
	if n, err := s.PutIf(t.Context(), a, b); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if _, err := s.PutIf(t.Context(), plain("a")); !errors.Is(err, campaigns.ErrOvertaken) {
		t.Errorf("made twice: %v", err)
	}
	a, b = get(t, s, "a"), get(t, s, "b")
	a.Name, b.Name = "first", "first"
	if n, err := s.PutIf(t.Context(), b); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	fresh := plain("c")
	if _, err := s.PutIf(t.Context(), fresh, a, b); !errors.Is(err, campaigns.ErrOvertaken) || !strings.Contains(err.Error(), "b") {
		t.Errorf("b was changed meanwhile: %v", err)
	}
	if got := get(t, s, "a"); got.Name != "a" {
		t.Errorf("one of them was stored: %+v", got)
	}
	if _, err := s.Get(t.Context(), "c"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("one of them was made: %v", err)
	}
}

// Who is named by rehearsals alone receives nothing, and is not offered to anybody.
func TestOrganisations_ThoseOfRehearsalsAreNotListed(t *testing.T) {
	s, _ := open(t)
	of := func(slug, organisation string, rehearsal bool) *campaigns.Campaign {
		c := plain(slug)
		c.Organisation, c.Rehearsal = organisation, rehearsal
		return c
	}
	put(t, s, of("drill-one", "Rehearsal", true), of("drill-two", "Shared", true), of("drill-three", "Known", true), of("school", "Shared", false), of("river", "River", false), plain("none"))
	for _, o := range []campaigns.Organisation{{Name: "Known", TaxNumber: "T-1"}, {Name: "New"}} {
		if err := s.PutOrganisation(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
	}
	names := func(text string) (all []string) {
		t.Helper()
		found, err := s.Organisations(t.Context(), text, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			all = append(all, o.Name)
		}
		return all
	}
	if d := cmp.Diff([]string{"Known", "New", "River", "Shared"}, names("")); d != "" {
		t.Error(d)
	}
	if found := names("rehears"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	put(t, s, of("real", "Rehearsal", false)) // somebody's own name
	if d := cmp.Diff([]string{"Rehearsal"}, names("rehears")); d != "" {
		t.Error(d)
	}
}
