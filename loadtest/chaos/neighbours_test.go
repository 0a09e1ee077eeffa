//go:build linux

package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/ingest/trace/otlptest"
	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

var neighbours = flag.Bool("neighbours", false, "build earlier versions from the history and run their roles beside today's: some minutes")

// Each step gives this much through each front-end: enough for many batches, little
// enough that the till keeps up.
const (
	neighbourRate = 60 // gifts a second
	neighbourFor  = 3 * time.Second
	giftsOfARun   = int64(neighbourRate * neighbourFor / time.Second)
)

// Earlier versions and today's run side by side, in the order of a deployment and of its
// way back: whatever either stored the other records once, charges once and shows.
//
// Every gift of today's front-end is traced meanwhile, so that earlier ledgers meet
// envelopes with a field that they do not know.
func TestNeighbours(t *testing.T) {
	if !*neighbours {
		t.Skip("minutes of builds and load: go test ./loadtest/chaos -neighbours -v -run Neighbours -timeout 30m")
	}
	tree, err := programs.Tree()
	if err != nil {
		t.Fatal(err)
	}
	now, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range programs.Neighbours() {
		t.Run(v.Name, func(t *testing.T) {
			program, err := v.Build(t.Context(), tree, t.TempDir())
			if errors.Is(err, programs.ErrNoHistory) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			then := now
			then.Spillway = program
			newNeighbourhood(t, v, then, now).play()
		})
	}
}

// neighbourhood is an installation of which some processes are of an earlier version.
type neighbourhood struct {
	stage
	version   programs.Version
	then, now rig.Programs
	generator string // the program that rehearses: of the schema's version
	collector *otlptest.Collector
	front     *rig.Process // today's front-end beside the first one
	url       string       // where it is
	run       int          // rehearsals so far
}

func newNeighbourhood(t *testing.T, v programs.Version, then, now rig.Programs) *neighbourhood {
	t.Helper()
	r, err := rig.New(then)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(t.Failed() && *keep != ""); err != nil {
			t.Error(err)
		}
	})
	n := &neighbourhood{stage: stage{t: t, rig: r}, version: v, then: then, now: now, generator: then.Spillway, collector: otlptest.Start(t)}
	if v.Charges {
		n.charge()
	}
	return n
}

// charge has whoever is started from now on charge, and be told of charges.
func (n *neighbourhood) charge() { n.rig.Till = &rig.Till{Processes: 1, PerSecond: 200, Seed: 1} }

// Which of two processes of a role is whose.
const thens, todays = 1, 2

func (n *neighbourhood) play() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Minute)
	defer cancel()
	n.installed(ctx)
	n.notMigrated(ctx)
	n.migrated(ctx)
	if n.version.Charges {
		n.forthAndBack(ctx)
	}
	n.replaced(ctx)
	n.judge(ctx)
	if !n.version.Charges {
		n.wantUnpaid(ctx)
	}
}

// installed is where the earlier version made everything.
func (n *neighbourhood) installed(ctx context.Context) {
	n.t.Helper()
	n.sayf("everything is of the version with %s", n.version.Name)
	n.must(n.rig.StartRoles(ctx, 1))
	if n.version.Charges {
		n.rig.Use(n.now) // the processor's stand-in is no neighbour
		n.must(n.rig.StartSimulator(ctx))
		n.rig.Use(n.then)
		n.must(n.rig.StartPayments(ctx, thens))
	}
	n.give(ctx)
}

// notMigrated is where somebody began with the new version and forgot the schema.
func (n *neighbourhood) notMigrated(ctx context.Context) {
	n.t.Helper()
	n.sayf("today's front-end before everything else of today's")
	n.rig.Use(n.now)
	n.beginFront()
	if n.version.Charges {
		n.ready("today's front-end", n.front, n.url)
		n.give(ctx)
	} else { // it lacks the streams of wishes, commands and webhooks
		n.wantInLog(todaysFront, "a ledger makes it")
	}

	n.sayf("today's ledger and payments on a schema that is not migrated")
	n.must(n.rig.StartLedger(ctx, todays))
	n.wantInLog(rig.Ledger(todays), "spillway migrate")
	n.ready("today's front-end", n.front, n.url)
	if n.version.Charges {
		n.must(n.rig.StartPayments(ctx, todays))
		n.wantInLog(rig.Payments(todays), "spillway migrate")
	}
	n.give(ctx)
	n.stop(rig.Ledger(todays))
	if n.version.Charges {
		n.stop(rig.Payments(todays))
	}
}

