package main

import (
	"bytes"
	"strings"
	"testing"

	"spillway/deploy/onebox/pgtest"
)

func TestSearchCommands_ShowTheProjectionAndThrowItAwayWhenAsked(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	search := func(args ...string) (status int, out, err string) {
		var stdout, stderr bytes.Buffer
		status = run(append([]string{"search"}, append(args, "--database-url", url)...), nil, &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	if status, _, err := search("status"); status != exitFailed || err == "" {
		t.Errorf("before the migration: %d, %q", status, err)
	}
	if err := migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	status, out, _ := search("status")
	if status != 0 || !strings.Contains(out, "0 donations, 0 donors; being made") || strings.Count(out, "\n") != 2 {
		t.Errorf("%d: %q", status, out)
	}
	if status, _, err := search("rebuild"); status != exitFailed || !strings.Contains(err, "--yes") {
		t.Errorf("without --yes: %d, %q", status, err)
	}
	if status, out, _ := search("rebuild", "--yes"); status != 0 || strings.Count(out, "thrown away") != 2 {
		t.Errorf("%d: %q", status, out)
	}
}
