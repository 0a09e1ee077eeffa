//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

var spike = flag.Int("spike", 2000, "donations a second while donors are moved from blue to green, under -chaos; as many live streams are open")

const (
	// spikeFor is how long the spike is: the move, and the second half of it on green.
	spikeFor = 50 * time.Second
	// spikeStay is a viewer's mean time on a live stream, and spikeMore how many more than
	// are wanted are let in, so that so many are there at once.
	spikeStay = 20 * time.Second
	spikeMore = 1.1
	// moveAfter is when the move begins: the streams are open by then.
	moveAfter = 20 * time.Second
)

// A version is replaced in the middle of the spike: no donation's first attempt fails,
// streams that end with the old version are opened again, and donors feel half as much
// more or 5 ms at most. Two rehearsals behind the HAProxy configuration that is shipped:
// one that is left alone, one in which `spillway bluegreen` moves the donors.
//
// The proxy may try a donation a second time at the other colour (its own retry rules);
// what this counts are answers that donors saw.
func TestBlueGreen_InTheSpike(t *testing.T) {
	if !*long {
		t.Skip("minutes of load: go test ./loadtest/chaos -chaos -v -run BlueGreen [-spike 2000]")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	s := newStage(ctx, t)
	s.write(s.scenario, fmt.Sprintf(`name: spike
arrivals: {rate: %d, for: %s}
readers: {per_gift: %.4f}
visits: {stream: 100%%, think: 100ms, stay: %s}
charging: {wait: 'off'}
`, *spike, spikeFor, spikeMore/spikeStay.Seconds(), spikeStay))
	r := s.rig
	green := s.colour("green", r.Programs().Spillway)
	front := s.proxy(strings.TrimPrefix(r.URL(), "http://"), green)

	calm := s.wait(ctx, s.rehearse("calm", front))
	moved := s.rehearse("moved", front)
	s.sleep(ctx, moveAfter)
	command := exec.CommandContext(ctx, r.Programs().Spillway, "bluegreen", "--socket", s.socket, "--from", "blue", "--to", "green", "--steps", "10,50,100", "--every", "3s") //nolint:gosec // built here
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("bluegreen: %v", err)
	}
	blue, err := r.Process(rig.RoleIngest)
	if err != nil {
		t.Fatal(err)
	}
	if orderly, err := blue.Stop(time.Minute); err != nil || !orderly || blue.ExitCode() != 0 {
		t.Errorf("blue: orderly %v, status %d, %v", orderly, blue.ExitCode(), err)
	}
	v := s.wait(ctx, moved)

	for name, v := range map[string]*Verdict{"calm": calm, "moved": v} {
		if v.Report.Visits == nil {
			t.Fatalf("%s: nobody looked", name)
		}
		sent, streams := v.Report.Sending, v.Report.Visits.Streams
		t.Logf("%s: %d donations in %d attempts, unknown %d, refused %v, p50 %v p99 %v; streams: %d opened, %d at once, %d ended by the server, %d failed, refused %v",
			name, sent.Sent, sent.Attempts, sent.UnknownAnswers, sent.Refused, sent.Latency.P50, sent.Latency.P99,
			streams.Opened, streams.Most, streams.Lost, streams.Failed, streams.Refused)
		if !v.Holds() {
			t.Errorf("%s: the proof fails:\n%s", name, v.Tail)
		}
		if sent.Attempts != sent.Sent || sent.UnknownAnswers != 0 || len(sent.Refused) != 0 || sent.Accepted != sent.Sent {
			t.Errorf("%s: not every first attempt was accepted", name)
		}
		if streams.Failed != 0 || len(streams.Refused) != 0 {
			t.Errorf("%s: streams could not be opened", name)
		}
	}
	if v.Report.Visits.Streams.Lost == 0 {
		t.Error("no stream ended with blue: nothing was moved")
	}
	was, is := calm.Report.Sending.Latency.P99, v.Report.Sending.Latency.P99
	if allowed := was + max(was/2, 5*time.Millisecond); is > allowed {
		t.Errorf("p99 %v while donors were moved, %v when not: more than %v", is, was, allowed)
	}
}

// stage is what the move happens on.
type stage struct {
	t                         *testing.T
	rig                       *rig.Rig
	haproxy, scenario, socket string
}