// migrated has the earlier version's processes go on upon today's schema.
func (n *neighbourhood) migrated(ctx context.Context) {
	n.t.Helper()
	if !n.version.Charges {
		// It does not know that what it records is to be charged: see wantUnpaid.
		n.sayf("the earlier ledger stops before the migration")
		n.stop(rig.Ledger(thens))
	}
	n.sayf("today's schema; migrating by the earlier version changes nothing")
	n.tool(ctx, n.now, "migrate", "--database-url", n.rig.DatabaseURL())
	n.generator = n.now.Spillway
	if n.version.Charges {
		n.tool(ctx, n.then, "migrate", "--database-url", n.rig.DatabaseURL())
		n.give(ctx)
	}
	n.sayf("today's ledger as well, both front-ends")
	n.must(n.rig.StartLedger(ctx, todays))
	n.consoles()
	n.give(ctx)
}

// forthAndBack is a deployment of what is behind the front-ends, and its return.
func (n *neighbourhood) forthAndBack(ctx context.Context) {
	n.t.Helper()
	n.sayf("today's ledger alone, payments of both")
	n.stop(rig.Ledger(thens))
	n.must(n.rig.StartPayments(ctx, todays))
	n.give(ctx)

	n.sayf("today's payments alone")
	n.stop(rig.Payments(thens))
	n.give(ctx)

	n.sayf("back: the earlier ledger and payments alone")
	if n.version.Events {
		n.sayf("  today's front-ends alone take gifts and the processor's events")
		n.restartFront(ctx)
	}
	n.rig.Use(n.then)
	n.must(n.rig.StartLedger(ctx, thens))
	n.must(n.rig.StartPayments(ctx, thens))
	n.stop(rig.Ledger(todays))
	n.stop(rig.Payments(todays))
	n.give(ctx)

	n.rig.Use(n.now)
	n.must(n.rig.StartLedger(ctx, todays))
	n.must(n.rig.StartPayments(ctx, todays))
	n.stop(rig.Ledger(thens))
	n.stop(rig.Payments(thens))
}

// replaced is where the deployment is complete.
func (n *neighbourhood) replaced(ctx context.Context) {
	n.t.Helper()
	n.sayf("everything is today's")
	if n.version.Charges {
		n.restartFront(ctx)
	} else {
		n.charge()
		n.restartFront(ctx)
		n.must(n.rig.StartTill(ctx))
	}
	n.give(ctx)
}

// wantUnpaid has a version that knows no payments record beside today's, against the
// rule, and wants it to be found out.
func (n *neighbourhood) wantUnpaid(ctx context.Context) {
	n.t.Helper()
	n.sayf("what verify says when the earlier ledger goes on after the migration")
	n.stop(rig.Ledger(todays))
	n.rig.Use(n.then)
	n.must(n.rig.StartLedger(ctx, thens))
	for _, v := range n.runs(ctx) {
		n.sayf("  %d accepted; its own proof holds: %v", v.Report.Sending.Accepted, v.Holds())
	}
	n.rig.Use(n.now)
	err := n.rig.Verify(ctx)
	if err == nil || !strings.Contains(err.Error(), "payment-due") {
		n.t.Errorf("verify does not name gifts that nobody will charge: %v", err)
	}
}

// judge holds every book against every other, once nothing is under way.
func (n *neighbourhood) judge(ctx context.Context) {
	n.t.Helper()
	left, err := awaitFinal(ctx, n.rig, nil)
	n.must(err)
	if left != "" {
		n.t.Fatalf("not final: %s", left)
	}
	sums, err := readMoney(ctx, n.rig, false)
	n.must(err)
	n.sayf("money: %+v", *sums)
	// Each run's own probes are gifts too.
	if least := int64(n.run) * giftsOfARun; sums.Donations < least || sums.Succeeded != sums.Donations || sums.Charges != sums.Donations {
		n.t.Errorf("%d gifts and as many charges at least", least)
	}
	n.must(n.rig.Verify(ctx))
	if len(n.collector.Spans()) == 0 {
		n.t.Error("nothing was traced: no envelope had the new field")
	}
}

// give sends gifts through every front-end at once, each a run of its own, and has each
// prove that all of it was recorded once and is in the totals that its donors see.
func (n *neighbourhood) give(ctx context.Context) {
	n.t.Helper()
	began := time.Now()
	verdicts := n.runs(ctx)
	for front, v := range verdicts {
		if sent := v.Report.Sending; !v.Holds() || sent.Accepted != sent.Sent || sent.Sent != giftsOfARun {
			n.t.Fatalf("through the %s front-end: %d sent, %d accepted, proof holds: %v\n%s", front, sent.Sent, sent.Accepted, v.Holds(), v.Tail)
		}
	}
	n.sayf("  %d x %d gifts: recorded once, totals right (%v)", len(verdicts), giftsOfARun, time.Since(began).Round(time.Second/10))
}

