package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An alert on a figure that was renamed never fires, and nobody notices.
func TestAlerts_UseFiguresAndPagesThatExist(t *testing.T) {
	dir := root(t)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	figures := map[string]bool{}
	var pages []string
	walk(t, dir, func(name string) {
		switch {
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "loadtest/"):
			for _, m := range quotedFigure.FindAllStringSubmatch(read(name), -1) {
				figures[m[1]] = true
			}
		case strings.HasPrefix(name, "deploy/runbooks/"):
			pages = append(pages, name)
		}
	})
	alerts := read("deploy/prometheus-alerts.yaml")
	report(t, checkFigures("deploy/prometheus-alerts.yaml", alerts, figures))
	report(t, checkFigures("deploy/grafana/spillway.json", read("deploy/grafana/spillway.json"), figures))
	for _, page := range pages {
		report(t, checkFigures(page, read(page), figures))
	}

	rule, index := regexp.MustCompile(`(?m)^      - alert: (\w+)$`), read("deploy/runbooks/README.md")
	names := rule.FindAllStringSubmatch(alerts, -1)
	if len(names) == 0 {
		t.Fatal("no alerts found")
	}
	for i, name := range names {
		begin := strings.Index(alerts, "- alert: "+name[1]+"\n")
		end := len(alerts)
		if i+1 < len(names) {
			end = strings.Index(alerts, "- alert: "+names[i+1][1]+"\n")
		}
		page := regexp.MustCompile(`runbook: (\S+)`).FindStringSubmatch(alerts[begin:end])
		if page == nil || !slices.Contains(pages, page[1]) {
			t.Errorf("alert %s has no page in deploy/runbooks", name[1])
		} else if !strings.Contains(read(page[1]), "`"+name[1]+"`") {
			t.Errorf("%s does not name the alert %s that leads to it", page[1], name[1])
		}
		if !strings.Contains(index, "`"+name[1]+"`") {
			t.Errorf("deploy/runbooks/README.md does not list %s", name[1])
		}
	}
}

// figure finds the name of one of our figures, with the areas as metrics' first word.
var figure = regexp.MustCompile(`\b((?:ingest|ledger|totals|cache|campaigns|live|reads|charge|payments|reconcile|search)_[a-z_]*[a-z])\b`)

// quotedFigure is one as Go code declares it.
var quotedFigure = regexp.MustCompile(`"((?:ingest|ledger|totals|cache|campaigns|live|reads|charge|payments|reconcile|search)_[a-z_]+)"`)

// checkFigures returns a sentence for every figure that a text names and nobody declares.
func checkFigures(name, text string, figures map[string]bool) (faults []string) {
	for _, m := range figure.FindAllString(text, -1) {
		base := m
		for _, suffix := range []string{"_bucket", "_sum", "_count"} { // of a histogram
			base = strings.TrimSuffix(base, suffix)
		}
		if !figures[m] && !figures[base] {
			faults = append(faults, fmt.Sprintf("%s: no code declares the figure %s", name, m))
		}
	}
	return faults
}

func TestCheckFigures_NamesWhatNobodyDeclares(t *testing.T) {
	figures := map[string]bool{"ledger_lag_messages": true, "ingest_ack_seconds": true}
	wantFault(t, checkFigures("x", "ledger_lag_messages > 0 and ingest_ack_seconds_bucket", figures), "")
	wantFault(t, checkFigures("x", "max(ledger_lag_mesages) > 0", figures), "ledger_lag_mesages")
}
