package onebox

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest/broker/brokertest"
)

// patience is ample for a busy machine.
const patience = 30 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func startBroker(t *testing.T, f *Folder) *Broker {
	t.Helper()
	b, err := StartBroker(f, "127.0.0.1:0", quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestBroker_SyncsAndSaysSoToTheRolesAccount(t *testing.T) {
	b := startBroker(t, openFolder(t, filepath.Join(t.TempDir(), "data")))
	if !b.SyncAlways() {
		t.Error("the broker does not sync before it acknowledges")
	}
	nc := connect(t, b.URL())
	answer, err := nc.Request("$SYS.REQ.SERVER.PING.JSZ", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var jsz struct {
		Data struct {
			Config struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer.Data, &jsz); err != nil {
		t.Fatal(err)
	}
	if !jsz.Data.Config.SyncAlways {
		t.Errorf("a process beside this one would see %s", answer.Data)
	}
}

func TestBroker_KeepsWhatItAcknowledgedAndItsCredentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f := openFolder(t, dir)
	b := startBroker(t, f)
	user, password := b.Credentials()
	nc := connect(t, "", nats.InProcessServer(b), nats.UserInfo(user, password))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "GIFTS", Subjects: []string{"gifts"}}); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, PayloadBytesMax-1024)
	if _, err := js.Publish(t.Context(), "gifts", large); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	b.Stop()

	again := startBroker(t, f)
	if _, p := again.Credentials(); p != password {
		t.Error("another password after a restart: processes beside this one would not find back")
	}
	js, err = jetstream.New(connect(t, again.URL()))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "GIFTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages after the restart", n)
	}
}

func TestBroker_RefusesStrangersAndABusyPort(t *testing.T) {
	f := openFolder(t, filepath.Join(t.TempDir(), "data"))
	b := startBroker(t, f)
	address := b.running().Addr().String()
	if nc, err := nats.Connect("nats://spillway:guess@" + address); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("a wrong password: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	other := openFolder(t, filepath.Join(t.TempDir(), "other"))
	if b, err := StartBroker(other, ln.Addr().String(), quiet()); !errors.Is(err, syscall.EADDRINUSE) {
		b.Stop()
		t.Errorf("a busy port: %v", err)
	}
	for _, bad := range []string{"here", "127.0.0.1:many", "127.0.0.1:99999"} {
		if _, err := StartBroker(other, bad, quiet()); err == nil {
			t.Errorf("address %q was taken", bad)
		}
	}
}

func TestOpenFolder_OneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	f := openFolder(t, dir)
	_, err := OpenFolder(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), " process ") {
		t.Fatalf("a second time: %v", err)
	}
	f.Close()
	openFolder(t, dir)
}

func TestOpenFolder_RefusesOtherPeoplesFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenFolder(dir); err == nil {
		f.Close()
		t.Error("opened a folder with other things in it")
	}
}

func TestRun_IsThereWhileTheFolderIsHeld(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := ReadRun(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no folder: %v", err)
	}
	f := openFolder(t, dir)
	want := Run{PID: os.Getpid(), HTTPURL: "http://127.0.0.1:8080", NATSURL: "nats://spillway:secret@127.0.0.1:4222"}
	if err := f.WriteRun(want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRun(dir); err != nil || got != want {
		t.Errorf("read %+v, %v", got, err)
	}
	fi, err := os.Stat(filepath.Join(dir, runName))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("run.json holds credentials and has %v, %v", fi.Mode(), err)
	}
	f.Close() // as a killed process does, without RemoveRun
	if _, err := ReadRun(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the process is gone: %v", err)
	}
	openFolder(t, dir)
	if _, err := os.Stat(filepath.Join(dir, runName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new process leaves the old one's run.json: %v", err)
	}
}

func TestSecrets_AreMadeOnce(t *testing.T) {
	f := openFolder(t, filepath.Join(t.TempDir(), "data"))
	calls := 0
	for range 2 {
		path, err := f.Secrets(func() ([]byte, error) { calls++; return []byte("secret"), nil })
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("secrets: %v, %v", fi, err)
		}
	}
	if calls != 1 {
		t.Errorf("made %d times", calls)
	}
}