// runs rehearses through every front-end at once.
func (n *neighbourhood) runs(ctx context.Context) map[string]*Verdict {
	n.t.Helper()
	fronts := map[string]string{"first": n.rig.URL()}
	if n.front != nil { // it was ready, and stays so
		fronts["today's"] = n.url
	}
	running, verdicts := map[string]*Rehearsal{}, map[string]*Verdict{}
	for front, url := range fronts {
		n.run++
		h := &Rehearsal{rig: n.rig, name: fmt.Sprintf("neighbours-%d", n.run)}
		args := append([]string{"rehearse", "--target", url, "--run", h.name, "--record", h.record(), "--json", h.report(), "--secrets", n.rig.Secrets()},
			Load{RatePerSecond: neighbourRate, For: neighbourFor}.args()...)
		process, err := n.rig.Begin(rig.Command{Name: h.name, Path: n.generator, Args: append(args, n.rig.Where()...), Log: n.rig.LogPath(h.name)})
		n.must(err)
		h.process, running[front] = process, h
	}
	for front, h := range running {
		v, err := h.Wait(ctx)
		n.must(err)
		verdicts[front] = v
	}
	return verdicts
}

// todaysFront names today's front-end beside the first one.
const todaysFront = "front-end"

// beginFront begins today's front-end beside the first one. It traces everything.
func (n *neighbourhood) beginFront() {
	n.t.Helper()
	address := n.freeAddress()
	front, err := n.rig.Begin(rig.Command{Name: todaysFront, Path: n.now.Spillway, Log: n.rig.LogPath(todaysFront), Args: []string{
		"ingest", "--listen", address, "--ops-listen", "127.0.0.1:0", "--nats-url", n.rig.BrokerURL(), "--secrets", n.rig.Secrets(),
		"--trace-endpoint", n.collector.URL, "--trace-part", "1"}})
	n.must(err)
	n.front, n.url = front, "http://"+address
}

// restartFront puts today's front-end in the first one's place.
func (n *neighbourhood) restartFront(ctx context.Context) {
	n.t.Helper()
	n.stop(rig.RoleIngest)
	n.must(n.rig.StartIngest(ctx))
}

// consoles starts the consoles of both versions, each of which must find all that it needs.
func (n *neighbourhood) consoles() {
	n.t.Helper()
	for name, p := range map[string]rig.Programs{"the earlier": n.then, "today's": n.now} {
		if !n.version.Console {
			continue
		}
		operators := n.freeAddress()
		console, err := n.rig.Begin(rig.Command{Name: "console", Path: p.Spillway, Log: n.rig.LogPath("console-" + filepath.Base(p.Spillway)), Args: []string{
			"admin", "--admin-listen", "127.0.0.1:0", "--ops-listen", operators, "--nats-url", n.rig.BrokerURL(),
			"--database-url", n.rig.DatabaseURL(), "--secrets", n.rig.Secrets()}})
		n.must(err)
		n.ready(name+" console", console, "http://"+operators)
	}
}

func (n *neighbourhood) ready(what string, p *rig.Process, url string) {
	n.t.Helper()
	n.eventually(what+" is ready", func(ctx context.Context) error {
		if !p.Running() {
			n.t.Fatalf("%s ended with status %d:\n%s", what, p.ExitCode(), p.Tail())
		}
		_, err := rig.Get(ctx, url+"/readyz")
		return err
	})
}

// tool runs a program to its end, which has to be a good one.
func (n *neighbourhood) tool(ctx context.Context, p rig.Programs, args ...string) {
	n.t.Helper()
	tool, err := n.rig.Begin(rig.Command{Name: args[0], Path: p.Spillway, Args: args, Log: n.rig.LogPath(args[0])})
	n.must(err)
	if err := tool.Wait(ctx); err != nil {
		n.t.Fatalf("%v\n%s", err, tool.Tail())
	}
}

// stop ends a role in order.
func (n *neighbourhood) stop(role string) {
	n.t.Helper()
	p, err := n.rig.Process(role)
	n.must(err)
	orderly, err := p.Stop(time.Minute)
	n.must(err)
	if !orderly || p.ExitCode() != 0 {
		n.t.Fatalf("%s: orderly %v, status %d\n%s", role, orderly, p.ExitCode(), p.Tail())
	}
}

// wantInLog waits until a role has said something.
func (n *neighbourhood) wantInLog(role, words string) {
	n.t.Helper()
	n.eventually(role+" says "+words, func(context.Context) error {
		said, err := os.ReadFile(n.rig.LogPath(role))
		if err == nil && !strings.Contains(string(said), words) {
			err = fmt.Errorf("it says:\n%s", said)
		}
		return err
	})
}

func (n *neighbourhood) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *neighbourhood) sayf(format string, args ...any) { n.t.Helper(); n.t.Logf(format, args...) }
