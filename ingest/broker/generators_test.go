package broker_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
)

// asGenerator connects with the rights of a generator.
func asGenerator(t *testing.T, s *brokertest.Server) *broker.Broker {
	t.Helper()
	b, err := broker.Connect(t.Context(), s.ConfigFor(broker.RoleGenerator), brokertest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestGenerators_NeedNoRightsButTheirOwn has one generator lead another, both with the
// rights that operators give them.
func TestGenerators_NeedNoRightsButTheirOwn(t *testing.T) {
	s := brokertest.Start(t, brokertest.WithRoles())
	leader, member := asGenerator(t, s), asGenerator(t, s)
	var mu sync.Mutex
	heard := ""
	run(t, func(ctx context.Context) error {
		return leader.WatchGenerators(ctx, "default", func(message []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard = string(message)
		})
	})
	if _, err := leader.AskGenerator(t.Context(), "default", "north", []byte("?")); !errors.Is(err, broker.ErrNoGenerator) {
		t.Errorf("asked nobody: %v", err)
	}
	reachable := make(chan struct{})
	large := bytes.Repeat([]byte("r"), 512<<10)
	stop := run(t, func(ctx context.Context) error {
		return member.ServeGenerator(ctx, "default", "north", func() { close(reachable) }, func(question []byte) []byte {
			if string(question) == "silence" {
				return nil
			}
			return append(question, large...)
		})
	})
	<-reachable
	eventually(t, "the leader hears the generator", func() bool {
		if err := member.HelloGenerator(t.Context(), "default", []byte("north is here")); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return heard == "north is here"
	})
	answer, err := leader.AskGenerator(t.Context(), "default", "north", []byte("?"))
	if err != nil || string(answer) != "?"+string(large) {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
	short, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	if _, err := leader.AskGenerator(short, "default", "north", []byte("silence")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := leader.AskGenerator(t.Context(), "default", "north", make([]byte, broker.GeneratorMessageBytesMax+1)); err == nil {
		t.Error("a question of any length is asked")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "who has ended is not there", func() bool { // what was under way is lost
		asking, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer done()
		_, err := leader.AskGenerator(asking, "default", "north", []byte("?"))
		return errors.Is(err, broker.ErrNoGenerator)
	})
}
