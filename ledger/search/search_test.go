package search_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ledger/search"
)

func TestWords_FindADonorAsPeopleType(t *testing.T) {
	for _, c := range []struct {
		name, email string
		text        string
		found       bool
	}{
		{"Ada Lovelace", "", "ada", true},
		{"Ada Lovelace", "", "LOVE", true},
		{"Ada Lovelace", "", "lace", false},
		{"Ada Lovelace", "", "love ad", true},
		{"Ada Lovelace", "", "ada bab", false},
		{"Zoë Müller-Lüdenscheidt", "", "zoe muller", true},
		{"Zoë Müller-Lüdenscheidt", "", "Lüdenscheidt", true},
		{"Zoë Müller-Lüdenscheidt", "", "mullerlud", true},
		{"Seán O’Brien", "", "obrien", true},
		{"Seán O’Brien", "", "o'brien", true},
		{"Strauß", "", "strauss", true},
		{"Łukasz", "", "lukasz", true},
		{"山田太郎", "", "山田", true},
		{"", "Ada.L@Example.org", "ada.l@example.org", true},
		{"", "Ada.L@Example.org", "ADA.L@ex", true},
		{"", "Ada.L@Example.org", "@example.org", false},
		{"", "Ada.L@Example.org", "ada", true},
		{"", "Ada.L@Example.org", "bob@", false},
		{strings.Repeat("ﷺ", 100), "", strings.Repeat("ﷺ", 50), true},
		{"", strings.Repeat("ä", 250) + "@example.org", strings.Repeat("ä", 250) + "@example.org", true},
	} {
		words := search.Words(&ingest.Personal{Name: c.name, Email: c.email})
		terms := search.ParseText(c.text)
		found := len(terms.Words) > 0
		for _, term := range terms.Words {
			found = found && slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, term) })
		}
		if found != c.found {
			t.Errorf("%q <%s> (%q) by %q (%q): %v", c.name, c.email, words, c.text, terms.Words, found)
		}
	}
}

func TestParseText_KnowsWhatIsMeant(t *testing.T) {
	id := ingest.DeriveID([]byte("one of sixteen bytes"))
	kind := func(t search.Terms) string {
		switch {
		case t.ID != nil:
			return "id"
		case t.Processor != "":
			return "processor"
		case t.Amounts != nil:
			return "amount"
		case len(t.Words) > 0:
			return "words"
		}
		return ""
	}
	for text, want := range map[string]string{
		id.String():                              "id",
		strings.ToUpper(id.String()):             "id",
		strings.ReplaceAll(id.String(), "-", ""): "id",
		" pi_3Abc ":                              "processor",
		"ch_1":                                   "processor",
		"pi_":                                    "words",
		"50":                                     "amount",
		"50.00":                                  "amount",
		"1,000.00":                               "amount",
		"50.0":                                   "words",
		"ada":                                    "words",
		"":                                       "",
		"  ?!  ":                                 "",
		"00000000-0000-0000-0000-000000000000":   "words",
		"99999999999999999999999999999999999999.": "words",
	} {
		if got := kind(search.ParseText(text)); got != want {
			t.Errorf("%q means %q, want %q", text, got, want)
		}
	}
	fifty := search.ParseText("50")
	if len(fifty.Amounts) != 2 || fifty.Amounts[0].Minor == fifty.Amounts[1].Minor {
		t.Fatalf("50 is %+v, want cents and yen", fifty.Amounts)
	}
}

func TestCursor_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(1, 253370764800_000000).Draw(t, "micros")
		seq := rapid.Int64Range(0, 1<<62).Draw(t, "seq")
		at, n, err := search.NewCursor(time.UnixMicro(micros), seq).Key()
		if err != nil || at.UnixMicro() != micros || n != seq {
			t.Fatalf("%d %d came back as %v %d, %v", micros, seq, at, n, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(string(search.NewCursor(time.Unix(1, 0), 7)))
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		at, seq, err := search.Cursor(text).Key()
		if err == nil && text != "" && string(search.NewCursor(at, seq)) != text {
			t.Errorf("%q is read as %v %d, which is written in another way", text, at, seq)
		}
	})
}

func FuzzParseText(f *testing.F) {
	f.Add("ada@example.org 50.00 pi_1")
	f.Add("O'Brien\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		terms := search.ParseText(text)
		for _, w := range terms.Words {
			if w == "" || strings.ContainsRune(w, 0) {
				t.Errorf("%q has the word %q", text, w)
			}
		}
		for _, w := range search.Words(&ingest.Personal{Name: text, Email: text}) {
			if w == "" || strings.ContainsRune(w, 0) || len(w) > 200 || !utf8.ValidString(w) {
				t.Errorf("a donor of %q has the word %q", text, w)
			}
		}
	})
}

func TestQueryValidate(t *testing.T) {
	now := time.Now()
	for name, q := range map[string]search.Query{
		"limit":    {Limit: search.LimitMax + 1},
		"status":   {Status: []string{"paid"}},
		"amounts":  {MinMinor: 5, MaxMinor: 4},
		"currency": {Currency: "XXX"},
		"times":    {From: now, To: now},
		"cursor":   {After: "x"},
		"text":     {Text: strings.Repeat("x", search.TextBytesMax+1)},
	} {
		if err := q.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (&search.Query{Status: search.Statuses, Limit: search.LimitMax}).Validate(); err != nil {
		t.Error(err)
	}
}
