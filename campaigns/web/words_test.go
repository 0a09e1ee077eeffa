package web

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ledger/money"
)

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		minor    int64
		currency money.Currency
		want     string
	}{
		{0, "USD", "$0"}, {5, "USD", "$0.05"}, {100, "USD", "$1"}, {123456, "USD", "$1,234.56"}, {100_000_000, "EUR", "€1,000,000"},
		{-50, "GBP", "-£0.50"}, {500, "JPY", "¥500"}, {12345, "JPY", "¥12,345"}, {120000, "CHF", "CHF\u00a01,200"},
		{math.MinInt64, "USD", "-$92,233,720,368,547,758.08"}, {math.MaxInt64, "JPY", "¥9,223,372,036,854,775,807"},
	} {
		if got := amount(c.minor, c.currency); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.minor, c.currency, got, c.want)
		}
	}
}

// What is written is read back by the parser of what people type.
func TestAmount_SaysTheWholeFigure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]money.Currency{"USD", "JPY", "CHF", "HKD"}).Draw(t, "currency")
		minor := rapid.Int64Min(0).Draw(t, "minor")
		text := amount(minor, c)
		plain := strings.TrimLeftFunc(strings.ReplaceAll(text, ",", ""), func(r rune) bool { return r < '0' || r > '9' })
		if got, err := money.Parse(plain, c); err != nil || got != minor {
			t.Fatalf("%d is written %q, which is %d, %v", minor, text, got, err)
		}
	})
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		part, goal int64
		want       string
	}{
		{0, 100, "0%"}, {-5, 100, "0%"}, {1, 1000, "0%"}, {999, 1000, "99%"}, {1000, 1000, "100%"}, {1329, 1000, "132%"},
		{math.MaxInt64, 1, "922337203685477580700%"}, {math.MaxInt64 - 1, math.MaxInt64, "99%"}, {math.MaxInt64, math.MaxInt64, "100%"},
	} {
		if got := percent(c.part, c.goal); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.part, c.goal, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		goal := rapid.Int64Range(1, math.MaxInt64).Draw(t, "goal")
		part := rapid.Int64Range(0, goal-1).Draw(t, "part")
		if got := percent(part, goal); got == "100%" || strings.HasPrefix(got, "-") {
			t.Fatalf("%d of %d is %s", part, goal, got)
		}
	})
}

func TestWordsOfTime(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	for d, want := range map[time.Duration]string{
		0: "in less than a minute", 59 * time.Second: "in less than a minute", time.Minute: "in 1 minute", 59*time.Minute + 59*time.Second: "in 59 minutes",
		time.Hour: "in 1 hour", 23*time.Hour + 59*time.Minute: "in 23 hours", 24 * time.Hour: "in 1 day", 365 * 24 * time.Hour: "in 365 days",
	} {
		if got := until(noon.Add(d), noon); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Hour: "just now", 59 * time.Second: "just now", 2 * time.Minute: "2 minutes ago", 49 * time.Hour: "2 days ago"} {
		if got := ago(noon.Add(-d), noon); got != want {
			t.Errorf("%v ago: %q, want %q", d, got, want)
		}
	}
	midnight := noon.Add(-13 * time.Hour) // 22 November, 00:00 in Vienna
	for _, c := range []struct {
		start, end time.Time
		want       string
	}{
		{midnight, midnight.Add(24 * time.Hour), "Sunday 22 November 2026"},
		{midnight.Add(8 * time.Hour), midnight.Add(20 * time.Hour), "Sunday 22 November 2026, 08:00 to 20:00 CET"},
		{midnight.Add(8 * time.Hour), midnight.Add(24 * time.Hour), "Sunday 22 November 2026, 08:00 to 00:00 CET"},
		{midnight, midnight.Add(25 * time.Hour), "22 November 2026, 00:00 to Monday 23 November 2026, 01:00 CET"},
		{midnight, time.Time{}, "From Sunday 22 November 2026, 00:00 CET"},
		{time.Time{}, midnight, "Until Sunday 22 November 2026, 00:00 CET"},
		{time.Time{}, time.Time{}, ""},
	} {
		if got := span(c.start, c.end, vienna); got != c.want {
			t.Errorf("%v to %v: %q, want %q", c.start, c.end, got, c.want)
		}
	}
	if zone(nil) != time.UTC || zone(&campaigns.Event{TimeZone: "No/Where"}) != time.UTC || zone(&campaigns.Event{TimeZone: "Europe/Vienna"}).String() != "Europe/Vienna" {
		t.Error("zones")
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{
		"River Valley Schools Trust": "RT", "Friends of the County Library": "FL", "lower case": "L", "": "", "Élan": "É", "北京 基金会": "北基", "!!": "", "4 Paws": "4P",
	} {
		if got := initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestSummary_IsCutAtAWord(t *testing.T) {
	c := &campaigns.Campaign{Name: "A roof", Organisation: "Org"}
	if got := summary(c); got != "Give to A roof, by Org. See what is raised so far, live." {
		t.Errorf("without a story: %q", got)
	}
	c.Story = strings.Repeat("wördle ", 100)
	got := summary(c)
	if n := len([]rune(got)); n > descriptionChars || n < descriptionChars/2 || !strings.HasSuffix(got, "wördle…") {
		t.Errorf("%d characters: %q", n, got)
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"", "q=river&show=open&sort=name&page=3", "q=%ff%00&page=-1", "organisation=A+B&sort=raised&page=1", "utm_source=x", "page=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var args, again fasthttp.Args
		args.Parse(text)
		q := parseQuery(&args)
		again.Parse(strings.TrimPrefix(q.encode(), "?"))
		if back := parseQuery(&again); back != q {
			t.Fatalf("%q is %+v, whose link %q is %+v", text, q, q.encode(), back)
		}
		if !q.filter().Valid() {
			t.Fatalf("%q makes a search that there is not: %+v", text, q)
		}
	})
}

func TestConfig_Validate(t *testing.T) {
	for _, good := range []Config{{}, {PublicURL: "https://give.example.org"}, {PublicURL: "http://127.0.0.1:8080/"}, {StripeKey: "pk_test_1", FeeBasisPoints: 290}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []Config{
		{PublicURL: "give.example.org"}, {PublicURL: "https://give.example.org/day"}, {PublicURL: "ftp://give.example.org"}, {PublicURL: "https://a:b@give.example.org"},
		{PublicURL: "https://give.example.org?x"}, {StripeKey: "sk_test_1"}, {FeeBasisPoints: -1}, {FeeBasisPoints: 5000}, {FeeFixedMinor: 1 << 20}, {PageBytesMax: -1},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
		if _, err := New(bad, Deps{}); err == nil {
			t.Errorf("%+v works", bad)
		}
	}
}
