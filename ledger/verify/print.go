package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteTable writes the report for people: a line for each check, the offenders
// below, and one closing sentence.
func (r *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tSCOPE\tEXAMINED\tRESULT\tTIME\tWHAT MUST HOLD")
	broken, unchecked, noted := 0, 0, 0
	for i := range r.Results {
		res := &r.Results[i]
		word := string(res.Verdict)
		switch res.Verdict {
		case Broken:
			broken++
			word = fmt.Sprintf("BROKEN (%s)", thousands(res.Offenders))
		case Unchecked:
			unchecked++
			word = "UNCHECKED"
		case Noted:
			noted++
			word = fmt.Sprintf("note (%s)", thousands(res.Offenders))
		}
		holds := res.Holds
		if res.Invariant != "" {
			holds = res.Invariant + ": " + holds
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			res.Check, res.Scope, thousands(res.Examined), word, roundTook(res.Took), holds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i := range r.Results {
		res := &r.Results[i]
		if res.Reason == "" && len(res.Findings) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s %s: %s", res.Check, res.Scope, res.Verdict)
		if res.Reason != "" {
			fmt.Fprintf(w, ": %s", res.Reason)
		}
		fmt.Fprintln(w)
		for _, f := range res.Findings {
			fmt.Fprintf(w, "  %s  %s\n", f.ID, f.Detail)
		}
		if more := res.Offenders - int64(len(res.Findings)); more > 0 && len(res.Findings) > 0 {
			fmt.Fprintf(w, "  and %s more\n", thousands(more))
		}
	}
	closing := "everything that was checked holds"
	switch r.Verdict {
	case Broken:
		closing = fmt.Sprintf("%d of %d checks are BROKEN", broken, len(r.Results))
	case Unchecked:
		closing = fmt.Sprintf("%d of %d checks could not run; the rest holds", unchecked, len(r.Results))
	}
	if noted > 0 {
		closing += fmt.Sprintf(", with notes on %d", noted)
	}
	_, err := fmt.Fprintf(w, "\n%s (snapshot of %s, took %s)\n",
		closing, r.CheckedAt.UTC().Format(time.RFC3339), roundTook(r.Took))
	return err
}

func roundTook(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// thousands writes n with commas: 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := len(s)
	if n < 0 {
		first--
	}
	for i := len(s) - 3; first > 3; i, first = i-3, first-3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
