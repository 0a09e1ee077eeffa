//go:build linux

package powercut

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

// patience bounds the waits of these tests; a passing one takes seconds.
const patience = 2 * time.Minute

// messagesAcked is how many messages a bare broker acknowledges before the cut:
// several of its blocks' worth of syncs, a second's work at most.
const messagesAcked = 300

// The ground that the durability gate stands on: a stock broker keeps every
// acknowledged message through a power cut when it syncs before it acknowledges,
// and loses some in its default configuration. The second half proves that the
// cut cuts.
func TestCut_BrokerKeepsWhatItAcknowledgedOnlyWithSyncAlways(t *testing.T) {
	if err := Missing(); err != nil {
		t.Skipf("no power cut on this machine: %v", err)
	}
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	server, err := programs.BuildNATSServer(t.Context(), tree, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if kept := keptAfterCut(t, server, "always"); kept != messagesAcked {
		t.Errorf("sync always: %d of %d acknowledged messages left after the cut", kept, messagesAcked)
	}
	if kept := keptAfterCut(t, server, "2m"); kept >= messagesAcked {
		t.Errorf("the broker's default: all %d acknowledged messages left after the cut; the cut proves nothing here", kept)
	}
}

func keptAfterCut(t *testing.T, server, syncInterval string) int {
	t.Helper()
	d := plugged(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := &bareBroker{server: server, dir: t.TempDir(), store: filepath.Join(d.Folder(), "nats"), sync: syncInterval}
	b.start(ctx, t)
	// The stream itself is to survive in both cases: the cut is about its messages.
	if _, err := b.js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	syncAll(t, d.Folder())
	for n := range messagesAcked {
		if _, err := b.js.Publish(ctx, "s", fmt.Appendf(nil, "message %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	b.conn.Close()
	for _, step := range []func() error{
		b.process.Pause, func() error { return d.Image(ctx) }, b.process.Kill, func() error { return d.Replace(ctx) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	b.start(ctx, t)
	stream, err := b.js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	kept := int(stream.CachedInfo().State.Msgs)
	t.Logf("sync_interval %s: %d of %d acknowledged messages after the cut", syncInterval, kept, messagesAcked)
	b.conn.Close()
	if err := b.process.Kill(); err != nil {
		t.Fatal(err)
	}
	return kept
}

// bareBroker is a stock nats-server with one stream and no spillway.
type bareBroker struct {
	server, dir, store, sync string
	process                  *rig.Process
	conn                     *nats.Conn
	js                       jetstream.JetStream
}

func (b *bareBroker) start(ctx context.Context, t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	config := filepath.Join(b.dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: %s }\n", address, b.store, b.sync)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := rig.Start(rig.Command{
		Name: "nats-server", Path: b.server, Args: []string{"-c", config}, Log: filepath.Join(b.dir, "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.process = process
	t.Cleanup(func() { // before the disk's own cleanup, which needs it unused
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
	})
	for {
		b.conn, err = nats.Connect("nats://" + address)
		if err == nil {
			if b.js, err = jetstream.New(b.conn); err == nil {
				_, err = b.js.AccountInfo(ctx)
			}
			if err == nil {
				return
			}
			b.conn.Close()
		}
		select {
		case <-process.Done():
			t.Fatalf("the broker ended:\n%s", process.Tail())
		case <-ctx.Done():
			t.Fatalf("the broker does not answer: %v\n%s", err, process.Tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// syncAll flushes the whole filesystem, as if it had stood idle for a while.
func syncAll(t *testing.T, folder string) {
	t.Helper()
	if err := system(t.Context(), "sync", "-f", folder); err != nil {
		t.Fatal(err)
	}
}