// newStage starts a whole service, whose front-end is blue, for as long as the test runs.
func newStage(ctx context.Context, t *testing.T) *stage {
	t.Helper()
	haproxy := os.Getenv("HAPROXY_PROGRAM")
	if haproxy == "" {
		haproxy = "haproxy"
	}
	haproxy, err := exec.LookPath(haproxy)
	if err != nil {
		t.Skip("no haproxy: on Debian, sudo apt-get install haproxy")
	}
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(t.Failed() && *keep != ""); err != nil {
			t.Error(err)
		}
	})
	if err := r.StartRoles(ctx, 1); err != nil {
		t.Fatal(err)
	}
	return &stage{t: t, rig: r, haproxy: haproxy, scenario: filepath.Join(r.Dir, "spike.yaml")}
}

func (s *stage) write(path, content string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (s *stage) freeAddress() string {
	s.t.Helper()
	address, err := rig.FreeAddress()
	if err != nil {
		s.t.Fatal(err)
	}
	return address
}

// colour starts another front-end, of this program, and returns where it listens.
func (s *stage) colour(name, program string) string {
	s.t.Helper()
	address := s.freeAddress()
	if _, err := s.rig.Begin(rig.Command{Name: name, Path: program, Log: s.rig.LogPath(name), Args: []string{
		"ingest", "--listen", address, "--ops-listen", s.freeAddress(), "--nats-url", s.rig.BrokerURL(), "--secrets", s.rig.Secrets()}}); err != nil {
		s.t.Fatal(err)
	}
	s.eventually(name+" takes money", func(ctx context.Context) error {
		_, err := rig.Get(ctx, "http://"+address+"/readyz")
		return err
	})
	return address
}

func (s *stage) eventually(what string, ask func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if err = ask(ctx); err == nil {
			return
		}
		s.sleep(ctx, 50*time.Millisecond)
	}
	s.t.Fatalf("not within a minute: %s: %v", what, err)
}

// proxy starts HAProxy with the configuration that is shipped, where only addresses
// and the number of servers are others, and returns where donors reach it.
func (s *stage) proxy(blue, green string) string {
	s.t.Helper()
	tree, err := programs.Tree()
	if err != nil {
		s.t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(tree, "deploy", "haproxy", "haproxy.cfg"))
	if err != nil {
		s.t.Fatal(err)
	}
	front := s.freeAddress()
	s.socket = filepath.Join(s.rig.Dir, "proxy.sock")
	config := string(shipped)
	for _, line := range []string{`(?m)^    bind :443 .*\n`, `(?m)^    http-request redirect scheme https .*\n`, `(?m)^    server (blue|green)-2 .*\n`} {
		config = regexp.MustCompile(line).ReplaceAllString(config, "")
	}
	config = strings.NewReplacer("bind :80\n", "bind "+front+"\n", "/run/haproxy/admin.sock", s.socket, "bind 127.0.0.1:8404", "bind "+s.freeAddress(),
		"10.0.0.11:8080", blue, "10.0.0.21:8080", green, "maxconn 100000", "maxconn 9000").Replace(config)
	path := filepath.Join(s.rig.Dir, "haproxy.cfg")
	s.write(path, config)
	if _, err := s.rig.Begin(rig.Command{Name: "haproxy", Path: s.haproxy, Args: []string{"-db", "-f", path}, Log: s.rig.LogPath("haproxy")}); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the proxy passes donors on", func(ctx context.Context) error {
		_, err := rig.Get(ctx, "http://"+front+"/readyz")
		return err
	})
	return front
}

// rehearse begins a rehearsal behind the proxy.
func (s *stage) rehearse(name, front string) *Rehearsal {
	s.t.Helper()
	h := &Rehearsal{rig: s.rig, name: name}
	args := append([]string{"rehearse", "--target", "http://" + front, "--scenario", s.scenario, "--run", name, "--record", h.record(), "--json", h.report(),
		"--html", filepath.Join(s.rig.Dir, name+".html"), "--secrets", s.rig.Secrets()}, s.rig.Where()...)
	process, err := s.rig.Begin(rig.Command{Name: "rehearse-" + name, Path: s.rig.Programs().Spillway, Args: args, Log: s.rig.LogPath("rehearse-" + name)})
	if err != nil {
		s.t.Fatal(err)
	}
	h.process = process
	return h
}

func (s *stage) wait(ctx context.Context, h *Rehearsal) *Verdict {
	s.t.Helper()
	v, err := h.Wait(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if *results != "" {
		var document json.RawMessage = v.Raw
		if err := os.WriteFile(filepath.Join(*results, "bluegreen-"+h.name+".json"), document, 0o644); err != nil { //nolint:gosec // a result for all
			s.t.Fatal(err)
		}
	}
	return v
}