func TestOutput_IsBounded(t *testing.T) {
	f := openFolder(t, filepath.Join(t.TempDir(), "data"))
	out, err := f.Output("postgres.log")
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Truncate(outputBytesMax + 1); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if out, err = f.Output("postgres.log"); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if fi, err := out.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("the new log has %d bytes, %v", fi.Size(), err)
	}
}

// A broker whose disk was full comes back by itself once there is room, with all
// that it had acknowledged, for connections of both kinds.
func TestBroker_HealsAfterAFullDisk(t *testing.T) {
	disk := brokertest.SmallDisk(t)
	b := startBroker(t, openFolder(t, filepath.Join(disk, "data")))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	user, password := b.Credentials()
	inside, err := jetstream.New(connect(t, "", nats.InProcessServer(b), nats.UserInfo(user, password), nats.MaxReconnects(-1)))
	if err != nil {
		t.Fatal(err)
	}
	outside, err := jetstream.New(connect(t, b.URL(), nats.MaxReconnects(-1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inside.CreateStream(t.Context(), jetstream.StreamConfig{Name: "GIFTS", Subjects: []string{"gifts"}}); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	brokertest.FillDisk(t, filler)
	// publish returns whether the message is in the stream.
	publish := func(js jetstream.JetStream) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "gifts", make([]byte, 4<<10))
		return err == nil
	}
	acknowledged := uint64(0)
	for publish(inside) {
		acknowledged++
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for name, js := range map[string]jetstream.JetStream{"inside": inside, "outside": outside} {
		deadline := time.Now().Add(patience)
		for !publish(js) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not taken again within %v; the broker: %v", name, patience, b.trouble())
			}
		}
		acknowledged++
	}
	stream, err := outside.Stream(t.Context(), "GIFTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n < acknowledged {
		t.Errorf("%d messages, %d were acknowledged", n, acknowledged)
	}
}

func TestBroker_IsNotReplacedForNothing(t *testing.T) {
	b := startBroker(t, openFolder(t, filepath.Join(t.TempDir(), "data")))
	if err := b.trouble(); err != nil {
		t.Errorf("a healthy broker: %v", err)
	}
	b.Stop()
	if err := b.replace(); err != nil || b.running() != nil {
		t.Errorf("a stopped broker was started again: %v", err)
	}
}

// A stream that is being made has its folder on the disk before the server knows of
// it. That is no reason to start a server again that works.
func TestBroker_AStreamBeingMadeIsNoTrouble(t *testing.T) {
	folder := openFolder(t, filepath.Join(t.TempDir(), "data"))
	b := startBroker(t, folder)
	js, err := jetstream.New(connect(t, b.URL()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "GIFTS", Subjects: []string{"gifts"}}); err != nil {
		t.Fatal(err)
	}
	streams, err := filepath.Glob(filepath.Join(folder.Path("nats"), "jetstream", "*", "streams"))
	if err != nil || len(streams) != 1 {
		t.Fatalf("folders of streams: %v, %v", streams, err)
	}
	if err := os.Mkdir(filepath.Join(streams[0], "COMMANDS"), 0o700); err != nil { // what a look in between sees
		t.Fatal(err)
	}
	found := b.findings()
	if len(found) != 1 || found[0].certain || !strings.Contains(found[0].text, "COMMANDS") {
		t.Fatalf("a look finds %+v", found)
	}
	var d doubts
	now := time.Now()
	for _, look := range []struct {
		at      time.Duration
		found   []finding
		trouble bool
	}{
		{0, found, false},
		{recoverPatience - 1, found, false},
		{recoverPatience, nil, false},        // there it is
		{recoverPatience + 1, found, false},  // another one: a patience of its own
		{2*recoverPatience + 1, found, true}, // it never came
		{2*recoverPatience + 2, []finding{{text: "write error", certain: true}}, true}, // at once
		{2*recoverPatience + 3, nil, false},
	} {
		if err := d.settle(look.found, now.Add(look.at)); (err != nil) != look.trouble {
			t.Errorf("after %v, with %v: %v", look.at, look.found, err)
		}
	}
}
