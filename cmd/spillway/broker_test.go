package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
)

func TestBrokerLayout(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.WithTCP())
	if err := s.Connect().EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, 0, "DONATIONS_0"},
		{[]string{"--shards", "2"}, 0, "Streams of 2 shards are there"},
		{nil, 0, "DONATIONS_1"},
		{[]string{"--shards", "1"}, exitFailed, "there are 2"},
		{[]string{"--replicas", "2"}, exitFailed, "1, 3 or 5"},
		{[]string{"--replicas", "3"}, exitFailed, "3 copies of"},
	} {
		var out strings.Builder
		status := run(append([]string{"broker", "layout", "--nats-url", s.URL()}, c.args...), nil, &out, &out)
		if status != c.status || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: status %d:\n%s", c.args, status, &out)
		}
	}
}

func TestWriteLayouts_TellsWhatIsMissing(t *testing.T) {
	full := broker.Layout{Stream: "DONATIONS_0", Replicas: 3, Leader: "a", Copies: []broker.Copy{{Server: "b", Current: true}, {Server: "c", Current: true}}}
	behind := full
	behind.Copies = []broker.Copy{full.Copies[0], {Server: "c", Behind: 7, Silent: 3 * time.Second}}
	short := full
	short.Copies = full.Copies[:1]
	for name, c := range map[string]struct {
		layout broker.Layout
		whole  bool
		says   string
	}{
		"full": {full, true, "b, c"}, "behind": {behind, false, "c (7 behind, silent for 3s)"}, "short": {short, false, "3, not complete"},
	} {
		var out strings.Builder
		err := writeLayouts(&out, []broker.Layout{c.layout})
		if errors.Is(err, errNotWhole) == c.whole || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v:\n%s", name, err, &out)
		}
	}
}
