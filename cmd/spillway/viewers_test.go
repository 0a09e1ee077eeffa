package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest/viewers"
)

// The viewers' process says how many came, and what they saw once its input ends.
func TestViewers_TheAudienceSaysWhatItSaw(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			_, _ = fmt.Fprintf(w, "event: totals\ndata: {\"as_of\":%q}\n\n", time.Now().Add(-5*time.Second).UTC().Format("2006-01-02T15:04:05.000000Z"))
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}))
	defer server.Close()
	c := &viewersCommand{config.Viewers{Viewers: 7, Target: server.URL, Campaign: []string{"a"}}}
	toldIn, tell := io.Pipe()
	hearOut, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- c.watch(t.Context(), toldIn, out) }()
	heard := json.NewDecoder(hearOut)
	var come int
	if err := heard.Decode(&come); err != nil || come != 7 {
		t.Fatalf("%d came: %v", come, err)
	}
	if _, err := tell.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	if err := tell.Close(); err != nil {
		t.Fatal(err)
	}
	var seen viewers.Seen
	if err := heard.Decode(&seen); err != nil || seen.Viewers != 7 || seen.Lost != 0 {
		t.Errorf("%+v, %v", seen, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestViewers_RefusesWhatCannotBe(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"--viewers 100000000", "open files"},
		{"--pairs 0", "1 at least"},
		{"--rate 0", "1 at least"},
		{"--for 1s", "more than 2s"},
	} {
		var stdout, stderr strings.Builder
		if code := run(append([]string{"viewers"}, strings.Fields(c.args)...), nil, &stdout, &stderr); code == 0 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: %d %q, want %q", c.args, code, stderr.String(), c.want)
		}
	}
}
