//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"spillway/deploy/haproxy"
	"spillway/loadtest/rig/programs"
)

const (
	// badFor is how long donors give while a bad version is tried: longer than the move.
	badFor = 45 * time.Second
	// badAfter is when the move begins: donors give steadily by then.
	badAfter = 5 * time.Second
	// feltMost is the share of all donations whose first attempt a bad version may fail
	// before it is sent away: its first step has a tenth of the donors for some seconds.
	feltMost = 0.01
)

const donateFile = "ingest/httpapi/donate.go"

// badGreens are versions of the front-end that a review let through.
var badGreens = []struct {
	name  string
	edit  programs.Edit
	check bool   // a rehearsal against the new colour itself is asked before and after every step
	says  string // why donors were sent back
}{
	{
		// One donor in twenty waits: a mean says nothing of it.
		name: "slow",
		edit: programs.Edit{File: donateFile, Old: "	begun := s.now()\n",
			New: "	begun := s.now()\n	if begun.UnixMicro()%20 == 0 {\n		time.Sleep(300 * time.Millisecond)\n	}\n"},
		says: "took longer than",
	},
	{
		name: "erring",
		edit: programs.Edit{File: donateFile, Old: "	begun := s.now()\n",
			New: "	begun := s.now()\n	if begun.UnixMicro()%50 == 0 {\n		ctx.Error(\"nil pointer\", fasthttp.StatusInternalServerError)\n		return\n	}\n"},
		says: "requests to green failed",
	},
	{
		// The other server repeats each of these: no donor sees one.
		name: "refusing",
		edit: programs.Edit{File: donateFile, Old: "	begun := s.now()\n",
			New: "	begun := s.now()\n	if begun.UnixMicro()%50 == 0 {\n		s.refuseQuickly(ctx, problem.NotReady)\n		return\n	}\n"},
		says: "requests to green failed",
	},
	{
		// One donation in ten is acknowledged, and nowhere.
		name: "losing",
		edit: programs.Edit{File: donateFile, Old: "	err = s.deps.Publisher.Publish(w.book, &w.record)\n",
			New: "	if begun.UnixMicro()%10 != 0 {\n		err = s.deps.Publisher.Publish(w.book, &w.record)\n	}\n"},
		check: true,
		says:  "the check failed",
	},
}

// The edits still change what they name.
func TestBadGreens_AnchorsHold(t *testing.T) {
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range badGreens {
		if _, err := programs.Overlay(tree, t.TempDir(), []programs.Edit{bad.edit}); err != nil {
			t.Errorf("%s: %v", bad.name, err)
		}
	}
}

// A new version that is slow, errs, refuses or loses what it accepts is sent away by
// `spillway bluegreen` by itself, in the middle of the spike: donors are at the old one
// again, few of them felt it, and nothing that was accepted is lost.
func TestBlueGreen_BadGreen(t *testing.T) {
	if !*long {
		t.Skip("minutes of builds and load: go test ./loadtest/chaos -chaos -v -run BadGreen [-spike 2000]")
	}
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range badGreens {
		t.Run(bad.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			dir := t.TempDir()
			overlay, err := programs.Overlay(tree, dir, []programs.Edit{bad.edit})
			if err != nil {
				t.Fatal(err)
			}
			program, err := programs.BuildSpillway(ctx, tree, dir, "-overlay", overlay)
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(ctx, t)
			s.write(s.scenario, fmt.Sprintf("name: spike\narrivals: {rate: %d, for: %s}\ncharging: {wait: 'off'}\n", *spike, badFor))
			front := s.proxy(strings.TrimPrefix(s.rig.URL(), "http://"), s.colour("green", program))

			giving := s.rehearse("bad-"+bad.name, front)
			s.sleep(ctx, badAfter)
			args := []string{"bluegreen", "--socket", s.socket, "--from", "blue", "--to", "green", "--steps", "10,50,100", "--every", "5s"}
			if bad.check {
				proof := append([]string{s.rig.Programs().Spillway, "rehearse", "--target", "$server", "--rate", "50", "--for", "3s", "--charging", "off",
					"--secrets", "'" + s.rig.Secrets() + "'"}, quoted(s.rig.Where())...)
				args = append(args, "--check", "for server in $TO_SERVERS; do "+strings.Join(proof, " ")+" || exit; done")
			}
			begun := time.Now()
			command := exec.CommandContext(ctx, s.rig.Programs().Spillway, args...)
			out, err := command.CombinedOutput()
			took := time.Since(begun)
			t.Logf("%s", out)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), bad.says) {
				t.Errorf("bluegreen: %v: want status 1 and %q", err, bad.says)
			}
			servers, err := haproxy.Socket{Address: s.socket}.Servers(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, server := range servers {
				if full := strings.HasPrefix(server.Name, "blue-"); full && server.Weight != 100 || !full && server.Weight != 0 {
					t.Errorf("%s/%s is left with weight %d", server.Backend, server.Name, server.Weight)
				}
			}
			v := s.wait(ctx, giving)
			sent := v.Report.Sending
			felt := sent.Attempts - sent.Sent
			t.Logf("%s: sent back after %v; %d donations in %d attempts, refused %v, unknown %d, p99 %v",
				bad.name, took.Round(time.Millisecond), sent.Sent, sent.Attempts, sent.Refused, sent.UnknownAnswers, sent.Latency.P99)
			if !v.Holds() {
				t.Errorf("the proof fails:\n%s", v.Tail)
			}
			if float64(felt) > feltMost*float64(sent.Sent) {
				t.Errorf("%d of %d donations were tried again", felt, sent.Sent)
			}
			if bad.check && felt > 0 {
				t.Errorf("%d donations felt a version that was to be found before the first donor came", felt)
			}
		})
	}
}

// quoted are arguments as a shell takes them.
func quoted(args []string) []string {
	all := make([]string, len(args))
	for i, arg := range args {
		all[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return all
}
