package frame

import (
	"fmt"
	"html/template"
	"io/fs"
	"strings"
	"time"

	"spillway/ledger/money"
)

// Parse parses the page of this name from an embedded folder, with these files that
// it includes. Templates have these functions:
//
//	asset "name.js"        URL of one of the section's assets
//	money minor currency   12,345.00 USD
//	when time              <time> in UTC, shown in the viewer's own zone by console.js; "" for a zero time
//	plural n "gift" "gifts"
//	join list ", "
//
// It panics when a template is wrong, as template.Must does: they are embedded.
func Parse(files fs.FS, assets *Assets, name string, included ...string) *template.Template {
	t := template.New("").Funcs(template.FuncMap{
		"asset": assets.URL, "money": Money, "when": When, "plural": Plural, "join": strings.Join,
	})
	t = template.Must(t.ParseFS(files, append([]string{name}, included...)...))
	base := name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			base = name[i+1:]
			break
		}
	}
	page := t.Lookup(base)
	if page == nil {
		panic(fmt.Sprintf("frame: no template %q", base))
	}
	return page
}

// Money is an amount as people read it: "12,345.00 USD".
func Money(minor int64, currency money.Currency) string {
	_, text, _ := strings.Cut(money.Amount{Minor: minor, Currency: currency}.String(), " ") // it puts the currency first
	end := 0                                                                                // of the whole units
	for end < len(text) && (text[end] == '-' || text[end] >= '0' && text[end] <= '9') {
		end++
	}
	first := 0
	if end > 0 && text[0] == '-' {
		first = 1
	}
	grouped := []byte(text[:first])
	for i := first; i < end; i++ {
		if i > first && (end-i)%3 == 0 {
			grouped = append(grouped, ',')
		}
		grouped = append(grouped, text[i])
	}
	return string(grouped) + text[end:] + " " + string(currency)
}

// When is a moment as a <time> element, which console.js shows in the viewer's own
// zone; empty for a zero time.
func When(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04") + ` UTC</time>`)
}

// Plural is "1 gift" or "2 gifts"; n is an integer of any kind.
func Plural(n any, one, many string) string {
	text := fmt.Sprint(n)
	if text == "1" {
		return "1 " + one
	}
	return text + " " + many
}
