package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/audit"
	reportpage "spillway/loadtest/report"
)

func TestCommandLine_LeavesSecretsOut(t *testing.T) {
	t.Parallel()
	got := commandLine(
		[]string{"rehearse", "--rate", "5", "--run=giving day", "--database-url", "postgres://u:hunter2@db/spillway?sslpassword=hunter3", "--nats-url=nats://u:hunter2@broker:4222", "--secrets", "secrets.json", "host=db password=hunter2"},
		[]string{"HOME=/root", "SPILLWAY_STRIPE_KEY=hunter2", "SPILLWAY_DATABASE_URL=postgres://u:hunter2@db/x", "SPILLWAY_LOG_LEVEL=warn"})
	if strings.Contains(got, "hunter") || strings.Contains(got, "HOME") {
		t.Errorf("%s", got)
	}
	for _, want := range []string{"SPILLWAY_LOG_LEVEL=warn SPILLWAY_STRIPE_KEY=... spillway rehearse --rate 5 --run='giving day' ", "@broker:4222", "--secrets secrets.json"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestReportFiles_GoWhereTheyAreLookedFor(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // on Linux; elsewhere the folder is only named
	folder := t.TempDir()
	for _, c := range []struct {
		name       string
		command    rehearseRunCommand
		at         place
		page, json string
	}{
		{"named", rehearseRunCommand{HTML: "a.html"}, place{alone: true}, "a.html", ""},
		{"a folder", rehearseRunCommand{HTML: folder, JSON: "a.json"}, place{alone: true}, filepath.Join(folder, "friday.html"), "a.json"},
		{"private", rehearseRunCommand{}, place{alone: true}, filepath.Join(reportsFolder(), "friday.html"), filepath.Join(reportsFolder(), "friday.json")},
		{"running", rehearseRunCommand{JSON: "a.json"}, place{data: "/srv/day"}, "/srv/day/rehearsals/friday.html", "a.json"},
	} {
		c.command.RunName = "friday"
		if f := c.command.files(&c.at); f.page != c.page || f.json != c.json || f.chosen != (c.command.HTML != "") {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

func TestReportFiles_TheOldestOfManyGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range reportsKept + 3 {
		for _, suffix := range []string{pageSuffix, jsonSuffix} {
			path := filepath.Join(dir, fmt.Sprintf("%03d%s", i, suffix))
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 11, 23, 0, 0, i, 0, time.UTC)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	forget(dir, slog.New(slog.DiscardHandler))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2*reportsKept || filepath.Base(left[0]) != "003.html" {
		t.Errorf("%v, %d left, from %s on", err, len(left), left[0])
	}
}

func TestReportFiles_AreWrittenWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	r := &loadtest.Report{Run: "friday", Audit: &audit.Result{}}
	f := reportFiles{page: filepath.Join(dir, "new", "friday.html"), json: filepath.Join(dir, "new", "friday.json")}
	page := func(w io.Writer) error { return reportpage.Write(w, r) }
	say, err := f.write(r, page, "", log)
	if err != nil || say != "Report: "+f.page {
		t.Fatalf("%q, %v", say, err)
	}
	text, err := os.ReadFile(f.json)
	var again loadtest.Report
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if err != nil || again.Run != "friday" {
		t.Errorf("%v, %+v", err, again)
	}
	// A place that was named must be there; one that nobody named is only tried.
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = reportFiles{page: filepath.Join(dir, "file", "friday.html")}
	if say, err := f.write(r, page, "", log); err != nil || say != "" {
		t.Errorf("%q, %v", say, err)
	}
	f.chosen = true
	if _, err := f.write(r, page, "", log); err == nil {
		t.Error("a page that was asked for is not there, and nobody was told")
	}
}
