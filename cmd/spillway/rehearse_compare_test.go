package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/compare"
)

func TestRehearseCompare_TheExitStatusIsForPipelines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, p99 time.Duration) string {
		r := &loadtest.Report{Run: name, Holds: true, Audit: &audit.Result{}, Sending: loadtest.Sending{Planned: 10, Accepted: 10, Latency: loadtest.Distribution{Count: 10, P99: p99}}}
		text, err := json.Marshal(r)
		path := filepath.Join(dir, name+".json")
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	before, after, other := write("before", 40*time.Millisecond), write("after", 48*time.Millisecond), filepath.Join(dir, "other.json")
	if err := os.WriteFile(other, []byte(`{"checks":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{before, before}, 0, "0 worse"},
		{[]string{before, after}, 1, "+20.0 %"},
		{[]string{before, after, "--tolerance", "25%"}, 0, "within 25 %"},
		{[]string{after, before}, 0, "1 better"},
		{[]string{before, other}, 2, "no report of a rehearsal"},
		{[]string{before, filepath.Join(dir, "none.json")}, 2, "none.json"},
	} {
		var out, errs bytes.Buffer
		status := run(append([]string{"rehearse", "compare"}, c.args...), nil, &out, &errs)
		if status != c.status || !strings.Contains(out.String()+errs.String(), c.want) {
			t.Errorf("%q: status %d, want %d with %q: %s%s", c.args, status, c.status, c.want, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	var found compare.Comparison
	if status := run([]string{"rehearse", "compare", before, after, "--json"}, nil, &out, &errs); status != 1 || json.Unmarshal(out.Bytes(), &found) != nil || !found.Worse || found.B != "after" {
		t.Errorf("status %d: %s%s", status, &out, &errs)
	}
}
