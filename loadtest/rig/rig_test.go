//go:build linux

package rig

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/rig/programs"
)

// The rig's own ground: a stock broker and a durable Postgres that can be killed
// and come back, and nothing that outlives them.
func TestRig_BrokerAndPostgresDieAndComeBack(t *testing.T) {
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	server, err := programs.BuildNATSServer(ctx, tree, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Programs{NATSServer: server})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			if err := r.Close(t.Failed()); err != nil {
				t.Error(err)
			}
		}
	})
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"create Postgres", r.createPostgres},
		{"start Postgres", r.StartPostgres},
		{"start the broker", r.StartBroker},
		{"stop Postgres", func(context.Context) error { return r.StopPostgresNow() }},
		{"start Postgres again", func(ctx context.Context) error { return r.Restart(ctx, RolePostgres) }},
		{"kill the broker", func(context.Context) error { return r.Kill(RoleBroker) }},
		{"start the broker again", func(ctx context.Context) error { return r.Restart(ctx, RoleBroker) }},
	} {
		if err := step.do(ctx); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
	}
	if log := tail(r.LogPath(RolePostgres), 1<<20); !strings.Contains(log, "was not properly shut down") {
		t.Errorf("Postgres was stopped in order, not at once; its log:\n%s", log)
	}
	closed = true
	if err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Dir); !os.IsNotExist(err) {
		t.Errorf("the rig's folder is still there: %v", err)
	}
}
