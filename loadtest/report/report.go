// Package report writes what a rehearsal found as one HTML page for people who have
// never seen the tool: the verdict first, then the curves, then the proof.
//
// The invariant: the page is whole. It loads nothing, runs nothing, and says nothing
// that the report's JSON does not hold; names from files are text in it, never markup.
// No goroutines.
package report

import (
	"bytes"
	_ "embed" // the template and the style
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"spillway/loadtest"
)

//go:embed page.gohtml
var pageText string

//go:embed page.css
var pageStyle string

// functions are those of both pages' templates.
var functions = template.FuncMap{"count": count, "fields": strings.Fields, "join": strings.Join}

var page = template.Must(template.New("page").Funcs(functions).Parse(pageText))

// Write writes the page. Errors are those of w; nothing is written unless the page is whole.
func Write(w io.Writer, r *loadtest.Report) error {
	var b bytes.Buffer
	if err := page.Execute(&b, newView(r)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteShort writes the verdict and the answers as lines, for a terminal. Errors are those of w.
func WriteShort(w io.Writer, r *loadtest.Report) error {
	v := judge(r, limitsOf(r))
	var b strings.Builder
	fmt.Fprintf(&b, "\nIn short: %s\n\n", v.Headline)
	for _, a := range v.Answers {
		fmt.Fprintf(&b, "  %-21s %s\n", a.Question, a.Text)
	}
	for i, a := range v.Advice {
		title := ""
		if i == 0 {
			title = "Before the day?"
		}
		fmt.Fprintf(&b, "  %-21s %d. %s\n", title, i+1, a.Text)
		if a.Command != "" {
			fmt.Fprintf(&b, "  %-21s    %s\n", "", a.Command)
		}
	}
	_, err := io.WriteString(w, strings.ReplaceAll(b.String(), "\u00a0", " ")+"\n")
	return err
}

// view is what the template shows.
type view struct {
	Style   template.CSS
	Report  *loadtest.Report
	Title   string
	About   []fact
	Verdict *Verdict
	Facts   []fact
	Charts  []*chart
	Marks   []markRow
	Dropped int
	// Numbered tells whether there are marks with numbers.
	Numbered bool
	Errors   []fact
	Limits   []limitRow
	Roles    []roleRow
	Proof    []checkRow
	Probes   string // how many of the keys are not gifts
	Broken   []checkRow
	Money    []fact
	Setting  []fact
	Command  string
	Words    []fact
}

// fact is a name and what there is to say of it.
type fact struct{ Name, Text, Note string }

func newView(r *loadtest.Report) *view {
	limits := limitsOf(r)
	v := &view{
		Style: template.CSS(pageStyle), //nolint:gosec // our own
		Title: "Rehearsal " + r.Run, Report: r, About: aboutOf(r), Verdict: judge(r, limits), Facts: factsOf(r),
		Charts: chartsOf(r), Errors: errorsOf(r), Limits: limitRows(limits), Roles: rolesOf(r),
		Money: moneyOf(r), Words: words,
	}
	v.Marks, v.Dropped = marksOf(r)
	v.Numbered = slices.ContainsFunc(v.Marks, func(m markRow) bool { return m.Number > 0 })
	v.Probes = probesOf(r)
	v.Proof, v.Broken = proofOf(r)
	v.Setting, v.Command = settingOf(r)
	return v
}
